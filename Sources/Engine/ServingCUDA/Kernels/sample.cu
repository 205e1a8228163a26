// Chooses a token from a row of scores, as SamplingParameters of the engine says and Sampler does on the host.
//
// Weights are added up as whole numbers of 2^-40 of the likeliest token's: sums do not depend on their order, and so
// not on how threads take turns. Sets of tokens are cut not by sorting but by the leading bits of what they are ordered
// by, eleven at a time.
#include "device.cuh"

#define THREADS 1024
#define WARPS (THREADS / 32)
#define BINS 2048
#define NO_CANDIDATE -1
#define INVALID_SCORE -2

typedef unsigned long long Sum;

// Changes one score before anything else: bias is added, then positive scores are divided by the penalty and negative
// ones multiplied, then `minus` is taken off.
struct Adjustment {
    int token;
    float bias, penalty, minus;
};

// What is done to one row. The number drawn lies at `fraction` of the weights laid end to end.
struct Draw {
    double fraction;
    int row, first_adjustment, adjustment_count, top_k;
    float temperature, top_p, min_p, typical_p;
};

// Tokens up to and with one, in the order of (rank, index).
struct Cut {
    unsigned rank;
    int index;
    __device__ bool keeps(unsigned other, int at) const { return other < rank || (other == rank && at <= index); }
};

struct Shared {
    // Sums in three digits: 14 bits, 14 bits and the rest. Up to 2^18 tokens leave no digit's bin too full, and atomic
    // additions of 32 bits are the fast ones.
    unsigned bins[3][BINS];
    Sum parts[WARPS + 1];
    float scores[WARPS];
    int indices[WARPS];
    double reals[WARPS];
    Sum sum;
    unsigned digit;
    int index;
};

// A row, and which of its tokens are left.
struct Row {
    const float *scores;
    int count;
    float top, temperature, min_p;
    bool has_top_k, has_top_p, has_typical;
    Cut top_k, top_p, typical;
    double log_total, entropy;

    // How far a token lies below the likeliest.
    __device__ float key(float score) const { return (top - score) / temperature; }
    __device__ float weight(float key) const { return key > 87 ? 0.0f : expf(-key); }
    __device__ Sum units(float weight) const { return (Sum)(weight * 1099511627776.0f); }
    __device__ unsigned score_rank(float score) const {
        unsigned bits = __float_as_uint(score);
        return ~(bits >> 31 ? ~bits : bits | 0x80000000u);
    }
    __device__ unsigned distance_rank(float key) const {
        return __float_as_uint((float)fabs((double)key + log_total - entropy));
    }
    __device__ bool has(int i, float score) const {
        if (!(score > MINUS_INFINITY)) return false;
        if (has_top_k && !top_k.keeps(score_rank(score), i)) return false;
        float k = key(score);
        if (has_top_p && !top_p.keeps(__float_as_uint(k), i)) return false;
        if (min_p > 0 && weight(k) < min_p) return false;
        return !has_typical || typical.keeps(distance_rank(k), i);
    }
};

// Orders of tokens, and what they count in each.
struct ByScore {
    __device__ static unsigned rank(const Row &row, float score) { return row.score_rank(score); }
    __device__ static Sum units(const Row &, float) { return 1; }
};
struct ByKey {
    __device__ static unsigned rank(const Row &row, float score) { return __float_as_uint(row.key(score)); }
    __device__ static Sum units(const Row &row, float score) { return row.units(row.weight(row.key(score))); }
};
struct ByDistance {
    __device__ static unsigned rank(const Row &row, float score) { return row.distance_rank(row.key(score)); }
    __device__ static Sum units(const Row &row, float score) { return row.units(row.weight(row.key(score))); }
};

// Sums before each thread's, in the order of the threads; the sum of all in `total`.
__device__ __forceinline__ Sum sum_before(Sum own, Shared *shared, Sum *total) {
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    Sum sum = own;
    for (int by = 1; by < 32; by *= 2) {
        Sum other = __shfl_up_sync(0xffffffffu, sum, by);
        if (lane >= by) sum += other;
    }
    __syncthreads();
    if (lane == 31) shared->parts[warp] = sum;
    __syncthreads();
    Sum before = 0, all = 0;
    for (int w = 0; w < WARPS; w++) {
        if (w < warp) before += shared->parts[w];
        all += shared->parts[w];
    }
    *total = all;
    return before + sum - own;
}

