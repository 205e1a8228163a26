#!/usr/bin/env python3
"""Trains small tokenizers of the kinds that models use, and records what the reference makes of stress lines.

Usage: python make.py OUT [LINES [SEED]]    (needs the packages tokenizers and sentencepiece)

OUT gets NAME.json or NAME.model, and NAME.jsonl with a row a line: "text", "ids" (special tokens in the text
recognised), "ids_plain" (they are text), "dec_ids" (ids to decode: those of the line or random ones), "decoded",
"decoded_skip" (special tokens skipped). No BOS or EOS is added.
"""
import io
import json
import os
import random
import sys

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

WORDS = (
    "the of and a to in is you that it he was for on are as with his they I at be this have from or one had by word but "
    "not what all were we when your can said there use an each which she do how their if will up other about out many "
    "don't I'm we've HELLO World user_name camelCase snake_case return print value index 2024 3.14 100% naïve café"
).split()
BLOCKS = [
    (0x20, 0x7E), (0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x5FF), (0x600, 0x6FF), (0x700, 0x8FF), (0x900, 0xDFF),
    (0xE00, 0xEFF), (0xF00, 0x109F), (0x1100, 0x11FF), (0x1780, 0x18AF), (0x1E00, 0x20FF), (0x2100, 0x2BFF),
    (0x2C00, 0x2DFF), (0x3000, 0x30FF), (0x3130, 0x33FF), (0x4E00, 0x9FFF), (0xA000, 0xABFF), (0xAC00, 0xD7A3),
    (0xF900, 0xFAFF), (0xFB00, 0xFDFF), (0xFE00, 0xFFEF), (0x10000, 0x107FF), (0x10800, 0x10FFF), (0x11000, 0x11FFF),
    (0x12000, 0x1254F), (0x1D100, 0x1D7FF), (0x1E900, 0x1EEFF), (0x1F100, 0x1FAFF), (0x20000, 0x2A6DF),
    (0x2F800, 0x2FA1F), (0xE0000, 0xE01EF), (0x0, 0x1F), (0x7F, 0x9F),
]
PARTS = [
    " ", "  ", "   ", "\n", "\n\n", "\t", "\r\n", "\r", "\u00a0", "\u3000", "\u2028", "\u0085", "a", "B", "é", "e\u0301",
    "1", "23", "4567", "²", "½", "٣", "_", "'", "'s", "'S", "'ll", "'LL", "'Ve", "'ſ", "’s", "'d", "'m", "'T", ".", ",",
    "/", "//", "-", "!?", "$", "#", "…", "你", "好吗", "カナ", "한글", "각", "🙂", "👩‍👩‍👧", "👍🏽", "🇩🇪", "\u200d", "\ufeff",
    "▁", "▁▁", "Ġ", "<s>", "</s>", "<unk>", "<0x41>", "[INST]", "<|im_end|>", "<|endoftext|>", "<tag>", "word", "Word",
    "WORD", "ǅ", "ʰ", "ß", "İ", "Σ", "ς", "ﬁ", "\u0327\u0301", "ก็", "हिन्दी", "\ufffd", "K", "＇",
]
FIXED = [
    "", " ", "  ", "\n", "\r\n", "\t\t x", " a", "a ", "  a  b   c    d", "Hello, world!", "HELLO World", "don't DON'T we'RE",
    "1 12 123 1234 12345 123456 1234567", "def f(x):\n    return x**2  # square\n\n\nclass A:\n\tpass\n",
    "<|im_start|>user\nhi<|im_end|>\n", "<s>[INST] hi [/INST]</s>", "<s> <s>", "x<tag>y <tag> z", "Strip  <left>  me",
    "a <both>  <both>b", "fooBar FooBar FOOBar fooBAR", "你好，世界！123", "안녕 세상", "cafe\u0301", "👩‍👩‍👧‍👦 ❤️", "\u0000\u0001", "a" * 80, " " * 40,
    "no   break\u00a0space", "ABC abc Abc aBC", "ＦＵＬＬ　ｗｉｄｔｈ ｶﾞ ㌔ ①", "end  ",
]


