"""Compiles the CUDA kernels with NVRTC, which needs no GPU, and prints what it says of them.

usage: PBCTL_NVRTC_PATH=$(scripts/fetch-nvrtc) python3 scripts/gpu/kernels.py [ARCHITECTURE]

A Markdown table of registers, spills and shared memory a kernel (weights in bfloat16), then the seconds
that each file of a first start takes, one after another.
"""

import ctypes
import os
import re
import sys
import time
from pathlib import Path

KERNELS = Path(__file__).resolve().parents[2] / "Sources/Engine/ServingCUDA/Kernels"
ATTENTION = [(64, 3), (128, 4), (256, 2)]  # head size, query heads a KV head


def load(folder: Path) -> ctypes.CDLL:
    """NVRTC, its builtins first: it looks for them by name alone."""
    for name in ("libnvrtc-builtins.so.13.0", "libnvrtc.so.13"):
        library = ctypes.CDLL(str(folder / name), ctypes.RTLD_GLOBAL)
    return library


def compile_file(nvrtc: ctypes.CDLL, file: str, macros: list[str], architecture: str) -> str:
    """The compiler's log of one file; an error ends the program with it."""
    program = ctypes.c_void_p()
    header = (ctypes.c_char_p * 1)((KERNELS / "device.cuh").read_bytes())
    names = (ctypes.c_char_p * 1)(b"device.cuh")
    source = (KERNELS / file).read_bytes()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, file.encode(), 1, header, names)
    options = [f"--gpu-architecture={architecture}", "--std=c++17", "--ptxas-options=-v"]
    options += [f"-D{macro}" for macro in macros]
    pointers = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
    status = nvrtc.nvrtcCompileProgram(program, len(options), pointers)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    if status != 0:
        sys.exit(f"{file}: NVRTC error {status}\n{log.value.decode()}")
    return log.value.decode()


def rows(log: str, note: str) -> list[str]:
    """A table's lines of a log."""
    pattern = (
        r"Compiling entry function '(\w+)'.*?(\d+) bytes spill stores.*?Used (\d+) registers([^\n]*)"
    )
    lines = []
    for name, spills, registers, rest in re.findall(pattern, log, re.DOTALL):
        shared = re.search(r"(\d+) bytes smem", rest)
        lines.append(f"| {name}{note} | {registers} | {spills} | {shared[1] if shared else 0} |")
    return lines


def main() -> None:
    folder = os.environ.get("PBCTL_NVRTC_PATH")
    if not folder or len(sys.argv) > 2:
        sys.exit(__doc__)
    architecture = sys.argv[1] if len(sys.argv) == 2 else "sm_90"
    nvrtc = load(Path(folder))
    element = "ELEMENT=bf16"
    units = [(file, [element], "") for file in ("rows.cu", "lora.cu", "products.cu", "sample.cu")]
    units += [("rope_kv.cu", [f"CACHE={cache}"], f", cache of {cache}") for cache in ("f16", "float")]
    for size, group in ATTENTION:
        macros = [f"HEAD_DIM={size}", f"GROUP={group}", "GROUPS=1", "PAGE=16", "TENSOR_CORES=1"]
        units.append(("attend.cu", [*macros, "CACHE=f16", element], f", {group} heads of {size}"))
    print("| kernel | registers | bytes spilled | bytes shared |\n| --- | --- | --- | --- |")
    seconds = []
    for file, macros, note in units:
        started = time.perf_counter()
        log = compile_file(nvrtc, file, macros, architecture)
        seconds.append((file + note, time.perf_counter() - started))
        print("\n".join(rows(log, note)))
    # A model has heads of one size.
    start = [entry for entry in seconds if not entry[0].startswith("attend.cu") or " 128" in entry[0]]
    print("\n" + ", ".join(f"{name} {took:.2f} s" for name, took in start))
    print(f"all of a first start: {sum(took for _, took in start):.2f} s")


if __name__ == "__main__":
    main()
