// CPU kernels of a decoder: linear layers over packed weights, paged attention and the row operations between them.
//
// Called by ServingCPU only. The contract that everything here keeps: each element of a result has one order of
// accumulation and one rounding at each step, so it has the same bits whatever the batch around it, the number of
// threads and the instruction set. Letters for shapes are those of ServingTensors/Shape.swift.
#ifndef SERVING_KERNELS_H
#define SERVING_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---------------------------------------------------------------------------------------------------------- Threads

// A set of threads that work through numbered chunks; the calling thread is one of them.
typedef struct sk_pool sk_pool;

// Makes a pool of `thread_count` threads, the caller included. NULL where memory does not suffice; if the system
// refuses threads, the pool has fewer.
sk_pool *sk_pool_create(int thread_count);
void sk_pool_destroy(sk_pool *pool);
int sk_pool_thread_count(const sk_pool *pool);

// Sets a bit for each processor that the process may run on; none where that cannot be learnt.
void sk_allowed_processors(uint8_t *mask, size_t byte_count);

// `worker` is below the thread count and belongs to one thread for the duration of a run.
typedef void (*sk_pool_body)(void *context, int chunk, int worker);

// Calls `body` once for each chunk in 0 ..< chunk_count, in any order, and returns when all are done.
// One run at a time. Without a pool the caller does it alone.
void sk_pool_run(sk_pool *pool, int chunk_count, sk_pool_body body, void *context);

// ---------------------------------------------------------------------------------------------------------- Weights

// Rows of a packed panel: one lane of a vector each.
#define SK_PANEL_ROWS 16
// Columns that share one activation scale.
#define SK_BLOCK_COLUMNS 32
// Tokens that are packed together as activations.
#define SK_GROUP_TOKENS 8

// How the 16 rows of a panel are encoded; see pack.c for the layouts.
typedef enum {
    SK_PANEL_F32 = 0,
    SK_PANEL_F16,
    SK_PANEL_BF16,
    SK_PANEL_Q4,       // w = d * (q - 8), f16 d: Q4_0
    SK_PANEL_Q4_MIN,   // w = d * q + m, f16 d and m: Q4_1
    SK_PANEL_Q4_K,     // w = D * s * q - M * t, f16 D and M a 256 columns, int8 s and t a 32: Q4_K
    SK_PANEL_Q4_K16,   // the same a 16 columns: Q2_K, Q3_K
    SK_PANEL_Q8,       // w = d * q, f16 d, int8 q: Q8_0, Q5_0
    SK_PANEL_Q8_MIN,   // w = d * q + m: Q5_1
    SK_PANEL_Q8_K,     // w = D * s * q - M * t: Q5_K
    SK_PANEL_Q8_K16,   // w = D * s * q, int8 s a 16 columns: Q6_K
    SK_PANEL_KIND_COUNT
} sk_panel_kind;

// Type codes of GGUF (ggml.h, `enum ggml_type`).
enum {
    SK_TYPE_F32 = 0, SK_TYPE_F16 = 1, SK_TYPE_Q4_0 = 2, SK_TYPE_Q4_1 = 3, SK_TYPE_Q5_0 = 6, SK_TYPE_Q5_1 = 7,
    SK_TYPE_Q8_0 = 8, SK_TYPE_Q2_K = 10, SK_TYPE_Q3_K = 11, SK_TYPE_Q4_K = 12, SK_TYPE_Q5_K = 13,
    SK_TYPE_Q6_K = 14, SK_TYPE_BF16 = 30,
};

// The panel kind that holds a stored type without loss, or -1 for an unknown type.
int sk_panel_kind_for_type(uint32_t type);
// Bytes of one panel of 16 rows of `columns` elements.
size_t sk_panel_bytes(sk_panel_kind kind, size_t columns);
bool sk_panel_is_quantized(sk_panel_kind kind);

// A weight (rows, columns) as stored, to be packed into panels.
typedef struct {
    const uint8_t *source;    // encoded rows, contiguous
    uint32_t type;
    sk_panel_kind kind;       // sk_panel_kind_for_type(type), or SK_PANEL_F32
    size_t rows, columns;
    size_t row_bytes;
    uint8_t *panels;          // 64-byte aligned, ceil(rows / 16) panels; missing rows become zero
} sk_packing;

void sk_pack(sk_pool *pool, const sk_packing *packing);

// Decodes `count` elements, a whole number of blocks; false for an unknown type. Exact: the formulas of ggml-quants.c
// in float32.
bool sk_dequantize(uint32_t type, const uint8_t *source, float *output, size_t count);

// ------------------------------------------------------------------------------------------------------- Operations

// Kernels for one instruction set.
typedef struct sk_kernels sk_kernels;

// The best set this processor and system can run, or the one named by `override`: scalar, avx2, avx512.
// An override that is unknown or cannot run here gives NULL.
const sk_kernels *sk_kernels_select(const char *override);
const char *sk_kernels_name(const sk_kernels *kernels);

// A step's fixed context: who computes, with which kernels.
typedef struct {
    sk_pool *pool;
    const sk_kernels *kernels;
    uint8_t *scratch;         // of all workers
    size_t scratch_bytes;     // of one worker, a multiple of 64
} sk_context;

// Bytes of scratch each worker needs for attention with heads of D elements.
size_t sk_attention_scratch_bytes(int head_dimension, int group_heads);

// output (T, rows) = input (T, columns) * transpose(weight) + bias
typedef struct {
    const uint8_t *panels;
    sk_panel_kind kind;
    int rows;
    const float *bias;        // (rows), or NULL
    float *output;            // (T, rows)
} sk_linear_layer;

