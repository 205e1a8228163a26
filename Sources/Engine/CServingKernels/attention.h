// Causal attention over a paged cache. Included once for each instruction set, after lanes.h.
//
// A query's arithmetic is fixed by its own position: scores are fused multiply-adds over D in order; positions go in
// tiles of 64 and partitions of 256, aligned to absolute positions; a tile updates its partition's maximum, sum and
// weighted values, position after position; partitions are merged in order. Positions a query does not see weigh
// exactly nothing, so what else shares its tile does not matter: stored values are finite, and blocks start as zeros.

#if SK_AVX512
enum { ROWS = 4, SUBS = 4, VALUES = 4 };
#else
enum { ROWS = 2, SUBS = 2, VALUES = 2 };
#endif

enum { SUB_TILE = 16, SUB_TILES = TILE_POSITIONS / SUB_TILE };

// What the rows of one part share while it runs.
typedef struct {
    const sk_attention_part *part;
    int dimension, padded;       // D, and D rounded up to 16
    int group;                   // query heads that share the KV head
    int rows;                    // tokens * group
    int stride;                  // floats between query rows of consecutive tokens
    int sub_begin, sub_end;      // sub-tiles of the tile that any row sees
    const uint8_t *keys[SUB_TILES], *values[SUB_TILES];
    int key_stride;              // elements between keys of consecutive d
    bool half;
    float *weights;              // (rows, 64): scores, then probabilities
    float *sums;                 // (rows, 16 + padded): maximum, sum, factor of the old values; values
    float *totals;               // the same of the partitions before
    float *key_tile, *value_tile;
} attention_state;

INLINE vf load_element(bool half, const uint8_t *base, size_t index) {
    return half ? v_load_half(base + 2 * index) : v_load((const float *)(const void *)base + index);
}

INLINE const float *query_row(const attention_state *s, int row) {
    const sk_attention_part *p = s->part;
    size_t token = (size_t)(p->sequence->token_begin + p->token_begin + row / s->group);
    size_t head = (size_t)(p->kv_head * s->group + row % s->group);
    return p->queries + token * (size_t)s->stride + head * (size_t)s->dimension;
}

INLINE void score_rows(const attention_state *s, bool half, int NR, int NS, int row, int sub) {
    const float *q[ROWS];
    vf acc[ROWS][SUBS];
    for (int r = 0; r < NR; r++) {
        q[r] = query_row(s, row + r);
        for (int i = 0; i < NS; i++) acc[r][i] = 0;
    }
    for (int d = 0; d < s->dimension; d++) {
        vf k[SUBS];
        for (int i = 0; i < NS; i++) k[i] = load_element(half, s->keys[sub + i], (size_t)d * (size_t)s->key_stride);
        for (int r = 0; r < NR; r++)
            for (int i = 0; i < NS; i++) acc[r][i] = v_fma(v_splat(q[r][d]), k[i], acc[r][i]);
    }
    for (int r = 0; r < NR; r++)
        for (int i = 0; i < NS; i++) v_store(s->weights + (row + r) * TILE_POSITIONS + (sub + i) * SUB_TILE, acc[r][i]);
}

INLINE void score_row_group(const attention_state *s, bool half, int NR, int row) {
    int sub = s->sub_begin;
    for (; sub + SUBS <= s->sub_end; sub += SUBS) score_rows(s, half, NR, SUBS, row, sub);
    for (; sub < s->sub_end; sub++) score_rows(s, half, NR, 1, row, sub);
}

INLINE void score(const attention_state *s, bool half) {
    int row = 0;
    for (; row + ROWS <= s->rows; row += ROWS) score_row_group(s, half, ROWS, row);
#if SK_AVX512
    if (s->rows - row == 3) score_row_group(s, half, 3, row);
    if (s->rows - row == 2) score_row_group(s, half, 2, row);
#endif
    if (s->rows - row == 1) score_row_group(s, half, 1, row);
}

