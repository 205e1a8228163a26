// Conversions between float32 and the 16-bit formats, one element at a time, exact or to nearest even.
#ifndef SK_HALF_H
#define SK_HALF_H

#include <stdint.h>
#include <string.h>

static inline float sk_bits_to_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static inline uint32_t sk_float_to_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

static inline float sk_half_to_float(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fff;
    if (rest >= 0x7c00) return sk_bits_to_float(sign | 0x7f800000 | (rest & 0x3ff) << 13);
    // The exponent is rebased by a product with 2^112, which is exact and also normalises subnormals.
    return sk_bits_to_float(sign | sk_float_to_bits(sk_bits_to_float(rest << 13) * 0x1p112f));
}

static inline uint16_t sk_float_to_half(float value) {
    uint32_t bits = sk_float_to_bits(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
    if (magnitude < 0x38800000) {
        // Subnormal result: adding 0.5 leaves units of 2^-24 in the low bits, rounded to nearest even.
        return (uint16_t)(sign | (sk_float_to_bits(sk_bits_to_float(magnitude) + 0.5f) - 0x3f000000));
    }
    return (uint16_t)(sign | (magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13);
}

static inline float sk_brain_to_float(uint16_t brain) { return sk_bits_to_float((uint32_t)brain << 16); }

static inline uint16_t sk_load_u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

#endif
