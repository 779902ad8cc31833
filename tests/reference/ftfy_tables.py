"""Writes the character tables of sdk/tokenizer/ftfy from ftfy 6.3.1 (Apache-2.0) and Python's html.

    python tests/reference/ftfy_tables.py sdk/tokenizer/ftfy
"""

import html.entities
import sys
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase

from ftfy.badness import MOJIBAKE_CATEGORIES
from ftfy.chardata import LIGATURES, UTF8_CLUES


def escape(code):
    if code in (0x27, 0x5C):
        return "\\" + chr(code)
    if 0x20 <= code < 0x7F:
        return chr(code)
    if code < 0x100:
        return chr(code) if code > 0xA0 and code != 0xAD else f"\\x{code:02x}"
    visible = code < 0x2000 or 0x2100 <= code < 0xE000
    return chr(code) if visible else f"\\u{code:04x}"


def quote(text):
    return "'" + "".join(escape(ord(char)) for char in text) + "'"


def class_members(text):
    """The members of a character class written with ranges, sorted and with ranges again."""
    codes, i = set(), 0
    while i < len(text):
        if i + 2 < len(text) and text[i + 1] == "-":
            codes.update(range(ord(text[i]), ord(text[i + 2]) + 1))
            i += 3
        else:
            codes.add(ord(text[i]))
            i += 1
    out, codes = "", sorted(codes)
    while codes:
        first = last = codes.pop(0)
        while codes and codes[0] == last + 1:
            last = codes.pop(0)
        span = range(first, last + 1)
        out += chr(first) + "-" + chr(last) if len(span) > 3 else "".join(map(chr, span))
    return quote(out)


def tables():
    yield "// Made by tests/reference/ftfy_tables.py; do not edit."
    yield "// From ftfy 6.3.1, Copyright 2023 Robyn Speer, Apache License 2.0 (see LICENSE in this folder)."
    yield ""
    yield "/** ftfy's MOJIBAKE_CATEGORIES, as members of a character class. */"
    yield "export const CATEGORY = {"
    for name, members in MOJIBAKE_CATEGORIES.items():
        yield f"  {name}: {class_members(members)},"
    yield "};"
    yield ""
    yield "/** ftfy's UTF8_CLUES, as members of a character class. */"
    yield "export const CLUE = {"
    for name, members in UTF8_CLUES.items():
        yield f"  {name}: {class_members(members)},"
    yield "};"
    yield ""
    yield "/** What bytes 0x80 … 0xFF stand for in the encoding that browsers do not know. */"
    yield f"export const CP437 = {quote(bytes(range(0x80, 0x100)).decode('cp437'))};"
    yield ""
    yield "/** Latin ligatures and digraphs → letters. */"
    yield "export const LIGATURES: Record<string, string> = {"
    for code, letters in LIGATURES.items():
        yield f"  {quote(chr(code))}: {quote(letters)},"
    yield "};"


def base36(value):
    digits = ""
    while value:
        value, digit = divmod(value, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits or "0"


def derived(names):
    """The references that sdk/tokenizer/ftfy/html.ts derives from others, by the rules it has them from."""
    known = {}
    for name, text in names.items():
        lower = text.lower()
        if len(name) > 2 and name[0].isupper() and name[1].islower() and len(lower) == 1 and lower != text:
            known[name[0].lower() + name[1:]] = lower
    for suffix, first in (("scr", 0x1D49C), ("fr", 0x1D504), ("opf", 0x1D538)):
        for i, letter in enumerate(ascii_uppercase + ascii_lowercase):
            known.setdefault(letter + suffix + ";", chr(first + i))
    return known


def entities():
    """By code points, since neighbours have like names and small differences."""
    names, of = html.entities.html5, {}
    rule = derived(names)
    strangers = [name for name in rule if name not in names]
    assert strangers == ["gcedil;"], strangers
    for name in sorted(names):
        bare = name[:-1] in names
        like = bare == (name[0].upper() + name[1:-1] in names)
        if name.endswith(";") and not (like and rule.get(name) == names[name]):
            of.setdefault(tuple(map(ord, names[name])), []).append(
                name[:-1] + ("!" if bare else "")
            )
    yield "// Made by tests/reference/ftfy_tables.py; do not edit."
    yield "// HTML5's named character references, by code point: how far it is after the one before (base 36,"
    yield "// nothing for 1), `+` and a second code point where there is one, names, `!` where the semicolon"
    yield "// may be missing. What html.ts derives is left out."
    line, lines, previous = "", [], 0
    for codes in sorted(of):
        first, *second = codes
        step = base36(first - previous) if first - previous != 1 else ""
        entry = " ".join([step + "".join(f"+{base36(code)}" for code in second), *of[codes]]) + ","
        previous = first
        if len(line) + len(entry) > 92:
            lines.append(line)
            line = ""
        line += entry
    lines.append(line.rstrip(","))
    yield "export const ENTITIES ="
    yield " +\n".join(f"  '{text}'" for text in lines) + ";"


folder = Path(sys.argv[1])
(folder / "tables.ts").write_text("\n".join(tables()) + "\n", encoding="utf-8")
(folder / "entities.ts").write_text("\n".join(entities()) + "\n", encoding="utf-8")
