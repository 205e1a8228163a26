// Linear layers over packed panels. Included once for each instruction set.
//
// Quantised kinds: for each block of 32 columns (or 16), in order, acc = fma(d * dx, dot, acc), then, where there is a
// minimum, acc = fma(m, sx, acc); dot is an exact integer, dx the activations' scale and sx = dx * sum of their quants.
// Float kinds: acc = fma(w, x, acc), column after column.

#if SK_AVX2
#define LANES 8
typedef vf8 vl;
typedef vi8 vli;
#else
#define LANES 16
typedef vf vl;
typedef vi vli;
#endif

INLINE float load_float(const uint8_t *p) {
    float x;
    __builtin_memcpy(&x, p, 4);
    return x;
}

INLINE int32_t load_int(const uint8_t *p) {
    int32_t x;
    __builtin_memcpy(&x, p, 4);
    return x;
}

INLINE vl l_load_half(const uint8_t *p) {
#if SK_AVX2
    return (vl)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
#else
    return v_load_half(p);
#endif
}

INLINE vl l_load_int8(const uint8_t *p) {
#if SK_AVX2
    return (vl)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
#elif SK_AVX512
    return (vl)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
#else
    vb v;
    __builtin_memcpy(&v, p, 16);
    return __builtin_convertvector(v, vf);
#endif
}

INLINE vl l_load_weight(sk_panel_kind kind, const uint8_t *p) {
    vl v;
    if (kind == SK_PANEL_F32) {
        __builtin_memcpy(&v, p, sizeof v);
        return v;
    }
    if (kind == SK_PANEL_F16) return l_load_half(p);
#if SK_AVX2
    vh8 bits;
    __builtin_memcpy(&bits, p, 16);
    vu8 wide = __builtin_convertvector(bits, vu8) << 16;
    return (vl)wide;
#else
    return v_load_brain(p);
#endif
}

INLINE vl l_fma(vl a, vl b, vl c) { return __builtin_elementwise_fma(a, b, c); }

