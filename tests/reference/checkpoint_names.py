"""Writes tests/fixtures/checkpoint-names.json.gz: every parameter name and shape of the published
models from diffusers and transformers, and the names CompVis-style single files use for them.

    python tests/reference/checkpoint_names.py

The single-file names are found by search: a candidate file is put through diffusers' own converter
until every parameter has exactly one source.
"""

import gzip
import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

SD2 = dict(attention_head_dim=[5, 10, 20, 20], cross_attention_dim=1024, use_linear_projection=True)
SDXL = dict(
    block_out_channels=[320, 640, 1280],
    down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    attention_head_dim=[5, 10, 20],
    cross_attention_dim=2048,
    transformer_layers_per_block=[1, 2, 10],
    use_linear_projection=True,
    addition_embed_type="text_time",
    addition_time_embed_dim=256,
    projection_class_embeddings_input_dim=2816,
)
REFINER = dict(
    SDXL,
    block_out_channels=[384, 768, 1536, 1536],
    down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    up_block_types=["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    attention_head_dim=[6, 12, 24, 24],
    cross_attention_dim=1280,
    transformer_layers_per_block=4,
    projection_class_embeddings_input_dim=2560,
)
UNETS = {
    "sd15": dict(cross_attention_dim=768),
    "sd15_inpaint": dict(cross_attention_dim=768, in_channels=9),
    "sd21": SD2,
    "sdxl": SDXL,
    "refiner": REFINER,
}
VAE = dict(
    block_out_channels=[128, 256, 512, 512],
    down_block_types=["DownEncoderBlock2D"] * 4,
    up_block_types=["UpDecoderBlock2D"] * 4,
    layers_per_block=2,
    latent_channels=4,
)
CLIPS = {
    "clip_l": (CLIPTextModel, 768, 3072, 12, 12),
    "open_clip_h": (CLIPTextModel, 1024, 4096, 23, 16),
    "open_clip_big_g": (CLIPTextModelWithProjection, 1280, 5120, 32, 20),
}


def shapes(model):
    return {
        name if not hasattr(model, "text_model") or name.startswith("text_") else f"text_model.{name}": list(p.shape)
        for name, p in model.named_parameters()
    }


def unet_candidates(config):
    """Single-file names a UNet of this many levels can have."""
    levels = len(config["block_out_channels"])
    layers = config["layers_per_block"]
    resnet = ["in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3", "skip_connection"]
    transformer = ["norm", "proj_in", "proj_out"]
    for k in range(10):
        t = f"transformer_blocks.{k}"
        transformer += [f"{t}.norm{n}" for n in (1, 2, 3)]
        transformer += [f"{t}.ff.net.0.proj", f"{t}.ff.net.2"]
        transformer += [f"{t}.attn{n}.{p}" for n in (1, 2) for p in ("to_q", "to_k", "to_v", "to_out.0")]
    yield from ("time_embed.0", "time_embed.2", "label_emb.0.0", "label_emb.0.2")
    yield from ("input_blocks.0.0", "out.0", "out.2")
    for i in range(1, levels * (layers + 1)):
        yield f"input_blocks.{i}.0.op"
        yield from (f"input_blocks.{i}.0.{r}" for r in resnet)
        yield from (f"input_blocks.{i}.1.{t}" for t in transformer)
    for place, inner in ((0, resnet), (1, transformer), (2, resnet)):
        yield from (f"middle_block.{place}.{x}" for x in inner)
    for i in range(levels * (layers + 1)):
        yield from (f"output_blocks.{i}.0.{r}" for r in resnet)
        yield from (f"output_blocks.{i}.1.{t}" for t in transformer)
        yield from (f"output_blocks.{i}.{place}.conv" for place in (1, 2))


def probe(convert, candidates, known):
    """{diffusers name: single-file name}, by sending tagged tensors through the converter.

    The converter decides by what a file holds, so names that turn out not to be used are left out
    and the rest is sent again until all that is sent is used."""
    names = [f"{c}.{kind}" for c in candidates for kind in ("weight", "bias")]
    while True:
        tags = {name: torch.full((3, 1, 1), float(i)) for i, name in enumerate(names)}
        out = {k: names[int(v.flatten()[0])] for k, v in convert(dict(tags)).items() if k in known}
        used = [name for name in names if name in set(out.values())]
        if used == names:
            return out
        names = used


def ldm_unet(model):
    prefix = "model.diffusion_model."
    known = dict(model.named_parameters())
    config = dict(model.config)
    names = unet_structure(model, list(unet_candidates(config)))
    out = probe(
        lambda tags: convert_ldm_unet_checkpoint({prefix + k: v for k, v in tags.items()}, config), names, known
    )
    return {prefix + source: name for name, source in out.items()}


def unet_structure(model, candidates):
    """Candidates whose block has attention only where the model has, so that no name misleads."""
    config = model.config
    layers = config["layers_per_block"]
    levels = len(config["block_out_channels"])

    def fits(name):
        side, *rest = name.split(".")
        if side not in ("input_blocks", "output_blocks") or name == "input_blocks.0.0":
            return True
        i, place, inner = int(rest[0]), int(rest[1]), rest[2]
        if side == "input_blocks":
            level, layer = (i - 1) // (layers + 1), (i - 1) % (layers + 1)
            is_op, crosses = layer == layers, "CrossAttn" in config["down_block_types"][level]
            if is_op:
                return inner == "op" and level < levels - 1
            return inner != "op" and (place == 0 or crosses)
        level, layer = i // (layers + 1), i % (layers + 1)
        crosses = "CrossAttn" in config["up_block_types"][level]
        if inner == "conv":
            return layer == layers and level < levels - 1 and place == (2 if crosses else 1)
        return place == 0 or (place == 1 and crosses)

    return [name for name in candidates if fits(name)]


def vae_candidates():
    yield from ("quant_conv", "post_quant_conv")
    for side, blocks, sample in (("encoder", "down", "downsample"), ("decoder", "up", "upsample")):
        yield from (f"{side}.{x}" for x in ("conv_in", "norm_out", "conv_out"))
        inner = ("norm1", "conv1", "norm2", "conv2", "nin_shortcut")
        for i in range(4):
            yield from (f"{side}.{blocks}.{i}.block.{j}.{x}" for j in range(3) for x in inner)
            yield f"{side}.{blocks}.{i}.{sample}.conv"
        yield from (f"{side}.mid.block_{j}.{x}" for j in (1, 2) for x in inner)
        yield from (f"{side}.mid.attn_1.{x}" for x in ("norm", "q", "k", "v", "proj_out"))


def ldm_vae(model):
    prefix = "first_stage_model."
    known = dict(model.named_parameters())
    out = probe(
        lambda tags: convert_ldm_vae_checkpoint({prefix + k: v for k, v in tags.items()}, dict(model.config)),
        list(vae_candidates()),
        known,
    )
    return {prefix + source: name for name, source in out.items()}


def main():
    result = {"shapes": {}, "maps": {}}
    with torch.device("meta"):
        unets = {name: UNet2DConditionModel(**config) for name, config in UNETS.items()}
        vae, tiny = AutoencoderKL(**VAE), AutoencoderTiny()
        clips = {
            name: cls(
                CLIPTextConfig(
                    hidden_size=width,
                    intermediate_size=mlp,
                    num_hidden_layers=layers,
                    num_attention_heads=heads,
                    projection_dim=width,
                )
            )
            for name, (cls, width, mlp, layers, heads) in CLIPS.items()
        }
    for name, model in {**unets, "vae": vae, "taesd": tiny, **clips}.items():
        result["shapes"][name] = shapes(model)
    for name, model in unets.items():
        found = ldm_unet(model)
        wanted = set(dict(model.named_parameters()))
        assert set(found.values()) == wanted, sorted(wanted - set(found.values()))[:5]
        result["maps"][name] = found
    result["maps"]["vae"] = ldm_vae(vae)
    assert set(result["maps"]["vae"].values()) == set(result["shapes"]["vae"])

    path = Path(__file__).parent.parent / "fixtures" / "checkpoint-names.json.gz"
    path.write_bytes(gzip.compress(json.dumps(result, separators=(",", ":")).encode(), 9, mtime=0))
    print(path.name, path.stat().st_size, {k: len(v) for k, v in result["maps"].items()})


if __name__ == "__main__":
    main()
