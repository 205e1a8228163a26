#!/usr/bin/env python3
"""Times PyTorch peers of pbctl's CUDA engine on one GPU, on random bf16 weights of a model's shape.

Peers:
  torch-graph        a Llama decoder of our own: fused weights, cuBLAS, flash attention, and the
                     whole decode step replayed as one CUDA graph. The fair floor.
  torch-graph-fused  the same, its elementwise operations fused by torch.compile
  transformers       LlamaForCausalLM.generate with a static cache and torch.compile, else eager
  peft               the same model, eager, with LoRA adapters mixed in a batch by `adapter_names`

A cell is one (adapters, batch). Its requests go round-robin over the adapters, so that at most
`batch` of them are in use. Adapters sit on all seven linear modules with scaling 1. RoPE is plain:
Llama 3.1's frequency scaling costs nothing at run time. A cell that fails is a row with its error.

Letters in comments: S sequences, T tokens of each, C cache positions, L layers, E hidden,
H query heads, K KV heads, D head dim, F FFN, V vocabulary, A adapters, R rank.
"""

import argparse
import contextlib
import functools
import gc
import importlib.metadata
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel


@dataclass(frozen=True)
class Shape:
    """The sizes of a Llama model."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    ffn: int
    vocab: int
    tied: bool = False
    theta: float = 500_000.0
    epsilon: float = 1e-5

    @property
    def head_dim(self) -> int:
        return self.hidden // self.heads


SHAPES = {
    "8b": Shape(4096, 32, 32, 8, 14336, 128256),  # Llama-3.1-8B
    "1b": Shape(2048, 16, 32, 8, 8192, 128256, tied=True),  # Llama-3.2-1B
    "tiny": Shape(256, 2, 8, 2, 512, 1000),
}

# Gives the tensor of a name in the transformers layout, in the shape asked for. A LoRA pair is
# asked for by `<module>.lora_A`, (A, R, in), and `<module>.lora_B`, (A, out, R).
Load = Callable[[str, tuple[int, ...]], Tensor]


def random_load(device: str, dtype: torch.dtype, seed: int = 0) -> Load:
    """Norms are ones, all else is drawn from N(0, 0.02)."""
    generator = torch.Generator(device).manual_seed(seed)

    def load(name: str, shape: tuple[int, ...]) -> Tensor:
        tensor = torch.empty(shape, device=device, dtype=dtype)
        if name.endswith("norm.weight"):
            return tensor.fill_(1)
        return tensor.normal_(0, 0.02, generator=generator)

    return load


# torch-graph: elementwise operations. torch-graph-fused compiles these three.


def add_norm(x: Tensor, delta: Tensor, weight: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """The residual sum and its RMSNorm, each (S, T, E)."""
    x = x + delta
    return x, F.rms_norm(x, weight.shape, weight, epsilon)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE on x (S, T, heads, D); cos and sin (T, 1, D), the first half of sin negated."""
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)


def silu_mul(gate_up: Tensor) -> Tensor:
    """(S, T, 2F) -> (S, T, F)"""
    gate, up = gate_up.chunk(2, -1)
    return F.silu(gate) * up


@dataclass(frozen=True)
class LoRA:
    """How many adapters a peer holds, and the rank of each."""

    adapters: int
    rank: int


class Linear:
    """Modules of one input fused into one weight (out, in), with a stacked LoRA pair for each."""

    def __init__(self, load: Load, modules: dict[str, int], inputs: int, lora: LoRA) -> None:
        """`modules` maps the name of each module to its output size."""
        self.weight = torch.cat([load(f"{m}.weight", (out, inputs)) for m, out in modules.items()])
        self.pairs = [
            (
                load(f"{m}.lora_A", (lora.adapters, lora.rank, inputs)),
                load(f"{m}.lora_B", (lora.adapters, out, lora.rank)),
            )
            for m, out in modules.items()
            if lora.adapters
        ]

    def __call__(self, x: Tensor, slots: Tensor) -> Tensor:
        """x (S, T, in) -> (S, T, out); slots (S,) is each sequence's adapter.

        One adapter takes two plain products; more are gathered per sequence for two bmm.
        """
        output = F.linear(x, self.weight)
        end = 0
        for a, b in self.pairs:
            start, end = end, end + b.shape[1]
            part = output[..., start:end]
            if len(a) == 1:
                part += F.linear(F.linear(x, a[0]), b[0])
            else:
                part += x @ a.index_select(0, slots).mT @ b.index_select(0, slots).mT
        return output


