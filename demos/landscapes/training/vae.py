"""Stage `vae`: the autoencoder, from pictures alone.

The loss is L1 at three scales, a little squared error (PSNR is what is promised)
and the gradient difference (edges), with a Kullback-Leibler term strong enough
to keep noise in the latents: a decoder that has seen noisy latents forgives the
diffusion model its small errors. No network from elsewhere judges anything.
"""
import os

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from . import data, loop, muon

CONFIG = dict(in_channels=3, out_channels=3, down_block_types=("DownEncoderBlock2D",) * 4,
              up_block_types=("UpDecoderBlock2D",) * 4, block_out_channels=(16, 32, 64, 128),
              layers_per_block=1, latent_channels=4, norm_num_groups=4, sample_size=128)


def tensor(pictures):
    """uint8 (n, h, w, 3) to float (n, 3, h, w) in -1..1."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def edges(x):
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def reconstruction(y, x):
    loss = F.l1_loss(y, x) + 2.0 * F.mse_loss(y, x)
    loss = loss + 0.5 * sum(F.l1_loss(a, b) for a, b in zip(edges(y), edges(x)))
    for k in (4, 8):
        loss = loss + F.l1_loss(F.avg_pool2d(y, k), F.avg_pool2d(x, k))
    return loss


def corner(scene, size, rng):
    """Where to cut (y, x), on the latent grid: mostly around a thing, the hardest part of a picture."""
    free = (128 - size) // 8
    if free and scene["things"] and rng.random() < 0.8:
        thing = scene["things"][int(rng.integers(len(scene["things"])))]
        centre = {"left": 26, "middle": 64, "right": 102}[thing["place"]] + rng.uniform(-20, 20)
        return int(rng.integers(free // 2, free + 1)) * 8, int(np.clip(round((centre - size / 2) / 8), 0, free)) * 8
    return tuple(rng.integers(0, free + 1, 2) * 8)


@torch.no_grad()
def round_trip(model, pictures, batch=16):
    """uint8 pictures, encoded and decoded again."""
    made = [model.decode(model.encode(tensor(pictures[i:i + batch])).latent_dist.mode()).sample
            for i in range(0, len(pictures), batch)]
    return ((torch.cat(made).clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()


def psnr(model, pictures):
    """Per picture, in dB, after rounding to bytes."""
    away = round_trip(model, pictures).astype(np.float32) - pictures
    return 10 * np.log10(255 ** 2 / np.maximum((away ** 2).mean((1, 2, 3)), 1e-3))


def train(team, work, minutes, seed=0, decoder=False, batch=8, crop=64, peak=2e-3, kl_weight=3e-4):
    torch.manual_seed(seed)
    pictures, scenes = data.load(os.path.join(work, "data"), "train")
    held, _ = data.load(os.path.join(work, "data"), "held")
    model = AutoencoderKL(**CONFIG)
    average = loop.Average([model], 0.998)
    optimizer = muon.Muon([dict(params=list(model.parameters()))], lr=peak, team=team)
    path, step, spent = os.path.join(work, "vae.pt"), 0, 0.0
    state = loop.load(path)
    if state:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.kept, average.steps = state["kept"], state["step"]
        step, spent = state["step"], state["spent"]
    parameters = list(model.parameters())
    if decoder:  # the latents are already in use: only what reads them may still change
        if not (state or {}).get("decoder"):
            model.load_state_dict(loop.load(os.path.join(work, "encoder.pt"))["encoder"])
            average = loop.Average([model], 0.998)
            average.steps = 500
        model.encoder.requires_grad_(False)
        model.quant_conv.requires_grad_(False)
        frozen = set(model.encoder.parameters()) | set(model.quant_conv.parameters())
        parameters = [p for p in parameters if p not in frozen]
    # Once latents are in use, a further run may improve the encoder too, but holds on to what they mean.
    anchor, kept = None, loop.load(os.path.join(work, "encoder.pt"))
    if kept and not decoder:
        anchor = AutoencoderKL(**CONFIG).requires_grad_(False)
        anchor.load_state_dict(kept["encoder"])
    budget, log = loop.Budget(minutes, spent), loop.Log(os.path.join(work, "logs", "vae.jsonl"), team.rank > 0)
    # Same start everywhere, then other pictures and other noise for each member.
    torch.manual_seed(seed + 1000 * step + team.rank)
    rng, share, seen = np.random.default_rng(seed + 1000 * step + team.rank), budget.share, []

    def checkpoint():
        loop.save(path, model=model.state_dict(), optimizer=optimizer.state_dict(), kept=average.kept,
                  decoder=decoder, step=step, spent=budget.spent)

    while share < 1:
        # Crops on the latent grid: early on, many small steps teach more than few large ones.
        size = crop if share < 0.85 else 128
        some = rng.integers(0, len(pictures), batch if size < 128 else batch // 2)
        at = [corner(scenes[i], size, rng) for i in some]
        x = tensor(np.stack([pictures[i, y:y + size, x:x + size] for i, (y, x) in zip(some, at)]))
        for group in optimizer.param_groups:
            group["lr"] = budget.rate(share, step, peak, warmup=50)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            with torch.set_grad_enabled(not decoder):
                posterior = model.encode(x).latent_dist
            mean, logvar = posterior.mean.float(), posterior.logvar.float()
            y = model.decode(mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)).sample
        kl = 0.5 * (mean.pow(2) + logvar.exp() - 1 - logvar).mean()
        fit = reconstruction(y.float(), x)
        drift = 0.0
        if anchor is not None:
            with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
                before = anchor.encode(x).latent_dist.mean.float()
            drift = 0.02 * F.mse_loss(mean, before)
        (fit + kl_weight * kl + drift).backward()
        share, = team.average(parameters, budget.share)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        average.update()
        step += 1
        seen.append((fit.item(), kl.item(), F.mse_loss(y.detach().float(), x).item()))
        if step % 50 == 0:
            fit_, kl_, mse_ = np.mean(seen, 0)
            seen = []
            log.write(step=step, seconds=budget.spent, loss=float(fit_), kl=float(kl_),
                      psnr=float(10 * np.log10(4 / mse_)))
        if step % 250 == 0 and team.rank == 0:
            average.swap()
            log.write(step=step, seconds=budget.spent, held_psnr=psnr(model, held[:32]).mean().item())
            average.swap()
            checkpoint()
    if team.rank == 0:
        checkpoint()


@torch.no_grad()
def finish(work):
    """The averaged autoencoder with its measured scaling factor: one over the latents' deviation."""
    state = loop.load(os.path.join(work, "vae.pt"))
    model = AutoencoderKL(**CONFIG)
    for live, kept in zip(model.parameters(), state["kept"]):
        live.data.copy_(kept)
    model.eval()
    pictures, _ = data.load(os.path.join(work, "data"), "train")
    sample = tensor(pictures[::max(1, len(pictures) // 512)][:512])
    kept = loop.load(os.path.join(work, "encoder.pt"))
    if kept:
        model.register_to_config(scaling_factor=kept["scaling_factor"])
        return model
    deviation = torch.cat([model.encode(part).latent_dist.sample() for part in sample.split(32)]).std().item()
    model.register_to_config(scaling_factor=round(1 / deviation, 5))
    return model


def freeze(work):
    """Fix the encoder: latents made from here on stay valid while `vae --decoder` goes on with the other half."""
    path = os.path.join(work, "encoder.pt")
    if os.path.exists(path):
        os.remove(path)  # its scaling factor is to be measured anew
    model = finish(work)
    torch.save(dict(encoder=model.state_dict(), scaling_factor=model.config.scaling_factor), path)


@torch.no_grad()
def cache(work, count, again=False):
    """Latents of the first `count` training pictures, scaled, as float16: all the diffusion stage reads.

    `latents.count` says how many are there; training may begin with the first thousand.
    With `again` they are made anew in place, by a better encoder, under a training that goes on.
    """
    kept = loop.load(os.path.join(work, "encoder.pt"))
    model = AutoencoderKL(**CONFIG)
    model.load_state_dict(kept["encoder"])
    pictures, _ = data.load(os.path.join(work, "data"), "train")
    count = min(count, len(pictures))
    path, tally = os.path.join(work, "latents.f16"), os.path.join(work, "latents.count")
    done = int(open(tally).read()) if os.path.exists(tally) and not again else 0
    out = np.memmap(path, np.float16, "r+" if os.path.exists(path) else "w+", shape=(len(pictures), 4, 16, 16))
    for i in range(done, count, 20):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mean = model.encode(tensor(pictures[i:i + 20])).latent_dist.mean
        out[i:i + 20] = (mean.float() * kept["scaling_factor"]).numpy()
        if (i + 20) % 500 == 0 and not again:
            out.flush()
            with open(tally + ".part", "w") as f:
                f.write(str(i + 20))
            os.replace(tally + ".part", tally)
