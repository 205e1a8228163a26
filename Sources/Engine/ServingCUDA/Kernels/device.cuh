// What all kernels share: 16-bit floats without NVIDIA's headers, sums over a block in one fixed order, and the few
// words that differ when the same source is compiled for the processor by the simulated driver.
#pragma once

#if !PBCTL_SIMULATED
#define PBCTL_EXPORT(name)
#define DYNAMIC_SHARED(type, name)                                                                                     \
    extern __shared__ __align__(16) unsigned char pbctl_dynamic_shared[];                                              \
    type *name = (type *)pbctl_dynamic_shared
#endif

struct bf16 {
    unsigned short bits;
};
struct f16 {
    unsigned short bits;
};

// What weights, and the rows that cuBLAS multiplies with them, are made of.
#ifndef ELEMENT
#define ELEMENT bf16
#endif
// What keys and values are cached as.
#ifndef CACHE
#define CACHE f16
#endif

__device__ __forceinline__ float value(float x) { return x; }
__device__ __forceinline__ float value(bf16 x) { return __uint_as_float((unsigned)x.bits << 16); }
__device__ __forceinline__ void put(float *target, float x) { *target = x; }
__device__ __forceinline__ void put(bf16 *target, float x) {
    unsigned bits = __float_as_uint(x);
    // To nearest, ties to even; a NaN stays one.
    bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    unsigned rounded = is_nan ? (bits >> 16) | 0x40u : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    target->bits = (unsigned short)rounded;
}
#if PBCTL_SIMULATED
__device__ __forceinline__ float value(f16 x) {
    _Float16 half;
    memcpy(&half, &x, 2);
    return (float)half;
}
__device__ __forceinline__ void put(f16 *target, float x) {
    _Float16 half = (_Float16)x;
    memcpy(target, &half, 2);
}
// Two halves in a word, the first in its low bits.
__device__ __forceinline__ unsigned pack_f16(float low, float high) {
    f16 halves[2];
    put(halves, low);
    put(halves + 1, high);
    return halves[0].bits | (unsigned)halves[1].bits << 16;
}
// d += a b on tensor cores: (16, 8) += (16, 16) (16, 8), fragments as PTX lays out mma.m16n8k16.
__device__ __forceinline__ void multiply(float d[4], const unsigned a[4], const unsigned b[2]) {
    pbctl_mma<unsigned short>(d, a, b, [](unsigned short bits) { return value(f16{bits}); });
}
#else
__device__ __forceinline__ float value(f16 x) {
    float wide;
    asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(x.bits));
    return wide;
}
__device__ __forceinline__ void put(f16 *target, float x) {
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(target->bits) : "f"(x));
}
__device__ __forceinline__ unsigned pack_f16(float low, float high) {
    unsigned word;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
}
__device__ __forceinline__ void multiply(float d[4], const unsigned a[4], const unsigned b[2]) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

#define MINUS_INFINITY __uint_as_float(0xff800000u)

// 16 bytes that are read once: past the first cache, which holds what is read again.
__device__ __forceinline__ uint4 stream_words(const void *from) {
#if PBCTL_SIMULATED
    return *(const uint4 *)from;
#else
    uint4 words;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
                 : "l"(from));
    return words;
#endif
}

// Eight elements as they lie in memory.
template <class T> struct Eight {
    uint4 words[sizeof(T) / 2];

    // From an address of whole 16 bytes; zeros where that may not be read.
    static __device__ __forceinline__ Eight stream(const T *from, bool is_there) {
        Eight eight = {};
        for (int i = 0; i < (int)sizeof(T) / 2; i++)
            if (is_there) eight.words[i] = stream_words((const uint4 *)from + i);
        return eight;
    }
};
__device__ __forceinline__ void unpack_eight(const Eight<float> &eight, float *to) {
    for (int i = 0; i < 2; i++) {
        uint4 words = eight.words[i];
        to[4 * i] = __uint_as_float(words.x), to[4 * i + 1] = __uint_as_float(words.y);
        to[4 * i + 2] = __uint_as_float(words.z), to[4 * i + 3] = __uint_as_float(words.w);
    }
}
template <class T> __device__ __forceinline__ void unpack_eight(const Eight<T> &eight, float *to) {
    unsigned each[4] = {eight.words[0].x, eight.words[0].y, eight.words[0].z, eight.words[0].w};
    for (int i = 0; i < 8; i++) to[i] = value(T{(unsigned short)(each[i / 2] >> (16 * (i % 2)))});
}

// Eight elements from an address of whole 16 bytes.
__device__ __forceinline__ void load_eight(const float *from, float *to) {
    float4 low = ((const float4 *)from)[0], high = ((const float4 *)from)[1];
    to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
    to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
}
template <class T> __device__ __forceinline__ void load_eight(const T *from, float *to) {
    uint4 words = *(const uint4 *)from;
    unsigned each[4] = {words.x, words.y, words.z, words.w};
    for (int i = 0; i < 8; i++) to[i] = value(T{(unsigned short)(each[i / 2] >> (16 * (i % 2)))});
}

// Sums of a warp, in the order of a tree, the same in all lanes.
__device__ __forceinline__ float warp_sum(float x) {
    for (int bits = 16; bits > 0; bits >>= 1) x += __shfl_xor_sync(0xffffffffu, x, bits);
    return x;
}
__device__ __forceinline__ float warp_max(float x) {
    for (int bits = 16; bits > 0; bits >>= 1) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, bits));
    return x;
}

// The sum over a block of whole warps, the same in all threads. All threads must call it.
__device__ __forceinline__ float block_sum(float x) {
    __shared__ float parts[32];
    int warps = blockDim.x / 32;
    x = warp_sum(x);
    __syncthreads();
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
    __syncthreads();
    float sum = 0;
    for (int warp = 0; warp < warps; warp++) sum += parts[warp];
    return sum;
}
