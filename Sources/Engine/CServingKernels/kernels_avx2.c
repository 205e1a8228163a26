// Kernels for x86-64 with AVX2, FMA and F16C (Haswell, Zen and later).
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>
#include <math.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#define SK_AVX2 1
#include "kernel_set.h"

KERNEL_SET(sk_kernels_avx2, "avx2")
#pragma clang attribute pop
#endif
