// The cache and attention cut into chunks for the pool.
#include "kernels.h"

#include <float.h>

static int divide_up(int a, int b) { return (a + b - 1) / b; }
static int smaller(int a, int b) { return a < b ? a : b; }

static int padded_dimension(const sk_kv_layer *layer) { return (layer->head_dimension + 15) / 16 * 16; }

size_t sk_kv_block_bytes(const sk_kv_layer *layer) {
    size_t elements = (size_t)layer->positions_per_block * (size_t)(layer->head_dimension + padded_dimension(layer));
    return elements * (size_t)layer->kv_heads * (layer->half ? 2 : 4);
}

// Tokens of a chunk of `sk_store`: those of one sequence, so that a chunk fills whole KV blocks.
enum { STORE_TOKENS = 64 };

typedef struct {
    const sk_context *context;
    const sk_kv_layer *layer;
    const float *keys, *values;
    const sk_sequence *sequences;
    int sequence_count;
} store_run;

static void store_chunk(void *context, int chunk, int worker) {
    (void)worker;
    const store_run *run = context;
    int head = chunk % run->layer->kv_heads, rest = chunk / run->layer->kv_heads;
    for (int s = 0; s < run->sequence_count; s++) {
        const sk_sequence *sequence = &run->sequences[s];
        int count = divide_up(sequence->token_count, STORE_TOKENS);
        if (rest >= count) {
            rest -= count;
            continue;
        }
        sk_store_part part = {
            .layer = run->layer, .keys = run->keys, .values = run->values, .sequence = sequence, .kv_head = head,
            .token_begin = rest * STORE_TOKENS, .token_end = smaller((rest + 1) * STORE_TOKENS, sequence->token_count),
        };
        run->context->kernels->store(&part);
        return;
    }
}

void sk_store(
    const sk_context *context, const sk_kv_layer *layer, const float *keys, const float *values,
    const sk_sequence *sequences, int sequence_count
) {
    store_run run = {context, layer, keys, values, sequences, sequence_count};
    int tokens = 0, chunks = 0;
    for (int s = 0; s < sequence_count; s++) {
        tokens += sequences[s].token_count;
        chunks += divide_up(sequences[s].token_count, STORE_TOKENS) * layer->kv_heads;
    }
    if (tokens < 8) {
        for (int chunk = 0; chunk < chunks; chunk++) store_chunk(&run, chunk, 0);
    } else {
        sk_pool_run(context->pool, chunks, store_chunk, &run);
    }
}

// ------------------------------------------------------------------------------------------------------- Attention

static int most_rows(int group) { return ATTENTION_ROWS > group ? ATTENTION_ROWS : group; }

size_t sk_attention_scratch_bytes(int head_dimension, int group_heads) {
    size_t dimension = (size_t)head_dimension, padded = (dimension + 15) / 16 * 16;
    size_t rows = (size_t)most_rows(group_heads);
    size_t floats = TILE_POSITIONS * (dimension + padded) + rows * TILE_POSITIONS + 2 * rows * (16 + padded);
    return (floats * 4 + 63) / 64 * 64;
}

typedef struct {
    const sk_context *context;
    const sk_kv_layer *layer;
    const sk_attention *attention;
    const float *queries;
    float *output;
    const sk_sequence *sequences;
    int sequence_count;
    int group;
    uint8_t *partials;
} attention_run;

// How one sequence's work is cut for each KV head: into runs of tokens, and, where these are few and the past is long,
// into partitions of positions.
typedef struct {
    int tokens_per_chunk, token_chunks;
    int partitions;      // 1 where the past is not cut
    int first_partition, last_partition;
} cut;

static cut cut_sequence(const attention_run *run, const sk_sequence *sequence) {
    cut c;
    int rows = most_rows(run->group), last = sequence->first_position + sequence->token_count - 1;
    int window = run->attention->window, first = sequence->first_position;
    c.tokens_per_chunk = smaller(rows / run->group, 16);
    c.token_chunks = divide_up(sequence->token_count, c.tokens_per_chunk);
    c.first_partition = window > 0 && first >= window ? (first - window + 1) / PARTITION_POSITIONS : 0;
    c.last_partition = last / PARTITION_POSITIONS;
    c.partitions = c.token_chunks == 1 ? c.last_partition - c.first_partition + 1 : 1;
    return c;
}

