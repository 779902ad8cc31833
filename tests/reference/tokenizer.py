"""Expected token ids of all four CLIP tokenizer variants, from the originals.

    python tests/reference/tokenizer.py fixtures tests/fixtures/tokenizer
        trains the small vocabulary of the fixtures, writes vocab.json, merges.txt, cases.json.gz
    python tests/reference/tokenizer.py fuzz BPE_SIMPLE_VOCAB.txt.gz COUNT SEED > cases.json
        random texts with CLIP's own vocabulary, in the format of the golden files
    python tests/reference/tokenizer.py fast VOCABULARY CASES
        adds the ids of the fast tokenizer to either; VOCABULARY is the folder or the .txt.gz

The first two need transformers 4.57 (5 has no slow tokenizer), ftfy 6.3.1 and regex; the last needs
transformers 5, whose tokenizer differs from CLIPTokenizerFast of 4.
"""

import gzip
import html
import json
import random
import sys
import tempfile
import unicodedata
from collections import Counter
from pathlib import Path

import regex

MARKERS = ["<|startoftext|>", "<|endoftext|>"]


# --- the four tokenizers -------------------------------------------------------------------------


class OpenAI:
    """openai/CLIP, clip/simple_tokenizer.py: encode(), over the slow tokenizer's BPE."""

    def __init__(self, slow):
        self.slow = slow

    def __call__(self, text):
        import ftfy

        text = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
        text = regex.sub(r"\s+", " ", text).strip().lower()
        ids = []
        for word in regex.findall(self.slow.pat, text):
            word = "".join(self.slow.byte_encoder[byte] for byte in word.encode("utf-8"))
            ids += [self.slow.encoder[token] for token in self.slow.bpe(word).split(" ")]
        return [self.slow.bos_token_id, *ids, self.slow.eos_token_id]


def load(folder):
    """name → function text → ids with BOS and EOS, untruncated."""
    from transformers import CLIPTokenizer

    sys.modules["ftfy"] = None  # an import of it now fails, as where it is not installed
    plain = CLIPTokenizer.from_pretrained(folder)
    del sys.modules["ftfy"]
    with_ftfy = CLIPTokenizer.from_pretrained(folder)
    assert plain.fix_text is None and with_ftfy.fix_text is not None

    def ids(tokenizer):
        return lambda text: tokenizer(text, truncation=False)["input_ids"]

    return {
        "openai": OpenAI(plain),
        "slow_ftfy": ids(with_ftfy),
        "slow_noftfy": ids(plain),
    }


def run(tokenizers, texts):
    return [{"text": t, **{name: f(t) for name, f in tokenizers.items()}} for t in texts]


# --- vocabularies --------------------------------------------------------------------------------


def bytes_to_unicode():
    """Byte → character, in the order of CLIP's vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in printable]
    table = {byte: chr(byte) for byte in printable}
    return table | {byte: chr(256 + i) for i, byte in enumerate(hidden)}


def write_openai_vocabulary(source, folder):
    merges = gzip.open(source).read().decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    base = list(bytes_to_unicode().values())
    tokens = base + [c + "</w>" for c in base] + ["".join(m.split()) for m in merges] + MARKERS
    write_vocabulary(folder, tokens, merges)


def write_vocabulary(folder, tokens, merges):
    vocab = {token: i for i, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    text = "\n".join(["#version: 0.2", *merges]) + "\n"
    (folder / "merges.txt").write_text(text, encoding="utf-8")


def train_small_vocabulary(texts, size):
    """Merges learnt from the texts by the rule of BPE, in CLIP's alphabet and order."""
    table = bytes_to_unicode()
    pattern = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+")
    words = Counter()
    for text in texts:
        for word in pattern.findall(unicodedata.normalize("NFC", text).lower()):
            chars = [table[byte] for byte in word.encode("utf-8", "surrogatepass")]
            words[(*chars[:-1], chars[-1] + "</w>")] += 1
    merges = []
    while len(merges) < size:
        pairs = Counter()
        for word, count in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += count
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        if pairs[best] < 2:
            break
        merges.append(" ".join(best))
        merged = Counter()
        for word, count in words.items():
            out, i = [], 0
            while i < len(word):
                if word[i : i + 2] == best:
                    out.append(best[0] + best[1])
                    i += 2
                else:
                    out.append(word[i])
                    i += 1
            merged[tuple(out)] += count
        words = merged
    base = list(table.values())
    joined = list(dict.fromkeys(merge.replace(" ", "") for merge in merges))
    return base + [c + "</w>" for c in base] + joined + MARKERS, merges


