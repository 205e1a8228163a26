// Shapes of quantised panels' blocks of 32 columns (the layout is in pack.c).
#ifndef SK_PANELS_H
#define SK_PANELS_H

#include "serving_kernels.h"

typedef struct {
    int scale_bytes, quant_bytes;
    int parts;       // sub-blocks with scales of their own
    bool has_min;
    bool super;      // f16 scales a 256 columns, int8 ones a sub-block
} sk_panel_shape;

static inline sk_panel_shape sk_panel_shape_of(sk_panel_kind kind) {
    switch (kind) {
    case SK_PANEL_Q4: return (sk_panel_shape){32, 256, 1, true, false};
    case SK_PANEL_Q4_MIN: return (sk_panel_shape){64, 256, 1, true, false};
    case SK_PANEL_Q4_K: return (sk_panel_shape){32, 256, 1, true, true};
    case SK_PANEL_Q4_K16: return (sk_panel_shape){64, 256, 2, true, true};
    case SK_PANEL_Q8: return (sk_panel_shape){32, 512, 1, false, false};
    case SK_PANEL_Q8_MIN: return (sk_panel_shape){64, 512, 1, true, false};
    case SK_PANEL_Q8_K: return (sk_panel_shape){32, 512, 1, true, true};
    case SK_PANEL_Q8_K16: return (sk_panel_shape){32, 512, 2, false, true};
    default: return (sk_panel_shape){0, 0, 1, false, false};
    }
}

#endif