// Turns one row's scores of a tile that starts at position `base` into probabilities against the partition's maximum.
INLINE void soften_row(const attention_state *s, int row, int base) {
    const sk_attention *a = s->part->attention;
    float *weights = s->weights + row * TILE_POSITIONS, *state = s->sums + (size_t)row * (size_t)(16 + s->padded);
    int position = s->part->sequence->first_position + s->part->token_begin + row / s->group;
    int first = a->window > 0 && position >= a->window ? position - a->window + 1 : 0;
    int low = first - base, high = position + 1 - base;
    if (high <= 0 || low >= TILE_POSITIONS) {
        state[2] = 1.0f;
        for (int i = s->sub_begin; i < s->sub_end; i++) v_store(weights + SUB_TILE * i, v_splat(0.0f));
        return;
    }
    vf x[SUB_TILES];
    vi seen[SUB_TILES];
    vf top = v_splat(-FLT_MAX);
    for (int i = 0; i < SUB_TILES; i++) {
        vi index = v_iota() + SUB_TILE * i;
        seen[i] = index >= low & index < high;
        if (i < s->sub_begin || i >= s->sub_end) {
            x[i] = v_splat(-FLT_MAX);
            continue;
        }
        x[i] = v_load(weights + SUB_TILE * i) * a->scale;
        if (a->cap > 0) x[i] = v_tanh(x[i] / v_splat(a->cap)) * a->cap;
        x[i] = seen[i] ? x[i] : v_splat(-FLT_MAX);
        top = v_max(x[i], top);
    }
    float old = state[0], now = v_highest(top);
    if (now < old) now = old;
    vf sums[SUB_TILES];
    for (int i = 0; i < SUB_TILES; i++) {
        if (i < s->sub_begin || i >= s->sub_end) {
            sums[i] = v_splat(0.0f);
            continue;
        }
        sums[i] = seen[i] ? v_exp(x[i] - now) : v_splat(0.0f);
        v_store(weights + SUB_TILE * i, sums[i]);
    }
    float factor = v_exp(v_splat(old - now)).x;
    state[0] = now;
    state[1] = __builtin_fmaf(state[1], factor, v_sum((sums[0] + sums[1]) + (sums[2] + sums[3])));
    state[2] = factor;
}

INLINE void weigh_rows(const attention_state *s, bool half, int NR, int NV, int row, int d) {
    vf acc[ROWS][VALUES];
    float *state = s->sums + (size_t)row * (size_t)(16 + s->padded);
    size_t stride = (size_t)(16 + s->padded);
    for (int r = 0; r < NR; r++)
        for (int v = 0; v < NV; v++)
            acc[r][v] = v_load(state + (size_t)r * stride + 16 + d + 16 * v) * state[(size_t)r * stride + 2];
    for (int sub = s->sub_begin; sub < s->sub_end; sub++) {
        const float *weights = s->weights + row * TILE_POSITIONS + sub * SUB_TILE;
        for (int j = 0; j < SUB_TILE; j++) {
            vf value[VALUES];
            for (int v = 0; v < NV; v++)
                value[v] = load_element(half, s->values[sub], (size_t)(j * s->padded + d + 16 * v));
            for (int r = 0; r < NR; r++)
                for (int v = 0; v < NV; v++)
                    acc[r][v] = v_fma(v_splat(weights[r * TILE_POSITIONS + j]), value[v], acc[r][v]);
        }
    }
    for (int r = 0; r < NR; r++)
        for (int v = 0; v < NV; v++) v_store(state + (size_t)r * stride + 16 + d + 16 * v, acc[r][v]);
}

INLINE void weigh_row_group(const attention_state *s, bool half, int NR, int row) {
    int d = 0;
    for (; d + 16 * VALUES <= s->padded; d += 16 * VALUES) weigh_rows(s, half, NR, VALUES, row, d);
    for (; d < s->padded; d += 16) weigh_rows(s, half, NR, 1, row, d);
}

INLINE void weigh(const attention_state *s, bool half) {
    int row = 0;
    for (; row + ROWS <= s->rows; row += ROWS) weigh_row_group(s, half, ROWS, row);
#if SK_AVX512
    if (s->rows - row == 3) weigh_row_group(s, half, 3, row);
    if (s->rows - row == 2) weigh_row_group(s, half, 2, row);
#endif
    if (s->rows - row == 1) weigh_row_group(s, half, 1, row);
}

static void __attribute__((noinline)) score_f16(const attention_state *s) { score(s, true); }
static void __attribute__((noinline)) score_f32(const attention_state *s) { score(s, false); }
static void __attribute__((noinline)) weigh_f16(const attention_state *s) { weigh(s, true); }
static void __attribute__((noinline)) weigh_f32(const attention_state *s) { weigh(s, false); }

