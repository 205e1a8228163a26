// Low-rank updates of linear layers. Included once for each instruction set, after lanes.h.
//
// An update keeps A (R, in) row by row, each row padded with zeros to 16 columns, and B (out, R) in panels of 16 rows,
// [panel][R][16]. A result is computed as
//   s[r] = (sum over columns of A[r] x, in 16 partial sums by column mod 16, added pairwise) * scales[r]
//   y   += sum over r ascending of B[., r] s[r]
// so its order depends on the update alone, not on the tokens beside it.
//
// A token of its own adapter reads each weight once, from memory: the parts of an update, and the updates of one input, lie
// one after another, and a tile asks for what it needs some kilobytes ahead.

// Bytes to ask for ahead: what a core computes in about the time that memory takes to answer.
enum { UPDATE_AHEAD = 3072 };

INLINE void ask_ahead(const uint8_t *p) { __builtin_prefetch(p + UPDATE_AHEAD, 0, 3); }

INLINE vf v_load_int8(const uint8_t *p) {
#if SK_AVX512
    return (vf)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
#elif SK_AVX2
    vf v;
    v.lo = (vf8)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
    v.hi = (vf8)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(p + 8))));
    return v;
#else
    vb v;
    __builtin_memcpy(&v, p, 16);
    return __builtin_convertvector(v, vf);
#endif
}

INLINE vf load_update(sk_update_kind kind, const uint8_t *p) {
    if (kind == SK_UPDATE_I8) return v_load_int8(p);
    if (kind == SK_UPDATE_F16) return v_load_half(p);
    vf v;
    __builtin_memcpy(&v, p, 64);
    return v;
}

// Rows row ..< row + NR of A by NT tokens.
INLINE void shrink_tile(
    sk_update_kind kind, int NR, int NT, const sk_update *u, int row, const float *x, size_t columns, float *s
) {
    size_t element = sk_update_element_bytes(kind), row_bytes = (columns + 15) / 16 * 16 * element;
    const uint8_t *weights = u->a + (size_t)row * row_bytes;
    vf acc[4][4];
    for (int r = 0; r < NR; r++)
        for (int t = 0; t < NT; t++) acc[r][t] = v_splat(0);
    size_t k = 0;
    for (; k + 16 <= columns; k += 16) {
        if (NT == 1) ask_ahead(weights + k * (size_t)NR * element);
        vf values[4];
        for (int t = 0; t < NT; t++) values[t] = v_load(x + (size_t)t * columns + k);
        for (int r = 0; r < NR; r++) {
            vf w = load_update(kind, weights + (size_t)r * row_bytes + k * element);
            for (int t = 0; t < NT; t++) acc[r][t] = v_fma(w, values[t], acc[r][t]);
        }
    }
    if (k < columns) {
        for (int r = 0; r < NR; r++) {
            vf w = load_update(kind, weights + (size_t)r * row_bytes + k * element);
            for (int t = 0; t < NT; t++) {
                vf value = v_load_part(x + (size_t)t * columns + k, (int)(columns - k));
                acc[r][t] = v_fma(w, value, acc[r][t]);
            }
        }
    }
    for (int t = 0; t < NT; t++)
        for (int r = 0; r < NR; r++) s[t * SK_UPDATE_RANK_LIMIT + row + r] = v_sum(acc[r][t]) * u->scales[row + r];
}

#if SK_AVX2
#define SHRINK_TOKENS 3
#define SHRINK_ROWS(NT) ((NT) == 1 ? 4 : 2)
#else
#define SHRINK_TOKENS 4
#define SHRINK_ROWS(NT) 4
#endif

INLINE void shrink_tokens(
    sk_update_kind kind, int NT, const sk_update *u, const float *x, size_t columns, float *s
) {
    const int step = SHRINK_ROWS(NT);
    int row = 0;
    for (; row + step <= u->rank; row += step) shrink_tile(kind, step, NT, u, row, x, columns, s);
    for (; row < u->rank; row++) shrink_tile(kind, 1, NT, u, row, x, columns, s);
}

INLINE void shrink(
    sk_update_kind kind, const sk_update *u, const float *x, size_t columns, int tokens, float *s
) {
    for (int t = 0; t < tokens; t += SHRINK_TOKENS) {
        const float *from = x + (size_t)t * columns;
        float *to = s + t * SK_UPDATE_RANK_LIMIT;
        switch (tokens - t < SHRINK_TOKENS ? tokens - t : SHRINK_TOKENS) {
        case 1: shrink_tokens(kind, 1, u, from, columns, to); break;
        case 2: shrink_tokens(kind, 2, u, from, columns, to); break;
        case 3: shrink_tokens(kind, 3, u, from, columns, to); break;
#if SHRINK_TOKENS == 4
        default: shrink_tokens(kind, 4, u, from, columns, to); break;
#endif
        }
    }
}

