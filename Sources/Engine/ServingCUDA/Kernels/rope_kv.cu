// Rotary embedding and the paged cache.
#include "device.cuh"

// Turns the first 2 * pairs elements of each head by its token's position, in place; a block a row of `heads` heads.
// neighbours: elements 2i and 2i + 1 turn together, else i and i + pairs.
extern "C" __global__ void rotate(
    float *rows, const int *positions, const float *frequencies, float magnitude, int heads, int head_dim, int pairs,
    int neighbours) {
    long long row = blockIdx.x;
    float position = (float)positions[row];
    for (int i = threadIdx.x; i < heads * pairs; i += blockDim.x) {
        int head = i / pairs, pair = i % pairs;
        float *x = rows + (row * heads + head) * head_dim;
        int first = neighbours ? 2 * pair : pair, second = neighbours ? 2 * pair + 1 : pair + pairs;
        float sine, cosine;
        sincosf(position * frequencies[pair], &sine, &cosine);
        sine *= magnitude;
        cosine *= magnitude;
        float a = x[first], b = x[second];
        x[first] = a * cosine - b * sine;
        x[second] = b * cosine + a * sine;
    }
}
PBCTL_EXPORT(rotate)

// Writes each token's keys and values, (T, width) with width = K * D, to its place in the cache, (N, page, K, D).
extern "C" __global__ void store_kv(
    const float *keys, const float *values, const int *positions, const int *sequences, const int *table_starts,
    const int *tables, CACHE *key_cache, CACHE *value_cache, int width, int page) {
    long long row = blockIdx.x;
    int position = positions[row];
    long long block = tables[table_starts[sequences[row]] + position / page], place = block * page + position % page;
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
        put(key_cache + place * width + i, keys[row * width + i]);
        put(value_cache + place * width + i, values[row * width + i]);
    }
}
PBCTL_EXPORT(store_kv)