// Bytes of packed activations for T tokens.
size_t sk_packed_activation_bytes(size_t tokens, size_t columns);

// Several layers that read one input; `packed` holds sk_packed_activation_bytes if any layer is quantised.
void sk_linear(
    const sk_context *context, const float *input, int tokens, int columns, uint8_t *packed,
    const sk_linear_layer *layers, int layer_count);

// output[i] = input[i] / sqrt(mean(input[i]^2) + epsilon) * weight, for rows of `width`; output may be input.
void sk_rms_norm(
    const sk_context *context, const float *input, const float *weight, float *output, int rows, int width,
    float epsilon);

// Rotates the first 2 * pairs elements of each head, in place. cosines and sines are (T, pairs).
void sk_rotate(
    const sk_context *context, float *rows, int tokens, int heads, int head_dimension, int pairs, bool neighbours,
    const float *cosines, const float *sines);

// 0 silu, 1 gelu (tanh), 2 gelu (erf).
void sk_gated_activation(
    const sk_context *context, int kind, const float *gate, const float *up, float *output, size_t count);
// sum += scale * term
void sk_add(const sk_context *context, const float *term, float scale, float *sum, size_t count);
// rows = scale * rows, then cap * tanh(rows / cap) where cap > 0
void sk_scale_and_cap(const sk_context *context, float *rows, float scale, float cap, size_t count);

// Largest head dimension.
#define SK_HEAD_LIMIT 1024

// A run of tokens of one sequence.
typedef struct {
    int token_begin, token_count;
    int first_position;
    const int32_t *block_table;
} sk_sequence;

// One layer's keys and values: for block n and KV head k, at (n * K + k) * (D * P + P * Dp) elements, keys (D, P), then
// values (P, Dp), where Dp is D rounded up to 16. P is a multiple of 16.
typedef struct {
    uint8_t *base;
    bool half;                // elements are f16, else f32
    int kv_heads, head_dimension, positions_per_block;
} sk_kv_layer;

size_t sk_kv_block_bytes(const sk_kv_layer *layer);

void sk_store(
    const sk_context *context, const sk_kv_layer *layer, const float *keys, const float *values,
    const sk_sequence *sequences, int sequence_count);

typedef struct {
    int heads;
    float scale;
    float cap;                // <= 0: none
    int window;               // <= 0: none
} sk_attention;

// Bytes of partial results for long sequences; see attention.h.
size_t sk_attention_partial_bytes(
    const sk_kv_layer *layer, const sk_attention *attention, const sk_sequence *sequences, int sequence_count);

// output (T, H * D), causal over each sequence's cached positions.
void sk_attend(
    const sk_context *context, const sk_kv_layer *layer, const sk_attention *attention, const float *queries,
    const sk_sequence *sequences, int sequence_count, uint8_t *partials, float *output);

// -------------------------------------------------------------------------------------------------------- Adapters

// Largest rank of an update.
#define SK_UPDATE_RANK_LIMIT 256
// Tokens that are computed together for one adapter.
#define SK_UPDATE_TOKENS 16

// How an update's elements are stored.
typedef enum { SK_UPDATE_F32 = 0, SK_UPDATE_F16, SK_UPDATE_I8 } sk_update_kind;

// A low-rank update of one linear layer: y = gain * (y + B (scales * A x)) + offset; see adapter.h for the layouts.
// rank 0 without gain and offset changes nothing.
typedef struct {
    sk_update_kind kind;
    int rank, rows;           // R, out
    const uint8_t *a;         // R rows of `columns` elements, padded to 16; NULL where s is given
    const float *scales;      // (R): the adapter's scaling, in SK_UPDATE_I8 times those of A's row and B's column
    const uint8_t *b;         // [out / 16][R][16]
    const float *gain;        // (out, padded to 16), or NULL
    const float *offset;      // (out, padded to 16), or NULL
} sk_update;

// At most SK_UPDATE_TOKENS rows with one adapter; `updates` has an entry for each slot of the model.
typedef struct {
    int row_begin, row_count;
    const sk_update *updates;
} sk_update_tile;

// Applies the updates in slots slot ..< slot + layer_count to the outputs (T, out) of as many layers of one input.
void sk_adapt(
    const sk_context *context, const float *input, int columns, const sk_update_tile *tiles, int tile_count, int slot,
    float *const *outputs, int layer_count);

// The second half alone, for rows whose s (row_count, SK_UPDATE_RANK_LIMIT) is known: token embeddings.
void sk_expand(const sk_context *context, const sk_update *update, const float *s, int row_count, float *output);

// Bytes of A and B as stored by sk_pack_update.
size_t sk_update_a_bytes(sk_update_kind kind, int rank, int columns);
size_t sk_update_b_bytes(sk_update_kind kind, int rank, int rows);

// Packs A (R, columns) and B (rows, R) as stored and fills `scales` (R); a may be NULL. False for a type that is no float, and
// where memory does not suffice. May run on any thread.
bool sk_pack_update(
    const sk_kernels *kernels, sk_update_kind kind, uint32_t a_type, const uint8_t *a_source, uint32_t b_type,
    const uint8_t *b_source, int rank, int columns, int rows, float scaling, uint8_t *a, float *scales, uint8_t *b);

// norms[o] = | W[o] + scaling * (B A)[o] |, for DoRA (arXiv:2402.09353); W (rows, columns) as stored, A and B float32.
bool sk_update_norms(
    const sk_kernels *kernels, uint32_t type, const uint8_t *weight, size_t row_bytes, const float *a, const float *b,
    int rank, int columns, int rows, float scaling, float *norms);

#endif
