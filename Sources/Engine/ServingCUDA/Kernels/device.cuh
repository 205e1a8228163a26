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
#else
__device__ __forceinline__ float value(f16 x) {
    float wide;
    asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(x.bits));
    return wide;
}
__device__ __forceinline__ void put(f16 *target, float x) {
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(target->bits) : "f"(x));
}
#endif

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