// NP panels from `panel` on by NT tokens.
INLINE void expand_tile(
    sk_update_kind kind, int NP, int NT, const sk_update *u, int panel, const float *s, float *y
) {
    size_t element = sk_update_element_bytes(kind), rank = (size_t)u->rank, panel_bytes = rank * 16 * element;
    const uint8_t *weights = u->b + (size_t)panel * panel_bytes;
    vf acc[2][4];
    for (int p = 0; p < NP; p++)
        for (int t = 0; t < NT; t++) acc[p][t] = v_splat(0);
    for (size_t r = 0; r < rank; r++) {
        if (NT == 1) ask_ahead(weights + r * 16 * (size_t)NP * element);
        for (int p = 0; p < NP; p++) {
            vf w = load_update(kind, weights + (size_t)p * panel_bytes + r * 16 * element);
            for (int t = 0; t < NT; t++)
                acc[p][t] = v_fma(w, v_splat(s[(size_t)t * SK_UPDATE_RANK_LIMIT + r]), acc[p][t]);
        }
    }
    for (int p = 0; p < NP; p++) {
        int row = (panel + p) * 16, count = u->rows - row < 16 ? u->rows - row : 16;
        for (int t = 0; t < NT; t++) {
            float *output = y + (size_t)t * (size_t)u->rows + row;
            vf value = count == 16 ? v_load(output) : v_load_part(output, count);
            value = value + acc[p][t];
            if (u->gain != NULL) value = value * v_load(u->gain + row);
            if (u->offset != NULL) value = value + v_load(u->offset + row);
            if (count == 16) v_store(output, value);
            else v_store_part(output, value, count);
        }
    }
}

INLINE void expand(sk_update_kind kind, const sk_update *u, const float *s, int tokens, float *y) {
    int panels = (u->rows + 15) / 16;
    for (int panel = 0; panel < panels; panel += 2) {
        for (int t = 0; t < tokens; t += 2) {
            const float *from = s + t * SK_UPDATE_RANK_LIMIT;
            float *to = y + (size_t)t * (size_t)u->rows;
            if (tokens - t >= 2) {
                if (panels - panel >= 2) expand_tile(kind, 2, 2, u, panel, from, to);
                else expand_tile(kind, 1, 2, u, panel, from, to);
            } else {
                if (panels - panel >= 2) expand_tile(kind, 2, 1, u, panel, from, to);
                else expand_tile(kind, 1, 1, u, panel, from, to);
            }
        }
    }
}

#define UPDATE_KIND(name, kind)                                                                                  \
    static void __attribute__((noinline)) name(const sk_update_part *part) {                                     \
        float own[SK_UPDATE_TOKENS * SK_UPDATE_RANK_LIMIT];                                                      \
        const float *s = part->shrunk;                                                                           \
        if (s == NULL) {                                                                                         \
            shrink(kind, part->update, part->input, (size_t)part->columns, part->tokens, own);                   \
            s = own;                                                                                             \
        }                                                                                                        \
        expand(kind, part->update, s, part->tokens, part->output);                                               \
    }

UPDATE_KIND(update_f32, SK_UPDATE_F32)
UPDATE_KIND(update_f16, SK_UPDATE_F16)
UPDATE_KIND(update_i8, SK_UPDATE_I8)

static void update(const sk_update_part *part) {
    switch (part->update->kind) {
    case SK_UPDATE_F32: update_f32(part); break;
    case SK_UPDATE_F16: update_f16(part); break;
    case SK_UPDATE_I8: update_i8(part); break;
    }
}

// One row to int8 with the scale of its largest magnitude; the target is padded with zeros to 16 columns.
static float quantize_row(const float *x, int count, uint8_t *output) {
    vf highest = v_splat(0);
    int i = 0;
    for (; i + 16 <= count; i += 16) highest = v_max(highest, v_abs(v_load(x + i)));
    if (i < count) highest = v_max(highest, v_abs(v_load_part(x + i, count - i)));
    float top = v_highest(highest), inverse = top > 1e-30f ? 127.0f / top : 0.0f;
    for (i = 0; i < count; i += 16) {
        vf part = i + 16 <= count ? v_load(x + i) : v_load_part(x + i, count - i);
        vi rounded = __builtin_convertvector(__builtin_elementwise_rint(part * inverse), vi);
        vb bytes = __builtin_convertvector(rounded, vb);
        __builtin_memcpy(output + i, &bytes, 16);
    }
    return top > 1e-30f ? top * (1.0f / 127.0f) : 0.0f;
}

// sum += factor * term, and the sum of squares of a row.
static void add_row(const float *term, float factor, float *sum, int count) {
    int i = 0;
    for (; i + 16 <= count; i += 16) v_store(sum + i, v_fma(v_load(term + i), v_splat(factor), v_load(sum + i)));
    for (; i < count; i++) sum[i] = fmaf(term[i], factor, sum[i]);
}

static float square_sum(const float *x, int count) {
    vf squares = v_splat(0);
    int i = 0;
    for (; i + 16 <= count; i += 16) squares = v_fma(v_load(x + i), v_load(x + i), squares);
    if (i < count) {
        vf rest = v_load_part(x + i, count - i);
        squares = v_fma(rest, rest, squares);
    }
    return v_sum(squares);
}
