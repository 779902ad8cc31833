"""Runs tiny CLIP, UNet, VAE and TAESD models in transformers and diffusers and writes what they give.

    python tests/reference/models.py models.json [--check OTHER.json]

The weights come from a rule, so the file holds configs, inputs and outputs only: names in ascending
order, tensor i drawn by torch's CPU generator with seed 1000 + i, matrices scaled by 1/sqrt(fan-in).
"""

import argparse
import json
import math

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModelWithProjection


def fill(model, prefix=""):
    """Gives a model its weights by the rule. Names count as files have them, `text_model.` first."""
    params = dict(model.named_parameters())
    named = {n if n.startswith(("text_model.", "text_projection")) else prefix + n: p for n, p in params.items()}
    for i, name in enumerate(sorted(named)):
        p = named[name]
        r = torch.randn(p.shape, generator=torch.Generator().manual_seed(1000 + i))
        if p.ndim >= 2:
            r = r * torch.tensor(1 / math.sqrt(math.prod(p.shape[1:])), dtype=torch.float32)
        else:
            r = 1 + 0.1 * r if name.endswith("weight") else 0.05 * r
        p.data.copy_(r)
    return model.eval(), sorted(named)


def randn(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def flat(x):
    return {"shape": list(x.shape), "data": x.flatten().tolist()}


def clip(act):
    config = dict(
        vocab_size=1000, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        max_position_embeddings=77, layer_norm_eps=1e-5, bos_token_id=0, eos_token_id=2, pad_token_id=1,
        hidden_act=act, projection_dim=24,
    )
    model, keys = fill(CLIPTextModelWithProjection(CLIPTextConfig(**config)), "text_model.")
    ids = torch.full((2, 77), 999)
    for row, text in enumerate(([7 * j * j + 3 * j + 5 for j in range(10)], range(4, 214, 11))):
        ids[row, : len(text) + 1] = torch.tensor([998, *text])
    out = model(ids, output_hidden_states=True)
    norm = model.text_model.final_layer_norm
    outputs = {
        "last_hidden_state": out.last_hidden_state,
        "penultimate_hidden_state_no_ln": out.hidden_states[-2],
        "clip_skip1_with_final_ln": norm(out.hidden_states[-2]),
        "text_embeds": out.text_embeds,
    }
    return config, keys, {"input_ids": ids.tolist()}, outputs


UNET = dict(
    sample_size=16, in_channels=4, out_channels=4, block_out_channels=[8, 16, 16], layers_per_block=2,
    down_block_types=["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    up_block_types=["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    cross_attention_dim=12, attention_head_dim=2, norm_num_groups=4,
)
SDXL = dict(
    down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    cross_attention_dim=20, attention_head_dim=[1, 2, 4], transformer_layers_per_block=[1, 2, 3],
    use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=8,
    projection_class_embeddings_input_dim=58,
)


def unet(batch=2, times=(500,), **over):
    config = {**UNET, **over}
    model, keys = fill(UNet2DConditionModel(**config))
    shape = (batch, config["in_channels"], 16, 16)
    context = (batch, 7, config["cross_attention_dim"])
    inputs = {
        "sample": f"randn seed 1 {shape}",
        "encoder_hidden_states": f"randn seed 2 {context}",
        "timesteps": list(times),
    }
    added = None
    if "addition_embed_type" in config:
        ids = [1024, 1024, 0, 0, 1024, 1024]
        inputs |= {"text_embeds": "randn seed 3 (B,10)", "time_ids": json.dumps(ids).replace(" ", "")}
        added = {"text_embeds": randn(3, batch, 10), "time_ids": torch.tensor([ids] * batch, dtype=torch.float32)}
    outputs = {
        f"t={t}": model(randn(1, *shape), t, randn(2, *context), added_cond_kwargs=added).sample for t in times
    }
    return config, keys, inputs, outputs


VAE = dict(
    in_channels=3, out_channels=3, down_block_types=["DownEncoderBlock2D"] * 3,
    up_block_types=["UpDecoderBlock2D"] * 3, block_out_channels=[8, 16, 16], layers_per_block=2,
    latent_channels=4, norm_num_groups=4, sample_size=32, scaling_factor=0.18215,
)


def vae():
    model, keys = fill(AutoencoderKL(**VAE))
    posterior = model.encode(randn(5, 1, 3, 32, 32).clamp(-1, 1)).latent_dist
    inputs = {
        "image": "clamp(randn seed 5 (1,3,32,32),-1,1)",
        "z": "randn seed 6 (2,4,8,8)",
        "sample_generator_seed": 7,
    }
    outputs = {
        "moments": posterior.parameters,
        "sample_gen7": posterior.sample(torch.Generator().manual_seed(7)),
        "decoded": model.decode(randn(6, 2, 4, 8, 8)).sample,
    }
    return VAE, keys, inputs, outputs


def vae_tiled():
    model, keys = fill(AutoencoderKL(**VAE))
    model.enable_tiling()
    tiling = dict(tile_sample_min_size=32, tile_latent_min_size=8, tile_overlap_factor=0.25)
    for name, value in tiling.items():
        setattr(model, name, value)
    outputs = {"decoded_tiled": model.decode(randn(8, 1, 4, 14, 19)).sample}
    return {**VAE, **tiling}, keys, {"z": "randn seed 8 (1,4,14,19)"}, outputs


def taesd():
    config = dict(encoder_block_out_channels=[8] * 4, decoder_block_out_channels=[8] * 4)
    model, keys = fill(AutoencoderTiny(**config))
    inputs = {"image": "clamp(randn seed 5 (1,3,32,32),-1,1)", "z": "randn seed 6 (1,4,4,4)"}
    outputs = {
        "encoded": model.encode(randn(5, 1, 3, 32, 32).clamp(-1, 1)).latents,
        "decoded": model.decode(randn(6, 1, 4, 4, 4)).sample,
    }
    return config, keys, inputs, outputs


CASES = {
    "clip_quick_gelu": lambda: clip("quick_gelu"),
    "clip_gelu": lambda: clip("gelu"),
    "unet_sd1_style": lambda: unet(times=(1, 500, 999)),
    "unet_sd1_inpaint9": lambda: unet(batch=1, in_channels=9),
    "unet_sd2_style": lambda: unet(batch=1, attention_head_dim=[2, 4, 4], use_linear_projection=True, upcast_attention=True),
    "unet_sdxl_style": lambda: unet(**SDXL),
    "vae_kl": vae,
    "vae_kl_tiled_decode": vae_tiled,
    "taesd_style": taesd,
}


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--check", help="a file to compare outputs with")
    args = parser.parse_args()
    cases = {}
    for name, make in CASES.items():
        config, keys, inputs, outputs = make()
        outputs = {k: flat(v) for k, v in outputs.items()}
        cases[name] = {"config": config, "keys": keys, "inputs": inputs, "outputs": outputs}
    with open(args.out, "w") as file:
        json.dump({"weights_rule": __doc__.split("\n\n")[2].strip(), "cases": cases}, file)
    if args.check:
        other = json.load(open(args.check))["cases"]
        for name, case in cases.items():
            for key, value in case["outputs"].items():
                known = other[name]["outputs"][key]["data"]
                error = max(abs(a - b) for a, b in zip(value["data"], known))
                print(f"{name}/{key}: {len(known) == len(value['data'])}, {error:.1e}")


if __name__ == "__main__":
    main()
