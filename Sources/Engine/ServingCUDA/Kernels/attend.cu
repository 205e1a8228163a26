// Attention over the cached positions of each token's sequence, up to the token's own. Positions are cut into spans of
// SPAN, whose results are merged in their order, the same way wherever it is done: what a token gets depends on its
// own position alone, not on the batch.
// Online softmax: Milakov and Gimelshein 2018 (arXiv:1805.02867); spans: Flash-Decoding.
//
// HEAD_DIM = D, PAGE = positions a block of the cache, GROUP * GROUPS = H / K query heads a KV head, of which a block
// of threads takes GROUP.
#include "device.cuh"

#define WARPS 4
#define SPAN 256

// What is known of some positions: the largest score, the sum of weights and the weighted values. Adds a later part to
// an earlier one; the factors are for their values.
struct Softmax {
    float top, sum;
};
__device__ __forceinline__ Softmax merge(Softmax a, Softmax b, float *factor_a, float *factor_b) {
    float top = fmaxf(a.top, b.top);
    *factor_a = a.top == MINUS_INFINITY ? 0.0f : expf(a.top - top);
    *factor_b = b.top == MINUS_INFINITY ? 0.0f : expf(b.top - top);
    return {top, a.sum * *factor_a + b.sum * *factor_b};
}

#if TENSOR_CORES
// Rows of a tile: GROUP heads of each of TOKENS tokens that follow one another.
#define TOKENS (16 / GROUP)
#define QUERY_STRIDE (HEAD_DIM + 8)
// Blocks that a multiprocessor is to hold: registers go to loads under way where fewer are enough.
#define BLOCKS (HEAD_DIM > 128 ? 2 : 3)

// N halves, 16-byte aligned as their count allows, of an address that may not be read.
template <int N> struct Halves {
    unsigned words[N / 2];
};
__device__ __forceinline__ Halves<8> load_halves(const f16 *from, bool is_there, Halves<8>) {
    uint4 words = {0, 0, 0, 0};
    if (is_there) words = *(const uint4 *)from;
    return {{words.x, words.y, words.z, words.w}};
}
__device__ __forceinline__ Halves<4> load_halves(const f16 *from, bool is_there, Halves<4>) {
    uint2 words = {0, 0};
    if (is_there) words = *(const uint2 *)from;
    return {{words.x, words.y}};
}
__device__ __forceinline__ Halves<2> load_halves(const f16 *from, bool is_there, Halves<2>) {
    return {{is_there ? *(const unsigned *)from : 0u}};
}

// scores += Q K^T over 4 N elements of a head, for 16 rows and twice 8 positions. The order of elements within the
// products is any, if it is the same on both sides: each lane takes N that lie side by side.
template <int N>
__device__ __forceinline__ void score(
    float scores[2][4], const f16 *low, const f16 *high, const f16 *const keys[2], const bool is_there[2]) {
    Halves<N> a = load_halves(low, true, Halves<N>()), b = load_halves(high, true, Halves<N>());
    for (int half = 0; half < 2; half++) {
        Halves<N> k = load_halves(keys[half], is_there[half], Halves<N>());
        for (int i = 0; i < N / 4; i++) {
            unsigned query[4] = {a.words[2 * i], b.words[2 * i], a.words[2 * i + 1], b.words[2 * i + 1]};
            multiply(scores[half], query, k.words + 2 * i);
        }
    }
}

// mix += P V over 8 N elements of a head, for 16 rows and 16 positions; the lane's N elements lie side by side.
template <int N>
__device__ __forceinline__ void mix_values(
    float mix[][4], const unsigned weights[4], const f16 *const values[4], const bool is_there[4]) {
    Halves<N> v[4];
    for (int i = 0; i < 4; i++) v[i] = load_halves(values[i], is_there[i], Halves<N>());
    for (int j = 0; j < N; j++) {
        unsigned pairs[2];
        for (int half = 0; half < 2; half++) {
            unsigned first = v[2 * half].words[j / 2], second = v[2 * half + 1].words[j / 2];
            pairs[half] = j % 2 ? (first >> 16) | (second & 0xffff0000u) : (first & 0xffffu) | (second << 16);
        }
        multiply(mix[j], weights, pairs);
    }
}

// Where an element of a head lies in the fragments of `mix`: each lane's elements of a chunk lie side by side.
__device__ __forceinline__ int place_of(int d) {
    int chunk = d < HEAD_DIM / 64 * 64 ? 64 : d < HEAD_DIM / 32 * 32 ? 32 : 16;
    int base = chunk == 64 ? d / 64 * 64 : chunk == 32 ? HEAD_DIM / 64 * 64 : HEAD_DIM / 32 * 32;
    return base + (d - base) % (chunk / 8) * 8 + (d - base) / (chunk / 8);
}

