"""Writes wasm/tokenizer/unicode.ts: the Unicode classes the tokenizer needs, as sorted ranges.

Frozen here, and not asked of the JavaScript engine, because \\p{L} and \\p{Cn} move with every
Unicode version: the same prompt must give the same ids in every browser. The sources are those of
the Hugging Face tokenizer: the `regex` package for \\p{L}, \\p{N} and \\s, `unicodedata` for C*
(Python 3.11 = Unicode 14, which is what drops a code point as unassigned).

    python tests/reference/unicode_table.py > wasm/tokenizer/unicode.ts
"""

import unicodedata

import regex

CLASSES = [regex.compile(r"\p{L}"), regex.compile(r"\p{N}"), regex.compile(r"\s")]


def flags(code):
    char = chr(code)
    kind = next((i + 1 for i, pattern in enumerate(CLASSES) if pattern.match(char)), 0)
    return kind | (4 if unicodedata.category(char)[0] == "C" else 0)


def varint(value):
    while value > 127:
        yield value & 127 | 128
        value >>= 7
    yield value


def data(name, values):
    yield f"export const {name}: usize = memory.data<u8>(["
    for i in range(0, len(values), 24):
        yield "  " + ", ".join(map(str, values[i : i + 24])) + ","
    yield "]);"


def main():
    lengths, kinds, previous, begin = [], [], None, 0
    for code in range(0x110000):
        current = flags(code)
        if current != previous:
            lengths += varint(code - begin)
            kinds.append(current)
            previous, begin = current, code
    print("// Made by tests/reference/unicode_table.py; do not edit.")
    print("// Ranges of code points: how far each begins after the one before, as a varint (LEB128), and its")
    print("// flags: 1 letter, 2 number, 3 white space, plus 4 for category C* (control, format, surrogate,")
    print("// private, unassigned in Unicode 14).")
    print(f"export const RANGE_COUNT: i32 = {len(kinds)};")
    print("\n".join([*data("DISTANCES", lengths), *data("FLAGS", kinds)]))


main()
