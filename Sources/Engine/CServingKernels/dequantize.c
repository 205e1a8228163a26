// Stored elements to float32, in the arithmetic of ggml-quants.c: products and differences in float32, unfused.
#include "blocks.h"

bool sk_dequantize(uint32_t type, const uint8_t *source, float *output, size_t count) {
    switch (type) {
    case SK_TYPE_F32:
        memcpy(output, source, count * 4);
        return true;
    case SK_TYPE_F16:
        for (size_t i = 0; i < count; i++) output[i] = sk_half_to_float(sk_load_u16(source + 2 * i));
        return true;
    case SK_TYPE_BF16:
        for (size_t i = 0; i < count; i++) output[i] = sk_brain_to_float(sk_load_u16(source + 2 * i));
        return true;
    default:
        break;
    }
    if (sk_block_shape_of(type).elements == 0) return false;
    for (size_t block = 0; block < count / 32; block++) {
        sk_block32 b;
        sk_read_block32(type, source, block, &b);
        float d = sk_half_to_float(b.d), m = sk_half_to_float(b.m);
        for (int i = 0; i < 32; i++) {
            float scale = d * (float)b.s[i / 16];
            output[32 * block + (size_t)i] = scale * (float)b.q[i] - m * (float)b.t[i / 16];
        }
    }
    return true;
}
