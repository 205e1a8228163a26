// Low-rank updates, a different one for each row: BGMV of Punica (Chen et al. 2023, arXiv:2310.18547) with ranks that
// may differ, and DoRA's gains (arXiv:2402.09353).
#include "device.cuh"

#define RANK_LIMIT 256

// What an adapter does to one linear layer: y = gain * (y + scaling * B (A x)) + offset, where a null gain is 1 and a
// null offset 0. Nothing at all where rank is 0 and both are null.
struct Update {
    const ELEMENT *a;     // (rank, in)
    const ELEMENT *b;     // (out, rank)
    const float *gain;    // (out)
    const float *offset;  // (out)
    float scaling;
    int rank;
};

// shrunk[t][layer] = A x, (T, layers, RANK_LIMIT); a block of 8 warps a (row, layer). updates[t]: the row's adapter's
// updates by slot, or null.
extern "C" __global__ void shrink(
    const float *rows, int width, const Update *const *updates, int slot, float *shrunk) {
    long long row = blockIdx.x;
    int layer = blockIdx.y, layers = gridDim.y;
    if (!updates[row]) return;
    Update update = updates[row][slot + layer];
    int lane = threadIdx.x % 32, warps = blockDim.x / 32;
    const float *x = rows + row * width;
    for (int r = threadIdx.x / 32; r < update.rank; r += warps) {
        const ELEMENT *a = update.a + (long long)r * width;
        float sum = 0;
        for (int i = lane; i < width; i += 32) sum = fmaf(value(a[i]), x[i], sum);
        sum = warp_sum(sum);
        if (lane == 0) shrunk[(row * layers + layer) * RANK_LIMIT + r] = sum * update.scaling;
    }
}
PBCTL_EXPORT(shrink)

// The second half, into the outputs of up to three layers, (T, width_i); a thread an output, blocks in the directions
// (outputs, layer, row).
extern "C" __global__ void expand(
    const float *shrunk, const Update *const *updates, int slot, float *out0, float *out1, float *out2, int width0,
    int width1, int width2) {
    __shared__ float s[RANK_LIMIT];
    long long row = blockIdx.z;
    int layer = blockIdx.y, layers = gridDim.y;
    float *out = layer == 0 ? out0 : layer == 1 ? out1 : out2;
    int width = layer == 0 ? width0 : layer == 1 ? width1 : width2;
    if (!updates[row]) return;
    Update update = updates[row][slot + layer];
    if (update.rank == 0 && !update.gain && !update.offset) return;
    for (int r = threadIdx.x; r < update.rank; r += blockDim.x) s[r] = shrunk[(row * layers + layer) * RANK_LIMIT + r];
    __syncthreads();
    int o = blockIdx.x * blockDim.x + threadIdx.x;
    if (o >= width) return;
    const ELEMENT *b = update.b + (long long)o * update.rank;
    float sum = 0;
    for (int r = 0; r < update.rank; r++) sum = fmaf(value(b[r]), s[r], sum);
    float y = out[row * width + o] + sum;
    if (update.gain) y *= update.gain[o];
    if (update.offset) y += update.offset[o];
    out[row * width + o] = y;
}
PBCTL_EXPORT(expand)

// out[t] += scale * scaling * B A[:, token], (T, width); A is (rank, vocabulary). A block a row; updates[t] may be
// null.
extern "C" __global__ void embed_update(
    const Update *const *updates, const int *tokens, int vocabulary, float scale, float *out, int width) {
    long long row = blockIdx.x;
    if (!updates[row]) return;
    Update update = *updates[row];
    for (int o = threadIdx.x; o < width; o += blockDim.x) {
        float sum = 0;
        for (int r = 0; r < update.rank; r++) {
            float a = value(update.a[(long long)r * vocabulary + tokens[row]]);
            sum = fmaf(value(update.b[(long long)o * update.rank + r]), a, sum);
        }
        out[row * width + o] = fmaf(scale * update.scaling, sum, out[row * width + o]);
    }
}
PBCTL_EXPORT(embed_update)