class Layer:
    """One decoder layer's weights."""

    def __init__(self, load: Load, shape: Shape, index: int, lora: LoRA) -> None:
        name = f"model.layers.{index}"
        attention, mlp = f"{name}.self_attn", f"{name}.mlp"
        hidden, ffn = shape.hidden, shape.ffn
        queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        qkv = {f"{attention}.q_proj": queries}
        qkv |= {f"{attention}.k_proj": keys, f"{attention}.v_proj": keys}
        gate_up = {f"{mlp}.gate_proj": ffn, f"{mlp}.up_proj": ffn}

        self.input_norm = load(f"{name}.input_layernorm.weight", (hidden,))
        self.qkv = Linear(load, qkv, hidden, lora)
        self.output = Linear(load, {f"{attention}.o_proj": hidden}, queries, lora)
        self.ffn_norm = load(f"{name}.post_attention_layernorm.weight", (hidden,))
        self.gate_up = Linear(load, gate_up, hidden, lora)
        self.down = Linear(load, {f"{mlp}.down_proj": hidden}, ffn, lora)


class Cache(NamedTuple):
    """The KV cache (L, 2, S, K, C, D) and RoPE's tables for its positions, (C, 1, D)."""

    kv: Tensor
    cos: Tensor
    sin: Tensor


class Decoder:
    """A Llama decoder over a contiguous KV cache."""

    def __init__(self, load: Load, shape: Shape, lora: LoRA, fused: bool = False) -> None:
        self.shape = shape
        table = (shape.vocab, shape.hidden)
        self.embedding = load("model.embed_tokens.weight", table)
        self.head = self.embedding if shape.tied else load("lm_head.weight", table)
        self.norm = load("model.norm.weight", (shape.hidden,))
        self.layers = [Layer(load, shape, i, lora) for i in range(shape.layers)]
        # dynamic=False: one version for each batch, as the captured graphs are.
        wrap = functools.partial(torch.compile, dynamic=False) if fused else (lambda f: f)
        self.add_norm, self.rotate, self.silu_mul = map(wrap, (add_norm, rotate, silu_mul))

    def cache(self, batch: int, positions: int) -> Cache:
        """A cache of random keys and values."""
        shape, like = self.shape, self.embedding
        dim, device = shape.head_dim, like.device
        kv = like.new_empty(shape.layers, 2, batch, shape.kv_heads, positions, dim)
        kv.normal_(generator=torch.Generator(device).manual_seed(1))
        exponents = torch.arange(0, dim, 2, device=device) / dim
        angles = torch.arange(positions, device=device)[:, None] / shape.theta**exponents
        cos, sin = angles.cos(), angles.sin()
        tables = torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1)
        return Cache(kv, *(table[:, None].to(like.dtype) for table in tables))

    def forward(
        self, tokens: Tensor, positions: Tensor, cache: Cache, window: int, slots: Tensor
    ) -> Tensor:
        """The logits (S, V) after the last of tokens (S, T), whose KV goes to positions (T,).

        T = 1 attends to the first `window` cache positions. T > 1 is a whole prompt: causal over
        its own tokens, positions from 0.
        """
        shape = self.shape
        heads, kv_heads = shape.heads, shape.kv_heads
        cos, sin = (table.index_select(0, positions) for table in (cache.cos, cache.sin))
        x = F.embedding(tokens, self.embedding)
        h = F.rms_norm(x, (shape.hidden,), self.layers[0].input_norm, shape.epsilon)
        next_norms = [layer.input_norm for layer in self.layers[1:]] + [self.norm]
        for layer, next_norm, (keys, values) in zip(self.layers, next_norms, cache.kv):
            qkv = layer.qkv(h, slots).unflatten(-1, (heads + 2 * kv_heads, shape.head_dim))
            q, k = self.rotate(qkv[:, :, :-kv_heads], cos, sin).split((heads, kv_heads), 2)
            v = qkv[:, :, -kv_heads:]
            keys.index_copy_(2, positions, k.transpose(1, 2))
            values.index_copy_(2, positions, v.transpose(1, 2))
            if tokens.shape[1] == 1:
                mixed = attend(q, keys[:, :, :window], values[:, :, :window])
            else:
                q, k, v = (part.transpose(1, 2) for part in (q, k, v))  # (S, heads, T, D)
                mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
                mixed = mixed.transpose(1, 2)
            mixed = layer.output(mixed.flatten(2), slots)
            x, h = self.add_norm(x, mixed, layer.ffn_norm, shape.epsilon)
            mlp = layer.down(self.silu_mul(layer.gate_up(h, slots)), slots)
            x, h = self.add_norm(x, mlp, next_norm, shape.epsilon)
        return F.linear(h[:, -1], self.head)