size_t sk_attention_partial_bytes(
    const sk_kv_layer *layer, const sk_attention *attention, const sk_sequence *sequences, int sequence_count
) {
    attention_run run = {.attention = attention, .group = attention->heads / layer->kv_heads};
    size_t rows = 0;
    for (int s = 0; s < sequence_count; s++) {
        cut c = cut_sequence(&run, &sequences[s]);
        if (c.partitions > 1) rows += (size_t)c.partitions * (size_t)sequences[s].token_count;
    }
    return rows * (size_t)attention->heads * sk_partial_floats(layer->head_dimension) * 4;
}

static void attention_chunk(void *context, int chunk, int worker) {
    const attention_run *run = context;
    int heads = run->layer->kv_heads;
    uint8_t *partials = run->partials;
    for (int s = 0; s < run->sequence_count; s++) {
        const sk_sequence *sequence = &run->sequences[s];
        cut c = cut_sequence(run, sequence);
        int count = c.token_chunks * c.partitions * heads;
        size_t part_bytes =
            (size_t)(sequence->token_count * run->group) * sk_partial_floats(run->layer->head_dimension) * 4;
        if (chunk >= count) {
            chunk -= count;
            if (c.partitions > 1) partials += (size_t)count * part_bytes;
            continue;
        }
        int head = chunk % heads, rest = chunk / heads;
        // The last tokens see most positions: they go first.
        int token_chunk = c.token_chunks - 1 - rest % c.token_chunks, partition = rest / c.token_chunks;
        sk_attention_part part = {
            .layer = run->layer, .attention = run->attention, .queries = run->queries, .output = run->output,
            .sequence = sequence, .kv_head = head, .token_begin = token_chunk * c.tokens_per_chunk,
            .token_end = smaller((token_chunk + 1) * c.tokens_per_chunk, sequence->token_count),
            .partition_begin = c.first_partition, .partition_end = c.last_partition + 1,
            .scratch = run->context->scratch + (size_t)worker * run->context->scratch_bytes,
        };
        if (c.partitions > 1) {
            part.partition_begin += partition;
            part.partition_end = part.partition_begin + 1;
            part.partial = (float *)(void *)(partials + (size_t)(head * c.partitions + partition) * part_bytes);
        }
        run->context->kernels->attend(&part);
        return;
    }
}

static void merge_partials(const attention_run *run) {
    int heads = run->layer->kv_heads, dimension = run->layer->head_dimension;
    size_t state = sk_partial_floats(dimension);
    const float *partials = (const float *)(const void *)run->partials;
    for (int s = 0; s < run->sequence_count; s++) {
        const sk_sequence *sequence = &run->sequences[s];
        cut c = cut_sequence(run, sequence);
        if (c.partitions == 1) continue;
        int rows = sequence->token_count * run->group;
        for (int head = 0; head < heads; head++, partials += (size_t)(c.partitions * rows) * state)
            for (int row = 0; row < rows; row++) {
                size_t token = (size_t)(sequence->token_begin + row / run->group);
                size_t at = token * (size_t)run->attention->heads + (size_t)(head * run->group + row % run->group);
                run->context->kernels->merge(
                    partials + (size_t)row * state, c.partitions, (size_t)rows * state, dimension,
                    run->output + at * (size_t)dimension);
            }
    }
}

void sk_attend(
    const sk_context *context, const sk_kv_layer *layer, const sk_attention *attention, const float *queries,
    const sk_sequence *sequences, int sequence_count, uint8_t *partials, float *output
) {
    attention_run run = {
        .context = context, .layer = layer, .attention = attention, .queries = queries, .output = output,
        .sequences = sequences, .sequence_count = sequence_count, .group = attention->heads / layer->kv_heads,
        .partials = partials,
    };
    int chunks = 0;
    for (int s = 0; s < sequence_count; s++) {
        cut c = cut_sequence(&run, &sequences[s]);
        chunks += c.token_chunks * c.partitions * layer->kv_heads;
    }
    sk_pool_run(context->pool, chunks, attention_chunk, &run);
    merge_partials(&run);
}
