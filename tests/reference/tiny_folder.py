"""Writes a tiny diffusers folder with random weights, and what diffusers draws with it.

    python tests/reference/tiny_folder.py tests/fixtures/tiny-model

The model has every part of Stable Diffusion 1.x in about 200 KB of weights; its pictures are coloured noise.
`expected.json` holds runs of diffusers (CPU, float32) on it, pixels as base64 of RGB bytes.
"""

import base64
import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer


def bytes_to_unicode():
    """The 256 letters that stand for bytes in CLIP's vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(256 + i) for i, b in enumerate(rest)}}


def write_tokenizer(folder: Path) -> int:
    letters = list(bytes_to_unicode().values())
    merges = [("l", "a"), ("la", "k"), ("lak", "e</w>"), ("t", "h"), ("th", "e</w>"), ("d", "a")]
    tokens = [*letters, *(letter + "</w>" for letter in letters), *map("".join, merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    vocab = {token: i for i, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *map(" ".join, merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(vocab)


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Weights that keep the size of what passes through them; f16 values, as they are saved."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in sorted(model.named_parameters()):
        r = torch.randn(p.shape, generator=generator)
        if p.ndim >= 2:
            r /= math.sqrt(math.prod(p.shape[1:]))
        else:
            r = 1 + 0.1 * r if name.endswith("weight") else 0.05 * r
        p.data = r.half().float()


def main() -> None:
    folder = Path(sys.argv[1])
    vocab_size = write_tokenizer(folder / "tokenizer")
    tokenizer = CLIPTokenizer(
        str(folder / "tokenizer" / "vocab.json"), str(folder / "tokenizer" / "merges.txt"),
        model_max_length=77)
    text_encoder = CLIPTextModel(CLIPTextConfig(
        vocab_size=vocab_size, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=77, hidden_act="quick_gelu",
        bos_token_id=0, eos_token_id=2, pad_token_id=1))
    unet = UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, layers_per_block=1,
        block_out_channels=(8, 16), norm_num_groups=4, cross_attention_dim=16,
        attention_head_dim=2, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"))
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8), norm_num_groups=4, layers_per_block=1, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        sample_size=64)
    for seed, model in enumerate((text_encoder, unet, vae)):
        randomise(model, seed)
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        set_alpha_to_one=False, steps_offset=1)
    parts = dict(
        vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, unet=unet, scheduler=scheduler,
        safety_checker=None, feature_extractor=None)
    for model in (text_encoder, unet, vae):
        model.half()
    StableDiffusionPipeline(**parts, requires_safety_checker=False).save_pretrained(folder)

    # The runs start from what was saved, as everybody's do: a scheduler in memory still knows which
    # of its settings were defaults, and gives other ones to the scheduler that is made from it.
    load = dict(torch_dtype=torch.float32, safety_checker=None)
    pipe = StableDiffusionPipeline.from_pretrained(folder, **load)
    parts = pipe.components
    pipe.set_progress_bar_config(disable=True)

    runs = []

    def record(options, output):
        pixels = np.concatenate([np.asarray(image).reshape(-1) for image in output.images])
        width, height = output.images[0].size
        runs.append(dict(
            options=options, width=width, height=height, pictures=len(output.images),
            rgb=base64.b64encode(pixels.tobytes()).decode()))

    def seeded(*seeds):
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        return generators if len(generators) > 1 else generators[0]

    record(
        dict(prompt="the lake", steps=4, seed=7),
        pipe("the lake", num_inference_steps=4, guidance_scale=7.5, generator=seeded(7)))
    record(
        dict(prompt="the lake", negativePrompt="a dam", steps=3, seed=7, guidanceScale=4,
             width=72, height=40, sampler="euler", count=2),
        StableDiffusionPipeline(
            **{**parts, "scheduler": EulerDiscreteScheduler.from_config(pipe.scheduler.config)},
            requires_safety_checker=False,
        )("the lake", negative_prompt="a dam", num_inference_steps=3, guidance_scale=4,
          width=72, height=40, num_images_per_prompt=2, generator=seeded(7, 8)))
    start = Image.fromarray(np.array(
        [[(4 * x, 4 * y, 128) for x in range(64)] for y in range(64)], dtype=np.uint8))
    record(
        dict(prompt="a dam", steps=5, seed=3, strength=0.6, image="gradient"),
        StableDiffusionImg2ImgPipeline(**parts, requires_safety_checker=False)(
            "a dam", image=start, strength=0.6, num_inference_steps=5, guidance_scale=7.5,
            generator=seeded(3)))

    (folder / "expected.json").write_text(json.dumps(runs, indent=1))


if __name__ == "__main__":
    main()
