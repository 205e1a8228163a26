// Kernels for any processor: what the compiler makes of them without named instruction sets.
#include "kernel_set.h"

KERNEL_SET(sk_kernels_scalar, "scalar")
