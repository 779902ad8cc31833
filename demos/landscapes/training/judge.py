"""Stage `judge`: a small classifier of what a picture shows, trained on painted pictures alone.

Five convolutions, the mean over the rows of the last (so that left, middle and
right stay apart), and one linear layer. Batch norms are folded into the
convolutions when it is saved, so that any reader can run it: see judge/README.md.
"""
import json
import os

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from painter import COLOURS, KINDS, PLACES, SEASONS, TERRAINS, TIMES, WEATHERS
from . import data, loop, muon
from .vae import tensor

LAYERS = [(3, 24), (24, 48), (48, 96), (96, 128), (128, 160)]  # all 3x3, stride 2 but the last
NOTHING = "nothing"
HEADS = [("time", TIMES), ("weather", WEATHERS), ("terrain", TERRAINS), ("season", SEASONS)] \
    + [head for p in PLACES for head in ((f"{p}.kind", KINDS + [NOTHING]), (f"{p}.colour", COLOURS))]
SIZES = [len(words) for _, words in HEADS]


class Judge(nn.Module):
    def __init__(self, folded=False):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 3, 2 if k < 4 else 1, 1, bias=folded) for k, (i, o) in enumerate(LAYERS))
        self.norms = None if folded else nn.ModuleList(nn.BatchNorm2d(o) for _, o in LAYERS)
        self.head = nn.Linear(8 * LAYERS[-1][1], sum(SIZES))

    def forward(self, x):
        """Pictures (n, 3, 128, 128) in -1..1 to one tensor of scores per head."""
        for k, conv in enumerate(self.convs):
            x = conv(x)
            x = F.relu(self.norms[k](x) if self.norms is not None else x)
        return self.head(x.mean(2).flatten(1)).split(SIZES, 1)  # channel-major: c * 8 + column


def truth(scene):
    """The answers a perfect judge gives; -1 where there is nothing to be asked."""
    out = [w.index(scene[n]) for n, w in HEADS[:4]]
    for place in PLACES:
        thing = next((t for t in scene["things"] if t["place"] == place), None)
        out += [KINDS.index(thing["kind"]), COLOURS.index(thing["colour"])] if thing else [len(KINDS), -1]
    return out


def fold(judge):
    """The same function with the batch norms multiplied into the convolutions."""
    plain = Judge(folded=True)
    with torch.no_grad():
        for conv, norm, target in zip(judge.convs, judge.norms, plain.convs):
            gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            target.weight.copy_(conv.weight * gain[:, None, None, None])
            target.bias.copy_(norm.bias - norm.running_mean * gain)
        plain.head.load_state_dict(judge.head.state_dict())
    return plain.eval()


def train(team, work, minutes, seed=0, batch=48, peak=3e-3):
    torch.manual_seed(seed)
    pictures, scenes = data.load(os.path.join(work, "data"), "train")
    wanted = torch.tensor([truth(s) for s in scenes])
    judge = Judge()
    optimizer = muon.Muon([dict(params=list(judge.parameters()))], lr=peak, team=team)
    budget, log, step = loop.Budget(minutes), loop.Log(os.path.join(work, "logs", "judge.jsonl"), team.rank > 0), 0
    torch.manual_seed(seed + 1 + team.rank)
    rng, share = np.random.default_rng(seed + 1 + team.rank), 0.0
    while share < 1:
        pick = np.sort(rng.integers(0, len(pictures), batch))
        x = tensor(pictures[pick])
        # Some pictures are softened, some get noise: any autoencoder does a little of both.
        soft = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
        x = torch.lerp(x, soft, torch.rand(batch, 1, 1, 1) * (torch.rand(batch, 1, 1, 1) < 0.5))
        x = x + torch.randn_like(x) * torch.rand(batch, 1, 1, 1) * 0.05
        for group in optimizer.param_groups:
            group["lr"] = budget.rate(share, step, peak, warmup=50)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            scores = judge(x)
        goal = wanted[pick]
        loss = sum(F.cross_entropy(s.float(), goal[:, i], ignore_index=-1, label_smoothing=0.02) for i, s in enumerate(scores))
        loss.backward()
        share, = team.average(list(judge.parameters()), budget.share)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        if step % 50 == 0:
            log.write(step=step, seconds=budget.spent, loss=loss.item())
    if team.rank > 0:
        return
    folder = os.path.join(work, "judge")
    os.makedirs(folder, exist_ok=True)
    plain = fold(judge)
    save_file({k: v.half().contiguous() for k, v in plain.state_dict().items()}, os.path.join(folder, "judge.safetensors"))
    with open(os.path.join(folder, "judge.json"), "w") as f:
        json.dump(dict(heads=[dict(name=n, answers=w) for n, w in HEADS]), f, indent=1)
    held, held_scenes = data.load(os.path.join(work, "data"), "held")
    log.write(**{f"held_{k}": v for k, v in check(load(work), held, held_scenes).items()})


def load(work):
    judge = Judge(folded=True)
    judge.load_state_dict({k: v.float() for k, v in load_file(os.path.join(work, "judge", "judge.safetensors")).items()})
    return judge.eval()


@torch.no_grad()
def see(judge, pictures):
    """What the judge finds in uint8 pictures: dictionaries shaped like scenes."""
    found = []
    for i in range(0, len(pictures), 100):
        scores = [s.argmax(1).tolist() for s in judge(tensor(pictures[i:i + 100]))]
        for answer in zip(*scores):
            scene = {n: w[a] for (n, w), a in zip(HEADS[:4], answer)}
            slots = zip(PLACES, answer[4::2], answer[5::2])
            scene["things"] = [dict(kind=KINDS[k], colour=COLOURS[c], place=p) for p, k, c in slots if k < len(KINDS)]
            found.append(scene)
    return found


def agree(found, said):
    """Which of the facts in `said` the picture shows: lists of true and false by question."""
    marks = {}
    for name in ("time", "weather", "terrain", "season"):
        if name in said:
            marks.setdefault(name, []).append(found[name] == said[name])
    for thing in said["things"]:
        if "kind" not in thing:
            continue
        seen = [t for t in found["things"] if t["kind"] == thing["kind"]]
        marks.setdefault("thing", []).append(bool(seen))
        for key in ("place", "colour"):
            if key in thing:
                marks.setdefault(key, []).append(any(t[key] == thing[key] for t in seen))
    return marks


def share(marks):
    """Means over a list of `agree` answers."""
    total = {}
    for mark in marks:
        for key, values in mark.items():
            total.setdefault(key, []).extend(values)
    return {key: sum(v) / len(v) for key, v in sorted(total.items())}


def check(judge, pictures, scenes):
    return share(agree(f, s) for f, s in zip(see(judge, pictures), scenes))