// Up to 16 values of a row as stored elements.
INLINE void store_elements(bool half, uint8_t *target, vf v) {
    if (half) v_store_half(target, v);
    else v_store((float *)(void *)target, v);
}

INLINE vf load_elements(const float *source, int count) {
    return count == 16 ? v_load(source) : v_load_part(source, count);
}

// Values as the cache may hold them: finite. A value that is not seen weighs 0, and 0 times infinity or NaN would be NaN in the
// sums of whoever has the block next. What overflowed shows in the token's key, whose scores are NaN for its own sequence.
INLINE vf bounded(bool half, vf v) {
    vf limit = v_splat(half ? 65504.0f : FLT_MAX);
    return v == v ? v_max(v_min(v, limit), -limit) : v_splat(0.0f);
}

static void store(const sk_store_part *part) {
    const sk_kv_layer *layer = part->layer;
    size_t dimension = (size_t)layer->head_dimension, padded = (dimension + 15) / 16 * 16;
    size_t positions = (size_t)layer->positions_per_block, element = layer->half ? 2 : 4;
    size_t head_bytes = positions * (dimension + padded) * element, width = dimension * (size_t)layer->kv_heads;
    for (int t = part->token_begin; t < part->token_end; t++) {
        size_t position = (size_t)(part->sequence->first_position + t), slot = position % positions;
        size_t from = (size_t)(part->sequence->token_begin + t) * width + (size_t)part->kv_head * dimension;
        size_t block = (size_t)part->sequence->block_table[position / positions];
        uint8_t *base = layer->base + (block * (size_t)layer->kv_heads + (size_t)part->kv_head) * head_bytes;
        uint8_t *keys = base + slot * element, *values = base + (dimension * positions + slot * padded) * element;
        for (size_t d = 0; d < dimension; d += 16) {
            int count = dimension - d < 16 ? (int)(dimension - d) : 16;
            uint8_t column[64];
            store_elements(layer->half, column, load_elements(part->keys + from + d, count));
            uint8_t *target = keys + d * positions * element;
            if (layer->half) {
                for (int i = 0; i < count; i++) __builtin_memcpy(target + (size_t)i * positions * 2, column + 2 * i, 2);
            } else {
                for (int i = 0; i < count; i++) __builtin_memcpy(target + (size_t)i * positions * 4, column + 4 * i, 4);
            }
            vf value = bounded(layer->half, load_elements(part->values + from + d, count));
            store_elements(layer->half, values + d * element, value);
        }
    }
}

// Finds the tile's keys and values; widens them to float32 where many rows will read them.
static void find_tile(attention_state *s, int base) {
    const sk_attention_part *p = s->part;
    const sk_kv_layer *layer = p->layer;
    size_t element = layer->half ? 2 : 4, positions = (size_t)layer->positions_per_block;
    size_t head_elements = positions * (size_t)(s->dimension + s->padded);
    s->half = layer->half;
    s->key_stride = (int)positions;
    for (int i = s->sub_begin; i < s->sub_end; i++) {
        size_t position = (size_t)(base + i * SUB_TILE), slot = position % positions;
        size_t block = (size_t)p->sequence->block_table[position / positions];
        const uint8_t *head =
            layer->base + (block * (size_t)layer->kv_heads + (size_t)p->kv_head) * head_elements * element;
        s->keys[i] = head + slot * element;
        s->values[i] = head + ((size_t)s->dimension * positions + slot * (size_t)s->padded) * element;
    }
    if (!layer->half || s->rows <= 2 * ROWS) return;
    for (int i = s->sub_begin; i < s->sub_end; i++) {
        float *keys = s->key_tile + i * SUB_TILE * s->dimension, *values = s->value_tile + i * SUB_TILE * s->padded;
        for (int d = 0; d < s->dimension; d++)
            v_store(keys + 16 * d, v_load_half(s->keys[i] + 2 * (size_t)d * positions));
        for (int j = 0; j < s->padded; j++) v_store(values + 16 * j, v_load_half(s->values[i] + 32 * j));
        s->keys[i] = (const uint8_t *)keys;
        s->values[i] = (const uint8_t *)values;
    }
    s->half = false;
    s->key_stride = SUB_TILE;
}

