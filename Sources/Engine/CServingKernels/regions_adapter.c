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
    bool splits_layers;
} adapt_run;

static bool changes(const sk_update *u) { return u->rank > 0 || u->gain != NULL || u->offset != NULL; }

static void adapt_tile(const adapt_run *run, const sk_update_tile *tile, int layer) {
    const sk_update *update = &tile->updates[run->slot + layer];
    if (!changes(update)) return;
    sk_update_part part = {
        .update = update, .input = run->input + (size_t)tile->row_begin * (size_t)run->columns,
        .columns = run->columns, .tokens = tile->row_count,
        .output = run->outputs[layer] + (size_t)tile->row_begin * (size_t)update->rows,
    };
    run->context->kernels->update(&part);
}

static void adapt_chunk(void *context, int chunk, int worker) {
    (void)worker;
    const adapt_run *run = context;
    if (run->splits_layers) {
        adapt_tile(run, &run->tiles[chunk / run->layer_count], chunk % run->layer_count);
        return;
    }
    for (int layer = 0; layer < run->layer_count; layer++) adapt_tile(run, &run->tiles[chunk], layer);
}

void sk_adapt(
    const sk_context *context, const float *input, int columns, const sk_update_tile *tiles, int tile_count, int slot,
    float *const *outputs, int layer_count
) {
    adapt_run run = {
        .context = context, .input = input, .columns = columns, .slot = slot, .layer_count = layer_count,
        .tiles = tiles, .outputs = outputs,
        // With few tiles the layers are shared out too; with many a thread reads an adapter's weights in one go.
        .splits_layers = tile_count < 2 * sk_pool_thread_count(context->pool),
    };
    sk_pool_run(context->pool, run.splits_layers ? tile_count * layer_count : tile_count, adapt_chunk, &run);
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

static size_t padded(int count) { return ((size_t)count + 15) / 16 * 16; }

size_t sk_update_a_bytes(sk_update_kind kind, int rank, int columns) {
    return (size_t)rank * padded(columns) * sk_update_element_bytes(kind);
}

size_t sk_update_b_bytes(sk_update_kind kind, int rank, int rows) {
    return (size_t)rank * padded(rows) * sk_update_element_bytes(kind);
}

static size_t stored_bytes(uint32_t type) { return type == SK_TYPE_F32 ? 4 : 2; }

static bool is_float(uint32_t type) { return type == SK_TYPE_F32 || type == SK_TYPE_F16 || type == SK_TYPE_BF16; }

// One row of A in the kind's form, padded with zeros. Gives the scale of its quants.
static float put_row(
    const sk_kernels *kernels, sk_update_kind kind, const uint8_t *source, const float *values, int count,
    uint8_t *target
) {
    if (kind == SK_UPDATE_I8) return kernels->quantize_row(values, count, target);
    size_t bytes = (size_t)count * sk_update_element_bytes(kind), end = padded(count) * sk_update_element_bytes(kind);
    memcpy(target, kind == SK_UPDATE_F16 ? (const void *)source : values, bytes);
    memset(target + bytes, 0, end - bytes);
    return 1;
}

// B (rows, R) into panels. In int8 each column has a scale of its own, which goes to `scales`, so that none is read with
// the panels.
static void put_panels(
    sk_update_kind kind, const uint8_t *source, const float *values, int rank, int rows, float *scales, uint8_t *b
) {
    size_t element = sk_update_element_bytes(kind), stride = (size_t)rank;
    float tops[SK_UPDATE_RANK_LIMIT] = {0}, inverses[SK_UPDATE_RANK_LIMIT];
    if (kind == SK_UPDATE_I8) {
        for (size_t o = 0; o < (size_t)rows; o++)
            for (size_t r = 0; r < stride; r++) {
                float magnitude = fabsf(values[o * stride + r]);
                tops[r] = magnitude > tops[r] ? magnitude : tops[r];
            }
        for (size_t r = 0; r < stride; r++) {
            bool is_zero = tops[r] <= 1e-30f;
            inverses[r] = is_zero ? 0 : 127.0f / tops[r];
            scales[r] *= is_zero ? 0 : tops[r] * (1.0f / 127.0f);
        }
    }
    memset(b, 0, sk_update_b_bytes(kind, rank, rows));
    for (size_t o = 0; o < (size_t)rows; o++) {
        uint8_t *target = b + (o / 16 * stride * 16 + o % 16) * element;
        const float *row = values + o * stride;
        if (kind == SK_UPDATE_I8) {
            // Adding 1.5 * 2^23 rounds to a whole number, to even, and leaves it in the low bits.
            for (size_t r = 0; r < stride; r++) {
                float shifted = row[r] * inverses[r] + 12582912.0f;
                int32_t bits;
                memcpy(&bits, &shifted, 4);
                target[r * 16] = (uint8_t)bits;
            }
        } else if (kind == SK_UPDATE_F16) {
            for (size_t r = 0; r < stride; r++) memcpy(target + r * 32, source + 2 * (o * stride + r), 2);
        } else {
            for (size_t r = 0; r < stride; r++) memcpy(target + r * 64, row + r, 4);
        }
    }
}

bool sk_pack_update(
    const sk_kernels *kernels, sk_update_kind kind, uint32_t a_type, const uint8_t *a_source, uint32_t b_type,
    const uint8_t *b_source, int rank, int columns, int rows, float scaling, uint8_t *a, float *scales, uint8_t *b
) {
    if (!is_float(a_type) || !is_float(b_type)) return false;
    if (kind == SK_UPDATE_F16 && (a_type != SK_TYPE_F16 || b_type != SK_TYPE_F16)) return false;
    size_t b_count = (size_t)rank * (size_t)rows, widest = b_count > padded(columns) ? b_count : padded(columns);
    float *values = malloc((widest > 0 ? widest : 1) * 4);
    if (values == NULL) return false;
    size_t a_row = padded(columns) * sk_update_element_bytes(kind), stored_row = (size_t)columns * stored_bytes(a_type);
    for (int r = 0; r < rank; r++) {
        scales[r] = scaling;
        if (a == NULL) continue;
        const uint8_t *source = a_source + (size_t)r * stored_row;
        sk_dequantize(a_type, source, values, (size_t)columns);
        scales[r] *= put_row(kernels, kind, source, values, columns, a + (size_t)r * a_row);
    }
    sk_dequantize(b_type, b_source, values, b_count);
    put_panels(kind, b_source, values, rank, rows, scales, b);
    free(values);
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
