// Row operations. Included once for each instruction set, after lanes.h.

// The sum of squares is kept in 16 partial sums, column i in the (i mod 16)th, added pairwise at the end.
static void rms_norm(const float *input, const float *weight, float *output, int width, float epsilon) {
    vf squares = 0;
    int whole = width / 16 * 16, rest = width - whole;
    for (int i = 0; i < whole; i += 16) {
        vf x = v_load(input + i);
        squares = v_fma(x, x, squares);
    }
    if (rest > 0) {
        vf x = v_load_part(input + whole, rest);
        squares = v_fma(x, x, squares);
    }
    float scale = 1.0f / sqrtf(v_sum(squares) / (float)width + epsilon);
    for (int i = 0; i < whole; i += 16) v_store(output + i, v_load(input + i) * scale * v_load(weight + i));
    for (int i = whole; i < width; i++) output[i] = input[i] * scale * weight[i];
}

static void rotate(float *head, int pairs, bool neighbours, const float *cosines, const float *sines) {
    int i = 0;
    if (!neighbours) {
        for (; i + 16 <= pairs; i += 16) {
            vf a = v_load(head + i), b = v_load(head + pairs + i), c = v_load(cosines + i), s = v_load(sines + i);
            v_store(head + i, a * c - b * s);
            v_store(head + pairs + i, b * c + a * s);
        }
    }
    for (; neighbours && i + 16 <= pairs; i += 16) {
        vf low = v_load(head + 2 * i), high = v_load(head + 2 * i + 16), c = v_load(cosines + i), s = v_load(sines + i);
        vf a = __builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        vf b = __builtin_shufflevector(low, high, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
        vf x = a * c - b * s, y = b * c + a * s;
        v_store(head + 2 * i, __builtin_shufflevector(x, y, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
        v_store(
            head + 2 * i + 16,
            __builtin_shufflevector(x, y, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31));
    }
    for (; i < pairs; i++) {
        float *first = neighbours ? head + 2 * i : head + i, *second = neighbours ? first + 1 : head + pairs + i;
        float a = *first, b = *second;
        *first = a * cosines[i] - b * sines[i];
        *second = b * cosines[i] + a * sines[i];
    }
}

INLINE vf gated(int kind, vf gate, vf up) {
    if (kind == 0) return gate / (v_splat(1.0f) + v_exp(-gate)) * up;
    if (kind == 1) {
        // 0.5 (1 + tanh u) = 1 / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3)
        vf u = v_splat(0x1.988454p-1f) * v_fma(v_splat(0.044715f) * gate * gate, gate, gate);
        return gate / (v_splat(1.0f) + v_exp(u * -2.0f)) * up;
    }
    float lanes[16];
    v_store(lanes, gate);
    for (int i = 0; i < 16; i++) lanes[i] = 0.5f * lanes[i] * erfcf(lanes[i] * -0x1.6a09e6p-1f);
    return v_load(lanes) * up;
}

static void gated_activation(int kind, const float *gate, const float *up, float *output, size_t count) {
    size_t i = 0;
    for (; i + 16 <= count; i += 16) v_store(output + i, gated(kind, v_load(gate + i), v_load(up + i)));
    if (i < count) {
        int rest = (int)(count - i);
        v_store_part(output + i, gated(kind, v_load_part(gate + i, rest), v_load_part(up + i, rest)), rest);
    }
}

static void add(const float *term, float scale, float *sum, size_t count) {
    size_t i = 0;
    for (; i + 16 <= count; i += 16) v_store(sum + i, v_fma(v_load(term + i), v_splat(scale), v_load(sum + i)));
    if (i < count) {
        int rest = (int)(count - i);
        vf result = v_fma(v_load_part(term + i, rest), v_splat(scale), v_load_part(sum + i, rest));
        v_store_part(sum + i, result, rest);
    }
}

INLINE vf scaled_and_capped(vf x, float scale, float cap) {
    x = x * scale;
    return cap > 0 ? v_tanh(x / v_splat(cap)) * cap : x;
}

static void scale_and_cap(float *rows, float scale, float cap, size_t count) {
    size_t i = 0;
    for (; i + 16 <= count; i += 16) v_store(rows + i, scaled_and_capped(v_load(rows + i), scale, cap));
    if (i < count) {
        int rest = (int)(count - i);
        v_store_part(rows + i, scaled_and_capped(v_load_part(rows + i, rest), scale, cap), rest);
    }
}
