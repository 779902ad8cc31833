"""What AUTOMATIC1111's stable-diffusion-webui makes of prompts, as fixtures for the prompt syntax.

    python tests/reference/a1111_prompts.py WEBUI_FOLDER COUNT SEED OUTPUT.json.gz [KEEP]

The fixtures in use are those of COUNT 4000, SEED 6, KEEP 700: the first 700 prompts of that draw.

WEBUI_FOLDER is a checkout (1.6 or later; its code is run, none of it is part of this project). Needs
lark 1.1.2 (which the webui pins), torch and transformers 4.57. Chunks are made with the small vocabulary
of the tokenizer fixtures.

The webui's grammar is ambiguous where brackets are unbalanced, and which reading it takes changes from
run to run with Python's hash seed. So schedules are made under several seeds, and all outcomes kept.
"""

import gzip
import json
import os
import random
import subprocess
import sys
import types
from pathlib import Path

FIXTURES = Path(__file__).parent.parent / "fixtures" / "tokenizer"
STEPS = [1, 4, 10, 25]
HASH_SEEDS = range(8)
WEIGHTS = ["1.2", "0.5", " 1.35 ", "+2", "-1", "1.", ".7", "0"]
WHENS = ["3", "0.5", ".25", " 2", "1.0", "12", "0", "-1", "1e0", "7 ", "1.5", "0.001"]
WORDS = "a cat dog , , , mountain lake style BREAK AND photo of é\u00a0ü x|y | \\( \\] \\\\ \\ \n BREAKfast éAND".split(" ")
PLAIN_WORDS = "a cat dog mountain lake style photo of , the light in forest".split()


def stub_modules(folder):
    """The webui's modules import each other; only these four are needed."""
    sys.path.insert(0, str(folder))
    modules = types.ModuleType("modules")
    modules.__path__ = [str(folder / "modules")]
    sys.modules["modules"] = modules
    for name in ("devices", "sd_hijack", "sd_emphasis", "errors", "extra_networks_hypernet", "shared"):
        stub = sys.modules[f"modules.{name}"] = types.ModuleType(f"modules.{name}")
        setattr(modules, name, stub)
    modules.shared.opts = types.SimpleNamespace(emphasis="Original", comma_padding_backtrack=20)


def make_chunker(parser_opts):
    from modules.sd_hijack_clip import FrozenCLIPEmbedderWithCustomWordsBase
    from transformers import CLIPTokenizer

    sys.modules["ftfy"] = None
    tokenizer = CLIPTokenizer.from_pretrained(FIXTURES)
    encode = lambda text: tokenizer(text, truncation=False, add_special_tokens=False)["input_ids"]

    class Database:
        def find_embedding_at_position(self, tokens, offset):
            return None, None  # Embeddings are new tokens in ours.

    class Chunker(FrozenCLIPEmbedderWithCustomWordsBase):
        id_start, id_end = tokenizer.bos_token_id, tokenizer.eos_token_id
        comma_token = tokenizer.get_vocab()[",</w>"]

        def tokenize(self, texts):
            return [encode(text) for text in texts]

    chunker = Chunker(None, types.SimpleNamespace(embedding_db=Database()))

    def chunk(prompt, backtrack):
        parser_opts.comma_padding_backtrack = backtrack
        chunks, count = chunker.tokenize_line(prompt)
        return {
            "prompt": prompt,
            "backtrack": backtrack,
            "tokenCount": count,
            "chunks": [{"tokens": c.tokens, "weights": c.multipliers} for c in chunks],
        }

    return chunk


def random_prompt(rng, depth=0):
    """Brackets of all kinds, balanced and not."""
    out = ""
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        inner = lambda: random_prompt(rng, depth + 1) if depth < 4 else rng.choice(WORDS)
        kind = rng.random()
        if kind < 0.35:
            out += rng.choice(WORDS) + rng.choice(["", " "])
        elif kind < 0.45:
            out += f"({inner()})"
        elif kind < 0.55:
            out += f"({inner()}:{rng.choice(WEIGHTS)})"
        elif kind < 0.62:
            out += f"[{inner()}]"
        elif kind < 0.72:
            out += f"[{inner()}:{inner()}:{rng.choice(WHENS)}]"
        elif kind < 0.79:
            out += f"[{inner()}:{rng.choice(WHENS)}]"
        elif kind < 0.88:
            out += "[" + "|".join(inner() for _ in range(rng.choice([2, 2, 3, 4]))) + "]"
        else:
            out += rng.choice(["(", ")", "[", "]", ":", "[", "]:3]", ":1.1)", " :1.5", "AND", " BREAK "])
    return out


def long_prompt(rng):
    words = []
    while len(words) < rng.choice([20, 60, 90, 200]):
        word = rng.choice(PLAIN_WORDS)
        words.append(rng.choice([word] * 8 + [f"({word}:1.3)", f"[{word}]", "BREAK", f"({word} {word})"]))
    return " ".join(words)


def schedules_under(folder, seed, cases):
    """The schedules of all cases, in a Python of its own with this hash seed."""
    command = [sys.executable, __file__, str(folder), "schedules"]
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    done = subprocess.run(command, input=json.dumps(cases).encode(), env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def schedules(folder):
    stub_modules(folder)
    from modules.prompt_parser import get_learned_conditioning_prompt_schedules as get

    json.dump([get([prompt], *steps)[0] for prompt, *steps in json.load(sys.stdin)], sys.stdout)


def main(folder, count, seed, output, keep):
    stub_modules(folder)
    from modules import extra_networks, prompt_parser, shared

    chunk = make_chunker(shared.opts)
    rng = random.Random(seed)
    prompts = [random_prompt(rng) for _ in range(count)]
    data = {"attention": [], "schedules": [], "composed": [], "chunks": [], "networks": []}
    for prompt in dict.fromkeys(prompts):
        data["attention"].append([prompt, prompt_parser.parse_prompt_attention(prompt)])
        data["schedules"].append([prompt, rng.choice(STEPS), rng.choice([None, None, 6])])
        (indexes,), texts, _ = prompt_parser.get_multicond_prompt_list([prompt])
        data["composed"].append([prompt, [[texts[i], weight] for i, weight in indexes]])
    while len(data["chunks"]) < count // 8:
        data["chunks"].append(chunk(long_prompt(rng), rng.choice([20, 20, 0, 5])))
    for name, cases in data.items():
        del cases[keep // 8 if name == "chunks" else keep :]
    runs = [schedules_under(folder, seed, data["schedules"]) for seed in HASH_SEEDS]
    for case, *outcomes in zip(data["schedules"], *runs):
        case.append([outcome for i, outcome in enumerate(outcomes) if outcome not in outcomes[:i]])
    for argument in ["a", "a:0.8", "a:0.8:0.5", "a:te=0.3", "a:unet=0.2", "a:1:te=2:unet=3", "b c:.5", "", "x=y=z"]:
        prompt = f"pre <lora:{argument}> mid <lyco:{argument}>, <b:{argument}> <lora> < lora:q> <é:1>"
        text, found = extra_networks.parse_prompt(prompt)
        data["networks"].append([prompt, text, {k: [p.items for p in v] for k, v in found.items()}])
    Path(output).write_bytes(gzip.compress(json.dumps(data).encode(), mtime=0))


if __name__ == "__main__":
    if sys.argv[2] == "schedules":
        schedules(Path(sys.argv[1]))
    else:
        count = int(sys.argv[2])
        keep = int(sys.argv[5]) if len(sys.argv) > 5 else count
        main(Path(sys.argv[1]), count, int(sys.argv[3]), sys.argv[4], keep)
