"""Writes a single-file Stable Diffusion 1.5 checkpoint of the true size, 4.3 GB in float32, as people
download it: CompVis' names, safetensors. Its weights are random and keep the size of what passes
through them, so that pictures made with it are coloured noise rather than black.

    python tests/reference/full_checkpoint.py FILE.safetensors [--ema]

With --ema the averaged weights of the UNet stand beside the raw ones, as in unpruned checkpoints
(7.7 GB). Tensors are written one by one; no more than one is in memory.
"""

import argparse
import json
import math
import struct

import numpy as np
import torch
from checkpoint_names import VAE, ldm_unet, ldm_vae
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

parser = argparse.ArgumentParser()
parser.add_argument("file")
parser.add_argument("--ema", action="store_true")
args = parser.parse_args()

with torch.device("meta"):
    unet = UNet2DConditionModel(cross_attention_dim=768)
    vae = AutoencoderKL(**VAE)
    text = CLIPTextModel(
        CLIPTextConfig(
            hidden_size=768,
            intermediate_size=3072,
            num_hidden_layers=12,
            num_attention_heads=12,
            max_position_embeddings=77,
            vocab_size=49408,
        )
    )

shapes = {}
for ldm, name in ldm_unet(unet).items():
    shapes[ldm] = list(unet.get_parameter(name).shape)
for ldm, name in ldm_vae(vae).items():
    shape = list(vae.get_parameter(name).shape)
    shapes[ldm] = [*shape, 1, 1] if ".attn_1." in ldm and len(shape) == 2 else shape
for name, parameter in text.named_parameters():
    name = name if name.startswith("text_model.") else f"text_model.{name}"
    shapes[f"cond_stage_model.transformer.{name}"] = list(parameter.shape)
if args.ema:
    for name in [name for name in shapes if name.startswith("model.")]:
        shapes["model_ema." + name[len("model.") :].replace(".", "")] = shapes[name]

# safetensors' own writer sorts by name among tensors of one dtype.
shapes = dict(sorted(shapes.items()))
header = {"__metadata__": {"format": "pt"}}
at = 0
for name, shape in shapes.items():
    size = 4 * math.prod(shape)
    header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
    at += size
text_bytes = json.dumps(header).encode()
text_bytes += b" " * (-len(text_bytes) % 8)

random = np.random.default_rng(0)
with open(args.file, "wb") as file:
    file.write(struct.pack("<Q", len(text_bytes)))
    file.write(text_bytes)
    for name, shape in shapes.items():
        values = random.standard_normal(math.prod(shape), dtype=np.float32)
        if "embedding" in name:
            values *= 0.02
        elif len(shape) > 1:
            values /= math.sqrt(math.prod(shape[1:]))
        elif name.endswith("weight"):
            values = 1 + 0.1 * values
        else:
            values *= 0.05
        file.write(values.astype("<f4").tobytes())
print(f"{len(shapes)} tensors, {at + 8 + len(text_bytes)} bytes")