def attend(q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Decode attention of q (S, 1, H, D) over keys and values (S, K, C, D) -> (S, 1, H, D).

    The query heads of a KV head go in as its query rows, so that its cache is read once.
    """
    grouped = q[:, 0].unflatten(1, (keys.shape[1], -1))  # (S, K, H/K, D)
    return F.scaled_dot_product_attention(grouped, keys, values).flatten(1, 2).unsqueeze(1)


class DecodeLoop:
    """Greedy decoding with all state in fixed device buffers: tokens (S, 1), position (1,), cache.

    The cache is prefilled with random values. Each step writes its KV at `position`, but attention
    reads a fixed `context + steps / 2` positions: the mean over the run, so that the bytes read are
    those of a growing context while every step is the same graph. Tokens are thus timing only.
    """

    def __init__(
        self, decoder: Decoder, batch: int, context: int, steps: int, adapters: int
    ) -> None:
        self.decoder = decoder
        self.context = context
        self.window = context + (steps + 1) // 2
        self.cache = decoder.cache(batch, context + steps)
        device = self.cache.kv.device
        self.slots = torch.arange(batch, device=device) % max(adapters, 1)
        self.tokens = torch.empty((batch, 1), device=device, dtype=torch.long)
        self.position = torch.empty(1, device=device, dtype=torch.long)
        self.rewind()
        self.graph = self._capture() if device.type == "cuda" else None

    def rewind(self) -> None:
        seeds = torch.arange(len(self.tokens), device=self.tokens.device)[:, None]
        self.tokens.copy_(seeds % self.decoder.shape.vocab)
        self.position.fill_(self.context)

    def step(self) -> None:
        """One step, launched kernel by kernel: the argmax becomes the next step's token."""
        logits = self.decoder.forward(
            self.tokens, self.position, self.cache, self.window, self.slots
        )
        self.tokens.copy_(logits.argmax(-1, keepdim=True))
        self.position.add_(1)

    def run(self, steps: int) -> None:
        advance = self.graph.replay if self.graph else self.step
        self.rewind()
        for _ in range(steps):
            advance()

    def _capture(self) -> torch.cuda.CUDAGraph:
        # Warm up beside the main stream: compilation and library handles cannot be captured.
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.step()
                self.rewind()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.step()
        return graph


# Peers


class Timing(NamedTuple):
    """Milliseconds of each repeat, of a step or of a prompt, and how the work was launched."""

    milliseconds: list[float]
    mode: str


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def samples(device: str, repeats: int, run: Callable[[], Any]) -> list[float]:
    """Milliseconds of each of `repeats` runs, after one that is not counted."""
    run()
    times = []
    for _ in range(repeats):
        synchronize(device)
        start = time.perf_counter()
        run()
        synchronize(device)
        times.append((time.perf_counter() - start) * 1e3)
    return times


class TorchGraph:
    """A Decoder whose decode step is one CUDA graph; on a CPU, eager."""

    def __init__(self, shape: Shape, device: str, lora: LoRA, fused: bool) -> None:
        self.device = device
        self.adapters = lora.adapters
        self.decoder = Decoder(random_load(device, torch.bfloat16), shape, lora, fused)

    def decode(self, batch: int, context: int, steps: int, repeats: int) -> Timing:
        """The time of a step."""
        with flash_first():
            loop = DecodeLoop(self.decoder, batch, context, steps, self.adapters)
            times = samples(self.device, repeats, lambda: loop.run(steps))
        return Timing([time / steps for time in times], "CUDA graph" if loop.graph else "eager")

    def prefill(self, prompt: int, repeats: int) -> Timing:
        """The time of one prompt of `prompt` tokens."""
        positions = torch.arange(prompt, device=self.device)
        tokens = (positions % self.decoder.shape.vocab)[None]
        cache = self.decoder.cache(1, prompt)

        def run() -> None:
            self.decoder.forward(tokens, positions, cache, prompt, positions[:1]).argmax(-1)

        with flash_first():
            return Timing(samples(self.device, repeats, run), "eager")


def flash_first() -> contextlib.AbstractContextManager[None]:
    """Flash attention splits a long cache over the GPU; the others are for dtypes it lacks."""
    order = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    return sdpa_kernel(order, set_priority=True)


def llama(shape: Shape, device: str, dtype: torch.dtype) -> Any:
    """A random LlamaForCausalLM that never stops early."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(
        vocab_size=shape.vocab,
        hidden_size=shape.hidden,
        intermediate_size=shape.ffn,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=131072,
        rms_norm_eps=shape.epsilon,
        tie_word_embeddings=shape.tied,
        rope_parameters={"rope_type": "default", "rope_theta": shape.theta},
        bos_token_id=None,
        eos_token_id=None,
    )
    with torch.device(device):
        return AutoModelForCausalLM.from_config(
            config, dtype=dtype, attn_implementation="sdpa"
        ).eval()


def with_adapters(model: Any, lora: LoRA) -> Any:
    """A PeftModel with adapters "0", "1", ... on all linear modules, A and B random."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.rank,
        target_modules=[f"{m}_proj" for m in ("q", "k", "v", "o", "gate", "up", "down")],
        init_lora_weights=False,
    )
    # By default peft keeps adapters of a bf16 model in float32. Adding them takes time that grows
    # with the square of their number: a minute for 64 in 32 layers.
    with torch.device(model.device):
        model = get_peft_model(model, config, adapter_name="0", autocast_adapter_dtype=False)
        for index in range(1, lora.adapters):
            model.add_adapter(str(index), config, autocast_adapter_dtype=False)
    return model.eval()