// The first token, in the order of the ids, at which the units of those of a rank (or of all) exceed the target; the
// last that counts where rounding left too little. -1 for none.
template <class Order> __device__ int locate(const Row &row, bool any, unsigned rank, Sum target, Shared *shared) {
    // Segments one behind the other, a warp each.
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int length = ((row.count + WARPS - 1) / WARPS + THREADS - 1) / THREADS * THREADS;
    auto units = [&](int i) -> Sum {
        if (i >= row.count) return 0;
        float score = row.scores[i];
        if (!row.has(i, score) || !(any || Order::rank(row, score) == rank)) return 0;
        return Order::units(row, score);
    };
    Sum own = 0;
    int last = -1;
    for (int i = warp * length + lane; i < min(row.count, (warp + 1) * length); i += 32) {
        Sum x = units(i);
        own += x;
        if (x) last = i;
    }
    for (int bits = 16; bits > 0; bits >>= 1) {
        own += __shfl_xor_sync(0xffffffffu, own, bits);
        last = max(last, __shfl_xor_sync(0xffffffffu, last, bits));
    }
    __syncthreads();
    if (lane == 0) {
        shared->parts[warp] = own;
        shared->indices[warp] = last;
    }
    if (threadIdx.x == 0) shared->index = -1;
    __syncthreads();
    int segment = 0;
    Sum passed = 0;
    last = -1;
    for (int w = 0; w < WARPS; w++) last = max(last, shared->indices[w]);
    while (segment < WARPS && passed + shared->parts[segment] <= target) passed += shared->parts[segment++];
    if (segment == WARPS) return last;
    // Each thread has some of the segment that lie side by side.
    int each = length / THREADS, first = segment * length + threadIdx.x * each;
    own = 0;
    for (int i = first; i < first + each; i++) own += units(i);
    Sum total, before = passed + sum_before(own, shared, &total);
    if (own && before <= target && before + own > target) {
        int i = first;
        while (before + units(i) <= target) before += units(i++);
        shared->index = i;
    }
    __syncthreads();
    int index = shared->index;
    __syncthreads();
    return index;
}

__device__ __forceinline__ void add(Shared *shared, unsigned bin, Sum units) {
    unsigned digits[3] = {(unsigned)units & 16383u, (unsigned)(units >> 14) & 16383u, (unsigned)(units >> 28)};
    for (int i = 0; i < 3; i++)
        if (digits[i]) atomicAdd(&shared->bins[i][bin], digits[i]);
}
__device__ __forceinline__ Sum bin(const Shared *shared, int bin) {
    return shared->bins[0][bin] + ((Sum)shared->bins[1][bin] << 14) + ((Sum)shared->bins[2][bin] << 28);
}

// The last token of the shortest beginning, in the order of (rank, index), whose units reach the target.
template <class Order> __device__ Cut cut(const Row &row, Sum target, Shared *shared) {
    unsigned prefix = 0;
    Sum passed = 0;
    for (int level = 0; level < 3; level++) {
        int shift = level == 0 ? 21 : level == 1 ? 10 : 0, bits = level == 2 ? 10 : 11;
        for (int i = threadIdx.x; i < 3 * BINS; i += THREADS) (&shared->bins[0][0])[i] = 0;
        if (threadIdx.x == 0) shared->digit = 0xffffffffu;
        __syncthreads();
        // Neighbours often fall into the same bin.
        unsigned open = 0;
        Sum held = 0;
        for (int i = threadIdx.x; i < row.count; i += THREADS) {
            float score = row.scores[i];
            if (!row.has(i, score)) continue;
            unsigned rank = Order::rank(row, score);
            if (level > 0 && rank >> (shift + bits) != prefix) continue;
            Sum units = Order::units(row, score);
            unsigned digit = rank >> shift & ((1u << bits) - 1);
            if (digit != open && held) {
                add(shared, open, held);
                held = 0;
            }
            open = digit;
            held += units;
        }
        if (held) add(shared, open, held);
        __syncthreads();
        Sum first = bin(shared, 2 * threadIdx.x), second = bin(shared, 2 * threadIdx.x + 1), total;
        Sum before = passed + sum_before(first + second, shared, &total);
        if (before < target && before + first + second >= target) {
            bool is_second = before + first < target;
            shared->digit = 2 * threadIdx.x + is_second;
            shared->sum = is_second ? before + first : before;
        }
        __syncthreads();
        // Too little in all: nothing is cut.
        if (shared->digit == 0xffffffffu) return {0xffffffffu, 0x7fffffff};
        prefix = prefix << bits | shared->digit;
        passed = shared->sum;
        __syncthreads();
    }
    return {prefix, locate<Order>(row, false, prefix, target - passed - 1, shared)};
}

// Units of all tokens that are left.
__device__ Sum total_units(const Row &row, Shared *shared) {
    Sum own = 0, total;
    for (int i = threadIdx.x; i < row.count; i += THREADS) {
        float score = row.scores[i];
        if (row.has(i, score)) own += ByKey::units(row, score);
    }
    sum_before(own, shared, &total);
    return total;
}