// Dot products of one block, LANES rows by NT tokens, exact. `parts` is 1 or 2 sub-blocks.
#if SK_AVX512
INLINE void dot_block(
    bool eight_bit, int parts, const uint8_t *quants, const uint8_t *x, int n, int NT, vli sums[2][8]
) {
    const uint8_t *offsets = x + (parts == 1 ? AT_OFFSET : AT_OFFSETS) * n;
    for (int part = 0; part < parts; part++)
        for (int t = 0; t < NT; t++)
            sums[part][t] = (vli)_mm512_set1_epi32(eight_bit ? load_int(offsets + (part * n + t) * 4) : 0);
    if (eight_bit) {
        for (int i = 0; i < 8; i++) {
            // Weights + 128 are unsigned; the sums began with -128 times the sum of the activations.
            __m512i w = _mm512_xor_si512(_mm512_loadu_si512(quants + 64 * i), _mm512_set1_epi8((char)0x80));
            vli *s = sums[parts == 2 ? i / 4 : 0];
            for (int t = 0; t < NT; t++)
                s[t] = (vli)_mm512_dpbusd_epi32((__m512i)s[t], w, _mm512_set1_epi32(load_int(x + (i * n + t) * 4)));
        }
        return;
    }
    for (int i = 0; i < 4; i++) {
        __m512i both = _mm512_loadu_si512(quants + 64 * i), mask = _mm512_set1_epi8(15);
        __m512i low = _mm512_and_si512(both, mask), high = _mm512_and_si512(_mm512_srli_epi16(both, 4), mask);
        vli *s = sums[0], *r = sums[parts - 1];
        for (int t = 0; t < NT; t++)
            s[t] = (vli)_mm512_dpbusd_epi32((__m512i)s[t], low, _mm512_set1_epi32(load_int(x + (i * n + t) * 4)));
        for (int t = 0; t < NT; t++)
            r[t] =
                (vli)_mm512_dpbusd_epi32((__m512i)r[t], high, _mm512_set1_epi32(load_int(x + ((i + 4) * n + t) * 4)));
    }
}
#elif SK_AVX2
INLINE void dot_block(
    bool eight_bit, int parts, const uint8_t *quants, const uint8_t *x, int n, int NT, vli sums[2][8]
) {
    const __m256i ones = _mm256_set1_epi16(1);
    if (eight_bit) {
        for (int part = 0; part < parts; part++)
            for (int t = 0; t < NT; t++) sums[part][t] = (vli)_mm256_setzero_si256();
        for (int i = 0; i < 8; i++) {
            __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)(quants + 64 * i));
            __m256i magnitude = _mm256_abs_epi8(w);
            vli *s = sums[parts == 2 ? i / 4 : 0];
            for (int t = 0; t < NT; t++) {
                __m256i signed_x = _mm256_sign_epi8(_mm256_set1_epi32(load_int(x + (i * n + t) * 4)), w);
                // At most 2 * 128 * 127, which an int16 holds.
                __m256i pairs = _mm256_maddubs_epi16(magnitude, signed_x);
                s[t] += (vli)_mm256_madd_epi16(pairs, ones);
            }
        }
        return;
    }
    // Eight sums of pairs, at most 8 * 2 * 15 * 127 = 30480, fit in an int16.
    __m256i pairs[2][8];
    for (int part = 0; part < parts; part++)
        for (int t = 0; t < NT; t++) pairs[part][t] = _mm256_setzero_si256();
    for (int i = 0; i < 4; i++) {
        __m256i both = _mm256_loadu_si256((const __m256i *)(const void *)(quants + 64 * i));
        __m256i mask = _mm256_set1_epi8(15), low = _mm256_and_si256(both, mask);
        __m256i high = _mm256_and_si256(_mm256_srli_epi16(both, 4), mask);
        __m256i *s = pairs[0], *r = pairs[parts - 1];
        for (int t = 0; t < NT; t++) {
            __m256i at_low = _mm256_set1_epi32(load_int(x + (i * n + t) * 4));
            s[t] = _mm256_add_epi16(s[t], _mm256_maddubs_epi16(low, at_low));
        }
        for (int t = 0; t < NT; t++) {
            __m256i at_high = _mm256_set1_epi32(load_int(x + ((i + 4) * n + t) * 4));
            r[t] = _mm256_add_epi16(r[t], _mm256_maddubs_epi16(high, at_high));
        }
    }
    for (int part = 0; part < parts; part++)
        for (int t = 0; t < NT; t++) sums[part][t] = (vli)_mm256_madd_epi16(pairs[part][t], ones);
}
#else
INLINE void dot_block(
    bool eight_bit, int parts, const uint8_t *quants, const uint8_t *x, int n, int NT, vli sums[2][8]
) {
    for (int part = 0; part < parts; part++)
        for (int t = 0; t < NT; t++) {
            int32_t lanes[LANES] = {0};
            for (int i = part * 8 / parts; i < (part + 1) * 8 / parts; i++)
                for (int r = 0; r < LANES; r++)
                    for (int j = 0; j < 4; j++) {
                        uint8_t byte = quants[(eight_bit ? i : i % 4) * 64 + 4 * r + j];
                        int w = eight_bit ? (int8_t)byte : i < 4 ? byte & 15 : byte >> 4;
                        lanes[r] += w * (int8_t)x[(i * n + t) * 4 + j];
                    }
            __builtin_memcpy(&sums[part][t], lanes, sizeof lanes);
        }
}
#endif

// LANES rows from `lane` on by NT tokens of a group of n; x points to the first of these tokens.
INLINE void quantized_tile(
    sk_panel_kind kind, int NT, const uint8_t *panel, int lane, const uint8_t *x, int n, int blocks, vl acc[8]
) {
    const sk_panel_shape shape = sk_panel_shape_of(kind);
    vl wide_scale = 0, wide_min = 0;
    for (int t = 0; t < NT; t++) acc[t] = 0;
    for (int b = 0; b < blocks; b++) {
        if (shape.super && b % 8 == 0) {
            wide_scale = l_load_half(panel + 2 * lane);
            wide_min = l_load_half(panel + 32 + 2 * lane);
            panel += 64;
        }
        vli sums[2][8];
        dot_block(shape.quant_bytes == 512, shape.parts, panel + shape.scale_bytes + 4 * lane, x, n, NT, sums);
        for (int part = 0; part < shape.parts; part++) {
            vl scale, min = 0;
            if (shape.super) {
                scale = wide_scale * l_load_int8(panel + 16 * part + lane);
                if (shape.has_min) min = -(wide_min * l_load_int8(panel + 16 * (shape.parts + part) + lane));
            } else {
                scale = l_load_half(panel + 2 * lane);
                if (kind == SK_PANEL_Q4) min = scale * -8.0f;
                else if (shape.has_min) min = l_load_half(panel + 32 + 2 * lane);
            }
            const uint8_t *at_sum = x + (shape.parts == 1 ? AT_SUM : AT_SUMS + 4 * part) * n;
            for (int t = 0; t < NT; t++) {
                vl dot = __builtin_convertvector(sums[part][t], vl);
                acc[t] = l_fma(scale * (vl)load_float(x + AT_SCALE * n + 4 * t), dot, acc[t]);
                if (shape.has_min) acc[t] = l_fma(min, (vl)load_float(at_sum + 4 * t), acc[t]);
            }
        }
        panel += shape.scale_bytes + shape.quant_bytes;
        x += PACKED_BYTES * n;
    }
}

