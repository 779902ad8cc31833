"""Sampling as the exported folder does it: DDIM with classifier-free guidance."""
import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTextModel, CLIPTokenizer

from .tokenizer import encode
from .vae import tensor


class Model:
    """A diffusers folder, read whole. Evaluated in float32, or under bf16 autocast when `fast`."""

    def __init__(self, folder, fast=False):
        self.fast = fast
        self.tokenizer = CLIPTokenizer.from_pretrained(f"{folder}/tokenizer")
        self.text = CLIPTextModel.from_pretrained(f"{folder}/text_encoder", torch_dtype=torch.float32).eval()
        self.unet = UNet2DConditionModel.from_pretrained(f"{folder}/unet", torch_dtype=torch.float32).eval()
        self.unet.set_attn_processor(AttnProcessor())
        self.vae = AutoencoderKL.from_pretrained(f"{folder}/vae", torch_dtype=torch.float32).eval()
        self.scheduler_folder = f"{folder}/scheduler"

    def autocast(self):
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.fast)

    @torch.no_grad()
    def encode(self, pictures):
        return self.vae.encode(tensor(pictures)).latent_dist.mode() * self.vae.config.scaling_factor

    @torch.no_grad()
    def generate(self, prompts, negative="", scale=7.5, steps=25, seed=0, start=None, strength=1.0, batch=50):
        """Pictures, uint8. `negative` is one text or one per prompt; `start` are latents to begin from."""
        negatives = [negative] * len(prompts) if isinstance(negative, str) else list(negative)
        pictures = []
        for i in range(0, len(prompts), batch):
            # One generator per picture: a picture does not depend on its neighbours in the batch.
            noise = torch.stack([torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(seed + k))
                                 for k in range(i, min(i + batch, len(prompts)))])
            first = None if start is None else start[i:i + batch]
            x = self._denoise(prompts[i:i + batch], negatives[i:i + batch], noise, scale, steps, first, strength)
            with self.autocast():
                y = self.vae.decode(x / self.vae.config.scaling_factor).sample.float()
            pictures.append(((y.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy())
        return np.concatenate(pictures)

    def _denoise(self, prompts, negatives, x, scale, steps, start, strength):
        scheduler = DDIMScheduler.from_pretrained(self.scheduler_folder)
        scheduler.set_timesteps(steps)
        times = scheduler.timesteps
        if start is not None:
            times = times[steps - min(int(steps * strength), steps):]
            x = scheduler.add_noise(start, x, times[:1])
        hidden = lambda texts: self.text(encode(self.tokenizer, texts)).last_hidden_state
        guided = scale != 1.0
        with self.autocast():
            context = torch.cat([hidden(negatives), hidden(prompts)]) if guided else hidden(prompts)
        for t in times:
            with self.autocast():
                e = self.unet(torch.cat([x, x]) if guided else x, t, context).sample.float()
            if guided:
                away, towards = e.chunk(2)
                e = away + scale * (towards - away)
            x = scheduler.step(e, t, x).prev_sample
        return x
