"""Reference frequencies of the rotary scalings, from the published formulas, in numpy.

Usage: python3 rope.py > expected.json
Formulas: linear interpolation (kaiokendev 2023); YaRN, "NTK-by-parts" with its attention temperature, arXiv:2309.00071
section 3.2-3.4; LongRoPE, arXiv:2402.13753; Llama 3.1 as in Meta's llama-models `apply_scaling`. Config fields as
Hugging Face transformers reads them. Each case is a whole config.json with the context to serve, the frequencies of its
rotations and the factor on cosine and sine.
"""
import json
import sys

import numpy as np

BASE = {
    "model_type": "llama", "vocab_size": 320, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1,
    "num_attention_heads": 1, "num_key_value_heads": 1, "max_position_embeddings": 4096,
}


def plain(theta, width):
    return theta ** (-np.arange(0, width, 2, dtype=np.float64) / width)


def llama3(theta, width, s):
    f = plain(theta, width)
    turns = s["original_max_position_embeddings"] * f / (2 * np.pi)  # rotations within the first context
    smooth = (turns - s["low_freq_factor"]) / (s["high_freq_factor"] - s["low_freq_factor"])
    smooth = np.clip(smooth, 0, 1)
    return f * (smooth + (1 - smooth) / s["factor"])


def yarn(theta, width, s, stated):
    f = plain(theta, width)
    original = s.get("original_max_position_embeddings", stated)
    scale = s.get("factor", stated / original)

    def pair_with(turns):  # the (fractional) pair that makes so many turns within the first context
        return np.log(original / (turns * 2 * np.pi)) / np.log(theta) * width / 2

    low, high = pair_with(s.get("beta_fast", 32)), pair_with(s.get("beta_slow", 1))
    if s.get("truncate", True):
        low, high = np.floor(low), np.ceil(high)
    low, high = max(low, 0), min(high, width - 1)
    keep = 1 - np.clip((np.arange(width // 2) - low) / max(high - low, 0.001), 0, 1)
    temperature = lambda weight: 0.1 * weight * np.log(scale) + 1 if scale > 1 else 1.0
    magnitude = s.get("attention_factor")
    if magnitude is None:
        if s.get("mscale") and s.get("mscale_all_dim"):
            magnitude = temperature(s["mscale"]) / temperature(s["mscale_all_dim"])
        else:
            magnitude = temperature(1)
    return f * (keep + (1 - keep) / scale), magnitude


def longrope(theta, width, s, stated, original, served):
    divisors = np.array(s["long_factor" if served > original else "short_factor"])
    scale = stated / original
    magnitude = s.get("attention_factor") or (np.sqrt(1 + np.log(scale) / np.log(original)) if scale > 1 else 1.0)
    return plain(theta, width) / divisors, magnitude


def case(name, rotations, context=None, **fields):
    rotations = [{"frequencies": f.tolist(), "magnitude": float(m)} for f, m in rotations]
    return {"name": name, "config": {**BASE, **fields}, "context": context, "rotations": rotations}


def cases():
    yield case("plain", [(plain(10000, 64), 1)])
    yield case("plain with another base", [(plain(500000, 64), 1)], rope_theta=500000.0)
    yield case("a part of the head", [(plain(10000, 32), 1)], model_type="phi3", partial_rotary_factor=0.5)
    yield case("linear", [(plain(10000, 64) / 4, 1)], rope_scaling={"type": "linear", "factor": 4.0})
    yield case("linear in the new form", [(plain(1000, 64) / 2.5, 1)],
               rope_parameters={"rope_type": "linear", "factor": 2.5, "rope_theta": 1000.0})
    for theta, original, factor in ((500000.0, 8192, 8.0), (500000.0, 8192, 32.0), (10000.0, 64, 8.0)):
        s = {"rope_type": "llama3", "factor": factor, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
             "original_max_position_embeddings": original}
        yield case(f"llama3, factor {factor} on {original}", [(llama3(theta, 64, s), 1)], rope_theta=theta,
                   max_position_embeddings=131072, rope_scaling=s)
    for name, s, theta, stated in (
        ("yarn", {"factor": 4.0, "original_max_position_embeddings": 32768}, 1000000.0, 131072),
        ("yarn without an original length", {"factor": 4.0}, 10000.0, 4096),
        ("yarn without a factor", {"original_max_position_embeddings": 1024}, 10000.0, 4096),
        ("yarn with other bounds", {"factor": 16.0, "beta_fast": 16, "beta_slow": 2,
                                    "original_max_position_embeddings": 4096}, 10000.0, 65536),
        ("yarn with a stated magnitude", {"factor": 8.0, "attention_factor": 1.25}, 10000.0, 4096),
        ("yarn with two weights", {"factor": 40.0, "mscale": 1.0, "mscale_all_dim": 0.707,
                                   "original_max_position_embeddings": 4096}, 10000.0, 163840),
        ("yarn with unrounded bounds", {"factor": 32.0, "truncate": False, "beta_fast": 32.0, "beta_slow": 1.0,
                                        "original_max_position_embeddings": 4096}, 150000.0, 131072),
    ):
        yield case(name, [yarn(theta, 64, s, stated)], rope_theta=theta, max_position_embeddings=stated,
                   rope_scaling={"rope_type": "yarn", **s})
    s = {"type": "longrope", "short_factor": [1 + 0.01 * i for i in range(32)],
         "long_factor": [1 + 0.5 * i for i in range(32)]}
    fields = dict(model_type="phi3", max_position_embeddings=131072, original_max_position_embeddings=4096,
                  rope_scaling=s)
    for name, context in (("by default", None), ("within the first length", 4096), ("beyond it", 4097),
                          ("at full length", 131072)):
        served = context or 4096
        yield case(f"longrope {name}", [longrope(10000.0, 64, s, 131072, 4096, served)], context, **fields)
    s = {**s, "attention_factor": 1.5}
    yield case("longrope with a stated magnitude", [longrope(10000.0, 64, s, 131072, 4096, 8192)], 8192,
               **{**fields, "rope_scaling": s})
    gemma = dict(model_type="gemma3_text", head_dim=64, sliding_window=16, query_pre_attn_scalar=64,
                 max_position_embeddings=131072)
    yield case("gemma 3, old form", [(plain(1000000, 64) / 8, 1), (plain(10000, 64), 1)],
               **gemma, rope_theta=1000000.0, rope_local_base_freq=10000.0,
               rope_scaling={"rope_type": "linear", "factor": 8.0})
    yield case("gemma 3, new form", [(plain(1000000, 64) / 8, 1), (plain(10000, 64), 1)], **gemma, rope_parameters={
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}})


json.dump(list(cases()), sys.stdout, separators=(",", ":"))
print()