INLINE void store_rows(const sk_linear_layer *layer, int row, int token, vl acc) {
    int count = layer->rows - row;
    if (count <= 0) return;
    float *output = layer->output + (size_t)token * (size_t)layer->rows + row;
    if (count >= LANES) {
        if (layer->bias != NULL) {
            vl bias;
            __builtin_memcpy(&bias, layer->bias + row, sizeof bias);
            acc += bias;
        }
        __builtin_memcpy(output, &acc, sizeof acc);
    } else {
        for (int i = 0; i < count; i++) output[i] = layer->bias != NULL ? acc[i] + layer->bias[row + i] : acc[i];
    }
}

#if SK_AVX2
#define TILE_TOKENS 4
#else
#define TILE_TOKENS 8
#endif

INLINE void quantized_tokens(const sk_linear_part *part, sk_panel_kind kind, int NT, int panel, const uint8_t *x, int n,
                             int token) {
    const sk_linear_layer *layer = part->layer;
    const uint8_t *weights = layer->panels + (size_t)panel * sk_panel_bytes(kind, (size_t)part->columns);
    for (int lane = 0; lane < 16; lane += LANES) {
        vl acc[8];
        quantized_tile(kind, NT, weights, lane, x, n, part->columns / SK_BLOCK_COLUMNS, acc);
        for (int t = 0; t < NT; t++) store_rows(layer, panel * 16 + lane, token + t, acc[t]);
    }
}

INLINE void linear_quantized(const sk_linear_part *part, sk_panel_kind kind) {
    size_t group_bytes = (size_t)(part->columns / SK_BLOCK_COLUMNS) * PACKED_BYTES * SK_GROUP_TOKENS;
    for (int panel = part->panel_begin; panel < part->panel_end; panel++) {
        for (int begin = part->token_begin; begin < part->token_end; begin += SK_GROUP_TOKENS) {
            int n = part->tokens - begin < SK_GROUP_TOKENS ? part->tokens - begin : SK_GROUP_TOKENS;
            const uint8_t *group = part->packed + (size_t)(begin / SK_GROUP_TOKENS) * group_bytes;
            for (int t = 0; t < n; t += TILE_TOKENS) {
                const uint8_t *x = group + 4 * t;
                int token = begin + t;
                switch (n - t < TILE_TOKENS ? n - t : TILE_TOKENS) {
                case 1: quantized_tokens(part, kind, 1, panel, x, n, token); break;
                case 2: quantized_tokens(part, kind, 2, panel, x, n, token); break;
                case 3: quantized_tokens(part, kind, 3, panel, x, n, token); break;
                case 4: quantized_tokens(part, kind, 4, panel, x, n, token); break;
#if TILE_TOKENS == 8
                case 5: quantized_tokens(part, kind, 5, panel, x, n, token); break;
                case 6: quantized_tokens(part, kind, 6, panel, x, n, token); break;
                case 7: quantized_tokens(part, kind, 7, panel, x, n, token); break;
                case 8: quantized_tokens(part, kind, 8, panel, x, 8, token); break;
#endif
                }
            }
        }
    }
}

// NV vectors of LANES rows from panel `panel` on, by NT tokens.
INLINE void float_tile(const sk_linear_part *part, sk_panel_kind kind, int NV, int NT, int panel, int token) {
    const sk_linear_layer *layer = part->layer;
    size_t element = kind == SK_PANEL_F32 ? 4 : 2, columns = (size_t)part->columns;
    const uint8_t *weights[8];
    const float *x = part->input + (size_t)token * columns;
    vl acc[8][8];
    for (int v = 0; v < NV; v++) {
        int lane = v * LANES % 16;
        weights[v] = layer->panels + (size_t)(panel + v * LANES / 16) * columns * 16 * element + (size_t)lane * element;
        for (int t = 0; t < NT; t++) acc[v][t] = 0;
    }
    for (size_t k = 0; k < columns; k++) {
        vl w[8];
        for (int v = 0; v < NV; v++) w[v] = l_load_weight(kind, weights[v] + k * 16 * element);
        for (int t = 0; t < NT; t++) {
            vl value = (vl)x[(size_t)t * columns + k];
            for (int v = 0; v < NV; v++) acc[v][t] = l_fma(w[v], value, acc[v][t]);
        }
    }
    for (int v = 0; v < NV; v++)
        for (int t = 0; t < NT; t++) store_rows(layer, panel * 16 + v * LANES, token + t, acc[v][t]);
}

