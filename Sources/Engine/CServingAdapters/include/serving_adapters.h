// Passes over whole tensors that reading and merging adapters needs: finite or not, digest, encoding, row arithmetic.
//
// Called by ServingAdapters only, from any thread; nothing here keeps state.
#ifndef SERVING_ADAPTERS_H
#define SERVING_ADAPTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Position of the first element that is infinite or no number, or `count`; in blocks, of the first in a block
// whose scales are. Type codes of GGUF: 0 F32, 1 F16, 30 BF16, 2 Q4_0, 3 Q4_1, 8 Q8_0; others are not looked into.
size_t sa_first_not_finite(uint32_t type, const uint8_t *bytes, size_t count);

// Folds bytes into a 128-bit state. For telling contents apart, not for security: an attacker can make collisions.
void sa_digest(const uint8_t *bytes, size_t count, uint64_t state[2]);

// target[i] += factor * source[i]
void sa_add_scaled(float *target, const float *source, float factor, size_t count);

// The sum of squares, in double.
double sa_square_sum(const float *values, size_t count);

// Encodes `count` elements, a whole number of blocks, as ggml's reference quantisers do (ggml-quants.c,
// quantize_row_*_ref). Types: F32, F16, BF16, Q8_0, Q4_0, Q4_1; false for others.
bool sa_encode(uint32_t type, const float *source, uint8_t *output, size_t count);

#endif