def round_robin(batch: int, adapters: int) -> list[str]:
    """The adapter of each sequence."""
    return [str(row % adapters) for row in range(batch)]


class Stopwatch:
    """A logits processor that changes nothing and reads the clock at two tokens of `generate`."""

    def __init__(self, device: str, first: int, last: int) -> None:
        self.device, self.first, self.last = device, first, last
        self.count = 0
        self.times: list[float] = []

    def __call__(self, tokens: Tensor, scores: Tensor) -> Tensor:
        self.count += 1
        if self.count in (self.first, self.last):
            synchronize(self.device)
            self.times.append(time.perf_counter())
        return scores

    @property
    def milliseconds(self) -> float:
        start, end = self.times
        return (end - start) * 1e3


class Transformers:
    """`generate`, compiled on a GPU if that works."""

    # Tokens before the clock starts: prefill, and CUDA graphs recorded anew for each new cache.
    SKIPPED = 8

    def __init__(self, shape: Shape, device: str, lora: LoRA) -> None:
        if lora.adapters:
            raise ValueError("measured without adapters only (see --peer peft)")
        self.device = device
        self.model = llama(shape, device, torch.bfloat16)
        self.mode = "compiled" if device == "cuda" else "eager"

    def decode(self, batch: int, context: int, steps: int, repeats: int) -> Timing:
        """The time of a step: that of SKIPPED + steps tokens less that of SKIPPED, over steps."""
        if self.mode == "compiled":
            try:
                # With a static cache on a GPU, generate compiles its steps by "reduce-overhead".
                static = {"cache_implementation": "static"}
                return self._generate(batch, context, steps, repeats, static)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                self.mode = f"eager, compiling failed: {describe(error)}"
            release()
        return self._generate(batch, context, steps, repeats, {})

    def prefill(self, prompt: int, repeats: int) -> Timing:
        """The time of one prompt of `prompt` tokens."""
        tokens = self._prompt(1, prompt)
        run = functools.partial(self.model, tokens, logits_to_keep=1)
        return Timing(samples(self.device, repeats, run), "eager")

    def _prompt(self, batch: int, count: int) -> Tensor:
        generator = torch.Generator(self.device).manual_seed(2)
        vocab = self.model.config.vocab_size
        return torch.randint(vocab, (batch, count), device=self.device, generator=generator)

    def _generate(
        self, batch: int, context: int, steps: int, repeats: int, options: dict[str, Any]
    ) -> Timing:
        prompt = self._prompt(batch, context)
        times = []
        for _ in range(1 + repeats):
            stopwatch = Stopwatch(self.device, self.SKIPPED, self.SKIPPED + steps)
            self.model.generate(
                inputs=prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=self.SKIPPED + steps,
                do_sample=False,
                logits_processor=[stopwatch],
                **options,
            )
            times.append(stopwatch.milliseconds / steps)
        return Timing(times[1:], self.mode)