// Vectors a tile for so many tokens, such that the accumulators fit the registers.
#if SK_AVX512
#define TILE_VECTORS(NT) ((NT) <= 2 ? 8 : (NT) <= 4 ? 4 : 2)
#elif SK_AVX2
#define TILE_VECTORS(NT) ((NT) == 1 ? 8 : (NT) == 2 ? 4 : 2)
#else
#define TILE_VECTORS(NT) 1
#endif

INLINE void float_panels(const sk_linear_part *part, sk_panel_kind kind, int NT, int panel, int end, int token) {
    const int one = 16 / LANES, full = TILE_VECTORS(NT), step = full / one;
    for (; panel + step <= end; panel += step) float_tile(part, kind, full, NT, panel, token);
    for (; panel < end; panel++) float_tile(part, kind, one, NT, panel, token);
}

INLINE void linear_float(const sk_linear_part *part, sk_panel_kind kind) {
    // A few panels stay in the first- or second-level cache while all tokens pass.
    int most = part->token_end - part->token_begin > TILE_TOKENS ? 4 : part->panel_end - part->panel_begin;
    for (int panel = part->panel_begin; panel < part->panel_end; panel += most) {
        int end = panel + most < part->panel_end ? panel + most : part->panel_end;
        for (int token = part->token_begin; token < part->token_end; token += TILE_TOKENS) {
            switch (part->token_end - token < TILE_TOKENS ? part->token_end - token : TILE_TOKENS) {
            case 1: float_panels(part, kind, 1, panel, end, token); break;
            case 2: float_panels(part, kind, 2, panel, end, token); break;
            case 3: float_panels(part, kind, 3, panel, end, token); break;
            case 4: float_panels(part, kind, 4, panel, end, token); break;
#if TILE_TOKENS == 8
            case 5: float_panels(part, kind, 5, panel, end, token); break;
            case 6: float_panels(part, kind, 6, panel, end, token); break;
            case 7: float_panels(part, kind, 7, panel, end, token); break;
            case 8: float_panels(part, kind, 8, panel, end, token); break;
#endif
            }
        }
    }
}

#define LINEAR_KIND(name, function, kind) \
    static void __attribute__((noinline)) name(const sk_linear_part *part) { function(part, kind); }

LINEAR_KIND(linear_f32, linear_float, SK_PANEL_F32)
LINEAR_KIND(linear_f16, linear_float, SK_PANEL_F16)
LINEAR_KIND(linear_bf16, linear_float, SK_PANEL_BF16)
LINEAR_KIND(linear_q4, linear_quantized, SK_PANEL_Q4)
LINEAR_KIND(linear_q4_min, linear_quantized, SK_PANEL_Q4_MIN)
LINEAR_KIND(linear_q4_k, linear_quantized, SK_PANEL_Q4_K)
LINEAR_KIND(linear_q4_k16, linear_quantized, SK_PANEL_Q4_K16)
LINEAR_KIND(linear_q8, linear_quantized, SK_PANEL_Q8)
LINEAR_KIND(linear_q8_min, linear_quantized, SK_PANEL_Q8_MIN)
LINEAR_KIND(linear_q8_k, linear_quantized, SK_PANEL_Q8_K)
LINEAR_KIND(linear_q8_k16, linear_quantized, SK_PANEL_Q8_K16)

static void linear(const sk_linear_part *part) {
    switch (part->layer->kind) {
    case SK_PANEL_F32: linear_f32(part); break;
    case SK_PANEL_F16: linear_f16(part); break;
    case SK_PANEL_BF16: linear_bf16(part); break;
    case SK_PANEL_Q4: linear_q4(part); break;
    case SK_PANEL_Q4_MIN: linear_q4_min(part); break;
    case SK_PANEL_Q4_K: linear_q4_k(part); break;
    case SK_PANEL_Q4_K16: linear_q4_k16(part); break;
    case SK_PANEL_Q8: linear_q8(part); break;
    case SK_PANEL_Q8_MIN: linear_q8_min(part); break;
    case SK_PANEL_Q8_K: linear_q8_k(part); break;
    case SK_PANEL_Q8_K16: linear_q8_k16(part); break;
    default: break;
    }
}