# --- texts ---------------------------------------------------------------------------------------

WORDS = """a the of in on with by and photo painting portrait landscape mountain lake sunset forest cat
dog girl castle dragon astronaut horse city street night light detailed ultra 8k 4k hdr masterpiece
best quality artstation trending cinematic studio lens f/1.8 35mm don't they're it's I've we'll I'd
naïve café Zürich São Paulo señor Ångström Łódź Škoda façade piñata jalapeño über Straße Müller
crème brûlée Œuvre œuf æther Þór smørrebrød привет мир Москва картина εικόνα ΟΔΟΣ Σίσυφος ΑΣ
日本語 富士山 漢字 かたかな カタカナ 한국어 풍경 中文 山水画 עברית العربية हिन्दी ภาษาไทย ქართული""".split()
ODD = """İ ı ǅ Ǆ ß ẞ Σ ς K Å ϴ ſ 'ſ 'S 'LL <|ſtartoftext|> ﬁ ﬂ ﬀ ﬅ ﬆ Ĳ ŉ Ⅷ ½ ² ³ ① ٣ ৪ ᾼ ΐ Ω ﷺ ㌀ ㍿ ｱ ﾞ ｶﾞ ￥ ￣ Ａ ｚ ！ 　
“ ” ‘ ’ ‟ ‛ ʼ … – — • ™ ® © ° € £ ¥ § ¶ « » ¿ ¡ ‹ › „ ‚ † ‡ 👩‍👩‍👧 🇺🇸 ❤️ 😀 👍🏽 🏴󠁧󠁢󠁷󠁬󠁳󠁿 ☃ ♥ ✔ 𝒥 𝔸 𐐀 𠀀 豈 ⻤ 々 〆""".split()
PUNCTUATION = list("!!!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") + ["...", "!?", "--", "::", "(((", ":1.2)", "!!"]
MARKUP = MARKERS + """<|EndOfText|> <|STARTOFTEXT|> <|endoftext| </w> &amp; &lt; &gt; &quot; &#39; &#x27; &nbsp; &eacute;
&EACUTE; &NTILDE; &SZLIG; &hellip; &mdash; &copy; &copy &notin; &notit; &not &amp;amp; &amp;lt; &#128512; &#xD83D;
&#0; &#x80; &#150; &#13; &#11; &#65535; &#99999999; &Tab; &NewLine; &checkmark; &HilbertSpace; &bogus; &; &#; &#x; &AMP
&GT; &fjlig; &NotEqualTilde; &frac12; &FRAC12; <b> </b> <br/> \x1b[31m \x1b[0;1m \x1b[ \x1b[٣m""".split(" ")
MARKUP = [piece.strip("\n") for piece in MARKUP]
SPACES = [" "] * 12 + ["  ", "\t", "\n", "\r\n", "\r", "\xa0", "\u3000", "\u2003", "\u2028", "\u2029", "\x85"]
SPACES += ["\u200b", "\ufeff", "\xad", "\x1c", "\x1f", "\x0b", "\x0c", "\u2060", "\u180e", "\u1680", ""]
MARKS = ["\u0301", "\u0308", "\u0327", "\u030a", "\u20dd", "\ufe0f", "\u200d", "\u0345", "\u3099", "\u0307"]
CONTROLS = ["\x00", "\x07", "\x1a", "\x7f", "\x80", "\x92", "\x9d", "\u200e", "\u206a", "\ufff9", "\ufffc", "\ufffd"]
CONTROLS += ["\ue000", "\uf8ff", "\uffff", "\U0010ffff", "\u0378"]
CODECS = "latin-1 cp1252 cp1251 cp1250 cp1253 cp1254 cp1257 iso-8859-2 mac-roman cp437".split()


