// Attention of each token over its sequence's cached positions, up to its own. They are cut into spans of SPAN, whose
// results are merged in their order: what a token gets depends on its own position alone, not on the batch.
// Online softmax: Milakov and Gimelshein 2018 (arXiv:1805.02867); spans: Flash-Decoding.
//
// HEAD_DIM = D, PAGE = positions a block of the cache, GROUP * GROUPS = H / K query heads a KV head, of which a block
// of threads takes GROUP.
#include "device.cuh"

#define MINUS_INFINITY __uint_as_float(0xff800000u)
#define WARPS 4
#define SPAN 512
// Elements of a head that each lane holds.
#define SLICE ((HEAD_DIM + 31) / 32)

// A block of 4 warps a (span, group of heads, token), in this order of the grid's directions; the query heads of a
// group share each key and value that is read. Writes to `partial`, (T, H, spans, D + 2): the span's largest score, its
// sum of weights and the weighted values.
extern "C" __global__ void attend_span(
    const float *queries, const CACHE *keys, const CACHE *values, const int *positions, const int *sequences,
    const int *table_starts, const int *tables, float scale, float cap, int window, float *partial) {
    __shared__ float query[GROUP][HEAD_DIM];
    __shared__ float weights[WARPS][GROUP][32];
    __shared__ float tops[WARPS][GROUP], sums[WARPS][GROUP], mixed[WARPS][GROUP][HEAD_DIM];
    int span = blockIdx.x, spans = gridDim.x, kv_head = blockIdx.y / GROUPS, kv_heads = gridDim.y / GROUPS;
    long long token = blockIdx.z;
    int end = positions[token] + 1, begin = window > 0 && end > window ? end - window : 0;
    int first = span * SPAN, last = min(first + SPAN, end);
    if (first >= end || last <= begin) return;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const float *own = queries + (token * gridDim.y + blockIdx.y) * GROUP * HEAD_DIM;
    for (int i = threadIdx.x; i < GROUP * HEAD_DIM; i += blockDim.x) (&query[0][0])[i] = own[i] * scale;
    __syncthreads();
    const int *table = tables + table_starts[sequences[token]];
    float top[GROUP], sum[GROUP], mix[GROUP][SLICE];
    for (int g = 0; g < GROUP; g++) {
        top[g] = MINUS_INFINITY;
        sum[g] = 0;
        for (int s = 0; s < SLICE; s++) mix[g][s] = 0;
    }
    for (int tile = first + warp * 32; tile < last; tile += WARPS * 32) {
        int position = tile + lane;
        bool is_seen = position < last && position >= begin;
        float scores[GROUP];
        for (int g = 0; g < GROUP; g++) scores[g] = 0;
        if (is_seen) {
            long long place = (long long)table[position / PAGE] * PAGE + position % PAGE;
            const CACHE *key = keys + (place * kv_heads + kv_head) * HEAD_DIM;
            for (int d = 0; d < HEAD_DIM; d++) {
                float k = value(key[d]);
                for (int g = 0; g < GROUP; g++) scores[g] = fmaf(query[g][d], k, scores[g]);
            }
        }
        for (int g = 0; g < GROUP; g++) {
            float score = cap > 0 ? cap * tanhf(scores[g] / cap) : scores[g];
            if (!is_seen) score = MINUS_INFINITY;
            float new_top = fmaxf(top[g], warp_max(score));
            // A tile before the window leaves everything as it is.
            float factor = top[g] == new_top ? 1.0f : expf(top[g] - new_top);
            float weight = is_seen ? expf(score - new_top) : 0.0f;
            weights[warp][g][lane] = weight;
            sum[g] = sum[g] * factor + warp_sum(weight);
            top[g] = new_top;
            for (int s = 0; s < SLICE; s++) mix[g][s] *= factor;
        }
        __syncwarp();
        int count = min(32, last - tile);
        for (int j = max(0, begin - tile); j < count; j++) {
            long long place = (long long)table[(tile + j) / PAGE] * PAGE + (tile + j) % PAGE;
            const CACHE *from = values + (place * kv_heads + kv_head) * HEAD_DIM;
            for (int s = 0; s < SLICE; s++) {
                int d = s * 32 + lane;
                float v = d < HEAD_DIM ? value(from[d]) : 0.0f;
                for (int g = 0; g < GROUP; g++) mix[g][s] = fmaf(weights[warp][g][j], v, mix[g][s]);
            }
        }
        __syncwarp();
    }
    for (int g = 0; g < GROUP; g++) {
        if (lane == 0) {
            tops[warp][g] = top[g];
            sums[warp][g] = sum[g];
        }
        for (int s = 0; s < SLICE; s++)
            if (s * 32 + lane < HEAD_DIM) mixed[warp][g][s * 32 + lane] = mix[g][s];
    }
    __syncthreads();
    for (int i = threadIdx.x; i < GROUP * (HEAD_DIM + 2); i += blockDim.x) {
        int g = i / (HEAD_DIM + 2), d = i % (HEAD_DIM + 2) - 2;
        float most = MINUS_INFINITY, total = 0;
        for (int w = 0; w < WARPS; w++) most = fmaxf(most, tops[w][g]);
        for (int w = 0; w < WARPS; w++) {
            float factor = tops[w][g] == MINUS_INFINITY ? 0.0f : expf(tops[w][g] - most);
            total += factor * (d < 0 ? sums[w][g] : mixed[w][g][d]);
        }
        long long head = (token * gridDim.y + blockIdx.y) * GROUP + g;
        partial[(head * spans + span) * (HEAD_DIM + 2) + d + 2] = d == -2 ? most : total;
    }
}
PBCTL_EXPORT(attend_span)

// Merges the spans of each head; a block of HEAD_DIM threads, rounded up to whole warps, a (head, token).
extern "C" __global__ void attend_merge(
    const float *partial, const int *positions, int spans, int window, float *out, ELEMENT *packed) {
    long long token = blockIdx.y, head = token * gridDim.x + blockIdx.x;
    int end = positions[token] + 1, begin = window > 0 && end > window ? end - window : 0;
    int d = threadIdx.x, first = begin / SPAN, last = (end - 1) / SPAN;
    if (d >= HEAD_DIM) return;
    const float *own = partial + head * spans * (HEAD_DIM + 2);
    float most = MINUS_INFINITY, sum = 0, mix = 0;
    for (int span = first; span <= last; span++) most = fmaxf(most, own[span * (HEAD_DIM + 2)]);
    for (int span = first; span <= last; span++) {
        const float *part = own + span * (HEAD_DIM + 2);
        float factor = expf(part[0] - most);
        sum = fmaf(factor, part[1], sum);
        mix = fmaf(factor, part[d + 2], mix);
    }
    float x = mix / sum;
    out[head * HEAD_DIM + d] = x;
    if (packed) put(packed + head * HEAD_DIM + d, x);
}
PBCTL_EXPORT(attend_merge)
