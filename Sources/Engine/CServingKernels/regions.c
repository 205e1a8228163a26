// Operations cut into chunks for the pool. What a chunk computes never depends on how many there are.
#include "kernels.h"

static int divide_up(int a, int b) { return (a + b - 1) / b; }
static int smaller(int a, int b) { return a < b ? a : b; }

// ---------------------------------------------------------------------------------------------------------- Linear

// Tokens whose packed activations stay in the second-level cache while panels pass.
enum { TOKEN_TILE = 128 };

size_t sk_packed_activation_bytes(size_t tokens, size_t columns) {
    return tokens * (columns / SK_BLOCK_COLUMNS) * PACKED_BYTES;
}

typedef struct {
    const sk_context *context;
    const float *input;
    uint8_t *packed;
    int tokens, columns;
    const sk_linear_layer *layers;
    int layer_count;
    int panels;              // of all layers
    int panels_per_chunk, token_tiles;
} linear_run;

static void pack_chunk(void *context, int group, int worker) {
    (void)worker;
    const linear_run *run = context;
    size_t columns = (size_t)run->columns, first = (size_t)group * SK_GROUP_TOKENS;
    run->context->kernels->pack_rows(
        run->input + first * columns, run->columns, run->packed + sk_packed_activation_bytes(first, columns),
        smaller(run->tokens - (int)first, SK_GROUP_TOKENS));
}

static void linear_chunk(void *context, int chunk, int worker) {
    (void)worker;
    const linear_run *run = context;
    int tile = chunk % run->token_tiles, begin = chunk / run->token_tiles * run->panels_per_chunk;
    int end = smaller(begin + run->panels_per_chunk, run->panels);
    int first = 0;   // panels of the layers before
    for (int i = 0; i < run->layer_count && first < end; i++) {
        const sk_linear_layer *layer = &run->layers[i];
        int count = divide_up(layer->rows, SK_PANEL_ROWS);
        int from = begin > first ? begin - first : 0, to = smaller(end - first, count);
        first += count;
        if (from >= to) continue;
        sk_linear_part part = {
            .layer = layer, .input = run->input, .packed = run->packed, .columns = run->columns,
            .tokens = run->tokens, .panel_begin = from, .panel_end = to, .token_begin = tile * TOKEN_TILE,
            .token_end = smaller((tile + 1) * TOKEN_TILE, run->tokens),
        };
        run->context->kernels->linear(&part);
    }
}

void sk_linear(
    const sk_context *context, const float *input, int tokens, int columns, uint8_t *packed,
    const sk_linear_layer *layers, int layer_count
) {
    linear_run run = {
        .context = context, .input = input, .packed = packed, .tokens = tokens, .columns = columns,
        .layers = layers, .layer_count = layer_count, .token_tiles = divide_up(tokens, TOKEN_TILE),
    };
    bool quantized = false;
    for (int i = 0; i < layer_count; i++) {
        run.panels += divide_up(layers[i].rows, SK_PANEL_ROWS);
        if (sk_panel_is_quantized(layers[i].kind)) quantized = true;
    }
    if (quantized) sk_pool_run(context->pool, divide_up(tokens, SK_GROUP_TOKENS), pack_chunk, &run);
    // Some eight chunks a thread even out the ends; at least two panels make a chunk worth its cost.
    int threads = sk_pool_thread_count(context->pool);
    int wanted = divide_up(run.panels * run.token_tiles, 8 * threads);
    run.panels_per_chunk = wanted < 2 ? 2 : wanted > 64 ? 64 : wanted;
    sk_pool_run(
        context->pool, divide_up(run.panels, run.panels_per_chunk) * run.token_tiles, linear_chunk, &run);
}

// ------------------------------------------------------------------------------------------------------------ Rows

// Elements a chunk of a row operation: below one chunk, the caller does it alone.
enum { CHUNK_ELEMENTS = 16384 };

typedef struct {
    const sk_context *context;
    const float *a, *b;
    float *output;
    int rows, width, rows_per_chunk;
    size_t count;
    float scale, cap;
    int kind, heads, head_dimension, pairs;
    bool neighbours;
} rows_run;