// A block of 4 warps a (span, group of heads, tile of rows), in this order of the grid's directions; warps take 16
// positions in turn. tiles[z]: first token * 32 + tokens, at most TOKENS of one sequence; null where tile and token are
// the same. With one span in the grid a block goes through all spans and writes to `out` or `packed`, (T, out_stride);
// else to `partial`, (T, H, spans, D + 2).
extern "C" __global__ void __launch_bounds__(128, BLOCKS) attend_tile(
    const float *queries, int query_stride, const f16 *keys, const f16 *values, const int *positions,
    const int *sequences, const int *table_starts, const int *tables, const int *tiles, float scale, float cap,
    int window, float *partial, float *out, ELEMENT *packed, int out_stride) {
    __shared__ __align__(16) f16 query[16 * QUERY_STRIDE];
    // In the order of the products' fragments; the stride keeps lanes off each other's banks.
    __shared__ __align__(16) float mixed[16][HEAD_DIM + 8];
    __shared__ float whole[16][HEAD_DIM];
    __shared__ Softmax softmaxes[WARPS][16], parts[16], running[16];
    __shared__ float kept[16], added[16];
    int kv_head = blockIdx.y / GROUPS, kv_heads = gridDim.y / GROUPS, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int tile_word = tiles ? tiles[blockIdx.z] : (int)blockIdx.z * 32 + 1;
    int token = tile_word / 32, rows = tile_word % 32 * GROUP;
    // Of the last and of the first token.
    int end = positions[token + rows / GROUP - 1] + 1, first_end = positions[token] + 1;
    int begin = window > 0 && first_end > window ? first_end - window : 0;
    int spans = (end + SPAN - 1) / SPAN, first_span = begin / SPAN;
    bool is_whole = gridDim.x == 1;
    if (!is_whole) {
        first_span = max(first_span, (int)blockIdx.x);
        spans = min(spans, (int)blockIdx.x + 1);
        if (first_span >= spans) return;
    }
    for (int i = threadIdx.x; i < 16 * HEAD_DIM; i += blockDim.x) {
        int row = i / HEAD_DIM, d = i % HEAD_DIM;
        const float *own = queries + (long long)(token + row / GROUP) * query_stride;
        float x = row < rows ? own[((int)blockIdx.y * GROUP + row % GROUP) * HEAD_DIM + d] * scale : 0.0f;
        put(query + row * QUERY_STRIDE + d, x);
        whole[row][d] = 0;
    }
    if (threadIdx.x < 16) running[threadIdx.x] = {MINUS_INFINITY, 0};
    __syncthreads();
    const int *table = tables + (end > 0 ? table_starts[sequences[token]] : 0);
    int row_of_lane = lane / 4, quarter = lane % 4, ends[2], begins[2];
    for (int i = 0; i < 2; i++) {
        int row = row_of_lane + 8 * i;
        ends[i] = row < rows ? positions[token + row / GROUP] + 1 : 0;
        begins[i] = window > 0 && ends[i] > window ? ends[i] - window : 0;
    }
    long long place_stride = (long long)kv_heads * HEAD_DIM, head_offset = (long long)kv_head * HEAD_DIM;
    for (int span = first_span; span < spans; span++) {
        float mix[HEAD_DIM / 8][4];
        for (int i = 0; i < HEAD_DIM / 8; i++)
            for (int j = 0; j < 4; j++) mix[i][j] = 0;
        Softmax own[2] = {{MINUS_INFINITY, 0}, {MINUS_INFINITY, 0}};
        int last = min((span + 1) * SPAN, end);
        for (int tile = span * SPAN + warp * 16; tile < last; tile += WARPS * 16) {
            if (tile + 16 <= begin) continue;
            const f16 *key[2], *value_of[4];
            bool has_key[2], has_value[4];
            for (int i = 0; i < 2; i++) {
                int position = tile + 8 * i + row_of_lane;
                has_key[i] = position < last;
                long long place = has_key[i] ? (long long)table[position / PAGE] * PAGE + position % PAGE : 0;
                key[i] = keys + place * place_stride + head_offset;
            }
            for (int i = 0; i < 4; i++) {
                int position = tile + 8 * (i / 2) + 2 * quarter + i % 2;
                has_value[i] = position < last;
                long long place = has_value[i] ? (long long)table[position / PAGE] * PAGE + position % PAGE : 0;
                value_of[i] = values + place * place_stride + head_offset;
            }
            float scores[2][4] = {};
            const f16 *low = query + row_of_lane * QUERY_STRIDE, *high = low + 8 * QUERY_STRIDE;
#pragma unroll
            for (int d = 0; d + 32 <= HEAD_DIM; d += 32) {
                const f16 *from[2] = {key[0] + d + 8 * quarter, key[1] + d + 8 * quarter};
                score<8>(scores, low + d + 8 * quarter, high + d + 8 * quarter, from, has_key);
            }
#if HEAD_DIM % 32
            const f16 *from[2] = {key[0] + HEAD_DIM - 16 + 4 * quarter, key[1] + HEAD_DIM - 16 + 4 * quarter};
            score<4>(
                scores, low + HEAD_DIM - 16 + 4 * quarter, high + HEAD_DIM - 16 + 4 * quarter, from, has_key);
#endif
            float factors[2];
            for (int i = 0; i < 2; i++) {
                float top = MINUS_INFINITY;
                for (int j = 0; j < 4; j++) {
                    int position = tile + 8 * (j / 2) + 2 * quarter + j % 2;
                    float &x = scores[j / 2][2 * i + j % 2];
                    if (cap > 0) x = cap * tanhf(x / cap);
                    if (position >= ends[i] || position < begins[i]) x = MINUS_INFINITY;
                    top = fmaxf(top, x);
                }
                for (int bits = 1; bits < 4; bits *= 2) top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, bits));
                top = fmaxf(top, own[i].top);
                // What no position is seen of stays as it is.
                float base = top == MINUS_INFINITY ? 0.0f : top, sum = 0;
                for (int j = 0; j < 4; j++) {
                    float &x = scores[j / 2][2 * i + j % 2];
                    x = expf(x - base);
                    sum += x;
                }
                for (int bits = 1; bits < 4; bits *= 2) sum += __shfl_xor_sync(0xffffffffu, sum, bits);
                factors[i] = own[i].top == top ? 1.0f : expf(own[i].top - base);
                own[i] = {top, own[i].sum * factors[i] + sum};
            }
            for (int i = 0; i < HEAD_DIM / 8; i++)
                for (int j = 0; j < 4; j++) mix[i][j] *= factors[j / 2];
            unsigned weights[4] = {
                pack_f16(scores[0][0], scores[0][1]), pack_f16(scores[0][2], scores[0][3]),
                pack_f16(scores[1][0], scores[1][1]), pack_f16(scores[1][2], scores[1][3])};
            // The lane's values of 8 N elements from d on.
#define MIX(N, d)                                                                                                      \
    {                                                                                                                  \
        const f16 *from[4];                                                                                            \
        for (int i = 0; i < 4; i++) from[i] = value_of[i] + (d) + N * row_of_lane;                                     \
        mix_values<N>(mix + (d) / 8, weights, from, has_value);                                                        \
    }
#pragma unroll
            for (int d = 0; d + 64 <= HEAD_DIM; d += 64) MIX(8, d)
#if HEAD_DIM % 64 >= 32
            MIX(4, HEAD_DIM / 64 * 64)
#endif
#if HEAD_DIM % 32
            MIX(2, HEAD_DIM / 32 * 32)
#endif
        }
        // The warps' parts, in their order.
        if (quarter == 0)
            for (int i = 0; i < 2; i++) softmaxes[warp][row_of_lane + 8 * i] = own[i];
        __syncthreads();
        if (threadIdx.x < 16) {
            int row = threadIdx.x;
            Softmax part = {MINUS_INFINITY, 0};
            for (int w = 0; w < WARPS; w++) part.top = fmaxf(part.top, softmaxes[w][row].top);
            for (int w = 0; w < WARPS; w++)
                if (softmaxes[w][row].top != MINUS_INFINITY)
                    part.sum += expf(softmaxes[w][row].top - part.top) * softmaxes[w][row].sum;
            parts[row] = part;
            if (is_whole) running[row] = merge(running[row], part, kept + row, added + row);
        }
        float scales[2];
        for (int i = 0; i < 2; i++) {
            float top = MINUS_INFINITY;
            for (int w = 0; w < WARPS; w++) top = fmaxf(top, softmaxes[w][row_of_lane + 8 * i].top);
            scales[i] = own[i].top == MINUS_INFINITY ? 0.0f : expf(own[i].top - top);
        }
        for (int w = 0; w < WARPS; w++) {
            if (warp == w) {
#pragma unroll
                for (int i = 0; i < HEAD_DIM / 8; i++)
                    for (int half = 0; half < 2; half++) {
                        int row = row_of_lane + 8 * half;
                        if (row >= rows) continue;
                        float2 *target = (float2 *)&mixed[row][i * 8 + 2 * quarter];
                        float2 x = {mix[i][2 * half] * scales[half], mix[i][2 * half + 1] * scales[half]};
                        if (w > 0) x = {target->x + x.x, target->y + x.y};
                        *target = x;
                    }
            }
            __syncthreads();
        }
        for (int i = threadIdx.x; i < rows * HEAD_DIM; i += blockDim.x) {
            int row = i / HEAD_DIM, d = i % HEAD_DIM;
            float x = mixed[row][place_of(d)];
            if (is_whole) {
                whole[row][d] = whole[row][d] * kept[row] + x * added[row];
            } else {
                long long own_token = token + row / GROUP, head = blockIdx.y * GROUP + row % GROUP;
                float *to = partial + ((own_token * gridDim.y * GROUP + head) * gridDim.x + span) * (HEAD_DIM + 2);
                to[d + 2] = x;
                if (d == 0) to[0] = parts[row].top, to[1] = parts[row].sum;
            }
        }
        __syncthreads();
    }
    if (!is_whole) return;
    for (int i = threadIdx.x; i < rows * HEAD_DIM; i += blockDim.x) {
        int row = i / HEAD_DIM, d = i % HEAD_DIM;
        // Nothing is seen by what is no token; a sum that is not a number stays one.
        float x = running[row].sum == 0 ? 0.0f : whole[row][d] / running[row].sum;
        int head = blockIdx.y * GROUP + row % GROUP;
        long long at = (long long)(token + row / GROUP) * out_stride + head * HEAD_DIM + d;
        if (packed)
            put(packed + at, x);
        else
            out[at] = x;
    }
}
PBCTL_EXPORT(attend_tile)
#else
// Elements of a head that each lane holds.
#define SLICE ((HEAD_DIM + 31) / 32)

