"""Stage `evaluate`: every line that the model must show, measured on held-out captions."""
import json
import os

import numpy as np
import torch
from diffusers import DDPMScheduler
from PIL import Image, ImageDraw

from painter import PLACES, TERRAINS, TIMES, WEATHERS, caption
from . import data, judge as judging
from .diffusion import BETAS
from .sample import Model
from .tokenizer import encode
from .vae import psnr, round_trip

SEED = 20_000


def prompts(work, count):
    """Held-out captions: other scenes, other random numbers than training's."""
    _, scenes = data.load(os.path.join(work, "data"), "held")
    rng = np.random.default_rng(SEED)
    return [caption(s, rng) for s in scenes[:count]]


def adherence(model, judge, told, scale, seed=SEED):
    pictures = model.generate([text for text, _ in told], scale=scale, seed=seed)
    return judging.share(judging.agree(f, s) for f, (_, s) in zip(judging.see(judge, pictures), told))


@torch.no_grad()
def held_loss(model, pictures, texts, seed=SEED):
    """Squared error of the predicted noise on held-out pictures, by timestep."""
    alphas = DDPMScheduler(**BETAS)
    start, context = model.encode(pictures), model.text(encode(model.tokenizer, texts)).last_hidden_state
    noise = torch.randn(start.shape, generator=torch.Generator().manual_seed(seed))
    out = {}
    for t in (100, 300, 500, 700, 900):
        at = torch.full((len(start),), t)
        with model.autocast():
            guess = model.unet(alphas.add_noise(start, noise, at), at, context).sample.float()
        out[str(t)] = (guess - noise).pow(2).mean().item()
    return out


def negative(model, judge, scale, count):
    """Prompts that leave open what building stands there, without and with "house" as the negative prompt."""
    rng = np.random.default_rng(SEED + 1)
    pick = lambda words: words[int(rng.integers(len(words)))]
    ground = dict(mountains="mountains", hills="hills", desert="a desert", sea="the sea", plain="a plain")
    spot = dict(left="on the left", middle="in the middle", right="on the right")
    texts = [f"a building {spot[pick(PLACES)]}, {ground[pick(TERRAINS)]}, {pick(TIMES)}" for _ in range(count)]
    houses = []
    for word in ("", "house"):
        found = judging.see(judge, model.generate(texts, negative=word, scale=scale, seed=SEED))
        houses.append(float(np.mean([any(t["kind"] == "house" for t in f["things"]) for f in found])))
    return dict(house_share=houses[0], house_share_with_negative=houses[1])


def strength(model, judge, work, scale, count):
    """Distance from the input picture by strength, and what of the layout is kept, prompted with another hour."""
    pictures, scenes = data.load(os.path.join(work, "data"), "held")
    pictures, scenes = pictures[-count:], scenes[-count:]
    rng = np.random.default_rng(SEED + 2)
    texts = [caption(s, rng)[0] for s in scenes]
    start, out = model.encode(pictures), {}
    for s in (0.2, 0.4, 0.6, 0.8):
        made = model.generate(texts, scale=scale, start=start, strength=s, seed=SEED)
        kept = judging.share(judging.agree(f, dict(terrain=a["terrain"], things=a["things"]))
                             for f, a in zip(judging.see(judge, made), scenes))
        out[str(s)] = dict(distance=float(np.abs(made.astype(float) - pictures).mean() / 255), **kept)
    return out


PARTS = ("judge", "vae", "adherence", "scales", "raw", "negative", "strength")


def run(work, folder, raw, count=500, scale=7.5, fast=False, parts=PARTS, scales=(1.0, 2.5, 5.0)):
    """Measure the named parts; each result is merged into report.json, so that parts may run side by side."""
    judge, model = judging.load(work), Model(folder, fast)
    held, scenes = data.load(os.path.join(work, "data"), "held")
    told = prompts(work, count)
    path = os.path.join(work, "report.json")

    def note(name, value):
        report = json.load(open(path)) if os.path.exists(path) else {}
        report[name] = value
        with open(path, "w") as f:
            json.dump(report, f, indent=1)
        print(name, json.dumps(value), flush=True)

    if "judge" in parts:
        note("judge on painted pictures", dict(pictures=len(held), **judging.check(judge, held, scenes)))
    if "vae" in parts:
        db = psnr(model.vae, held[:256])
        by = {w: float(np.mean([d for d, s in zip(db, scenes) if s["weather"] == w])) for w in WEATHERS}
        note("vae round trip, dB", dict(pictures=256, mean=float(db.mean()), least=float(db.min()), **by))
        note("judge on round trips", dict(pictures=256, **judging.check(judge, round_trip(model.vae, held[:256]), scenes[:256])))
    if "adherence" in parts:
        note("adherence", dict(captions=count, scale=scale, **adherence(model, judge, told, scale)))
    if "scales" in parts:
        some = told[:max(count // 4, 1)]
        for s in (*scales, scale):
            note(f"adherence at scale {s}", dict(captions=len(some), **adherence(model, judge, some, s)))
    if "raw" in parts:
        other = Model(raw, fast)
        note("raw weights", dict(captions=count, **adherence(other, judge, told, scale)))
        texts = [text for text, _ in told[:256]]
        note("held-out loss", dict(averaged=held_loss(model, held[:256], texts), raw=held_loss(other, held[:256], texts)))
    if "negative" in parts:
        some = max(count // 4, 1)
        note("negative prompt", dict(prompts=some, **negative(model, judge, scale, some)))
    if "strength" in parts:
        note("strength", strength(model, judge, work, scale, min(64, count)))


def sheet(work, folder, path, scale=7.5, seed=7, fast=False):
    """Eight by eight uncurated pictures with their prompts."""
    told = prompts(work, 2000)[-64:]
    pictures = Model(folder, fast).generate([t for t, _ in told], scale=scale, seed=seed)
    side, lines, gap = 128, 4, 6
    page = Image.new("RGB", (8 * (side + gap) + gap, 8 * (side + 9 * lines + gap + 3) + gap), (250, 249, 246))
    draw = ImageDraw.Draw(page)
    for i, (picture, (text, _)) in enumerate(zip(pictures, told)):
        x, y = gap + (i % 8) * (side + gap), gap + (i // 8) * (side + 9 * lines + gap + 3)
        page.paste(Image.fromarray(picture), (x, y))
        row, words = "", []
        for word in text.split():  # the built-in font is about 5 pixels a letter
            if draw.textlength((row + " " + word).strip(), font_size=8) > side:
                words.append(row)
                row = ""
            row = (row + " " + word).strip()
        for k, line in enumerate((words + [row])[:lines]):
            draw.text((x, y + side + 1 + 9 * k), line, fill=(60, 58, 55), font_size=8)
    page.save(path, quality=88)
