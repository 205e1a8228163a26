// The cache and attention cut into chunks for the pool.
#include "half.h"
#include "kernels.h"

#include <float.h>

static int divide_up(int a, int b) { return (a + b - 1) / b; }
static int smaller(int a, int b) { return a < b ? a : b; }

static int padded_dimension(const sk_kv_layer *layer) { return (layer->head_dimension + 15) / 16 * 16; }

size_t sk_kv_block_bytes(const sk_kv_layer *layer) {
    size_t elements = (size_t)layer->positions_per_block * (size_t)(layer->head_dimension + padded_dimension(layer));
    return elements * (size_t)layer->kv_heads * (layer->half ? 2 : 4);
}

typedef struct {
    const sk_context *context;
    const sk_kv_layer *layer;
    const float *keys, *values;
    const sk_sequence *sequences;
    int sequence_count;
} store_run;

// Finite values beyond the range of f16 become its largest, so that a weight of zero still cancels them.
static void put(const sk_kv_layer *layer, uint8_t *base, size_t index, float value) {
    if (!layer->half) {
        memcpy(base + 4 * index, &value, 4);
        return;
    }
    if (value > 65504.0f) value = 65504.0f;
    if (value < -65504.0f) value = -65504.0f;
    uint16_t half = sk_float_to_half(value);
    memcpy(base + 2 * index, &half, 2);
}

// One KV head of all tokens.
static void store_chunk(void *context, int head, int worker) {
    (void)worker;
    const store_run *run = context;
    const sk_kv_layer *layer = run->layer;
    size_t dimension = (size_t)layer->head_dimension, padded = (size_t)padded_dimension(layer);
    size_t positions = (size_t)layer->positions_per_block, block_bytes = sk_kv_block_bytes(layer);
    size_t head_bytes = block_bytes / (size_t)layer->kv_heads, width = dimension * (size_t)layer->kv_heads;
    for (int s = 0; s < run->sequence_count; s++) {
        const sk_sequence *sequence = &run->sequences[s];
        for (int t = 0; t < sequence->token_count; t++) {
            size_t position = (size_t)(sequence->first_position + t), slot = position % positions;
            size_t from = (size_t)(sequence->token_begin + t) * width + (size_t)head * dimension;
            uint8_t *base = layer->base + (size_t)sequence->block_table[position / positions] * block_bytes
                + (size_t)head * head_bytes;
            for (size_t d = 0; d < dimension; d++) put(layer, base, d * positions + slot, run->keys[from + d]);
            for (size_t d = 0; d < dimension; d++)
                put(layer, base, dimension * positions + slot * padded + d, run->values[from + d]);
        }
    }
}

void sk_store(
    const sk_context *context, const sk_kv_layer *layer, const float *keys, const float *values,
    const sk_sequence *sequences, int sequence_count
) {
    store_run run = {context, layer, keys, values, sequences, sequence_count};
    int tokens = 0;
    for (int s = 0; s < sequence_count; s++) tokens += sequences[s].token_count;
    if (tokens < 8) {
        for (int head = 0; head < layer->kv_heads; head++) store_chunk(&run, head, 0);
    } else {
        sk_pool_run(context->pool, layer->kv_heads, store_chunk, &run);
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
