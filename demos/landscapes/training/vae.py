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
        loss = loss + 0.5 * F.l1_loss(F.avg_pool2d(y, k), F.avg_pool2d(x, k))
    return loss


@torch.no_grad()
def psnr(model, pictures, batch=16):
    """Mean over pictures of the round trip's PSNR, in dB, after rounding to bytes."""
    values = []
    for i in range(0, len(pictures), batch):
        x = tensor(pictures[i:i + batch])
        y = model.decode(model.encode(x).latent_dist.mode()).sample
        y8, x8 = ((v.clamp(-1, 1) + 1) * 127.5 for v in (y, x))
        mse = (y8.round() - x8).pow(2).mean((1, 2, 3))
        values.append(10 * torch.log10(255 ** 2 / mse.clamp_min(1e-3)))
    return torch.cat(values)


def train(work, minutes, seed=0, batch=8, crop=64, peak=2e-3, kl_weight=3e-4):
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    pictures, _ = data.load(os.path.join(work, "data"), "train")
    held, _ = data.load(os.path.join(work, "data"), "held")
    model = AutoencoderKL(**CONFIG)
    average = loop.Average([model], 0.998)
    optimizer = muon.Muon([dict(params=list(model.parameters()))], lr=peak)
    path, step, spent = os.path.join(work, "vae.pt"), 0, 0.0
    state = loop.load(path)
    if state:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.kept, average.steps = state["kept"], state["step"]
        step, spent, rng = state["step"], state["spent"], np.random.default_rng(seed + state["step"])
    budget, log = loop.Budget(minutes, spent), loop.Log(os.path.join(work, "logs", "vae.jsonl"))
    seen = []

    def checkpoint():
        loop.save(path, model=model.state_dict(), optimizer=optimizer.state_dict(), kept=average.kept,
                  step=step, spent=budget.spent)

    while budget.share < 1:
        # Crops on the latent grid: early on, many small steps teach more than few large ones.
        size = crop if budget.share < 0.6 else 128
        some = rng.integers(0, len(pictures), batch if size < 128 else batch // 2)
        at = rng.integers(0, (128 - size) // 8 + 1, (len(some), 2)) * 8
        x = tensor(np.stack([pictures[i, y:y + size, x:x + size] for i, (y, x) in zip(some, at)]))
        for group in optimizer.param_groups:
            group["lr"] = budget.rate(step, peak, warmup=50)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            posterior = model.encode(x).latent_dist
            mean, logvar = posterior.mean.float(), posterior.logvar.float()
            y = model.decode(mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)).sample
        kl = 0.5 * (mean.pow(2) + logvar.exp() - 1 - logvar).mean()
        fit = reconstruction(y.float(), x)
        (fit + kl_weight * kl).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
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
        if step % 500 == 0:
            average.swap()
            log.write(step=step, seconds=budget.spent, held_psnr=psnr(model, held[:64]).mean().item())
            average.swap()
            checkpoint()
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
    deviation = torch.cat([model.encode(part).latent_dist.sample() for part in sample.split(32)]).std().item()
    model.register_to_config(scaling_factor=round(1 / deviation, 5))
    return model


@torch.no_grad()
def cache(work, parts=None):
    """Latents of the training pictures, scaled, as float16: the diffusion stage reads nothing else."""
    model = finish(work)
    pictures, _ = data.load(os.path.join(work, "data"), "train")
    out = np.zeros((len(pictures), 4, 16, 16), np.float16)
    for i in range(0, len(pictures), 50):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mean = model.encode(tensor(pictures[i:i + 50])).latent_dist.mean
        out[i:i + 50] = (mean.float() * model.config.scaling_factor).numpy()
    np.save(os.path.join(work, "latents.npy"), out)
    return out