// The same for caches of float32 and for heads of any size: a block of 4 warps a (span, group of heads, token). The
// query heads of a group share each key and value that is read.
extern "C" __global__ void attend_span(
    const float *queries, int query_stride, const CACHE *keys, const CACHE *values, const int *positions,
    const int *sequences, const int *table_starts, const int *tables, float scale, float cap, int window,
    float *partial) {
    __shared__ float query[GROUP][HEAD_DIM];
    __shared__ float weights[WARPS][GROUP][32];
    __shared__ float tops[WARPS][GROUP], sums[WARPS][GROUP], mixed[WARPS][GROUP][HEAD_DIM];
    int span = blockIdx.x, spans = gridDim.x, kv_head = blockIdx.y / GROUPS, kv_heads = gridDim.y / GROUPS;
    long long token = blockIdx.z;
    int end = positions[token] + 1, begin = window > 0 && end > window ? end - window : 0;
    int first = span * SPAN, last = min(first + SPAN, end);
    if (first >= end || last <= begin) return;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const float *own = queries + token * query_stride + (int)blockIdx.y * GROUP * HEAD_DIM;
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
#endif

// Merges the spans of each head; a block of HEAD_DIM threads, rounded up to whole warps, a (head, token). A position of
// -1 is no token: zeros.
extern "C" __global__ void attend_merge(
    const float *partial, const int *positions, int spans, int window, float *out, ELEMENT *packed, int out_stride) {
    long long token = blockIdx.y, head = token * gridDim.x + blockIdx.x;
    int end = positions[token] + 1, begin = window > 0 && end > window ? end - window : 0;
    int d = threadIdx.x, first = begin / SPAN, last = (end + SPAN - 1) / SPAN;
    if (d >= HEAD_DIM) return;
    const float *own = partial + head * spans * (HEAD_DIM + 2);
    Softmax whole = {MINUS_INFINITY, 0};
    float mix = 0;
    for (int span = first; span < last; span++) {
        const float *part = own + span * (HEAD_DIM + 2);
        float kept, added;
        whole = merge(whole, {part[0], part[1]}, &kept, &added);
        mix = mix * kept + part[d + 2] * added;
    }
    float x = whole.sum == 0 ? 0.0f : mix / whole.sum;
    long long at = token * out_stride + (int)blockIdx.x * HEAD_DIM + d;
    if (packed)
        put(packed + at, x);
    else
        out[at] = x;
}
PBCTL_EXPORT(attend_merge)