def line(r):
    kind = r.random()
    if kind < 0.25:
        return " ".join(r.choice(WORDS) + (r.choice([",", ".", "!", "'s", ":", ""]) if r.random() < 0.3 else "") for _ in range(r.randint(1, 30)))
    if kind < 0.35:
        return "".join(chr(r.randint(32, 126)) for _ in range(r.randint(1, 60)))
    if kind < 0.75:
        return "".join(r.choice(PARTS) for _ in range(r.randint(1, 40)))
    out = []
    for _ in range(r.randint(1, 10)):
        low, high = r.choice(BLOCKS)
        out += [chr(r.randint(low, high)) for _ in range(r.randint(1, 5))]
        if r.random() < 0.4:
            out.append(r.choice([" ", "\n", "  ", ". ", "'s "]))
    return "".join(out)


CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
START = r"[^\r\n\p{L}\p{N}]?"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTIONS + "|" + START + r"\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + SPACES
QWEN2 = LLAMA3.replace("{1,3}", "")
QWEN35 = CONTRACTIONS + "|" + START + r"[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + SPACES
CL100K = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
O200K = (
    START + UPPER + "*" + LOWER + "+" + CONTRACTIONS + "?|" + START + UPPER + "+" + LOWER + "*" + CONTRACTIONS
    + r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + SPACES
)
TEKKEN = START + UPPER + "*" + LOWER + "+|" + START + UPPER + "+" + LOWER + r"*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + SPACES
DEEPSEEK3 = [
    r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|" + SPACES,
]
# Patterns without a scanner.
KIMI = (
    r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+" + CONTRACTIONS
    + r"?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*" + CONTRACTIONS
    + r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + SPACES
)
AYA = r"\d{1,3}(?=(?:\d{3})*\b)"
EXAONE = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"


def splits(*patterns):
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(p), "isolated") for p in patterns]
        + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )


def corpus(seed=7):
    r = random.Random(seed)
    return FIXED + [line(r) for _ in range(600)] + [" ".join(r.choice(WORDS) for _ in range(20)) for _ in range(400)]


def byte_level(pre, size=600, normalizer=None, ignore_merges=False, specials=("<|endoftext|>", "<|im_start|>", "<|im_end|>")):
    tok = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tok.pre_tokenizer = pre
    if normalizer:
        tok.normalizer = normalizer
    tok.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tok.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=size, special_tokens=list(specials), initial_alphabet=alphabet, show_progress=False))
    return tok


def fallback_tokens():
    return [f"<0x{b:02X}>" for b in range(256)]


def metaspace_bpe(pre, normalizer, decoder, size=700, fallback=True, specials=("<unk>", "<s>", "</s>"), fuse=True):
    tok = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=fallback, fuse_unk=fuse))
    # Pieces are trained on words; merges across spaces would make the vocabulary of sentences.
    tok.normalizer = normalizers.Sequence([normalizer] if normalizer else [])
    tok.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokens = list(specials) + (fallback_tokens() if fallback else [])
    tok.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=size, special_tokens=tokens, limit_alphabet=120, show_progress=False))
    data = json.loads(tok.to_str())
    data["added_tokens"] = [t for t in data["added_tokens"] if t["content"] in specials]
    data["pre_tokenizer"] = json.loads(pre.__getstate__()) if pre else None
    data["normalizer"] = json.loads(normalizer.__getstate__()) if normalizer else None
    data["decoder"] = json.loads(decoder.__getstate__()) if decoder else None
    return Tokenizer.from_str(json.dumps(data))


def llama2_decoder():
    return decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])


def unigram(normalizer, pre, decoder, fallback=False):
    tok = Tokenizer(models.Unigram())
    if normalizer:
        tok.normalizer = normalizer
    tok.pre_tokenizer = pre
    tok.decoder = decoder
    tok.train_from_iterator([t for t in corpus() if max(map(ord, t), default=0) < 0x2000], trainers.UnigramTrainer(vocab_size=1200, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False))
    data = json.loads(tok.to_str())
    if fallback:
        data["model"]["vocab"] += [[t, -9.5] for t in fallback_tokens()]
        data["model"]["byte_fallback"] = True
    return Tokenizer.from_str(json.dumps(data))


