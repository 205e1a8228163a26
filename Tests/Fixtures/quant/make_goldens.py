#!/usr/bin/env python3
"""Writes quantised blocks with random bits and the float32 values that the `gguf` Python package decodes them to.

    pip install gguf==0.19.0 numpy
    python3 make_goldens.py

One `<TYPE>.bin` a type: 6 times 256 elements as encoded, then the same elements as little-endian float32. Scales are
random finite f16, so that every path of the formulas is taken.
"""
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize

SCALES = {
    T.Q4_0: (18, [0]), T.Q4_1: (20, [0, 2]), T.Q5_0: (22, [0]), T.Q5_1: (24, [0, 2]), T.Q8_0: (34, [0]),
    T.Q2_K: (84, [80, 82]), T.Q3_K: (110, [108]), T.Q4_K: (144, [0, 2]), T.Q5_K: (176, [0, 2]), T.Q6_K: (210, [208]),
}
random = np.random.default_rng(20)
for kind, (size, offsets) in SCALES.items():
    elements = 32 if size < 40 else 256
    blocks = random.integers(0, 256, (6 * 256 // elements, size), dtype=np.uint8)
    for offset in offsets:
        scales = (random.standard_normal(len(blocks)) * 10.0 ** random.uniform(-6, 1, len(blocks))).astype("<f2")
        blocks[:, offset:offset + 2] = scales.view(np.uint8).reshape(-1, 2)
    values = dequantize(blocks, kind).astype("<f4").reshape(-1)
    with open(f"{kind.name}.bin", "wb") as file:
        file.write(blocks.tobytes() + values.tobytes())

halves = np.arange(65536, dtype="<u2")
halves = halves[np.isfinite(halves.view("<f2"))][::13]
with open("F16.bin", "wb") as file:
    file.write(halves.tobytes() + halves.view("<f2").astype("<f4").tobytes())
brains = random.integers(0, 0x7F80, 1536, dtype=np.uint16) | (random.integers(0, 2, 1536, dtype=np.uint16) << 15)
with open("BF16.bin", "wb") as file:
    file.write(brains.astype("<u2").tobytes() + (brains.astype("<u4") << 16).astype("<u4").tobytes())
