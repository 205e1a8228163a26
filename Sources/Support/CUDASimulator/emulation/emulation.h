// What a kernel's source sees in place of CUDA's built-ins when it is compiled for the processor. Each thread is a
// fiber of the simulator's; everything that threads do together goes through the table of functions it gives.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <utility>

#include "runtime.h"

struct uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};

static pbctl_runtime *pbctl_now;
extern "C" void pbctl_simulator_bind(pbctl_runtime *runtime) { pbctl_now = runtime; }

// Static shared memory lies in a section of its own, so that the simulator can spoil it before each block.
extern "C" {
extern unsigned char __start_pbctl_shared[] __attribute__((weak, visibility("hidden")));
extern unsigned char __stop_pbctl_shared[] __attribute__((weak, visibility("hidden")));
unsigned char *pbctl_shared_begin() { return __start_pbctl_shared; }
unsigned char *pbctl_shared_end() { return __stop_pbctl_shared; }
}

#define threadIdx (pbctl_now->thread)
#define blockIdx (pbctl_now->block)
#define blockDim (pbctl_now->block_size)
#define gridDim (pbctl_now->grid)
#define warpSize 32
#define __global__
#define __device__ __attribute__((visibility("hidden")))
#define __host__
#define __forceinline__ inline
#define __shared__ static __attribute__((section("pbctl_shared")))
#define __constant__ static
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __restrict__ __restrict
#define DYNAMIC_SHARED(type, name) type *name = (type *)pbctl_now->dynamic_shared

template <class... Arguments> struct pbctl_caller {
    template <void (*kernel)(Arguments...), size_t... index>
    static void call(void **arguments, std::index_sequence<index...>) {
        kernel(*(Arguments *)arguments[index]...);
    }
    template <void (*kernel)(Arguments...)> static void run(void **arguments) {
        call<kernel>(arguments, std::index_sequence_for<Arguments...>());
    }
    static inline const size_t sizes[] = {sizeof(Arguments)..., 0};
};
template <class... Arguments> pbctl_caller<Arguments...> pbctl_caller_of(void (*)(Arguments...));

#define PBCTL_EXPORT(name)                                                                                             \
    extern "C" const pbctl_kernel name##__kernel;                                                                      \
    const pbctl_kernel name##__kernel = {                                                                              \
        decltype(pbctl_caller_of(&name))::run<&name>, decltype(pbctl_caller_of(&name))::sizes,                         \
        sizeof decltype(pbctl_caller_of(&name))::sizes / sizeof(size_t) - 1};

#define PBCTL_PLACE __builtin_return_address(0)

__attribute__((noinline)) static void __syncthreads() { pbctl_now->barrier(PBCTL_PLACE); }
__attribute__((noinline)) static void __syncwarp(unsigned mask = 0xffffffffu) {
    pbctl_now->exchange(mask, 0, PBCTL_PLACE);
}

static inline unsigned pbctl_lane() {
    return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32;
}
template <class T> static inline uint64_t pbctl_bits(T value) {
    static_assert(sizeof(T) <= 8, "a value of at most 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    return bits;
}
template <class T> static inline T pbctl_value(uint64_t bits) {
    T value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
template <class T> __attribute__((noinline)) static T __shfl_sync(unsigned mask, T value, int lane, int width = 32) {
    const uint64_t *all = pbctl_now->exchange(mask, pbctl_bits(value), PBCTL_PLACE);
    return pbctl_value<T>(all[(pbctl_lane() / width * width + (unsigned)lane % (unsigned)width) % 32]);
}
template <class T> __attribute__((noinline)) static T __shfl_xor_sync(unsigned mask, T value, int bits) {
    const uint64_t *all = pbctl_now->exchange(mask, pbctl_bits(value), PBCTL_PLACE);
    return pbctl_value<T>(all[(pbctl_lane() ^ (unsigned)bits) % 32]);
}
template <class T> __attribute__((noinline)) static T __shfl_down_sync(unsigned mask, T value, unsigned by) {
    const uint64_t *all = pbctl_now->exchange(mask, pbctl_bits(value), PBCTL_PLACE);
    unsigned lane = pbctl_lane();
    return lane + by < 32 ? pbctl_value<T>(all[lane + by]) : value;
}
template <class T> __attribute__((noinline)) static T __shfl_up_sync(unsigned mask, T value, unsigned by) {
    const uint64_t *all = pbctl_now->exchange(mask, pbctl_bits(value), PBCTL_PLACE);
    unsigned lane = pbctl_lane();
    return lane >= by ? pbctl_value<T>(all[lane - by]) : value;
}
__attribute__((noinline)) static unsigned __ballot_sync(unsigned mask, int predicate) {
    const uint64_t *all = pbctl_now->exchange(mask, predicate != 0, PBCTL_PLACE);
    unsigned bits = 0;
    for (unsigned lane = 0; lane < 32; lane++)
        if (mask >> lane & 1 && all[lane]) bits |= 1u << lane;
    return bits;
}

// One thread runs at a time, so that atomic operations are plain ones.
template <class T> static inline T atomicAdd(T *target, T value) {
    T old = *target;
    *target = old + value;
    return old;
}
template <class T> static inline T atomicMax(T *target, T value) {
    T old = *target;
    if (value > old) *target = value;
    return old;
}

#define __expf(x) expf(x)
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline float __fdividef(float x, float y) { return x / y; }
template <class T> static inline T __ldg(const T *source) { return *source; }
static inline unsigned __float_as_uint(float x) { return (unsigned)pbctl_bits(x); }
static inline float __uint_as_float(unsigned x) { return pbctl_value<float>(x); }
static inline int __float2int_rn(float x) { return (int)rintf(x); }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
template <class T> static inline T min(T a, T b) { return b < a ? b : a; }
template <class T> static inline T max(T a, T b) { return a < b ? b : a; }

/// D += A B for tiles of 16 x 16 and 16 x 8, each lane holding its part as PTX lays out mma.m16n8k16.
template <class Element>
static inline void pbctl_mma(float d[4], const uint32_t a[4], const uint32_t b[2], float (*decode)(Element)) {
    const uint64_t *seen;
    uint32_t as[32][4], bs[32][2];
    for (int part = 0; part < 2; part++) {
        uint64_t pair = (uint64_t)a[2 * part + 1] << 32 | a[2 * part];
        seen = pbctl_now->exchange(~0u, pair, (const void *)(uintptr_t)(part + 1));
        for (int lane = 0; lane < 32; lane++) {
            as[lane][2 * part] = (uint32_t)seen[lane];
            as[lane][2 * part + 1] = (uint32_t)(seen[lane] >> 32);
        }
    }
    seen = pbctl_now->exchange(~0u, (uint64_t)b[1] << 32 | b[0], (const void *)(uintptr_t)3);
    for (int lane = 0; lane < 32; lane++) {
        bs[lane][0] = (uint32_t)seen[lane];
        bs[lane][1] = (uint32_t)(seen[lane] >> 32);
    }
    auto half = [&](uint32_t word, int which) { return decode((Element)(word >> (16 * which))); };
    int lane = (int)pbctl_lane();
    for (int i = 0; i < 4; i++) {
        int row = lane / 4 + 8 * (i / 2), column = lane % 4 * 2 + i % 2;
        for (int k = 0; k < 16; k++) {
            float x = half(as[row % 8 * 4 + k % 8 / 2][row / 8 + 2 * (k / 8)], k % 2);
            float y = half(bs[column * 4 + k % 8 / 2][k / 8], k % 2);
            d[i] = fmaf(x, y, d[i]);
        }
    }
}
