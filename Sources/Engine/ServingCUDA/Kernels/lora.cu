// Low-rank updates, a different one for each row: BGMV of Punica (Chen et al. 2023, arXiv:2310.18547) with ranks that
// may differ, and DoRA's gains (arXiv:2402.09353).
#include "device.cuh"

#define RANK_LIMIT 256
// Rows of one adapter that are done together.
#define GROUP_LIMIT 8
// Elements of a row that a block of `shrink` takes.
#define SLICE 1024

// What an adapter does to one linear layer: y = gain * (y + scaling * B (A x)) + offset, where a null gain is 1 and a
// null offset 0. Nothing at all where rank is 0 and both are null. Rows of A and B begin at multiples of 8 elements,
// with zeros behind what they hold.
struct Update {
    const ELEMENT *a;     // (rank, in)
    const ELEMENT *b;     // (out, rank)
    const float *gain;    // (out)
    const float *offset;  // (out)
    float scaling;
    int rank;
};

__device__ __forceinline__ int round_up(int count) { return (count + 7) / 8 * 8; }

// shrunk[t][layer][slice] = scaling * A x over a slice of x, (T, layers, slices, RANK_LIMIT); blocks of 4 warps in the
// directions (slice, layer, row). updates[t]: the row's adapter's updates by slot, or null. groups[t]: how many rows
// from t on, at most GROUP_LIMIT, have one adapter and are done together, so that it is read once for all of them; 0
// for rows that are done with one before.
extern "C" __global__ void __launch_bounds__(128) shrink(
    const ELEMENT *rows, int stride, int width, const Update *const *updates, const int *groups, int slot,
    float *shrunk) {
    long long row = blockIdx.z;
    int slice = blockIdx.x, slices = gridDim.x, layer = blockIdx.y, layers = gridDim.y, count = groups[row];
    if (!updates[row] || count == 0) return;
    Update update = updates[row][slot + layer];
    __shared__ __align__(16) ELEMENT x[GROUP_LIMIT][SLICE];
    const ELEMENT *own = rows + row * stride + slice * SLICE;
    int there = min(SLICE, width - slice * SLICE);
    bool is_aligned = there % 8 == 0 && stride % 8 == 0 && (unsigned long long)own % 16 == 0;
    for (int t = 0; t < count; t++, own += stride)
        for (int i = threadIdx.x * 8; i < SLICE; i += blockDim.x * 8) {
            if (is_aligned) {
                for (int j = 0; j < (int)sizeof(ELEMENT) / 2; j++)
                    ((uint4 *)&x[t][i])[j] = i < there ? ((const uint4 *)(own + i))[j] : uint4{0, 0, 0, 0};
            } else {
#pragma unroll 1
                for (int j = 0; j < 8; j++) x[t][i + j] = i + j < there ? own[i + j] : ELEMENT{};
            }
        }
    __syncthreads();
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, a_stride = round_up(width);
    long long next = (long long)layers * slices * RANK_LIMIT;
    float *to = shrunk + row * next + ((long long)layer * slices + slice) * RANK_LIMIT;
    for (int r = warp; r < update.rank; r += blockDim.x / 32) {
        const ELEMENT *a = update.a + (long long)r * a_stride + slice * SLICE + lane * 8;
        // All loads under way before the first is used.
        Eight<ELEMENT> factors[SLICE / 256];
#pragma unroll
        for (int i = 0; i < SLICE / 256; i++)
            factors[i] = Eight<ELEMENT>::stream(a + i * 256, i * 256 + lane * 8 < there);
        for (int t = 0; t < count; t++) {
            float sum = 0;
#pragma unroll
            for (int i = 0; i < SLICE / 256; i++) {
                float w[8], values[8];
                unpack_eight(factors[i], w);
                load_eight(&x[t][i * 256 + lane * 8], values);
                for (int j = 0; j < 8; j++) sum = fmaf(w[j], values[j], sum);
            }
            sum = warp_sum(sum);
            if (lane == 0) to[t * next + r] = sum * update.scaling;
        }
    }
}
PBCTL_EXPORT(shrink)

