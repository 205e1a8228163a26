// Operations on rows of float32, (T, stride) of which `width` elements are in use. Blocks of 256 threads unless said
// otherwise.
#include "device.cuh"

// out[t] = scale * table[tokens[t]]; a block a row. tables[t], where there is one, stands in for the table.
extern "C" __global__ void embed(
    const ELEMENT *table, const ELEMENT *const *tables, const int *tokens, float scale, float *out, int out_stride,
    int width) {
    long long row = blockIdx.x;
    const ELEMENT *from = tables && tables[row] ? tables[row] : table;
    from += (long long)tokens[row] * width;
    for (int i = threadIdx.x; i < width; i += blockDim.x) out[row * out_stride + i] = scale * value(from[i]);
}
PBCTL_EXPORT(embed)

// in += scale * term where there is a term, then out = in / rms(in) * weight over runs of `width` elements, `heads` of
// them a row; a block of up to 1024 threads a run. weights[t], where there is one, stands in for the weight. `out` or
// `packed` may be null, and `out` may be `in`.
extern "C" __global__ void __launch_bounds__(1024) rms_norm(
    float *in, int in_stride, const float *term, int term_stride, float scale,
    const float *__restrict__ weight, const float *const *weights, float epsilon, int width, int heads, float *out,
    ELEMENT *packed, int out_stride) {
    long long row = blockIdx.x / heads, head = blockIdx.x % heads, to = row * out_stride + head * width;
    if (weights && weights[row]) weight = weights[row];
    float *from = in + row * in_stride + head * width;
    const float *added = term ? term + row * term_stride + head * width : nullptr;
    // What a thread has of a row of up to 8 elements a thread, all loads under way at once.
    float x[8], factors[8], squares = 0;
    bool is_held = width <= 8 * (int)blockDim.x;
    if (is_held) {
#pragma unroll
        for (int k = 0; k < 8; k++) {
            int i = k * blockDim.x + threadIdx.x;
            x[k] = i < width ? from[i] : 0.0f;
            factors[k] = i < width ? weight[i] : 0.0f;
            if (added && i < width) x[k] = fmaf(scale, added[i], x[k]);
        }
#pragma unroll
        for (int k = 0; k < 8; k++) squares = fmaf(x[k], x[k], squares);
    } else {
        for (int i = threadIdx.x; i < width; i += blockDim.x) {
            float y = from[i];
            if (added) from[i] = y = fmaf(scale, added[i], y);
            squares = fmaf(y, y, squares);
        }
    }
    float factor = 1.0f / sqrtf(block_sum(squares) / (float)width + epsilon);
    if (is_held) {
#pragma unroll
        for (int k = 0; k < 8; k++) {
            int i = k * blockDim.x + threadIdx.x;
            if (i >= width) break;
            float y = x[k] * factor * factors[k];
            if (added) from[i] = x[k];
            if (out) out[to + i] = y;
            if (packed) put(packed + to + i, y);
        }
    } else {
        for (int i = threadIdx.x; i < width; i += blockDim.x) {
            float y = from[i] * factor * weight[i];
            if (out) out[to + i] = y;
            if (packed) put(packed + to + i, y);
        }
    }
}
PBCTL_EXPORT(rms_norm)

// activation(gate) * up into `out`, or into `packed` where there is one; blocks in the directions (elements, row).
// kind: 0 SiLU, 1 GELU by tanh, 2 GELU by the error function.
extern "C" __global__ void gated(
    int kind, const float *gate, const float *up, int gate_stride, int up_stride, int width, float *out,
    ELEMENT *packed, int out_stride) {
    long long row = blockIdx.y;
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= width) return;
    float x = gate[row * gate_stride + i], y;
    if (kind == 0) {
        y = x / (1.0f + expf(-x));
    } else if (kind == 1) {
        y = 0.5f * x * (1.0f + tanhf(0.7978845608028654f * (x + 0.044715f * x * x * x)));
    } else {
        y = 0.5f * x * (1.0f + erff(x * 0.7071067811865476f));
    }
    y *= up[row * up_stride + i];
    if (packed)
        put(packed + row * out_stride + i, y);
    else
        out[row * out_stride + i] = y;
}
PBCTL_EXPORT(gated)

// sum += scale * term; blocks in the directions (elements, row).
extern "C" __global__ void add_scaled(
    const float *term, int term_stride, float scale, float *sum, int sum_stride, int width) {
    long long row = blockIdx.y;
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < width) sum[row * sum_stride + i] = fmaf(scale, term[row * term_stride + i], sum[row * sum_stride + i]);
}
PBCTL_EXPORT(add_scaled)

// rows = rows * gain + offset, where a null gain is 1 and a null offset 0; blocks in the directions (elements, row).
extern "C" __global__ void adjust(float *rows, int stride, const float *gain, const float *offset, int width) {
    long long row = blockIdx.y;
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= width) return;
    float x = rows[row * stride + i];
    if (gain) x *= gain[i];
    if (offset) x += offset[i];
    rows[row * stride + i] = x;
}
PBCTL_EXPORT(adjust)

// out[i] = in[rows[i]]; a block a row.
extern "C" __global__ void gather(
    const float *in, int in_stride, const int *rows, float *out, int out_stride, int width) {
    long long row = blockIdx.x, from = rows[row];
    for (int i = threadIdx.x; i < width; i += blockDim.x) out[row * out_stride + i] = in[from * in_stride + i];
}
PBCTL_EXPORT(gather)

// x = scale * x, then cap * tanh(x / cap) where the cap is positive; blocks in the directions (elements, row).
extern "C" __global__ void scale_and_cap(float *rows, int stride, float scale, float cap, int width) {
    long long row = blockIdx.y;
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= width) return;
    float x = scale * rows[row * stride + i];
    rows[row * stride + i] = cap > 0 ? cap * tanhf(x / cap) : x;
}
PBCTL_EXPORT(scale_and_cap)

// The rows, scaled, as cuBLAS reads them; blocks in the directions (elements, row).
extern "C" __global__ void pack(
    const float *rows, int stride, float scale, ELEMENT *packed, int packed_stride, int width) {
    long long row = blockIdx.y;
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < width) put(packed + row * packed_stride + i, scale * rows[row * stride + i]);
}
PBCTL_EXPORT(pack)

// The way back.
extern "C" __global__ void unpack(const ELEMENT *packed, float *rows, int stride, int width) {
    long long row = blockIdx.y;
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < width) rows[row * stride + i] = value(packed[row * stride + i]);
}
PBCTL_EXPORT(unpack)
