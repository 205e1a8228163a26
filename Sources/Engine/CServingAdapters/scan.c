// Passes over raw bytes.
#include "serving_adapters.h"

#include <string.h>

// An exponent of ones means infinity or no number. Blocks first, with one test each, so that the compiler vectorises.
#define BLOCK 4096

static size_t first_not_finite_16(const uint8_t *bytes, size_t count, uint16_t exponent) {
    for (size_t start = 0; start < count; start += BLOCK) {
        size_t end = start + BLOCK < count ? start + BLOCK : count;
        unsigned found = 0;
        for (size_t i = start; i < end; i++) {
            uint16_t bits;
            memcpy(&bits, bytes + 2 * i, 2);
            found |= (bits & exponent) == exponent;
        }
        for (size_t i = start; found && i < end; i++) {
            uint16_t bits;
            memcpy(&bits, bytes + 2 * i, 2);
            if ((bits & exponent) == exponent) return i;
        }
    }
    return count;
}

static size_t first_not_finite_32(const uint8_t *bytes, size_t count) {
    const uint32_t exponent = 0x7f800000;
    for (size_t start = 0; start < count; start += BLOCK) {
        size_t end = start + BLOCK < count ? start + BLOCK : count;
        unsigned found = 0;
        for (size_t i = start; i < end; i++) {
            uint32_t bits;
            memcpy(&bits, bytes + 4 * i, 4);
            found |= (bits & exponent) == exponent;
        }
        for (size_t i = start; found && i < end; i++) {
            uint32_t bits;
            memcpy(&bits, bytes + 4 * i, 4);
            if ((bits & exponent) == exponent) return i;
        }
    }
    return count;
}

// Blocks of 32 elements that begin with `scale_count` scales of 16 bits.
static size_t first_not_finite_block(const uint8_t *bytes, size_t count, size_t block_bytes, int scale_count) {
    for (size_t block = 0; block < count / 32; block++) {
        for (int i = 0; i < scale_count; i++) {
            if (first_not_finite_16(bytes + block * block_bytes + 2 * i, 1, 0x7c00) == 0) return 32 * block;
        }
    }
    return count;
}

size_t sa_first_not_finite(uint32_t type, const uint8_t *bytes, size_t count) {
    switch (type) {
    case 0: return first_not_finite_32(bytes, count);
    case 1: return first_not_finite_16(bytes, count, 0x7c00);
    case 30: return first_not_finite_16(bytes, count, 0x7f80);
    case 2: return first_not_finite_block(bytes, count, 18, 1);
    case 3: return first_not_finite_block(bytes, count, 20, 2);
    case 8: return first_not_finite_block(bytes, count, 34, 1);
    default: return count;
    }
}

// The folded product of two words, the mixing step of wyhash (Wang Yi, https://github.com/wangyi-fudan/wyhash).
static inline uint64_t fold(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t word(const uint8_t *bytes) {
    uint64_t value;
    memcpy(&value, bytes, 8);
    return value;
}

// Odd constants: fractions of pi, as in Blowfish's tables.
static const uint64_t keys[4] = {
    0x243f6a8885a308d3, 0x13198a2e03707345, 0xa4093822299f31d1, 0x082efa98ec4e6c89};

// 64 bytes a round in four lanes, so that the products overlap; each word also enters a sum, so that a product of zero
// loses nothing.
void sa_digest(const uint8_t *bytes, size_t count, uint64_t state[2]) {
    uint64_t lanes[4], sums[4] = {0};
    for (int i = 0; i < 4; i++) lanes[i] = state[i & 1] ^ keys[i];
    size_t offset = 0;
    uint8_t tail[64] = {0};
    for (;;) {
        const uint8_t *block = bytes + offset;
        if (count - offset < 64) {
            memcpy(tail, block, count - offset);
            block = tail;
        }
        for (int i = 0; i < 4; i++) {
            uint64_t a = word(block + 16 * i), b = word(block + 16 * i + 8);
            lanes[i] = fold(a ^ keys[i], b ^ lanes[i]);
            sums[i] = (sums[i] << 7 | sums[i] >> 57) + a + (b << 32 | b >> 32);
        }
        if (block == tail) break;
        offset += 64;
    }
    uint64_t first = state[0] ^ (uint64_t)count, second = state[1] + keys[3];
    for (int i = 0; i < 4; i++) {
        first = fold(first ^ lanes[i], keys[i] ^ sums[i]);
        second = fold(second ^ sums[i], keys[3 - i] + lanes[i]) + lanes[i];
    }
    state[0] = fold(first ^ keys[0], second ^ keys[1]);
    state[1] = fold(second ^ keys[2], first ^ keys[3]) ^ first;
}
