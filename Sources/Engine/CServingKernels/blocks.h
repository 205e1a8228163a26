// Quantised blocks as GGUF stores them (layouts: ggml-common.h, ggml-quants.c), taken apart into integers and scales.
#ifndef SK_BLOCKS_H
#define SK_BLOCKS_H

#include "half.h"
#include "serving_kernels.h"

// Elements and bytes of one stored block; {0, 0} for an unknown type.
typedef struct { int elements, bytes; } sk_block_shape;

static inline sk_block_shape sk_block_shape_of(uint32_t type) {
    switch (type) {
    case SK_TYPE_F32: return (sk_block_shape){1, 4};
    case SK_TYPE_F16:
    case SK_TYPE_BF16: return (sk_block_shape){1, 2};
    case SK_TYPE_Q4_0: return (sk_block_shape){32, 18};
    case SK_TYPE_Q4_1: return (sk_block_shape){32, 20};
    case SK_TYPE_Q5_0: return (sk_block_shape){32, 22};
    case SK_TYPE_Q5_1: return (sk_block_shape){32, 24};
    case SK_TYPE_Q8_0: return (sk_block_shape){32, 34};
    case SK_TYPE_Q2_K: return (sk_block_shape){256, 84};
    case SK_TYPE_Q3_K: return (sk_block_shape){256, 110};
    case SK_TYPE_Q4_K: return (sk_block_shape){256, 144};
    case SK_TYPE_Q5_K: return (sk_block_shape){256, 176};
    case SK_TYPE_Q6_K: return (sk_block_shape){256, 210};
    default: return (sk_block_shape){0, 0};
    }
}

// 32 elements of a stored row: w[i] = d * s[i / 16] * q[i] - m * t[i / 16] with f16 d and m and small integers. Types
// without sub-scales have s = 1; Q4_1 and Q5_1 have t = -1 and m their minimum.
typedef struct {
    uint16_t d, m;
    int8_t s[2], t[2];
    int8_t q[32];
} sk_block32;

// Q4_0 and Q4_1: scales, then 16 bytes of which the low nibbles are columns 0 ... 15, the high ones 16 ... 31.
static inline void sk_read_q4(uint32_t type, const uint8_t *row, size_t index, sk_block32 *b) {
    bool has_min = type == SK_TYPE_Q4_1;
    const uint8_t *p = row + index * (has_min ? 20 : 18), *q = p + (has_min ? 4 : 2);
    int offset = has_min ? 0 : 8;
    b->d = sk_load_u16(p);
    if (has_min) b->m = sk_load_u16(p + 2);
    b->t[0] = b->t[1] = has_min ? -1 : 0;
    for (int j = 0; j < 16; j++) {
        b->q[j] = (int8_t)((q[j] & 15) - offset);
        b->q[j + 16] = (int8_t)((q[j] >> 4) - offset);
    }
}

// Q5_0 and Q5_1: the same with the fifth bits of all 32 columns in a word between.
static inline void sk_read_q5(uint32_t type, const uint8_t *row, size_t index, sk_block32 *b) {
    bool has_min = type == SK_TYPE_Q5_1;
    const uint8_t *p = row + index * (has_min ? 24 : 22), *h = p + (has_min ? 4 : 2), *q = h + 4;
    int offset = has_min ? 0 : 16;
    uint32_t high = (uint32_t)h[0] | (uint32_t)h[1] << 8 | (uint32_t)h[2] << 16 | (uint32_t)h[3] << 24;
    b->d = sk_load_u16(p);
    if (has_min) b->m = sk_load_u16(p + 2);
    b->t[0] = b->t[1] = has_min ? -1 : 0;
    for (int j = 0; j < 16; j++) {
        b->q[j] = (int8_t)((int)((q[j] & 15) | (high >> j & 1) << 4) - offset);
        b->q[j + 16] = (int8_t)((int)((q[j] >> 4) | (high >> (j + 16) & 1) << 4) - offset);
    }
}

// Q2_K: 16 bytes of s and t nibbles a 16 columns, 64 bytes of quants of which each 32 hold four blocks, D, M.
static inline void sk_read_q2_k(const uint8_t *row, size_t index, sk_block32 *b) {
    const uint8_t *p = row + index / 8 * 84;
    int g = (int)(index % 8);
    const uint8_t *q = p + 16 + g / 4 * 32;
    b->d = sk_load_u16(p + 80);
    b->m = sk_load_u16(p + 82);
    for (int h = 0; h < 2; h++) {
        b->s[h] = p[2 * g + h] & 15;
        b->t[h] = p[2 * g + h] >> 4;
    }
    for (int j = 0; j < 32; j++) b->q[j] = q[j] >> (2 * (g % 4)) & 3;
}