// Quantises activations: for each block of 32, d = max|x| / 127 and q = round(x / d), to nearest even. The product form
// below, with its rounding, is the definition; both functions follow it. Of a block with an infinity or a NaN the scale is one
// of these, so that whatever is computed with it is not finite either: an overflow must not turn into a plausible number.
INLINE float inverse_scale(float highest) { return highest <= 1e-30f ? 0.0f : 127.0f / highest; }
INLINE float block_scale(float highest) { return highest <= 1e-30f ? 0.0f : highest * (1.0f / 127.0f); }

// The bits of magnitudes: as integers they are in the order of the numbers, infinities and NaN above all.
INLINE vi magnitude_bits(vf x) { return (vi)v_abs(x); }

INLINE float highest_magnitude(vf x, vf y) {
    vi v = __builtin_elementwise_max(magnitude_bits(x), magnitude_bits(y));
    vi8 a = __builtin_elementwise_max(v.lo, v.hi);
    vi4 b = __builtin_elementwise_max(a.lo, a.hi);
    vi2 c = __builtin_elementwise_max(b.lo, b.hi);
    int32_t bits = c.x > c.y ? c.x : c.y;
    float highest;
    __builtin_memcpy(&highest, &bits, 4);
    return highest;
}

INLINE vb quantized_half(vf x, float inverse) {
    vf rounded = __builtin_elementwise_rint(x * inverse);
    vi q = __builtin_convertvector(v_max(v_min(rounded, v_splat(127.0f)), v_splat(-127.0f)), vi);
    return __builtin_convertvector(q, vb);
}

// One row into slot `token` of a group of n.
INLINE void pack_slot(const float *input, int columns, uint8_t *group, int n, int token) {
    for (int b = 0; b < columns / SK_BLOCK_COLUMNS; b++, group += PACKED_BYTES * n) {
        vf half[2] = {v_load(input + 32 * b), v_load(input + 32 * b + 16)};
        float highest = highest_magnitude(half[0], half[1]);
        float d = block_scale(highest), inverse = inverse_scale(highest);
        int32_t sums[2];
        for (int h = 0; h < 2; h++) {
            vb q = quantized_half(half[h], inverse);
            if (n == 1) {
                __builtin_memcpy(group + 16 * h, &q, 16);
            } else {
                for (int i = 0; i < 4; i++)
                    __builtin_memcpy(group + ((4 * h + i) * n + token) * 4, (const uint8_t *)&q + 4 * i, 4);
            }
            sums[h] = v_sum_int(__builtin_convertvector(q, vi));
        }
        const float floats[3] = {d * (float)(sums[0] + sums[1]), d * (float)sums[0], d * (float)sums[1]};
        const int32_t offsets[3] = {-128 * (sums[0] + sums[1]), -128 * sums[0], -128 * sums[1]};
        __builtin_memcpy(group + AT_SCALE * n + 4 * token, &d, 4);
        __builtin_memcpy(group + AT_SUM * n + 4 * token, &floats[0], 4);
        __builtin_memcpy(group + AT_OFFSET * n + 4 * token, &offsets[0], 4);
        for (int h = 0; h < 2; h++) {
            __builtin_memcpy(group + AT_SUMS * n + 4 * (h * n + token), &floats[1 + h], 4);
            __builtin_memcpy(group + AT_OFFSETS * n + 4 * (h * n + token), &offsets[1 + h], 4);
        }
    }
}

// Lane t of the result is the highest of rows[t]: a transposition with a maximum at each of its three steps.
INLINE vi8 highest_of_each(vi8 rows[8]) {
    vi8 pairs[4], quads[2];
    for (int i = 0; i < 4; i++) {
        vi8 a = rows[2 * i], b = rows[2 * i + 1];
        vi8 even = __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14);
        vi8 odd = __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
        pairs[i] = __builtin_elementwise_max(even, odd);
    }
    for (int i = 0; i < 2; i++) {
        vi8 a = pairs[2 * i], b = pairs[2 * i + 1];
        vi8 low = __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13);
        vi8 high = __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
        quads[i] = __builtin_elementwise_max(low, high);
    }
    vi8 low = __builtin_shufflevector(quads[0], quads[1], 0, 1, 2, 3, 8, 9, 10, 11);
    vi8 high = __builtin_shufflevector(quads[0], quads[1], 4, 5, 6, 7, 12, 13, 14, 15);
    return __builtin_elementwise_max(low, high);
}