// Of what is left: the entropy, and the logarithm of the sum of the weights.
__device__ void measure(Row *row, Shared *shared) {
    double log_total = log((double)total_units(*row, shared) / 1099511627776.0), entropy = 0;
    for (int i = threadIdx.x; i < row->count; i += THREADS) {
        float score = row->scores[i];
        if (!row->has(i, score)) continue;
        double surprise = (double)row->key(score) + log_total;
        entropy += (double)row->weight(row->key(score)) * exp(-log_total) * surprise;
    }
    for (int bits = 16; bits > 0; bits >>= 1) entropy += __shfl_xor_sync(0xffffffffu, entropy, bits);
    __syncthreads();
    if (threadIdx.x % 32 == 0) shared->reals[threadIdx.x / 32] = entropy;
    __syncthreads();
    row->entropy = 0;
    for (int w = 0; w < WARPS; w++) row->entropy += shared->reals[w];
    row->log_total = log_total;
}

// tokens[b]: the token chosen by draws[b] from its row of logits, (M, vocabulary), or one of the codes above; a block a
// draw.
extern "C" __global__ void __launch_bounds__(THREADS) sample(
    float *logits, int vocabulary, const Draw *draws, const Adjustment *adjustments, int *tokens) {
    __shared__ Shared shared;
    Draw draw = draws[blockIdx.x];
    float *scores = logits + (long long)draw.row * vocabulary;
    for (int i = threadIdx.x; i < draw.adjustment_count; i += THREADS) {
        Adjustment change = adjustments[draw.first_adjustment + i];
        float x = scores[change.token] + change.bias;
        x = x < 0 ? x * change.penalty : x / change.penalty;
        scores[change.token] = x - change.minus;
    }
    __syncthreads();
    // The highest score, of equals the first.
    float top = MINUS_INFINITY;
    int index = vocabulary;
    bool has_nan = false;
    // Eight at a time, so that as many loads are under way.
    for (int first = threadIdx.x; first < vocabulary; first += 8 * THREADS) {
        float x[8];
#pragma unroll
        for (int i = 0; i < 8; i++) {
            int at = first + i * THREADS;
            x[i] = at < vocabulary ? scores[at] : MINUS_INFINITY;
        }
#pragma unroll
        for (int i = 0; i < 8; i++) {
            has_nan |= x[i] != x[i];
            if (x[i] > top) top = x[i], index = first + i * THREADS;
        }
    }
    has_nan = __ballot_sync(0xffffffffu, has_nan) != 0;
    for (int bits = 16; bits > 0; bits >>= 1) {
        float other = __shfl_xor_sync(0xffffffffu, top, bits);
        int at = __shfl_xor_sync(0xffffffffu, index, bits);
        if (other > top || (other == top && at < index)) top = other, index = at;
    }
    if (threadIdx.x % 32 == 0) {
        shared.scores[threadIdx.x / 32] = top;
        shared.indices[threadIdx.x / 32] = index;
        shared.parts[threadIdx.x / 32] = has_nan;
    }
    __syncthreads();
    for (int w = 0; w < WARPS; w++) {
        float other = shared.scores[w];
        if (other > top || (other == top && shared.indices[w] < index)) top = other, index = shared.indices[w];
        has_nan |= shared.parts[w] != 0;
    }
    __syncthreads();
    int chosen = index;
    if (top == MINUS_INFINITY) {
        chosen = NO_CANDIDATE;
    } else if (draw.temperature != 0 && draw.top_k != 1) {
        bool is_cut = draw.top_k > 0 && draw.top_k < vocabulary;
        if (top - top != 0 || (has_nan && !is_cut)) {
            chosen = INVALID_SCORE;
        } else {
            Row row = {scores, vocabulary, top, draw.temperature};
            if (is_cut) {
                Cut found = cut<ByScore>(row, (Sum)draw.top_k, &shared);
                row.top_k = found;
                row.has_top_k = true;
            }
            if (draw.top_p < 1) {
                Sum target = (Sum)((double)draw.top_p * (double)total_units(row, &shared));
                Cut found = cut<ByKey>(row, max(target, (Sum)1), &shared);
                row.top_p = found;
                row.has_top_p = true;
            }
            row.min_p = draw.min_p;
            if (draw.typical_p < 1) {
                measure(&row, &shared);
                Sum target = (Sum)((double)draw.typical_p * (double)total_units(row, &shared));
                Cut found = cut<ByDistance>(row, max(target, (Sum)1), &shared);
                row.typical = found;
                row.has_typical = true;
            }
            Sum target = (Sum)(draw.fraction * (double)total_units(row, &shared));
            chosen = locate<ByKey>(row, true, 0, target, &shared);
        }
    }
    if (threadIdx.x == 0) tokens[blockIdx.x] = chosen;
}
PBCTL_EXPORT(sample)

// tokens[i] = drawn[sources[i]], and token 0 where none could be chosen: what follows such a one is thrown away.
extern "C" __global__ void take_tokens(const int *drawn, const int *sources, int *tokens, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) tokens[i] = max(drawn[sources[i]], 0);
}
PBCTL_EXPORT(take_tokens)
