"""Stage `tokenizer`: CLIP's byte-level byte-pair encoding, learned from our own captions.

The files are CLIP's own format: a vocabulary of the 256 byte characters, the
same 256 closing a word (`</w>`), one entry per merge in order, and the two
marks. Any byte can be written, so no text is ever unknown. The end mark has
the highest id, which both ways of finding the pooled position rely on.
"""
import json
import os
import tempfile

import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer
from transformers.models.clip.tokenization_clip import bytes_to_unicode

from painter import caption, random_scene

START, END = "<|startoftext|>", "<|endoftext|>"
WORD = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
MERGES = 768


def _merges(texts):
    bpe = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix="</w>"))
    bpe.normalizer = normalizers.Lowercase()
    bpe.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(WORD), behavior="removed", invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    bpe.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=512 + MERGES, min_frequency=2, end_of_word_suffix="</w>", show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    with tempfile.TemporaryDirectory() as folder:
        with open(bpe.model.save(folder)[1]) as f:
            return [line.rstrip("\n") for line in f if not line.startswith("#version")]


def train(work, seed=0, count=60_000):
    rng = np.random.default_rng(seed)
    merges = _merges(caption(random_scene(rng), rng)[0] for _ in range(count))
    letters = list(bytes_to_unicode().values())
    words = letters + [c + "</w>" for c in letters] + ["".join(m.split(" ")) for m in merges] + [START, END]
    vocab = {}
    for word in words:
        vocab.setdefault(word, len(vocab))
    folder = os.path.join(work, "tokenizer")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "vocab.json"), "w") as f:
        json.dump(vocab, f, ensure_ascii=False)
    with open(os.path.join(folder, "merges.txt"), "w") as f:
        f.write("#version: 0.2\n" + "\n".join(merges) + "\n")
    mark = lambda s: dict(content=s, lstrip=False, normalized=True, rstrip=False, single_word=False)
    with open(os.path.join(folder, "special_tokens_map.json"), "w") as f:
        json.dump(dict(bos_token=mark(START), eos_token=mark(END), pad_token=END, unk_token=mark(END)), f, indent=2)
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as f:
        json.dump(dict(add_prefix_space=False, bos_token=START, do_lower_case=True, eos_token=END, errors="replace",
                       model_max_length=77, pad_token=END, tokenizer_class="CLIPTokenizer", unk_token=END), f, indent=2)
    return load(work)


def load(work):
    return CLIPTokenizer.from_pretrained(os.path.join(work, "tokenizer"))


def encode(tokenizer, texts):
    """Ids (n, 77) as int64, padded with the end mark as Stable Diffusion does."""
    return tokenizer(list(texts), padding="max_length", max_length=77, truncation=True,
                     return_tensors="pt").input_ids
