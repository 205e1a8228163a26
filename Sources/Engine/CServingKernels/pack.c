// Weights from their stored rows into panels of 16 rows, the order in which the kernels read them.
//
// Float kinds: [column][16 rows].
// Quantised kinds: for each block of 32 columns
//   scales   d (16 x f16), then m (16 x f16) in kinds with a minimum;
//            K kinds: s (16 x int8) for each sub-block, then t likewise in kinds with a minimum; and before every
//            eighth block, D (16 x f16) and M (16 x f16)
//   quants   4 bit: 4 x 64 bytes, byte 4 r + j of the i-th has column 4 i + j of row r in its low nibble and column
//            16 + 4 i + j in its high nibble; 8 bit: 8 x 64 bytes, byte 4 r + j of the i-th has column 4 i + j
// So one 64-byte load holds four consecutive columns of 16 rows, what a four-way byte dot product takes.
#include "blocks.h"
#include "panels.h"

int sk_panel_kind_for_type(uint32_t type) {
    switch (type) {
    case SK_TYPE_F32: return SK_PANEL_F32;
    case SK_TYPE_F16: return SK_PANEL_F16;
    case SK_TYPE_BF16: return SK_PANEL_BF16;
    case SK_TYPE_Q4_0: return SK_PANEL_Q4;
    case SK_TYPE_Q4_1: return SK_PANEL_Q4_MIN;
    case SK_TYPE_Q5_0:
    case SK_TYPE_Q8_0: return SK_PANEL_Q8;
    case SK_TYPE_Q5_1: return SK_PANEL_Q8_MIN;
    case SK_TYPE_Q2_K:
    case SK_TYPE_Q3_K: return SK_PANEL_Q4_K16;
    case SK_TYPE_Q4_K: return SK_PANEL_Q4_K;
    case SK_TYPE_Q5_K: return SK_PANEL_Q8_K;
    case SK_TYPE_Q6_K: return SK_PANEL_Q8_K16;
    default: return -1;
    }
}

bool sk_panel_is_quantized(sk_panel_kind kind) { return kind >= SK_PANEL_Q4; }

size_t sk_panel_bytes(sk_panel_kind kind, size_t columns) {
    switch (kind) {
    case SK_PANEL_F32: return columns * 64;
    case SK_PANEL_F16:
    case SK_PANEL_BF16: return columns * 32;
    default: break;
    }
    sk_panel_shape shape = sk_panel_shape_of(kind);
    size_t blocks = columns / SK_BLOCK_COLUMNS;
    size_t bytes = blocks * (size_t)(shape.scale_bytes + shape.quant_bytes);
    if (shape.super) bytes += (blocks + 7) / 8 * 64;
    return (bytes + 63) / 64 * 64;
}

static void pack_float_panel(const sk_packing *p, size_t first_row, uint8_t *panel) {
    size_t rows = p->rows - first_row < 16 ? p->rows - first_row : 16;
    if (p->kind == p->type || (p->kind == SK_PANEL_BF16 && p->type == SK_TYPE_BF16)) {
        size_t width = p->kind == SK_PANEL_F32 ? 4 : 2;
        for (size_t r = 0; r < rows; r++) {
            const uint8_t *row = p->source + (first_row + r) * p->row_bytes;
            if (width == 4) {
                for (size_t c = 0; c < p->columns; c++) memcpy(panel + (c * 16 + r) * 4, row + c * 4, 4);
            } else {
                for (size_t c = 0; c < p->columns; c++) memcpy(panel + (c * 16 + r) * 2, row + c * 2, 2);
            }
        }
        return;
    }
    float *output = (float *)(void *)panel;
    sk_block_shape shape = sk_block_shape_of(p->type);
    float values[256];
    for (size_t r = 0; r < rows; r++) {
        const uint8_t *row = p->source + (first_row + r) * p->row_bytes;
        for (size_t c = 0; c < p->columns; c += (size_t)shape.elements) {
            const uint8_t *block = row + c / (size_t)shape.elements * (size_t)shape.bytes;
            sk_dequantize(p->type, block, values, (size_t)shape.elements);
            for (int i = 0; i < shape.elements; i++) output[(c + (size_t)i) * 16 + r] = values[i];
        }
    }
}