// Q3_K: 32 bytes of high bits (bit g of byte j: block g, column j), 64 of low bits, 12 of 6-bit scales + 32, D.
static inline void sk_read_q3_k(const uint8_t *row, size_t index, sk_block32 *b) {
    const uint8_t *p = row + index / 8 * 110, *scales = p + 96;
    int g = (int)(index % 8);
    const uint8_t *q = p + 32 + g / 4 * 32;
    b->d = sk_load_u16(p + 108);
    b->t[0] = b->t[1] = 0;
    for (int h = 0; h < 2; h++) {
        int i = 2 * g + h;
        int low = i < 8 ? scales[i] & 15 : scales[i - 8] >> 4;
        int high = scales[8 + i % 4] >> (2 * (i / 4)) & 3;
        b->s[h] = (int8_t)((low | high << 4) - 32);
    }
    for (int j = 0; j < 32; j++) b->q[j] = (int8_t)((q[j] >> (2 * (g % 4)) & 3) - (p[j] >> g & 1 ? 0 : 4));
}

// Q4_K and Q5_K: D, M, 12 bytes of 6-bit s and t a 32 columns, in Q5_K 32 bytes of fifth bits, 128 of nibbles.
static inline void sk_read_q45_k(uint32_t type, const uint8_t *row, size_t index, sk_block32 *b) {
    const uint8_t *p = row + index / 8 * (type == SK_TYPE_Q4_K ? 144 : 176), *scales = p + 4;
    int g = (int)(index % 8);
    int s = g < 4 ? scales[g] & 63 : (scales[g + 4] & 15) | (scales[g - 4] >> 6) << 4;
    int t = g < 4 ? scales[g + 4] & 63 : (scales[g + 4] >> 4) | (scales[g] >> 6) << 4;
    const uint8_t *high = p + 16, *q = p + (type == SK_TYPE_Q4_K ? 16 : 48) + g / 2 * 32;
    b->d = sk_load_u16(p);
    b->m = sk_load_u16(p + 2);
    b->s[0] = b->s[1] = (int8_t)s;
    b->t[0] = b->t[1] = (int8_t)t;
    for (int j = 0; j < 32; j++) {
        int nibble = g % 2 == 0 ? q[j] & 15 : q[j] >> 4;
        b->q[j] = (int8_t)(type == SK_TYPE_Q4_K ? nibble : nibble | (high[j] >> g & 1) << 4);
    }
}

// Q6_K: 128 bytes of low nibbles, 64 of high bits, 16 int8 scales a 16 columns, D; quants + 32.
static inline void sk_read_q6_k(const uint8_t *row, size_t index, sk_block32 *b) {
    const uint8_t *p = row + index / 8 * 210;
    int g = (int)(index % 8), half = g / 4, quarter = g % 4;
    const uint8_t *low = p + half * 64 + quarter % 2 * 32, *high = p + 128 + half * 32;
    b->d = sk_load_u16(p + 208);
    b->t[0] = b->t[1] = 0;
    for (int h = 0; h < 2; h++) b->s[h] = (int8_t)p[192 + 2 * g + h];
    for (int j = 0; j < 32; j++) {
        int nibble = quarter < 2 ? low[j] & 15 : low[j] >> 4;
        b->q[j] = (int8_t)((nibble | (high[j] >> (2 * quarter) & 3) << 4) - 32);
    }
}

// Decodes block `index` of 32 columns of a row of a quantised type.
static inline void sk_read_block32(uint32_t type, const uint8_t *row, size_t index, sk_block32 *b) {
    b->m = 0;
    b->s[0] = b->s[1] = 1;
    switch (type) {
    case SK_TYPE_Q4_0:
    case SK_TYPE_Q4_1: sk_read_q4(type, row, index, b); break;
    case SK_TYPE_Q5_0:
    case SK_TYPE_Q5_1: sk_read_q5(type, row, index, b); break;
    case SK_TYPE_Q2_K: sk_read_q2_k(row, index, b); break;
    case SK_TYPE_Q3_K: sk_read_q3_k(row, index, b); break;
    case SK_TYPE_Q4_K:
    case SK_TYPE_Q5_K: sk_read_q45_k(type, row, index, b); break;
    case SK_TYPE_Q6_K: sk_read_q6_k(row, index, b); break;
    default:   // Q8_0: d, then 32 int8
        b->d = sk_load_u16(row + index * 34);
        b->t[0] = b->t[1] = 0;
        memcpy(b->q, row + index * 34 + 2, 32);
    }
}

#endif