def charsmap(rule="nmt_nfkc"):
    data = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(WORDS * 5), model_writer=data, vocab_size=100, hard_vocab_limit=False, normalization_rule_name=rule, model_type="unigram", minloglevel=2)
    from sentencepiece import sentencepiece_model_pb2 as pb
    proto = pb.ModelProto()
    proto.ParseFromString(data.getvalue())
    import base64
    return base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()


def precompiled():
    return normalizers.Precompiled(__import__("base64").b64decode(charsmap()))


def with_added(tok):
    tok.add_special_tokens([AddedToken("<left>", lstrip=True), AddedToken("<right>", rstrip=True), AddedToken("<both>", lstrip=True, rstrip=True)])
    tok.add_tokens([AddedToken("<tag>", normalized=False), AddedToken("word", single_word=True), AddedToken("HELLO", normalized=True), AddedToken("  "), AddedToken("<tag><tag>", normalized=False), AddedToken("é")])
    return tok


def hf_cases():
    byte, digits = pre_tokenizers.ByteLevel, pre_tokenizers.Digits
    meta = pre_tokenizers.Metaspace
    yield "gpt2", lambda: byte_level(byte(add_prefix_space=False))
    yield "gpt2-prefix", lambda: byte_level(byte(add_prefix_space=True))
    yield "smollm", lambda: byte_level(pre_tokenizers.Sequence([digits(True), byte(add_prefix_space=False)]))
    yield "llama3", lambda: byte_level(splits(LLAMA3), ignore_merges=True)
    yield "qwen2", lambda: byte_level(splits(QWEN2), normalizer=normalizers.NFC())
    yield "qwen35", lambda: byte_level(splits(QWEN35), normalizer=normalizers.NFC())
    yield "cl100k", lambda: byte_level(splits(CL100K))
    yield "o200k", lambda: byte_level(splits(O200K))
    yield "tekken", lambda: byte_level(splits(TEKKEN), ignore_merges=True)
    yield "deepseek3", lambda: byte_level(splits(*DEEPSEEK3))
    yield "kimi", lambda: byte_level(splits(KIMI))
    yield "aya", lambda: byte_level(splits(AYA, O200K))
    yield "exaone", lambda: byte_level(splits(EXAONE))
    yield "falcon", lambda: byte_level(pre_tokenizers.Sequence([pre_tokenizers.Punctuation("contiguous"), byte(add_prefix_space=False), digits(False), pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")]))
    yield "behaviors", lambda: byte_level(pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"\s+"), "merged_with_next"), pre_tokenizers.Split(",", "merged_with_previous"), pre_tokenizers.Split(Regex(r"\w+|[^\w\s]"), "removed", invert=True), pre_tokenizers.Punctuation("merged_with_next"), byte(add_prefix_space=False, use_regex=False)]))
    yield "added", lambda: with_added(byte_level(splits(LLAMA3), normalizer=normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])))
    replace = normalizers.Replace(" ", "▁")
    llama2 = normalizers.Sequence([normalizers.Prepend("▁"), replace])
    yield "llama2", lambda: metaspace_bpe(None, llama2, llama2_decoder())
    yield "gemma", lambda: metaspace_bpe(pre_tokenizers.Split(" ", "merged_with_previous"), replace, decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]), specials=("<pad>", "<eos>", "<bos>", "<unk>"))
    for scheme in ("always", "first", "never"):
        yield "metaspace-" + scheme, lambda scheme=scheme: metaspace_bpe(meta(prepend_scheme=scheme, split=scheme != "first"), None, decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme=scheme)]))
    yield "bpe-unknown", lambda: metaspace_bpe(meta(), None, decoders.Metaspace(), fallback=False)
    yield "bpe-unknown-apart", lambda: metaspace_bpe(meta(), None, None, fallback=False, fuse=False)
    yield "clip", clip
    yield "unigram", lambda: unigram(None, meta(), decoders.Metaspace())
    yield "t5", lambda: unigram(normalizers.Sequence([precompiled(), normalizers.Replace(Regex(" {2,}"), " ")]), pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), meta()]), decoders.Metaspace())
    yield "unigram-bytes", lambda: unigram(normalizers.NFKD(), meta(prepend_scheme="first"), decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="first")]), fallback=True)
    yield "normalizers", lambda: byte_level(pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), byte(add_prefix_space=False)]), normalizer=normalizers.Sequence([normalizers.Nmt(), normalizers.NFD(), normalizers.StripAccents(), normalizers.Strip(), normalizers.Replace(Regex(r"[a-c]+\d?"), "<>")]))
    yield "bert-like", lambda: byte_level(pre_tokenizers.Sequence([pre_tokenizers.BertPreTokenizer(), digits(False), byte(add_prefix_space=True)]))