// The second half, into the outputs of up to three layers, (T, stride_i) of width_i; a thread an output of all rows of
// a group, blocks in the directions (outputs, layer, row).
extern "C" __global__ void __launch_bounds__(128) expand(
    const float *shrunk, int slices, const Update *const *updates, const int *groups, int slot, float *out0,
    float *out1, float *out2, int width0, int width1, int width2, int stride0, int stride1, int stride2) {
    __shared__ float s[GROUP_LIMIT][RANK_LIMIT];
    long long row = blockIdx.z;
    int layer = blockIdx.y, layers = gridDim.y, count = groups[row];
    float *out = layer == 0 ? out0 : layer == 1 ? out1 : out2;
    int width = layer == 0 ? width0 : layer == 1 ? width1 : width2;
    int stride = layer == 0 ? stride0 : layer == 1 ? stride1 : stride2;
    if (!updates[row] || count == 0 || blockIdx.x * blockDim.x >= width) return;
    Update update = updates[row][slot + layer];
    if (update.rank == 0 && !update.gain && !update.offset) return;
    long long next = (long long)layers * slices * RANK_LIMIT;
    const float *from = shrunk + row * next + (long long)layer * slices * RANK_LIMIT;
    int b_stride = round_up(update.rank), o = blockIdx.x * blockDim.x + threadIdx.x;
    bool is_there = o < width;
    const ELEMENT *b = update.b + (long long)o * b_stride;
    // Under way while the rows are added up.
    Eight<ELEMENT> first = Eight<ELEMENT>::stream(b, is_there && b_stride > 0);
    float old[GROUP_LIMIT], sums[GROUP_LIMIT] = {};
#pragma unroll
    for (int t = 0; t < GROUP_LIMIT; t++) old[t] = is_there && t < count ? out[(row + t) * stride + o] : 0.0f;
    for (int i = threadIdx.x; i < count * b_stride; i += blockDim.x) {
        int t = i / b_stride, r = i % b_stride;
        float sum = 0;
        for (int slice = 0; r < update.rank && slice < slices; slice++)
            sum += from[t * next + slice * RANK_LIMIT + r];
        s[t][r] = sum;
    }
    __syncthreads();
    if (!is_there) return;
    for (int r = 0; r < b_stride; r += 8) {
        float factors[8];
        unpack_eight(r == 0 ? first : Eight<ELEMENT>::stream(b + r, true), factors);
#pragma unroll
        for (int t = 0; t < GROUP_LIMIT; t++) {
            if (t >= count) break;
            for (int j = 0; j < 8; j++) sums[t] = fmaf(factors[j], s[t][r + j], sums[t]);
        }
    }
    float gain = update.gain ? update.gain[o] : 1.0f, offset = update.offset ? update.offset[o] : 0.0f;
#pragma unroll
    for (int t = 0; t < GROUP_LIMIT; t++) {
        if (t >= count) break;
        out[(row + t) * stride + o] = (old[t] + sums[t]) * gain + offset;
    }
}
PBCTL_EXPORT(expand)

// out[t] += scale * scaling * B A[:, token], (T, out_stride); A is (rank, vocabulary). A block a row; updates[t] may be
// null.
extern "C" __global__ void embed_update(
    const Update *const *updates, const int *tokens, int vocabulary, float scale, float *out, int out_stride,
    int width) {
    long long row = blockIdx.x;
    if (!updates[row]) return;
    Update update = *updates[row];
    int a_stride = round_up(vocabulary), b_stride = round_up(update.rank);
    for (int o = threadIdx.x; o < width; o += blockDim.x) {
        float sum = 0;
        for (int r = 0; r < update.rank; r++) {
            float a = value(update.a[(long long)r * a_stride + tokens[row]]);
            sum = fmaf(value(update.b[(long long)o * b_stride + r]), a, sum);
        }
        out[row * out_stride + o] = fmaf(scale * update.scaling, sum, out[row * out_stride + o]);
    }
}
PBCTL_EXPORT(embed_update)
