// Kernels for x86-64 with AVX-512 and its byte dot products (Ice Lake, Zen 4 and later).
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>
#include <math.h>

#pragma clang attribute push(                                                                      \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"))),        \
    apply_to = function)
#define SK_AVX512 1
#include "kernel_set.h"

KERNEL_SET(sk_kernels_avx512, "avx512")
#pragma clang attribute pop
#endif
