// Operations on rows of float32, (T, width). Blocks of 256 threads unless said otherwise.
#include "device.cuh"

// out[t] = scale * table[tokens[t]], (T, width); a block a row. tables[t], where there is one, stands in for the table.
extern "C" __global__ void embed(
    const ELEMENT *table, const ELEMENT *const *tables, const int *tokens, float scale, float *out, int width) {
    long long row = blockIdx.x;
    const ELEMENT *from = tables && tables[row] ? tables[row] : table;
    from += (long long)tokens[row] * width;
    for (int i = threadIdx.x; i < width; i += blockDim.x) out[row * width + i] = scale * value(from[i]);
}
PBCTL_EXPORT(embed)

// out = in / rms(in) * weight over runs of `width` elements, `heads` of them a row; a block a run. weights[t], where
// there is one, stands in for the weight. `packed` may be null, and `out` may be `in`.
extern "C" __global__ void rms_norm(
    const float *in, const float *weight, const float *const *weights, float epsilon, int width, int heads, float *out,
    ELEMENT *packed) {
    long long run = blockIdx.x;
    const float *row_weight = weights ? weights[run / heads] : nullptr;
    if (row_weight) weight = row_weight;
    const float *from = in + run * width;
    float squares = 0;
    for (int i = threadIdx.x; i < width; i += blockDim.x) squares = fmaf(from[i], from[i], squares);
    float factor = 1.0f / sqrtf(block_sum(squares) / (float)width + epsilon);
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
        float x = from[i] * factor * weight[i];
        out[run * width + i] = x;
        if (packed) put(packed + run * width + i, x);
    }
}
PBCTL_EXPORT(rms_norm)

// out = activation(gate) * up, elementwise. kind: 0 SiLU, 1 GELU by tanh, 2 GELU by the error function.
extern "C" __global__ void gated(
    int kind, const float *gate, const float *up, float *out, ELEMENT *packed, long long count) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    float x = gate[i], y;
    if (kind == 0) {
        y = x / (1.0f + expf(-x));
    } else if (kind == 1) {
        y = 0.5f * x * (1.0f + tanhf(0.7978845608028654f * (x + 0.044715f * x * x * x)));
    } else {
        y = 0.5f * x * (1.0f + erff(x * 0.7071067811865476f));
    }
    y *= up[i];
    out[i] = y;
    if (packed) put(packed + i, y);
}
PBCTL_EXPORT(gated)

// sum += scale * term, elementwise.
extern "C" __global__ void add_scaled(const float *term, float scale, float *sum, long long count) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) sum[i] = fmaf(scale, term[i], sum[i]);
}
PBCTL_EXPORT(add_scaled)

// rows[t] += bias, (T, width).
extern "C" __global__ void add_bias(float *rows, const float *bias, int width, long long count) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) rows[i] += bias[i % width];
}
PBCTL_EXPORT(add_bias)

// out[i] = in[rows[i]], (count, width); a block a row.
extern "C" __global__ void gather(const float *in, const int *rows, float *out, int width) {
    long long row = blockIdx.x, from = rows[row];
    for (int i = threadIdx.x; i < width; i += blockDim.x) out[row * width + i] = in[from * width + i];
}
PBCTL_EXPORT(gather)

// x = scale * x, then cap * tanh(x / cap) where the cap is positive.
extern "C" __global__ void scale_and_cap(float *rows, float scale, float cap, long long count) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    float x = scale * rows[i];
    rows[i] = cap > 0 ? cap * tanhf(x / cap) : x;
}
PBCTL_EXPORT(scale_and_cap)

// The rows as cuBLAS reads them.
extern "C" __global__ void pack(const float *rows, ELEMENT *packed, long long count) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) put(packed + i, rows[i]);
}
PBCTL_EXPORT(pack)
