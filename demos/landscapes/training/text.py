"""Stage `text`: the text encoder learns to say back what a caption says.

The UNet reads the hidden states, those of the end and padding tokens included;
under the causal mask these are the ones that have read all of the caption. Here
simple linear heads must find every fact in them (hour, weather, ground, which
thing stands where in which colour). A few minutes of this spare the diffusion
stage from discovering, through noise, that "crimson" and "red" are one word.
The heads are thrown away; the encoder goes on learning together with the UNet.
"""
import os

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizerFast

from painter import COLOURS, KINDS, PLACES, SEASONS, TERRAINS, TIMES, WEATHERS, caption
from . import data, loop, muon

WORDINGS = 4  # captions kept per picture
WIDTH, LAYERS = 128, 4

# Each target: how many answers it has. The last but one is "not said" where that
# differs from the last, "not there".
_BACK = (("time", TIMES), ("weather", WEATHERS), ("terrain", TERRAINS), ("season", SEASONS))
SIZES = [len(w) + 1 for _, w in _BACK] + [len(COLOURS) + 2, len(PLACES) + 2] * len(KINDS) \
    + [len(KINDS) + 2, len(COLOURS) + 2] * len(PLACES)


def answers(said):
    """The facts of a caption as class numbers, in the order of SIZES."""
    out = [w.index(said[n]) if n in said else len(w) for n, w in _BACK]
    one = lambda thing, key, words: words.index(thing[key]) if key in thing else len(words)
    for kind in KINDS:
        thing = next((t for t in said["things"] if t.get("kind") == kind), None)
        out += [one(thing, "colour", COLOURS), one(thing, "place", PLACES)] if thing else [len(COLOURS) + 1, len(PLACES) + 1]
    for place in PLACES:
        thing = next((t for t in said["things"] if t.get("place") == place), None)
        out += [one(thing, "kind", KINDS), one(thing, "colour", COLOURS)] if thing else [len(KINDS) + 1, len(COLOURS) + 1]
    return out


def captions(work, split="train", seed=1):
    """Token ids (n, WORDINGS, 77) and answers of the wordings of every picture, made once."""
    path = os.path.join(work, f"captions-{split}.npz")
    if not os.path.exists(path):
        tokenizer = CLIPTokenizerFast.from_pretrained(os.path.join(work, "tokenizer"))
        _, scenes = data.load(os.path.join(work, "data"), split)
        rng = np.random.default_rng(seed)
        told = [caption(s, rng) for s in scenes for _ in range(WORDINGS)]
        ids = tokenizer([t for t, _ in told], padding="max_length", max_length=77, truncation=True)["input_ids"]
        np.savez(path, ids=np.asarray(ids, np.int16).reshape(len(scenes), WORDINGS, 77),
                 answers=np.asarray([answers(s) for _, s in told], np.int8).reshape(len(scenes), WORDINGS, -1))
    with np.load(path) as f:
        return f["ids"], f["answers"]


def build(tokenizer):
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=4 * WIDTH, projection_dim=WIDTH,
        num_hidden_layers=LAYERS, num_attention_heads=WIDTH // 32, max_position_embeddings=77, hidden_act="quick_gelu",
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        initializer_factor=1.0, attention_dropout=0.0))


def train(team, work, minutes, tokenizer, seed=0, batch=64, peak=2e-3):
    torch.manual_seed(seed)
    ids, facts = captions(work)
    ids, facts = ids.reshape(-1, 77), facts.reshape(-1, facts.shape[-1])
    model, heads = build(tokenizer), nn.Linear(WIDTH, sum(SIZES))
    path, earlier = os.path.join(work, "text.pt"), 0
    state = loop.load(path)
    if state:  # a second run goes on from the first
        model.load_state_dict(state["model"])
        heads.load_state_dict(state.get("heads", heads.state_dict()))
        earlier = state["step"]
    parameters = [*model.parameters(), *heads.parameters()]
    optimizer = muon.Muon([dict(params=parameters)], lr=peak, team=team)
    budget, log, step = loop.Budget(minutes), loop.Log(os.path.join(work, "logs", "text.jsonl"), team.rank > 0), 0
    end = tokenizer.eos_token_id
    held = slice(len(ids) - 512, len(ids))

    def score(token, wanted, at):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = model(token).last_hidden_state
        # At the end mark, and at one padding position chosen anew for each caption.
        logits = heads(hidden[torch.arange(len(token)), at].float()).split(SIZES, 1)
        loss = sum(F.cross_entropy(l, wanted[:, i]) for i, l in enumerate(logits)) / len(SIZES)
        right = torch.stack([l.argmax(1) == wanted[:, i] for i, l in enumerate(logits)]).float().mean()
        return loss, right.item()

    def first_end(token):
        return (token == end).int().argmax(1)

    torch.manual_seed(seed + 1 + team.rank)
    rng, share = np.random.default_rng(seed + 1 + team.rank), 0.0
    while share < 1:
        pick = rng.integers(0, len(ids) - 512, batch)
        token, wanted = torch.from_numpy(ids[pick].astype(np.int64)), torch.from_numpy(facts[pick].astype(np.int64))
        first = first_end(token)
        # Most steps read only as far as the longest caption: padding costs as much as words.
        if step % 4:
            token = token[:, :int(first.max()) + 2]
        at = first + (torch.rand(batch) * (token.shape[1] - first)).long() * (torch.rand(batch) < 0.5)
        for group in optimizer.param_groups:
            group["lr"] = budget.rate(share, step, peak)
        loss, right = score(token, wanted, at)
        loss.backward()
        share, = team.average(parameters, budget.share)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        if step % 50 == 0 and team.rank == 0:
            with torch.no_grad():
                token, wanted = torch.from_numpy(ids[held].astype(np.int64)), torch.from_numpy(facts[held].astype(np.int64))
                held_loss, held_right = score(token, wanted, first_end(token))
            log.write(step=earlier + step, seconds=budget.spent, loss=loss.item(), held_loss=held_loss.item(), held_right=held_right)
    if team.rank == 0:
        loop.save(path, model=model.state_dict(), heads=heads.state_dict(), step=earlier + step)