def clip():
    tok = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>", continuing_subword_prefix=""))
    tok.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True)])
    tok.decoder = decoders.BPEDecoder("</w>")
    tok.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=600, end_of_word_suffix="</w>", special_tokens=["<unk>", "<|endoftext|>"], limit_alphabet=120, show_progress=False))
    return tok


def sentencepiece_cases():
    common = dict(hard_vocab_limit=False, minloglevel=2)
    # Rare scripts are left out, so that there are unknown characters.
    yield "sp-bpe", dict(model_type="bpe", vocab_size=700, byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True, user_defined_symbols=["[INST]", "<tag>", "▁▁"], control_symbols=["<ctrl>"], **common)
    yield "sp-bpe-unknown", dict(model_type="bpe", vocab_size=400, normalization_rule_name="identity", character_coverage=0.98, **common)
    yield "sp-unigram", dict(model_type="unigram", vocab_size=400, normalization_rule_name="nmt_nfkc", character_coverage=0.98, user_defined_symbols=["<tag>"], **common)
    yield "sp-unigram-bytes", dict(model_type="unigram", vocab_size=700, byte_fallback=True, normalization_rule_name="identity", add_dummy_prefix=False, character_coverage=0.98, **common)
    yield "sp-no-dummy", dict(model_type="bpe", vocab_size=700, byte_fallback=True, normalization_rule_name="identity", add_dummy_prefix=False, remove_extra_whitespaces=False, user_defined_symbols=["\n", "\n\n", "▁▁▁"], **common)


def main():
    out, count, seed = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 50, int(sys.argv[3]) if len(sys.argv) > 3 else 1
    os.makedirs(out, exist_ok=True)
    r = random.Random(seed)
    lines = FIXED + [line(r) for _ in range(count)]
    for name, make in hf_cases():
        path = f"{out}/{name}.json"
        if not os.path.exists(path):
            make().save(path, pretty=False)
        marked, plain = Tokenizer.from_file(path), Tokenizer.from_file(path)
        plain.encode_special_tokens = True
        size = marked.get_vocab_size()
        with open(f"{out}/{name}.jsonl", "w") as f:
            for text in lines:
                ids = marked.encode(text, add_special_tokens=False).ids
                decode = ids if r.random() < 0.6 else [r.randrange(size) for _ in range(r.randint(0, 12))]
                row = {"text": text, "ids": ids, "ids_plain": plain.encode(text, add_special_tokens=False).ids, "dec_ids": decode,
                       "decoded": marked.decode(decode, skip_special_tokens=False), "decoded_skip": marked.decode(decode, skip_special_tokens=True)}
                f.write(json.dumps(row) + "\n")
    for name, options in sentencepiece_cases():
        path = f"{out}/{name}.model"
        if not os.path.exists(path):
            data = io.BytesIO()
            sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(t for t in corpus() if max(map(ord, t), default=0) < 0x400 and "\0" not in t), model_writer=data, **options)
            open(path, "wb").write(data.getvalue())
        sp = sentencepiece.SentencePieceProcessor(model_file=path)
        with open(f"{out}/{name}.jsonl", "w") as f:
            for text in lines:
                ids = sp.encode(text)
                decode = ids if r.random() < 0.6 else [r.randrange(sp.vocab_size()) for _ in range(r.randint(0, 12))]
                f.write(json.dumps({"text": text, "ids": ids, "ids_plain": ids, "dec_ids": decode, "decoded": sp.decode(decode)}) + "\n")


if __name__ == "__main__":
    main()
