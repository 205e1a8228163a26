// Adapters' updates cut into chunks for the pool, and their packing.
#include "kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const sk_context *context;
    const float *input;
    int columns, slot, layer_count;
    const sk_update_tile *tiles;
    float *const *outputs;
} adapt_run;

static bool changes(const sk_update *u) { return u->rank > 0 || u->gain != NULL || u->offset != NULL; }

static void adapt_chunk(void *context, int chunk, int worker) {
    (void)worker;
    const adapt_run *run = context;
    const sk_update_tile *tile = &run->tiles[chunk / run->layer_count];
    int layer = chunk % run->layer_count;
    const sk_update *update = &tile->updates[run->slot + layer];
    if (!changes(update)) return;
    sk_update_part part = {
        .update = update, .input = run->input + (size_t)tile->row_begin * (size_t)run->columns,
        .columns = run->columns, .tokens = tile->row_count,
        .output = run->outputs[layer] + (size_t)tile->row_begin * (size_t)update->rows,
    };
    run->context->kernels->update(&part);
}

void sk_adapt(
    const sk_context *context, const float *input, int columns, const sk_update_tile *tiles, int tile_count, int slot,
    float *const *outputs, int layer_count
) {
    adapt_run run = {
        .context = context, .input = input, .columns = columns, .slot = slot, .layer_count = layer_count,
        .tiles = tiles, .outputs = outputs,
    };
    sk_pool_run(context->pool, tile_count * layer_count, adapt_chunk, &run);
}

void sk_expand(const sk_context *context, const sk_update *update, const float *s, int row_count, float *output) {
    for (int row = 0; row < row_count; row += SK_UPDATE_TOKENS) {
        sk_update_part part = {
            .update = update, .shrunk = s + (size_t)row * SK_UPDATE_RANK_LIMIT,
            .tokens = row_count - row < SK_UPDATE_TOKENS ? row_count - row : SK_UPDATE_TOKENS,
            .output = output + (size_t)row * (size_t)update->rows,
        };
        context->kernels->update(&part);
    }
}

static size_t element_bytes(sk_update_kind kind) {
    return kind == SK_UPDATE_F32 ? 4 : kind == SK_UPDATE_F16 ? 2 : 1;
}

static size_t padded(int count) { return ((size_t)count + 15) / 16 * 16; }

size_t sk_update_a_bytes(sk_update_kind kind, int rank, int columns) {
    return (size_t)rank * padded(columns) * element_bytes(kind);
}

size_t sk_update_b_bytes(sk_update_kind kind, int rank, int rows) {
    return (size_t)rank * padded(rows) * element_bytes(kind);
}

static size_t stored_bytes(uint32_t type) { return type == SK_TYPE_F32 ? 4 : 2; }

static bool is_float(uint32_t type) { return type == SK_TYPE_F32 || type == SK_TYPE_F16 || type == SK_TYPE_BF16; }

// One row of floats in the kind's form; `zeros` is its padded length. Gives the scale of the quants.
static float put_row(
    const sk_kernels *kernels, sk_update_kind kind, uint32_t type, const uint8_t *source, const float *values,
    int count, uint8_t *target
) {
    size_t bytes = (size_t)count * element_bytes(kind), end = padded(count) * element_bytes(kind);
    if (kind == SK_UPDATE_I8) return kernels->quantize_row(values, count, target);
    if (kind == SK_UPDATE_F16 && type == SK_TYPE_F16) memcpy(target, source, bytes);
    else memcpy(target, values, bytes);
    memset(target + bytes, 0, end - bytes);
    return 1;
}

bool sk_pack_update(
    const sk_kernels *kernels, sk_update_kind kind, uint32_t a_type, const uint8_t *a_source, uint32_t b_type,
    const uint8_t *b_source, int rank, int columns, int rows, float scaling, uint8_t *a, float *a_scales, uint8_t *b,
    float *b_scales
) {
    if (!is_float(a_type) || !is_float(b_type)) return false;
    if (kind == SK_UPDATE_F16 && (a_type != SK_TYPE_F16 || b_type != SK_TYPE_F16)) return false;
    size_t widest = padded(columns > rank ? columns : rank);
    float *values = malloc(widest * 4);
    uint8_t *row_bytes = malloc(widest * 4);
    if (values == NULL || row_bytes == NULL) {
        free(values);
        free(row_bytes);
        return false;
    }
    size_t a_row = padded(columns) * element_bytes(kind), stored_row = (size_t)columns * stored_bytes(a_type);
    for (int r = 0; r < rank; r++) {
        if (a == NULL) {
            a_scales[r] = scaling;
            continue;
        }
        const uint8_t *source = a_source + (size_t)r * stored_row;
        sk_dequantize(a_type, source, values, (size_t)columns);
        a_scales[r] = scaling * put_row(kernels, kind, a_type, source, values, columns, a + (size_t)r * a_row);
    }
    size_t element = element_bytes(kind), b_row = (size_t)rank * stored_bytes(b_type);
    memset(b, 0, sk_update_b_bytes(kind, rank, rows));
    for (int o = 0; o < rows; o++) {
        const uint8_t *source = b_source + (size_t)o * b_row;
        sk_dequantize(b_type, source, values, (size_t)rank);
        float scale = put_row(kernels, kind, b_type, source, values, rank, row_bytes);
        if (kind == SK_UPDATE_I8) b_scales[o] = scale;
        uint8_t *panel = b + (size_t)(o / 16) * (size_t)rank * 16 * element + (size_t)(o % 16) * element;
        for (int r = 0; r < rank; r++)
            memcpy(panel + (size_t)r * 16 * element, row_bytes + (size_t)r * element, element);
    }
    free(values);
    free(row_bytes);
    return true;
}

bool sk_update_norms(
    const sk_kernels *kernels, uint32_t type, const uint8_t *weight, size_t row_bytes, const float *a, const float *b,
    int rank, int columns, int rows, float scaling, float *norms
) {
    float *row = malloc(padded(columns) * 4);
    if (row == NULL) return false;
    for (int o = 0; o < rows; o++) {
        if (!sk_dequantize(type, weight + (size_t)o * row_bytes, row, (size_t)columns)) {
            free(row);
            return false;
        }
        for (int r = 0; r < rank; r++)
            kernels->add_row(a + (size_t)r * (size_t)columns, scaling * b[o * rank + r], row, columns);
        norms[o] = sqrtf(kernels->square_sum(row, columns));
    }
    free(row);
    return true;
}
