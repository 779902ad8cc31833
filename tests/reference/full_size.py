"""Writes the true Stable Diffusion 1.5 with random weights as diffusers saves it, and what PyTorch
computes with it: the text encoder's states, one UNet forward and one VAE decode at 64x64 latents.

    python tests/reference/full_size.py FOLDER [--vocab bpe_simple_vocab_16e6.txt.gz]

The weights are float16 (2.1 GB), the arithmetic float32. `tests/bench/full-size.mjs` loads the folder
in a browser and compares.
"""

import argparse
import gzip
import json
import os
import time

import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--vocab", help="OpenAI's vocabulary, for a tokenizer in the folder")
parser.add_argument("--latent", type=int, default=64)
args = parser.parse_args()
os.makedirs(args.folder, exist_ok=True)


def halved(model):
    """Rounds the weights to float16 and keeps the arithmetic in float32."""
    return model.half().float().eval()


torch.manual_seed(0)
outputs = {}
seconds = {}
size = args.latent
ids = torch.full((1, 77), 49407)
ids[0, :8] = torch.tensor([49406, 320, 1125, 539, 320, 4558, 525, 7496])
outputs["ids"] = ids.to(torch.int32)
outputs["sample"] = torch.randn(1, 4, size, size)
outputs["timestep"] = torch.tensor([501.0])
outputs["latents"] = torch.randn(1, 4, size, size)

with torch.no_grad():
    text = halved(
        CLIPTextModel(
            CLIPTextConfig(
                hidden_size=768,
                intermediate_size=3072,
                num_hidden_layers=12,
                num_attention_heads=12,
                projection_dim=768,
                vocab_size=49408,
                bos_token_id=0,
                eos_token_id=2,
            )
        )
    )
    outputs["hidden"] = text(ids).last_hidden_state
    text.half().save_pretrained(f"{args.folder}/text_encoder")
    del text

    unet = halved(
        UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
    )
    unet.half().save_pretrained(f"{args.folder}/unet")
    unet.float()
    began = time.time()
    outputs["noise"] = unet(outputs["sample"], 501, outputs["hidden"]).sample
    seconds["unet"] = time.time() - began
    del unet

    vae = halved(
        AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * 4,
            up_block_types=["UpDecoderBlock2D"] * 4,
            block_out_channels=[128, 256, 512, 512],
            layers_per_block=2,
            sample_size=512,
        )
    )
    vae.half().save_pretrained(f"{args.folder}/vae")
    vae.float()
    began = time.time()
    outputs["image"] = vae.decode(outputs["latents"]).sample
    seconds["decode"] = time.time() - began

PNDMScheduler(
    beta_start=0.00085,
    beta_end=0.012,
    beta_schedule="scaled_linear",
    steps_offset=1,
    set_alpha_to_one=False,
    skip_prk_steps=True,
).save_pretrained(f"{args.folder}/scheduler")
parts = {
    "vae": ["diffusers", "AutoencoderKL"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "scheduler": ["diffusers", "PNDMScheduler"],
}
with open(f"{args.folder}/model_index.json", "w") as file:
    json.dump({"_class_name": "StableDiffusionPipeline", **parts}, file)

if args.vocab:
    merges = gzip.open(args.vocab).read().decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    characters = [chr(byte) for byte in kept] + [chr(256 + i) for i in range(256 - len(kept))]
    words = characters + [c + "</w>" for c in characters]
    words += ["".join(merge.split()) for merge in merges] + ["<|startoftext|>", "<|endoftext|>"]
    os.makedirs(f"{args.folder}/tokenizer", exist_ok=True)
    with open(f"{args.folder}/tokenizer/vocab.json", "w") as file:
        json.dump({word: i for i, word in enumerate(words)}, file)
    with open(f"{args.folder}/tokenizer/merges.txt", "w") as file:
        file.write("#version: 0.2\n" + "\n".join(merges) + "\n")
    with open(f"{args.folder}/tokenizer/tokenizer_config.json", "w") as file:
        json.dump({"tokenizer_class": "CLIPTokenizer", "pad_token": "<|endoftext|>"}, file)

save_file({k: v.contiguous() for k, v in outputs.items()}, f"{args.folder}/expected.safetensors")
print(json.dumps({"seconds": seconds, "threads": torch.get_num_threads()}))
