// Low-rank updates, a different one for each row: BGMV of Punica (Chen et al. 2023, arXiv:2310.18547) with ranks that
// may differ, and DoRA's gains (arXiv:2402.09353).
#include "device.cuh"

#define RANK_LIMIT 256
// Elements of a row that a block of `shrink` takes.
#define SLICE 2048

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
// directions (slice, layer, row). updates[t]: the row's adapter's updates by slot, or null.
extern "C" __global__ void __launch_bounds__(128) shrink(
    const ELEMENT *rows, int stride, int width, const Update *const *updates, int slot, float *shrunk) {
    long long row = blockIdx.z;
    int slice = blockIdx.x, slices = gridDim.x, layer = blockIdx.y, layers = gridDim.y;
    if (!updates[row]) return;
    Update update = updates[row][slot + layer];
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, a_stride = round_up(width);
    if (warp >= update.rank) return;
    float x[SLICE / 256][8];
    const ELEMENT *own = rows + row * stride;
    bool is_aligned = width % 8 == 0 && (unsigned long long)own % 16 == 0;
#pragma unroll
    for (int i = 0; i < SLICE / 256; i++) {
        int at = slice * SLICE + i * 256 + lane * 8;
        if (is_aligned && at < width)
            load_eight(own + at, x[i]);
        else
            for (int j = 0; j < 8; j++) x[i][j] = at + j < width ? value(own[at + j]) : 0.0f;
    }
    float *to = shrunk + ((row * layers + layer) * slices + slice) * RANK_LIMIT;
    for (int r = warp; r < update.rank; r += blockDim.x / 32) {
        const ELEMENT *a = update.a + (long long)r * a_stride;
        float sum = 0;
#pragma unroll
        for (int i = 0; i < SLICE / 256; i++) {
            int at = slice * SLICE + i * 256 + lane * 8;
            if (at >= width) continue;
            float factors[8];
            load_eight(a + at, factors);
            for (int j = 0; j < 8; j++) sum = fmaf(factors[j], x[i][j], sum);
        }
        sum = warp_sum(sum);
        if (lane == 0) to[r] = sum * update.scaling;
    }
}
PBCTL_EXPORT(shrink)

// The second half, into the outputs of up to three layers, (T, stride_i) of width_i; a thread an output, blocks in the
// directions (outputs, layer, row).
extern "C" __global__ void expand(
    const float *shrunk, int slices, const Update *const *updates, int slot, float *out0, float *out1, float *out2,
    int width0, int width1, int width2, int stride0, int stride1, int stride2) {
    __shared__ float s[RANK_LIMIT];
    long long row = blockIdx.z;
    int layer = blockIdx.y, layers = gridDim.y;
    float *out = layer == 0 ? out0 : layer == 1 ? out1 : out2;
    int width = layer == 0 ? width0 : layer == 1 ? width1 : width2;
    int stride = layer == 0 ? stride0 : layer == 1 ? stride1 : stride2;
    if (!updates[row] || blockIdx.x * blockDim.x >= width) return;
    Update update = updates[row][slot + layer];
    if (update.rank == 0 && !update.gain && !update.offset) return;
    const float *from = shrunk + (row * layers + layer) * slices * RANK_LIMIT;
    int b_stride = round_up(update.rank);
    for (int r = threadIdx.x; r < b_stride; r += blockDim.x) {
        float sum = 0;
        for (int slice = 0; r < update.rank && slice < slices; slice++) sum += from[slice * RANK_LIMIT + r];
        s[r] = sum;
    }
    __syncthreads();
    int o = blockIdx.x * blockDim.x + threadIdx.x;
    if (o >= width) return;
    const ELEMENT *b = update.b + (long long)o * b_stride;
    float y = out[row * stride + o], sum = 0;
    for (int r = 0; r < b_stride; r += 8) {
        float factors[8];
        load_eight(b + r, factors);
        for (int j = 0; j < 8; j++) sum = fmaf(factors[j], s[r + j], sum);
    }
    y += sum;
    if (update.gain) y *= update.gain[o];
    if (update.offset) y += update.offset[o];
    out[row * stride + o] = y;
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
