#!/usr/bin/env python3
"""Writes Sources/Engine/ServingTokenizers/UnicodeTables+Data.swift.

Usage: python make-unicode-tables.py OUT.swift      (needs the packages tokenizers and unicodedata2)

The reference for tokenization is the Hugging Face tokenizers package, whose parts carry Unicode data of different
versions. So each property is asked of that package, scalar by scalar, and not taken from one Unicode version:
general categories and \\w from its regular expressions, numbers, punctuation and words of its own splitters from
these, decompositions from its normalizers. Only canonical combining classes come from unicodedata2.
"""
import string
import sys

import unicodedata2
from tokenizers import Regex, normalizers, pre_tokenizers

SCALARS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
TEXT = "".join(map(chr, SCALARS))
# The order is the raw value of `UnicodeTables.Category`.
CATEGORIES = "Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co".split()
DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def matched(pattern):
    splitter = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    found = set()
    for piece, _ in splitter.pre_tokenize_str(TEXT):
        found.update(map(ord, piece))
    return found


def isolated(splitter):
    spaced = " ".join(map(chr, SCALARS))
    return {ord(piece) for piece, _ in splitter.pre_tokenize_str(spaced) if len(piece) == 1}


def number(value):
    """Little-endian groups of five bits; the sixth says that more follow."""
    out = ""
    while True:
        out += DIGITS[value & 31 | (32 if value > 31 else 0)]
        value >>= 5
        if not value:
            return out


def runs(values):
    """Run lengths and values over all code points from 0."""
    out, start = "", 0
    for c in range(1, 0x110001):
        if c == 0x110000 or values[c] != values[start]:
            out += number(c - start) + number(values[start])
            start = c
    return out


def ranges(members):
    """Alternating gaps and lengths of the ranges in a set."""
    out, last, c = "", 0, 0
    ordered = sorted(members)
    i = 0
    while i < len(ordered):
        j = i
        while j + 1 < len(ordered) and ordered[j + 1] == ordered[j] + 1:
            j += 1
        out += number(ordered[i] - last) + number(j - i + 1)
        last = ordered[j] + 1
        i = j + 1
    return out


def mappings(table):
    """Gap to the code point, how many scalars, the scalars."""
    out, last = "", 0
    for c in sorted(table):
        out += number(c - last) + number(len(table[c])) + "".join(number(s) for s in table[c])
        last = c
    return out


def literal(name, comment, text):
    lines = [text[i : i + 108] for i in range(0, len(text), 108)]
    body = "\\\n".join("        " + line for line in lines)
    return f'    /// {comment}\n    static let {name}: StaticString = """\n{body}\n        """\n'


def main():
    category = [0] * 0x110000
    category[0xD800:0xE000] = [CATEGORIES.index("Cs")] * 0x800
    for index, name in enumerate(CATEGORIES):
        if name not in ("Cn", "Cs"):
            for c in matched(r"\p{%s}+" % name):
                category[c] = index
    for c in matched(r"\w+"):
        category[c] |= 32
    numeric = isolated(pre_tokenizers.Digits(individual_digits=True))
    numeric -= {0x20}
    marked = pre_tokenizers.Punctuation("isolated").pre_tokenize_str("a" + "a".join(map(chr, SCALARS)) + "a")
    punctuation = {ord(piece) for piece, _ in marked if len(piece) == 1 and piece != "a"}
    assert set(map(ord, string.punctuation)) <= punctuation
    words = set()
    for piece, _ in pre_tokenizers.Whitespace().pre_tokenize_str(" ".join("a" + chr(c) for c in SCALARS)):
        if len(piece) == 2 and piece[0] == "a":
            words.add(ord(piece[1]))
    words.add(ord("a"))
    nfd, nfkd, nfc = normalizers.NFD(), normalizers.NFKD(), normalizers.NFC()
    hangul = range(0xAC00, 0xD7A4)
    canonical, compatible, primary = {}, {}, {}
    for c in SCALARS:
        if c in hangul:
            continue
        full = nfd.normalize_str(chr(c))
        if full != chr(c):
            canonical[c] = list(map(ord, full))
            if nfc.normalize_str(chr(c)) == chr(c):
                first = nfc.normalize_str(full[:-1])
                assert len(first) == 1 and nfc.normalize_str(first + full[-1]) == chr(c), hex(c)
                primary[c] = [ord(first), ord(full[-1])]
        wide = nfkd.normalize_str(chr(c))
        if wide != full:
            compatible[c] = list(map(ord, wide))
    combining = [0] * 0x110000
    for c in SCALARS:
        value = unicodedata2.combining(chr(c))
        # The reference's data is older: characters that it does not reorder have no class there.
        probe = "a\u0301" + chr(c) if value == 1 else "a" + chr(c) + "\u0334"
        if value and c not in canonical and nfd.normalize_str(probe) != probe:
            combining[c] = value
    accents = {c for c in SCALARS if normalizers.StripAccents().normalize_str(chr(c)) == ""}
    with open(sys.argv[1], "w") as out:
        out.write("// Generated by scripts/make-unicode-tables.py; do not edit.\n\nextension UnicodeTables {\n")
        parts = [
            ("categoryRuns", "Category and, as bit 5, \\w: run lengths and values.", runs(category)),
            ("numericRanges", "Numbers as the Digits splitter knows them.", ranges(numeric)),
            ("punctuationRanges", "Punctuation as the Punctuation splitter knows it.", ranges(punctuation)),
            ("wordRanges", "Word characters of the Whitespace splitter.", ranges(words)),
            ("accentRanges", "Marks that the StripAccents normalizer drops.", ranges(accents)),
            ("combiningClassRuns", "Canonical combining classes: run lengths and values.", runs(combining)),
            ("canonicalMappings", "Full canonical decompositions but Hangul's.", mappings(canonical)),
            ("compatibilityMappings", "Full compatibility decompositions that differ.", mappings(compatible)),
            ("compositions", "Primary composites and their pairs.", mappings(primary)),
        ]
        out.write("\n".join(literal(*part) for part in parts))
        out.write("}\n")


if __name__ == "__main__":
    main()
