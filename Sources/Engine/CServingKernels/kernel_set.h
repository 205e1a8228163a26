// All kernels for the instruction set that the including file names.
#include "kernels.h"
#include "lanes.h"
#include "linear.h"
#include "rows.h"
#include "attention.h"
#include "adapter.h"

#define KERNEL_SET(set, text)                                                                                    \
    const sk_kernels set = {                                                                                     \
        .name = text, .pack_rows = pack_rows, .linear = linear, .rms_norm = rms_norm, .rotate = rotate,          \
        .gated_activation = gated_activation, .add = add, .scale_and_cap = scale_and_cap, .store = store,        \
        .attend = attend, .merge = merge, .update = update, .quantize_row = quantize_row,                               \
        .add_row = add_row, .square_sum = square_sum,                                                                        \
    };