static void run_rows(rows_run *run, sk_pool_body body) {
    int per_chunk = CHUNK_ELEMENTS / (run->width < 1 ? 1 : run->width);
    run->rows_per_chunk = per_chunk < 1 ? 1 : per_chunk;
    sk_pool_run(run->context->pool, divide_up(run->rows, run->rows_per_chunk), body, run);
}

static void norm_chunk(void *context, int chunk, int worker) {
    (void)worker;
    const rows_run *run = context;
    int begin = chunk * run->rows_per_chunk, end = smaller(begin + run->rows_per_chunk, run->rows);
    for (int i = begin; i < end; i++) {
        size_t at = (size_t)i * (size_t)run->width;
        run->context->kernels->rms_norm(run->a + at, run->b, run->output + at, run->width, run->scale);
    }
}

void sk_rms_norm(
    const sk_context *context, const float *input, const float *weight, float *output, int rows, int width,
    float epsilon
) {
    rows_run run = {
        .context = context, .a = input, .b = weight, .output = output, .rows = rows, .width = width, .scale = epsilon,
    };
    run_rows(&run, norm_chunk);
}

static void rotate_chunk(void *context, int chunk, int worker) {
    (void)worker;
    const rows_run *run = context;
    int begin = chunk * run->rows_per_chunk, end = smaller(begin + run->rows_per_chunk, run->rows);
    for (int i = begin; i < end; i++) {
        float *row = run->output + (size_t)i * (size_t)run->width;
        size_t at = (size_t)i * (size_t)run->pairs;
        for (int head = 0; head < run->heads; head++)
            run->context->kernels->rotate(
                row + (size_t)head * (size_t)run->head_dimension, run->pairs, run->neighbours, run->a + at,
                run->b + at);
    }
}

void sk_rotate(
    const sk_context *context, float *rows, int tokens, int heads, int head_dimension, int pairs, bool neighbours,
    const float *cosines, const float *sines
) {
    rows_run run = {
        .context = context, .a = cosines, .b = sines, .output = rows, .rows = tokens, .width = heads * head_dimension,
        .heads = heads, .head_dimension = head_dimension, .pairs = pairs, .neighbours = neighbours,
    };
    run_rows(&run, rotate_chunk);
}

static size_t chunk_elements(const rows_run *run, int chunk) {
    size_t begin = (size_t)chunk * CHUNK_ELEMENTS;
    return run->count - begin < CHUNK_ELEMENTS ? run->count - begin : CHUNK_ELEMENTS;
}

static void run_elements(rows_run *run, sk_pool_body body) {
    sk_pool_run(run->context->pool, (int)((run->count + CHUNK_ELEMENTS - 1) / CHUNK_ELEMENTS), body, run);
}

static void gated_chunk(void *context, int chunk, int worker) {
    (void)worker;
    const rows_run *run = context;
    size_t at = (size_t)chunk * CHUNK_ELEMENTS;
    run->context->kernels->gated_activation(
        run->kind, run->a + at, run->b + at, run->output + at, chunk_elements(run, chunk));
}

void sk_gated_activation(
    const sk_context *context, int kind, const float *gate, const float *up, float *output, size_t count
) {
    rows_run run = {.context = context, .a = gate, .b = up, .output = output, .count = count, .kind = kind};
    run_elements(&run, gated_chunk);
}

static void add_chunk(void *context, int chunk, int worker) {
    (void)worker;
    const rows_run *run = context;
    size_t at = (size_t)chunk * CHUNK_ELEMENTS;
    run->context->kernels->add(run->a + at, run->scale, run->output + at, chunk_elements(run, chunk));
}

void sk_add(const sk_context *context, const float *term, float scale, float *sum, size_t count) {
    rows_run run = {.context = context, .a = term, .output = sum, .count = count, .scale = scale};
    run_elements(&run, add_chunk);
}

static void cap_chunk(void *context, int chunk, int worker) {
    (void)worker;
    const rows_run *run = context;
    size_t at = (size_t)chunk * CHUNK_ELEMENTS;
    run->context->kernels->scale_and_cap(run->output + at, run->scale, run->cap, chunk_elements(run, chunk));
}

void sk_scale_and_cap(const sk_context *context, float *rows, float scale, float cap, size_t count) {
    rows_run run = {.context = context, .output = rows, .count = count, .scale = scale, .cap = cap};
    run_elements(&run, cap_chunk);
}
