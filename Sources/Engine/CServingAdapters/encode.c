// Float32 rows: arithmetic and encodings. Blocks hold 32 elements; low nibbles are the first sixteen.
#include "serving_adapters.h"

#include <float.h>
#include <math.h>
#include <string.h>

void sa_add_scaled(float *target, const float *source, float factor, size_t count) {
    for (size_t i = 0; i < count; i++) target[i] += factor * source[i];
}

double sa_square_sum(const float *values, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)values[i] * (double)values[i];
    return sum;
}

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

// To nearest even.
static uint16_t half_of(float value) {
    uint32_t bits = bits_of(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
    if (magnitude < 0x38800000) {
        return (uint16_t)(sign | (bits_of(float_of(magnitude) + 0.5f) - 0x3f000000));
    }
    return (uint16_t)(sign | (magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13);
}

// To nearest even; what is no number stays none.
static uint16_t brain_of(float value) {
    uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 64);
    return (uint16_t)((bits + (0x7fff + (bits >> 16 & 1))) >> 16);
}

static void put16(uint8_t *output, uint16_t value) { memcpy(output, &value, 2); }

static uint8_t nibble(float value) {
    int rounded = (int)(int8_t)value;
    return (uint8_t)(rounded > 15 ? 15 : rounded);
}

static void encode_q8_0(const float *x, uint8_t *y) {
    float largest = 0;
    for (int i = 0; i < 32; i++) largest = fmaxf(largest, fabsf(x[i]));
    float d = largest / 127.0f, inverse = d != 0 ? 1.0f / d : 0.0f;
    put16(y, half_of(d));
    for (int i = 0; i < 32; i++) y[2 + i] = (uint8_t)(int8_t)roundf(x[i] * inverse);
}

// The element of largest magnitude becomes -8.
static void encode_q4_0(const float *x, uint8_t *y) {
    float largest = 0, signed_largest = 0;
    for (int i = 0; i < 32; i++) {
        if (largest < fabsf(x[i])) {
            largest = fabsf(x[i]);
            signed_largest = x[i];
        }
    }
    float d = signed_largest / -8.0f, inverse = d != 0 ? 1.0f / d : 0.0f;
    put16(y, half_of(d));
    for (int i = 0; i < 16; i++) {
        y[2 + i] = (uint8_t)(nibble(x[i] * inverse + 8.5f) | nibble(x[i + 16] * inverse + 8.5f) << 4);
    }
}

static void encode_q4_1(const float *x, uint8_t *y) {
    float least = FLT_MAX, most = -FLT_MAX;
    for (int i = 0; i < 32; i++) {
        if (x[i] < least) least = x[i];
        if (x[i] > most) most = x[i];
    }
    float d = (most - least) / 15.0f, inverse = d != 0 ? 1.0f / d : 0.0f;
    put16(y, half_of(d));
    put16(y + 2, half_of(least));
    for (int i = 0; i < 16; i++) {
        y[4 + i] =
            (uint8_t)(nibble((x[i] - least) * inverse + 0.5f) | nibble((x[i + 16] - least) * inverse + 0.5f) << 4);
    }
}

bool sa_encode(uint32_t type, const float *source, uint8_t *output, size_t count) {
    switch (type) {
    case 0:
        memcpy(output, source, 4 * count);
        return true;
    case 1:
        for (size_t i = 0; i < count; i++) put16(output + 2 * i, half_of(source[i]));
        return true;
    case 30:
        for (size_t i = 0; i < count; i++) put16(output + 2 * i, brain_of(source[i]));
        return true;
    case 2:
        for (size_t i = 0; i < count / 32; i++) encode_q4_0(source + 32 * i, output + 18 * i);
        return true;
    case 3:
        for (size_t i = 0; i < count / 32; i++) encode_q4_1(source + 32 * i, output + 20 * i);
        return true;
    case 8:
        for (size_t i = 0; i < count / 32; i++) encode_q8_0(source + 32 * i, output + 34 * i);
        return true;
    default: return false;
    }
}