def mojibake(rng, text):
    """The text's UTF-8 read as a single-byte encoding, once or twice, sometimes damaged further."""
    import ftfy.bad_codecs  # noqa: F401

    for _ in range(rng.choice([1, 1, 1, 2])):
        codec = rng.choice(CODECS)
        if codec.startswith("cp125") and rng.random() < 0.8:
            codec = "sloppy-windows-" + codec[2:]
        data = text.encode("utf-8", "surrogatepass")
        if rng.random() < 0.1:  # CESU-8
            data = b"".join(
                c.encode("utf-16-be").decode("utf-16-be", "surrogatepass").encode("utf-8", "surrogatepass")
                if ord(c) < 0x10000
                else b"".join(
                    chr(u).encode("utf-8", "surrogatepass")
                    for u in (0xD800 + (ord(c) - 0x10000 >> 10), 0xDC00 + (ord(c) & 0x3FF))
                )
                for c in text
            )
        text = data.decode(codec, "replace")
    roll = rng.random()
    if roll < 0.15:
        text = text.replace("\xa0", " ")
    elif roll < 0.25:
        i = rng.randrange(len(text) + 1)
        text = text[:i] + rng.choice(["\ufffd", "?", " ", "\x1a"]) + text[i + 1 :]
    elif roll < 0.3:
        text = text[: rng.randrange(len(text) + 1)]
    return text


def any_character(rng):
    while True:
        code = rng.choice([0x250, 0x600, 0x3000, 0x10000, 0x20000, 0x110000])
        char = chr(rng.randrange(code))
        if unicodedata.category(char) not in ("Cn", "Cs") or rng.random() < 0.02 and not 0xD800 <= ord(char) < 0xE000:
            return char


def piece(rng):
    roll = rng.random()
    if roll < 0.35:
        word = rng.choice(WORDS)
        return rng.choice([word, word, word.upper(), word.title(), word + rng.choice(MARKS)])
    if roll < 0.50:
        return mojibake(rng, rng.choice([rng.choice(WORDS), rng.choice(ODD), any_character(rng)]))
    if roll < 0.62:
        return rng.choice(ODD)
    if roll < 0.74:
        return rng.choice(PUNCTUATION)
    if roll < 0.84:
        return rng.choice(MARKUP)
    if roll < 0.88:
        return rng.choice(CONTROLS)
    if roll < 0.91:
        return rng.choice(MARKS)
    if roll < 0.94:
        return str(rng.randrange(10**6))
    if roll < 0.96:
        return rng.choice("aå!é字") * rng.randrange(1, 40)
    return any_character(rng)


def random_text(rng):
    text = ""
    for _ in range(rng.choice([1, 2, 3, 5, 8, 12, 20])):
        text += piece(rng) + (rng.choice(SPACES) if rng.random() < 0.7 else "")
    if rng.random() < 0.05:
        text = mojibake(rng, text)
    return text


def random_texts(count, seed):
    rng = random.Random(seed)
    return [random_text(rng) for _ in range(count)]


# --- tokenizer configs ---------------------------------------------------------------------------


