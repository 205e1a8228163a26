// Query and key norms, rotary embedding and the paged cache.
#include "device.cuh"

// Cosine and sine of each token's angles, (T, pairs) of both; a block a token.
extern "C" __global__ void angles(
    const int *positions, const float *frequencies, float magnitude, int pairs, float2 *table) {
    long long row = blockIdx.x;
    float position = (float)positions[row];
    for (int pair = threadIdx.x; pair < pairs; pair += blockDim.x) {
        float sine, cosine;
        sincosf(position * frequencies[pair], &sine, &cosine);
        table[row * pairs + pair] = {cosine * magnitude, sine * magnitude};
    }
}
PBCTL_EXPORT(angles)

// Norms and rotates one head, D elements, with a warp. The norm divides by the root mean square and multiplies by a
// weight; none where that is null. neighbours: elements 2i and 2i + 1 turn together, else i and i + pairs.
template <class T>
__device__ __forceinline__ void turn(
    const float *head, const float *weight, float epsilon, const float2 *angles, int pairs, int neighbours,
    int head_dim, T *target) {
    int lane = threadIdx.x % 32;
    float factor = 1;
    if (weight) {
        float squares = 0;
        for (int i = lane; i < head_dim; i += 32) squares = fmaf(head[i], head[i], squares);
        factor = 1.0f / sqrtf(warp_sum(squares) / (float)head_dim + epsilon);
    }
    for (int pair = lane; pair < pairs; pair += 32) {
        int first = neighbours ? 2 * pair : pair, second = neighbours ? 2 * pair + 1 : pair + pairs;
        float a = head[first], b = head[second];
        if (weight) {
            a = a * factor * weight[first];
            b = b * factor * weight[second];
        }
        float2 angle = angles[pair];
        put(target + first, a * angle.x - b * angle.y);
        put(target + second, b * angle.x + a * angle.y);
    }
    for (int i = 2 * pairs + lane; i < head_dim; i += 32)
        put(target + i, weight ? head[i] * factor * weight[i] : head[i]);
}

// What attention reads: queries, (T, stride), in place, and keys and values at their places in the cache,
// (N, page, K, D). A warp a head of queries, keys or values; blocks of 4 warps in the directions (heads, row). A row
// at position -1 is no token.
extern "C" __global__ void place(
    float *queries, const float *keys, const float *values, int query_stride, int key_stride, int value_stride,
    const float *query_norm, const float *key_norm, float epsilon, const float2 *angles, int pairs, int neighbours,
    int heads, int kv_heads, int head_dim, const int *positions, const int *sequences, const int *table_starts,
    const int *tables, CACHE *key_cache, CACHE *value_cache, int page) {
    long long row = blockIdx.y;
    int head = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32, position = positions[row];
    if (head >= heads + 2 * kv_heads || position < 0) return;
    angles += row * pairs;
    if (head < heads) {
        float *own = queries + row * query_stride + head * head_dim;
        turn(own, query_norm, epsilon, angles, pairs, neighbours, head_dim, own);
        return;
    }
    long long block = tables[table_starts[sequences[row]] + position / page], at = block * page + position % page;
    head -= heads;
    if (head < kv_heads) {
        const float *own = keys + row * key_stride + head * head_dim;
        turn(
            own, key_norm, epsilon, angles, pairs, neighbours, head_dim,
            key_cache + (at * kv_heads + head) * head_dim);
        return;
    }
    head -= kv_heads;
    const float *own = values + row * value_stride + head * head_dim;
    for (int i = lane; i < head_dim; i += 32) put(value_cache + (at * kv_heads + head) * head_dim + i, own[i]);
}
PBCTL_EXPORT(place)