class Peft(Transformers):
    """`generate` through a PeftModel, whose mixed batches run eagerly."""

    def __init__(self, shape: Shape, device: str, lora: LoRA) -> None:
        super().__init__(shape, device, LoRA(0, 0))
        self.adapters = lora.adapters
        self.mode = "eager"
        if lora.adapters:
            self.model = with_adapters(self.model, lora)

    def decode(self, batch: int, context: int, steps: int, repeats: int) -> Timing:
        """The time of a step, as in Transformers.decode."""
        names = {"adapter_names": round_robin(batch, self.adapters)} if self.adapters else {}
        return self._generate(batch, context, steps, repeats, names)


PEERS: dict[str, Callable[..., Any]] = {
    "torch-graph": functools.partial(TorchGraph, fused=False),
    "torch-graph-fused": functools.partial(TorchGraph, fused=True),
    "transformers": Transformers,
    "peft": Peft,
}


# Cells


def describe(error: Exception) -> str:
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"


def versions() -> dict[str, str]:
    """Of the packages at hand: torch-graph needs torch alone."""
    found = {"torch": str(torch.__version__)}
    for name in ("transformers", "peft"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def release() -> None:
    """Gives back the memory of the cell before."""
    gc.collect()
    torch.compiler.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class Report:
    """Prints a row and rewrites the JSON file for each record: a run cut short keeps its cells."""

    COLUMNS = ("peer", "shape", "phase", "batch", "context", "adapters")

    def __init__(self, path: str | None, common: dict[str, Any]) -> None:
        self.path = path
        self.common = common
        self.records: list[dict[str, Any]] = []
        header = (*self.COLUMNS, "tokens/s", "ms/step", "note")
        print("", f" {' | '.join(header)} ", "", sep="|")
        print("|", "---|" * len(header), sep="", flush=True)

    def add(self, record: dict[str, Any]) -> None:
        self.records.append(self.common | record)
        row = [str(self.records[-1][column]) for column in self.COLUMNS]
        if "error" in record:
            row += ["-", "-", record["error"].replace("|", "/")[:80]]
        else:
            row += [f"{record['tokens_per_second']:.1f}", f"{record['ms_per_step']:.3f}"]
            row += [record["mode"].replace("|", "/")[:80]]
        print("", f" {' | '.join(row)} ", "", sep="|", flush=True)
        if self.path:
            with open(self.path, "w", encoding="utf-8") as file:
                json.dump(self.records, file, indent=1)


def measure(args: argparse.Namespace) -> int:
    """Runs every cell; 1 if none could be measured."""
    common = {
        "peer": args.peer,
        "shape": args.shape,
        "rank": args.rank,
        "device": torch.cuda.get_device_name() if args.device == "cuda" else "cpu",
        **versions(),
    }
    report = Report(args.json, common)
    for adapters in args.adapters:
        cells = [("decode", batch, args.context) for batch in args.batches]
        if args.prefill and adapters == args.adapters[0]:
            cells.append(("prefill", 1, args.prefill))
        peer = None
        for phase, batch, context in cells:
            record: dict[str, Any] = {"phase": phase, "batch": batch, "context": context}
            record |= {"adapters": adapters, "distinct_adapters": min(batch, adapters)}
            try:
                release()
                lora = LoRA(adapters, args.rank)
                peer = peer or PEERS[args.peer](SHAPES[args.shape], args.device, lora)
                if phase == "decode":
                    timing, tokens = peer.decode(batch, context, args.steps, args.repeats), batch
                    record["steps"] = args.steps
                else:
                    timing, tokens = peer.prefill(context, args.repeats), context
                record |= results(timing, tokens)
            except Exception as error:
                record["error"] = describe(error)
            report.add(record)
    return int(all("error" in record for record in report.records))


def results(timing: Timing, tokens: int) -> dict[str, Any]:
    """The fields of a record whose step gives or reads `tokens` tokens."""
    median = statistics.median(timing.milliseconds)
    return {
        "tokens_per_second": tokens / median * 1e3,
        "ms_per_step": median,
        "samples_ms": timing.milliseconds,
        "mode": timing.mode,
    }


# --check

TOLERANCE = 1e-3  # largest difference of float32 logits, whose standard deviation is 0.3


def check_logits(shape: Shape, device: str, lora: LoRA) -> float:
    """The largest difference of torch-graph's logits from those of transformers and peft.

    A prompt of 7 tokens for 4 sequences, then 5 decoded tokens against one pass over all 12.
    """
    torch.manual_seed(0)
    model = llama(shape, device, torch.float32)
    base = model.state_dict()
    names: dict[str, Any] = {}
    if lora.adapters:
        model = with_adapters(model, lora)
        names = {"adapter_names": round_robin(4, lora.adapters)}
    state = model.state_dict()

    def load(name: str, _: tuple[int, ...]) -> Tensor:
        if name in base:
            return base[name]
        keys = [f"base_model.model.{name}.{index}.weight" for index in range(lora.adapters)]
        return torch.stack([state[key] for key in keys])

    tokens = torch.randint(shape.vocab, (4, 12), device=device)
    expected = model(input_ids=tokens, **names).logits
    decoder = Decoder(load, shape, lora)
    cache = decoder.cache(4, 12)
    slots = torch.arange(4, device=device) % max(lora.adapters, 1)
    largest = 0.0
    for start, end in [(0, 7), *((at, at + 1) for at in range(7, 12))]:
        positions = torch.arange(start, end, device=device)
        logits = decoder.forward(tokens[:, start:end], positions, cache, end, slots)
        largest = max(largest, (logits - expected[:, end - 1]).abs().max().item())
    return largest


def check_graph(shape: Shape, fused: bool) -> bool:
    """Whether replaying the graph gives the tokens that launching kernel by kernel gives."""
    decoder = Decoder(random_load("cuda", torch.float32), shape, LoRA(2, 4), fused)
    outcomes = []
    for replayed in (True, False):
        loop = DecodeLoop(decoder, batch=4, context=16, steps=8, adapters=2)
        if not replayed:
            loop.graph = None
        loop.run(8)
        outcomes.append((loop.tokens, loop.cache.kv))
    (tokens, cache), (eager_tokens, eager_cache) = outcomes
    return torch.equal(tokens, eager_tokens) and torch.allclose(cache, eager_cache, atol=1e-4)


def check(device: str) -> int:
    """Prints one line for each check; 1 if any fails."""
    tiny = SHAPES["tiny"]
    outcomes = []
    for label, shape, adapters in [
        ("untied", tiny, 0),
        ("tied", replace(tiny, tied=True), 0),
        ("1 adapter", tiny, 1),
        ("3 adapters", tiny, 3),
    ]:
        difference = check_logits(shape, device, LoRA(adapters, 4))
        outcomes.append((f"logits, {label}: {difference:.1e}", difference <= TOLERANCE))
    if device == "cuda":
        for fused in (False, True):
            outcomes.append((f"graph replay, fused={fused}", check_graph(tiny, fused)))
    for label, passed in outcomes:
        print("ok    " if passed else "FAILED", label)
    return int(not all(passed for _, passed in outcomes))


def counts(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--check", action="store_true", help="compare torch-graph with transformers and peft")
    add("--peer", choices=PEERS, default="torch-graph")
    add("--shape", choices=SHAPES, default="8b")
    add("--device", choices=("cuda", "cpu"), default="cuda")
    add("--batches", type=counts, default=[1, 16, 64, 256], help="sequences decoded together")
    add("--context", type=int, default=512, help="tokens in the cache before the first step")
    add("--steps", type=int, default=64, help="tokens decoded for each sequence")
    add("--adapters", type=counts, default=[0], help="LoRA adapters in use")
    add("--rank", type=int, default=16, help="of every adapter")
    add("--prefill", type=int, default=0, help="also time one prompt of this many tokens")
    add("--repeats", type=int, default=3, help="timed runs of each cell; the median counts")
    add("--json", metavar="FILE", help="where the records go")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("no CUDA GPU here (pass --device cpu to test this program)")
    torch.set_grad_enabled(False)
    return check(args.device) if args.check else measure(args)


if __name__ == "__main__":
    sys.exit(main())
