// Which kernels this processor and system can run.
#include "kernels.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

typedef struct { bool avx2, avx512; } features;

static features detect(void) {
    features found = {false, false};
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return found;
    bool saves_registers = c >> 27 & 1, fma = c >> 12 & 1, f16c = c >> 29 & 1, avx = c >> 28 & 1;
    if (!saves_registers || !fma || !f16c || !avx) return found;
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & 0x6) != 0x6) return found;   // the system does not save the 256-bit registers
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return found;
    found.avx2 = b >> 5 & 1;
    bool base = (b >> 16 & 1) && (b >> 17 & 1) && (b >> 30 & 1) && (b >> 31 & 1), vnni = c >> 11 & 1;
    found.avx512 = found.avx2 && base && vnni && (low & 0xe6) == 0xe6;
    return found;
}
#endif

const sk_kernels *sk_kernels_select(const char *override) {
#if defined(__x86_64__)
    features found = detect();
    const sk_kernels *sets[] = {
        found.avx512 ? &sk_kernels_avx512 : NULL, found.avx2 ? &sk_kernels_avx2 : NULL, &sk_kernels_scalar,
    };
#else
    const sk_kernels *sets[] = {&sk_kernels_scalar};
#endif
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (sets[i] != NULL && (override == NULL || strcmp(override, sets[i]->name) == 0)) return sets[i];
    return NULL;
}

const char *sk_kernels_name(const sk_kernels *kernels) { return kernels->name; }
