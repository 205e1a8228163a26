// Sixteen lanes of float32, the unit in which every kernel is written. The compiler maps it to one 512-bit register,
// two of 256 bits or four of 128, and to calls of fmaf where there is no fused multiply-add: the bits are the same.
#ifndef SK_LANES_H
#define SK_LANES_H

#include "half.h"

#include <float.h>
#include <math.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#pragma clang diagnostic ignored "-Wpsabi"

#define INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((ext_vector_type(16)));
typedef float vf8 __attribute__((ext_vector_type(8)));
typedef float vf4 __attribute__((ext_vector_type(4)));
typedef float vf2 __attribute__((ext_vector_type(2)));
typedef int32_t vi __attribute__((ext_vector_type(16)));
typedef int32_t vi8 __attribute__((ext_vector_type(8)));
typedef int32_t vi4 __attribute__((ext_vector_type(4)));
typedef int32_t vi2 __attribute__((ext_vector_type(2)));
typedef uint32_t vu __attribute__((ext_vector_type(16)));
typedef uint32_t vu8 __attribute__((ext_vector_type(8)));
typedef uint16_t vh __attribute__((ext_vector_type(16)));
typedef uint16_t vh8 __attribute__((ext_vector_type(8)));
typedef int8_t vb __attribute__((ext_vector_type(16)));
typedef int8_t vb8 __attribute__((ext_vector_type(8)));

INLINE vf v_load(const float *p) {
    vf v;
    __builtin_memcpy(&v, p, 64);
    return v;
}

INLINE void v_store(float *p, vf v) { __builtin_memcpy(p, &v, 64); }

// The first `count` lanes, the rest zero.
INLINE vf v_load_part(const float *p, int count) {
    float lanes[16] = {0};
    for (int i = 0; i < count; i++) lanes[i] = p[i];
    return v_load(lanes);
}

INLINE void v_store_part(float *p, vf v, int count) {
    float lanes[16];
    v_store(lanes, v);
    for (int i = 0; i < count; i++) p[i] = lanes[i];
}

INLINE vf v_splat(float x) { return (vf)x; }
INLINE vf v_fma(vf a, vf b, vf c) { return __builtin_elementwise_fma(a, b, c); }
INLINE vf v_max(vf a, vf b) { return a > b ? a : b; }
INLINE vf v_min(vf a, vf b) { return a < b ? a : b; }
INLINE vf v_abs(vf a) { return __builtin_elementwise_abs(a); }
INLINE vi v_iota(void) { return (vi){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}; }

INLINE float v_sum(vf v) {
    vf8 a = v.lo + v.hi;
    vf4 b = a.lo + a.hi;
    vf2 c = b.lo + b.hi;
    return c.x + c.y;
}

INLINE float v_highest(vf v) {
    vf8 a = v.lo > v.hi ? v.lo : v.hi;
    vf4 b = a.lo > a.hi ? a.lo : a.hi;
    vf2 c = b.lo > b.hi ? b.lo : b.hi;
    return c.x > c.y ? c.x : c.y;
}

INLINE int32_t v_sum_int(vi v) {
    vi8 a = v.lo + v.hi;
    vi4 b = a.lo + a.hi;
    vi2 c = b.lo + b.hi;
    return c.x + c.y;
}

// Sixteen f16.
INLINE vf v_load_half(const uint8_t *p) {
#if SK_AVX512
    return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
#elif SK_AVX2
    vf v;
    v.lo = (vf8)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
    v.hi = (vf8)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(p + 16)));
    return v;
#else
    float lanes[16];
    for (int i = 0; i < 16; i++) lanes[i] = sk_half_to_float(sk_load_u16(p + 2 * i));
    return v_load(lanes);
#endif
}

// To f16, to nearest even. Finite values beyond its range become its largest, so that a weight of zero cancels them.
INLINE void v_store_half(uint8_t *p, vf v) {
    vf bounded = v > v_splat(65504.0f) ? v_splat(65504.0f) : v;
    bounded = bounded < v_splat(-65504.0f) ? v_splat(-65504.0f) : bounded;
#if SK_AVX512
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtps_ph((__m512)bounded, _MM_FROUND_TO_NEAREST_INT));
#elif SK_AVX2
    _mm_storeu_si128((__m128i *)(void *)p, _mm256_cvtps_ph((__m256)bounded.lo, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128((__m128i *)(void *)(p + 16), _mm256_cvtps_ph((__m256)bounded.hi, _MM_FROUND_TO_NEAREST_INT));
#else
    for (int i = 0; i < 16; i++) {
        uint16_t half = sk_float_to_half(bounded[i]);
        __builtin_memcpy(p + 2 * i, &half, 2);
    }
#endif
}

INLINE vf v_load_brain(const uint8_t *p) {
    vh bits;
    __builtin_memcpy(&bits, p, 32);
    vu wide = __builtin_convertvector(bits, vu) << 16;
    return (vf)wide;
}

// e^x to about one unit in the last place; 0 below -87.3, e^88 above 88.
INLINE vf v_exp(vf x) {
    vf y = v_max(v_min(x, v_splat(88.0f)), v_splat(-87.3f));
    vf n = __builtin_elementwise_rint(y * 0x1.715476p0f);
    // ln 2 in two parts, the first with trailing zeros so that its product with n is exact.
    vf r = v_fma(n, v_splat(-0x1.62e4p-1f), y);
    r = v_fma(n, v_splat(0x1.7f7d1cp-20f) * -1.0f, r);
    // Taylor series to the seventh power: |r| <= 0.35, so the rest is below 6e-9.
    vf e = v_splat(1.0f / 5040);
    e = v_fma(e, r, v_splat(1.0f / 720));
    e = v_fma(e, r, v_splat(1.0f / 120));
    e = v_fma(e, r, v_splat(1.0f / 24));
    e = v_fma(e, r, v_splat(1.0f / 6));
    e = v_fma(e, r, v_splat(0.5f));
    e = v_fma(e, r, v_splat(1.0f));
    e = v_fma(e, r, v_splat(1.0f));
    vi power = (__builtin_convertvector(n, vi) + 127) << 23;
    vf result = e * (vf)power;
    return x < v_splat(-87.3f) ? v_splat(0.0f) : result;
}

// tanh x to about 1e-7 absolute, and relative for small x.
INLINE vf v_tanh(vf x) {
    vf magnitude = v_abs(x);
    vf e = v_exp(magnitude * -2.0f);
    vf large = (v_splat(1.0f) - e) / (v_splat(1.0f) + e);
    vf square = x * x;
    vf s = v_splat(62.0f / 2835);
    s = v_fma(s, square, v_splat(-17.0f / 315));
    s = v_fma(s, square, v_splat(2.0f / 15));
    s = v_fma(s, square, v_splat(-1.0f / 3));
    vf small = v_fma(s * square, x, x);
    large = x < v_splat(0.0f) ? -large : large;
    return magnitude < v_splat(0.25f) ? small : large;
}

#endif
