"""Stage `diffusion`: the UNet, from cached latents and token ids, on the finished text encoder.

Stable Diffusion's recipe: epsilon prediction over 1000 scaled-linear steps, one
caption in ten left empty for guidance, an average of the weights. Two additions
make it converge sooner: timesteps are drawn in proportion to min-SNR weights
(Hang et al. 2023; the last traces of noise are easy and teach little), and the
layers that end a residual branch start at zero. The text encoder stays as the
stage `text` left it, as Stable Diffusion's own did: it already tells every fact
apart, and half of a step would go into teaching it again.
"""
import os

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor

from . import loop, muon, text

CONFIG = dict(sample_size=16, in_channels=4, out_channels=4, block_out_channels=(64, 96, 128), layers_per_block=1,
              down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
              up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
              cross_attention_dim=text.WIDTH, attention_head_dim=2)
BETAS = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")

LEVEL = 0.15


def build():
    model = UNet2DConditionModel(**CONFIG)
    for name, module in model.named_modules():
        if name.endswith(("conv2", "proj_out", "conv_out")):
            torch.nn.init.zeros_(module.weight)
            torch.nn.init.zeros_(module.bias)
    # Written-out attention: on a CPU its backward pass is several times faster than the fused one's.
    model.set_attn_processor(AttnProcessor())
    return model


def timestep_weights(alphas, gamma=5.0, floor=0.25):
    snr = alphas / (1 - alphas)
    weight = torch.clamp(snr, max=gamma) / snr
    return torch.clamp(weight, min=floor)


def train(team, work, minutes, tokenizer, seed=0, start=None, batch=16, peak=2e-3, decay=0.998):
    torch.manual_seed(seed)
    ids, _ = text.captions(work)
    ids = torch.from_numpy(ids)
    latents = np.memmap(os.path.join(work, "latents.f16"), np.float16, "r", shape=(len(ids), 4, 16, 16))
    cached = lambda: int(open(os.path.join(work, "latents.count")).read())
    empty = torch.tensor([[tokenizer.bos_token_id] + [tokenizer.eos_token_id] * 76], dtype=torch.int64)
    noise_scheduler = DDPMScheduler(**BETAS)
    alphas = noise_scheduler.alphas_cumprod
    chance = timestep_weights(alphas)
    unet, encoder = build(), text.build(tokenizer)
    encoder.load_state_dict(loop.load(os.path.join(work, "text.pt"))["model"])
    encoder.requires_grad_(False)
    parameters = list(unet.parameters())
    if start:  # a finished folder's weights instead of none; the optimizer begins anew
        unet.load_state_dict(UNet2DConditionModel.from_pretrained(start, subfolder="unet", torch_dtype=torch.float32).state_dict())
    average = loop.Average([unet], decay)
    optimizer = muon.Muon([dict(params=parameters)], lr=peak, team=team)
    path, step, spent = os.path.join(work, "diffusion.pt"), 0, 0.0
    state = loop.load(path)
    if state:
        unet.load_state_dict(state["unet"])
        optimizer.load_state_dict(state["optimizer"])
        average.kept, average.steps, step, spent = state["kept"], state["step"], state["step"], state["spent"]
    budget, log, seen = loop.Budget(minutes, spent), loop.Log(os.path.join(work, "logs", "diffusion.jsonl"), team.rank > 0), []
    # Same start everywhere, then other pictures and other noise for each member.
    torch.manual_seed(seed + 1000 * step + team.rank)
    share, count = budget.share, cached()

    def checkpoint():
        loop.save(path, unet=unet.state_dict(), optimizer=optimizer.state_dict(),
                  kept=average.kept, step=step, spent=budget.spent)

    while share < 1:
        if step % 50 == 0:
            count = cached()  # grows while the cache is still being filled
        pick = torch.randint(0, count, (batch,))
        x = torch.from_numpy(latents[pick.numpy()].astype(np.float32))
        token = ids[pick, torch.randint(0, ids.shape[1], (batch,))].long()
        token = torch.where(torch.rand(batch, 1) < 0.1, empty, token)
        t = torch.multinomial(chance, batch, replacement=True)
        # A little of the noise is one level over the whole plane. Even the last timestep lets the
        # mean of a picture through; without this the model reads day or night there, not in the words.
        noise = torch.randn_like(x) + LEVEL * torch.randn(batch, 4, 1, 1)
        noisy = noise_scheduler.add_noise(x, noise, t)
        for group in optimizer.param_groups:
            # The average does the last of the annealing, so the rate need not reach zero.
            group["lr"] = budget.rate(share, step, peak, warmup=100, floor=0.1)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            with torch.no_grad():
                context = encoder(token).last_hidden_state
            guess = unet(noisy, t, context).sample
        loss = F.mse_loss(guess.float(), noise)
        loss.backward()
        share, value = team.average(parameters, budget.share, loss.item())
        norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        average.update()
        step += 1
        seen.append((value, norm.item()))
        if step % 50 == 0:
            mean = np.mean(seen, 0)
            seen = []
            log.write(step=step, seconds=budget.spent, pictures=step * batch * team.size, loss=float(mean[0]), norm=float(mean[1]))
        if step % 250 == 0 and team.rank == 0:
            checkpoint()
    if team.rank == 0:
        checkpoint()