def token(content, **flags):
    base = {"content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    return base | flags


BOS, EOS = MARKERS
NAMED = {"bos_token": token(BOS), "eos_token": token(EOS), "unk_token": token(EOS)}
TYPED = {name: {"__type": "AddedToken"} | value for name, value in NAMED.items()}
PLAIN = {"bos_token": BOS, "eos_token": EOS, "unk_token": EOS, "model_max_length": 77}


def configs(size):
    """Kinds of configs met in the wild, and odder ones; `size` is the size of the vocabulary."""
    special = {str(size - 2): token(BOS, special=True), str(size - 1): token(EOS, special=True)}
    bang = {"0": token("!", normalized=False, special=True)}
    flags = {
        str(size): token("<left>", lstrip=True, special=False),
        str(size + 1): token("<right>", rstrip=True, normalized=False, special=False),
        str(size + 2): token("word", single_word=True, special=False),
    }
    return {
        "none": {},
        "sd1": {
            "config": {**TYPED, "pad_token": EOS, "model_max_length": 77},
            "specialTokensMap": {**NAMED, "pad_token": EOS},
        },
        "sd2: the map overrides the config": {
            "config": {**TYPED, "pad_token": EOS, "model_max_length": 77},
            "specialTokensMap": {**NAMED, "pad_token": "!"},
        },
        "sdxl 2: added_tokens_decoder": {
            "config": {**PLAIN, "pad_token": "!", "added_tokens_decoder": {**bang, **special}},
            "specialTokensMap": {**NAMED, "pad_token": EOS},
        },
        "added_tokens.json": {
            "config": {**PLAIN, "pad_token": EOS},
            "addedTokens": {"<cat-toy>": size, "<cat>": size + 1},
        },
        "strip flags": {"config": {**PLAIN, "added_tokens_decoder": {**special, **flags}}},
        "textual inversion": {"inversions": [["<cat-toy>", 3], ["sks", 1], ["<dog>", 2], ["<dog", 1], ["Big-Eye", 1]]},
    }


CONFIG_TEXTS = [
    "a cat!! hello!",
    "!",
    " ! a!b ",
    "a <|EndOfText|> b <|endoftext|>c<|startoftext|>",
    "<|STARTOFTEXT|>!x",
    "a <cat-toy> on a <cat>, <CAT-TOY>, <cat-to, <cat-toy>>",
    "x<cat-toy><cat-toy> sks, asks SKS sks_1 <cat-toy>_1",
    "big-eye Big-Eye BIG-EYE <dog> <dog <dog>>",
    "one <left> two <left>three  <right>  four<right>\n five word words sword word, word",
    "  <right>\u3000<left>\t<right> <left> ",
    "naïve <cat-toy>é e\u0301 <cat\u0301",
]

FILES = {
    "config": "tokenizer_config.json",
    "specialTokensMap": "special_tokens_map.json",
    "addedTokens": "added_tokens.json",
}


def run_config(entry, folder, make, fast=False):
    """Fills a config's expectations from the tokenizer that `make` loads out of a folder."""
    for name, file in FILES.items():
        path = folder / file
        path.unlink(missing_ok=True)
        if name in entry:
            path.write_text(json.dumps(entry[name]), encoding="utf-8")
    tokenizer = make(folder)
    for word, vectors in entry.get("inversions", []):
        tokenizer.add_tokens([word] + [f"{word}_{i}" for i in range(1, vectors)])
    if not fast:
        from diffusers.loaders.textual_inversion import TextualInversionLoaderMixin

        entry["special"] = [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id]
        entry["cases"] = [{"text": text} for text in CONFIG_TEXTS]
        for case in entry["cases"]:
            mixin = TextualInversionLoaderMixin()
            case["converted"] = mixin.maybe_convert_prompt(case["text"], tokenizer)
    for case in entry["cases"]:
        ids = tokenizer(case["converted"], truncation=False)["input_ids"]
        case["fast" if fast else "slow"] = ids
        if not fast:
            case["decoded"] = tokenizer.decode(ids, clean_up_tokenization_spaces=False)


# --- commands ------------------------------------------------------------------------------------


def read(path):
    return json.loads(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())


def write(path, data):
    text = json.dumps(data).encode()
    path.write_bytes(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)


def fuzz(source, count, seed):
    with tempfile.TemporaryDirectory() as name:
        write_openai_vocabulary(source, Path(name))
        tokenizers = load(name)
    json.dump({"cases": run(tokenizers, random_texts(count, seed))}, sys.stdout)


def fixtures(folder):
    from transformers import CLIPTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    tokens, merges = train_small_vocabulary(WORDS * 3 + ODD + random_texts(400, 7), 500)
    write_vocabulary(folder, tokens, merges)
    texts = ["", " ", "a photo of a cat", *random_texts(330, 11)]
    data = {"cases": run(load(folder), [text for text in texts if len(text) < 200])}
    data["configs"] = [{"name": name} | entry for name, entry in configs(len(tokens)).items()]
    sys.modules["ftfy"] = None
    with tempfile.TemporaryDirectory() as name:
        write_vocabulary(Path(name), tokens, merges)
        for entry in data["configs"]:
            run_config(entry, Path(name), CLIPTokenizer.from_pretrained)
    write(folder / "cases.json.gz", data)


def add_fast(source, path):
    """Run under transformers 5."""
    import transformers

    assert int(transformers.__version__.split(".")[0]) >= 5, "needs transformers 5 or later"
    data = read(path)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if source.suffix == ".gz":
            write_openai_vocabulary(source, folder)
        else:
            for file in ("vocab.json", "merges.txt"):
                (folder / file).write_bytes((source / file).read_bytes())
        make = transformers.CLIPTokenizer.from_pretrained
        tokenizer = make(folder)
        for case in data["cases"]:
            case["fast_v5"] = tokenizer(case["text"], truncation=False)["input_ids"]
        for entry in data.get("configs", []):
            run_config(entry, folder, make, fast=True)
    write(path, data)


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "fixtures":
        fixtures(Path(arguments[0]))
    elif command == "fuzz":
        fuzz(arguments[0], int(arguments[1]), int(arguments[2]))
    elif command == "fast":
        add_fast(Path(arguments[0]), Path(arguments[1]))
    else:
        sys.exit(__doc__)