// Turns eight rows of eight words into eight columns.
INLINE void transpose_words(vi8 w[8]) {
    vi8 a[8], b[8];
    for (int i = 0; i < 4; i++) {
        a[2 * i] = __builtin_shufflevector(w[2 * i], w[2 * i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        a[2 * i + 1] = __builtin_shufflevector(w[2 * i], w[2 * i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
    for (int h = 0; h < 2; h++)
        for (int i = 0; i < 2; i++) {
            b[4 * h + i] = __builtin_shufflevector(a[4 * h + i], a[4 * h + 2 + i], 0, 1, 8, 9, 4, 5, 12, 13);
            b[4 * h + 2 + i] = __builtin_shufflevector(a[4 * h + i], a[4 * h + 2 + i], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    for (int i = 0; i < 4; i++) {
        w[i] = __builtin_shufflevector(b[i], b[4 + i], 0, 1, 2, 3, 8, 9, 10, 11);
        w[4 + i] = __builtin_shufflevector(b[i], b[4 + i], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

// The sum of the four signed bytes of each word.
INLINE vi8 byte_sums(vi8 words) {
#if SK_AVX2 || SK_AVX512
    __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), (__m256i)words);
    return (vi8)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#else
    return (words << 24 >> 24) + (words << 16 >> 24) + (words << 8 >> 24) + (words >> 24);
#endif
}

// Eight rows into a group of eight.
static void __attribute__((noinline)) pack_eight(const float *input, int columns, uint8_t *group) {
    for (int b = 0; b < columns / SK_BLOCK_COLUMNS; b++, group += PACKED_BYTES * 8) {
        const float *x = input + 32 * b;
        vi8 highest[8];
        for (int t = 0; t < 8; t++) {
            vi a = magnitude_bits(v_load(x + t * columns)), c = magnitude_bits(v_load(x + t * columns + 16));
            vi m = __builtin_elementwise_max(a, c);
            highest[t] = __builtin_elementwise_max(m.lo, m.hi);
        }
        vf8 top = (vf8)highest_of_each(highest);
        vf8 inverse = top <= 1e-30f ? (vf8)0.0f : 127.0f / top;
        vf8 d = top <= 1e-30f ? (vf8)0.0f : top * (1.0f / 127.0f);
        vi8 words[8];
        for (int t = 0; t < 8; t++) {
            vb half[2] = {
                quantized_half(v_load(x + t * columns), inverse[t]),
                quantized_half(v_load(x + t * columns + 16), inverse[t]),
            };
            __builtin_memcpy(&words[t], half, 32);
        }
        transpose_words(words);
        __builtin_memcpy(group, words, 256);
        vi8 sums[2];
        for (int h = 0; h < 2; h++)
            sums[h] = (byte_sums(words[4 * h]) + byte_sums(words[4 * h + 1]))
                + (byte_sums(words[4 * h + 2]) + byte_sums(words[4 * h + 3]));
        vi8 sum = sums[0] + sums[1];
        vf8 floats[2] = {d, d * __builtin_convertvector(sum, vf8)};
        vi8 offset = sum * -128, offsets[2] = {sums[0] * -128, sums[1] * -128};
        vf8 half_sums[2] = {d * __builtin_convertvector(sums[0], vf8), d * __builtin_convertvector(sums[1], vf8)};
        __builtin_memcpy(group + AT_SCALE * 8, floats, 64);
        __builtin_memcpy(group + AT_OFFSET * 8, &offset, 32);
        __builtin_memcpy(group + AT_SUMS * 8, half_sums, 64);
        __builtin_memcpy(group + AT_OFFSETS * 8, offsets, 64);
    }
}

static void pack_rows(const float *input, int columns, uint8_t *group, int n) {
    if (n == 8) {
        pack_eight(input, columns, group);
    } else if (n == 1) {
        pack_slot(input, columns, group, 1, 0);
    } else {
        for (int t = 0; t < n; t++) pack_slot(input + (size_t)t * (size_t)columns, columns, group, n, t);
    }
}