static void put_u16(uint8_t *p, size_t index, uint16_t value) { memcpy(p + 2 * index, &value, 2); }

// Puts row r of one decoded block into a panel's block. `super` is where the D and M of its 256 columns stand.
static void pack_block(sk_panel_kind kind, const sk_block32 *b, size_t r, uint8_t *super, uint8_t *block) {
    sk_panel_shape shape = sk_panel_shape_of(kind);
    if (shape.super) {
        put_u16(super, r, b->d);
        put_u16(super + 32, r, b->m);
        for (int h = 0; h < shape.parts; h++) {
            block[16 * h + (int)r] = (uint8_t)b->s[h];
            if (shape.has_min) block[16 * (shape.parts + h) + (int)r] = (uint8_t)b->t[h];
        }
    } else {
        put_u16(block, r, b->d);
        if (shape.has_min && kind != SK_PANEL_Q4) put_u16(block + 32, r, b->m);
    }
    uint8_t *quants = block + shape.scale_bytes;
    for (size_t i = 0; i < 32; i++) {
        if (shape.quant_bytes == 512) {
            quants[i / 4 * 64 + 4 * r + i % 4] = (uint8_t)b->q[i];
        } else if (i < 16) {
            quants[i / 4 * 64 + 4 * r + i % 4] = (uint8_t)(b->q[i] | b->q[i + 16] << 4);
        }
    }
}

static void pack_quantized_panel(const sk_packing *p, size_t first_row, uint8_t *panel) {
    size_t rows = p->rows - first_row < 16 ? p->rows - first_row : 16, blocks = p->columns / SK_BLOCK_COLUMNS;
    sk_panel_shape shape = sk_panel_shape_of(p->kind);
    uint8_t *super = panel, *block = panel;
    for (size_t index = 0; index < blocks; index++, block += shape.scale_bytes + shape.quant_bytes) {
        if (shape.super && index % 8 == 0) {
            super = block;
            block += 64;
        }
        for (size_t r = 0; r < rows; r++) {
            const uint8_t *row = p->source + (first_row + r) * p->row_bytes;
            if (p->type == SK_TYPE_Q4_0 || p->type == SK_TYPE_Q4_1 || p->type == SK_TYPE_Q8_0) {
                // The stored order of quants is the panel's: whole words move.
                size_t head = p->type == SK_TYPE_Q4_1 ? 4 : 2, words = shape.quant_bytes / 64;
                const uint8_t *stored = row + index * (head + 4 * words);
                memcpy(block + 2 * r, stored, 2);
                if (head == 4) memcpy(block + 32 + 2 * r, stored + 2, 2);
                for (size_t i = 0; i < words; i++)
                    memcpy(block + shape.scale_bytes + i * 64 + 4 * r, stored + head + 4 * i, 4);
                continue;
            }
            sk_block32 b;
            sk_read_block32(p->type, row, index, &b);
            if (p->type == SK_TYPE_Q3_K) {
                // Quants -4 ... 3 are kept as 0 ... 7: d s q = d s (q + 4) - d (4 s), and 4 s fits (-32 <= s < 32).
                b.m = b.d;
                for (int h = 0; h < 2; h++) b.t[h] = (int8_t)(4 * b.s[h]);
                for (int i = 0; i < 32; i++) b.q[i] = (int8_t)(b.q[i] + 4);
            }
            pack_block(p->kind, &b, r, super, block);
        }
    }
}

static void pack_chunk(void *context, int chunk, int worker) {
    (void)worker;
    const sk_packing *p = context;
    size_t bytes = sk_panel_bytes(p->kind, p->columns);
    uint8_t *panel = p->panels + (size_t)chunk * bytes;
    if ((size_t)chunk * 16 + 16 > p->rows) memset(panel, 0, bytes);
    if (sk_panel_is_quantized(p->kind))
        pack_quantized_panel(p, (size_t)chunk * 16, panel);
    else
        pack_float_panel(p, (size_t)chunk * 16, panel);
}

void sk_pack(sk_pool *pool, const sk_packing *packing) {
    sk_pool_run(pool, (int)((packing->rows + 15) / 16), pack_chunk, (void *)packing);
}
