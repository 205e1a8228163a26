// The table of kernels for one instruction set, and the arguments its entries take.
#ifndef SK_KERNELS_H
#define SK_KERNELS_H

#include "panels.h"
#include "serving_kernels.h"

// Packed activations: tokens in groups of 8 (the last group of n <= 8), and in a group for each block of 32 columns
// 64 n bytes: int8 quants [8 steps of 4 columns][n tokens][4], then seven arrays of n: d, d * sum(q), -128 * sum(q)
// (int32), d * sum and -128 * sum of each half block.
enum { PACKED_BYTES = 64, AT_SCALE = 32, AT_SUM = 36, AT_OFFSET = 40, AT_SUMS = 44, AT_OFFSETS = 52 };

// Part of a layer: panels [panel_begin, panel_end) for tokens [token_begin, token_end), token_begin a multiple of 8.
typedef struct {
    const sk_linear_layer *layer;
    const float *input;
    const uint8_t *packed;
    int columns, tokens;
    int panel_begin, panel_end, token_begin, token_end;
} sk_linear_part;

typedef struct {
    const sk_kv_layer *layer;
    const float *keys, *values;
    const sk_sequence *sequence;
    int kv_head, token_begin, token_end;
} sk_store_part;

// Rows of scores for one KV head: some tokens of one sequence, all query heads of the group.
typedef struct {
    const sk_kv_layer *layer;
    const sk_attention *attention;
    const float *queries;
    float *output;
    const sk_sequence *sequence;
    int kv_head;
    int token_begin, token_end;           // within the sequence's run
    int partition_begin, partition_end;   // of the positions
    float *partial;                       // where not NULL, receives the partition's unfinished result
    uint8_t *scratch;
} sk_attention_part;

static inline size_t sk_update_element_bytes(sk_update_kind kind) {
    return kind == SK_UPDATE_F32 ? 4 : kind == SK_UPDATE_F16 ? 2 : 1;
}

// An update applied to the rows of one tile.
typedef struct {
    const sk_update *update;
    const float *input;       // (tokens, columns)
    const float *shrunk;      // (tokens, SK_UPDATE_RANK_LIMIT) where known, else NULL
    int columns, tokens;
    float *output;            // (tokens, out)
} sk_update_part;

struct sk_kernels {
    const char *name;
    // A group of n <= 8 rows of activations.
    void (*pack_rows)(const float *input, int columns, uint8_t *group, int n);
    void (*linear)(const sk_linear_part *part);
    void (*rms_norm)(const float *input, const float *weight, float *output, int width, float epsilon);
    void (*rotate)(float *head, int pairs, bool neighbours, const float *cosines, const float *sines);
    void (*gated_activation)(int kind, const float *gate, const float *up, float *output, size_t count);
    void (*add)(const float *term, float scale, float *sum, size_t count);
    void (*scale_and_cap)(float *rows, float scale, float cap, size_t count);
    // Keys and values of some tokens of one sequence and one KV head.
    void (*store)(const sk_store_part *part);
    void (*attend)(const sk_attention_part *part);
    void (*update)(const sk_update_part *part);
    float (*quantize_row)(const float *x, int count, uint8_t *output);
    void (*add_row)(const float *term, float factor, float *sum, int count);
    float (*square_sum)(const float *x, int count);
    // One row's partial results, `stride` floats apart, to its output.
    void (*merge)(const float *partials, int count, size_t stride, int head_dimension, float *output);
};

// Attention is computed in partitions of positions, each with a softmax state of its own, merged in order; a partition
// goes in tiles. Both are aligned to absolute positions, so the arithmetic of a query does not depend on its step.
enum { TILE_POSITIONS = 64, PARTITION_POSITIONS = 256, ATTENTION_ROWS = 48 };

// Floats of a partial result: maximum, sum, then the weighted values padded to 16.
static inline size_t sk_partial_floats(int head_dimension) { return 16 + (size_t)((head_dimension + 15) / 16 * 16); }

extern const sk_kernels sk_kernels_scalar;
#if defined(__x86_64__)
extern const sk_kernels sk_kernels_avx2;
extern const sk_kernels sk_kernels_avx512;
#endif

#endif
