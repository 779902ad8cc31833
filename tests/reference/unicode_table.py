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


def main():
    starts, previous = [], None
    for code in range(0x110000):
        current = flags(code)
        if current != previous:
            starts.append(code << 3 | current)
            previous = current
    print("// Made by tests/reference/unicode_table.py; do not edit.")
    print("// Each entry opens a range: code point << 3 | flags. Flags: 1 letter, 2 number, 3 white space,")
    print("// plus 4 for category C* (control, format, surrogate, private, unassigned in Unicode 14).")
    print(f"export const RANGE_COUNT: i32 = {len(starts)};")
    print("export const RANGES: usize = memory.data<u32>([")
    for i in range(0, len(starts), 12):
        print("  " + ", ".join(map(str, starts[i : i + 12])) + ",")
    print("]);")


main()