// Adds a finished partition's state to the total before it. States without a visible position have a sum of 0.
INLINE void merge_state(float *total, const float *state, int padded) {
    if (state[1] == 0.0f) return;
    if (total[1] == 0.0f) {
        __builtin_memcpy(total, state, (size_t)(16 + padded) * 4);
        return;
    }
    float top = total[0] > state[0] ? total[0] : state[0];
    float a = v_exp(v_splat(total[0] - top)).x, b = v_exp(v_splat(state[0] - top)).x;
    total[0] = top;
    total[1] = __builtin_fmaf(state[1], b, total[1] * a);
    for (int i = 16; i < 16 + padded; i += 16)
        v_store(total + i, v_fma(v_load(state + i), v_splat(b), v_load(total + i) * a));
}

INLINE void finish_row(const float *total, int dimension, float *output) {
    vf sum = v_splat(total[1]);
    int d = 0;
    for (; d + 16 <= dimension; d += 16) v_store(output + d, v_load(total + 16 + d) / sum);
    if (d < dimension) v_store_part(output + d, v_load(total + 16 + d) / sum, dimension - d);
}

INLINE void clear_states(float *states, int rows, int padded) {
    for (int r = 0; r < rows; r++) {
        float *state = states + (size_t)r * (size_t)(16 + padded);
        for (int i = 0; i < 16 + padded; i += 16) v_store(state + i, v_splat(0.0f));
        state[0] = -FLT_MAX;
    }
}

static void attend_partition(attention_state *s, int begin, int end, int lowest, int highest) {
    clear_states(s->sums, s->rows, s->padded);
    for (int base = begin; base < end; base += TILE_POSITIONS) {
        if (base > highest || base + TILE_POSITIONS <= lowest) continue;
        s->sub_begin = lowest > base ? (lowest - base) / SUB_TILE : 0;
        s->sub_end = highest - base >= TILE_POSITIONS ? SUB_TILES : (highest - base) / SUB_TILE + 1;
        find_tile(s, base);
        if (s->half) score_f16(s);
        else score_f32(s);
        for (int row = 0; row < s->rows; row++) soften_row(s, row, base);
        if (s->half) weigh_f16(s);
        else weigh_f32(s);
    }
}

static void attend(const sk_attention_part *part) {
    const sk_attention *a = part->attention;
    int dimension = part->layer->head_dimension, group = a->heads / part->layer->kv_heads;
    attention_state s = {
        .part = part, .dimension = dimension, .padded = (dimension + 15) / 16 * 16, .group = group,
        .rows = (part->token_end - part->token_begin) * group, .stride = a->heads * dimension,
    };
    int most_rows = ATTENTION_ROWS > group ? ATTENTION_ROWS : group;
    s.key_tile = (float *)(void *)part->scratch;
    s.value_tile = s.key_tile + TILE_POSITIONS * dimension;
    s.weights = s.value_tile + TILE_POSITIONS * s.padded;
    s.sums = s.weights + most_rows * TILE_POSITIONS;
    s.totals = s.sums + most_rows * (16 + s.padded);
    int first = part->sequence->first_position + part->token_begin;
    int highest = part->sequence->first_position + part->token_end - 1;
    int lowest = a->window > 0 && first >= a->window ? first - a->window + 1 : 0;
    size_t state_floats = sk_partial_floats(dimension);
    clear_states(s.totals, s.rows, s.padded);
    for (int p = part->partition_begin; p < part->partition_end; p++) {
        attend_partition(&s, p * PARTITION_POSITIONS, (p + 1) * PARTITION_POSITIONS, lowest, highest);
        for (int row = 0; row < s.rows; row++)
            merge_state(s.totals + (size_t)row * state_floats, s.sums + (size_t)row * state_floats, s.padded);
    }
    if (part->partial != NULL) {
        __builtin_memcpy(part->partial, s.totals, (size_t)s.rows * state_floats * 4);
        return;
    }
    for (int row = 0; row < s.rows; row++) {
        size_t offset = (size_t)(query_row(&s, row) - part->queries);
        finish_row(s.totals + (size_t)row * state_floats, dimension, part->output + offset);
    }
}

// One row's partitions, in order, to its output.
static void merge(const float *partials, int count, size_t stride, int head_dimension, float *output) {
    float total[16 + SK_HEAD_LIMIT];
    int padded = (head_dimension + 15) / 16 * 16;
    clear_states(total, 1, padded);
    for (int i = 0; i < count; i++) merge_state(total, partials + (size_t)i * stride, padded);
    finish_row(total, head_dimension, output);
}
