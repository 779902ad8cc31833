"""Random tiny CLIP, UNet, VAE and TAESD models, in the format of models.json.

    python tests/reference/random_models.py OUT [COUNT [SEED]]

`npm run golden -- OUT` compares them. What diffusers refuses is left out, and counted.
"""

import json
import random
import sys

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from models import UNET, VAE, fill, flat, randn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection


def described(seed, shape, clamped=False):
    """A tensor as the cases name it, and the tensor."""
    text = f"randn seed {seed} ({','.join(map(str, shape))})"
    x = randn(seed, *shape)
    return (f"clamp({text},-1,1)", x.clamp(-1, 1)) if clamped else (text, x)


def unet(rnd):
    channels = sorted(rnd.choice([8, 12, 16, 20, 24]) for _ in range(rnd.choice([2, 3, 4])))
    down = [rnd.choice(["CrossAttnDownBlock2D", "DownBlock2D"]) for _ in channels]
    if "CrossAttnDownBlock2D" not in down:
        down[0] = "CrossAttnDownBlock2D"
    config = {
        **UNET,
        "block_out_channels": channels,
        "down_block_types": down,
        "up_block_types": [block.replace("Down", "Up") for block in reversed(down)],
        "layers_per_block": rnd.choice([1, 2, 3]),
        "norm_num_groups": rnd.choice([2, 4]),
        "cross_attention_dim": rnd.choice([5, 12, 20, 33]),
        "attention_head_dim": rnd.choice([1, 2, 4, [rnd.choice([1, 2, 4]) for _ in channels]]),
        "use_linear_projection": rnd.random() < 0.5,
        "in_channels": rnd.choice([4, 4, 4, 9]),
        "flip_sin_to_cos": rnd.random() < 0.8,
        "freq_shift": rnd.choice([0, 0, 0, 1]),
    }
    if rnd.random() < 0.3:
        config["time_cond_proj_dim"] = rnd.choice([8, 16])
    if rnd.random() < 0.3:
        config["transformer_layers_per_block"] = [rnd.choice([1, 2, 3]) for _ in channels]
    model, keys = fill(UNet2DConditionModel(**config))
    batch = rnd.choice([1, 2, 3])
    size = rnd.choice([(16, 16), (8, 24), (12, 20), (9, 13), (17, 16)])
    inputs, tensors = {}, {}
    shapes = {
        "sample": (1, (batch, config["in_channels"], *size)),
        "encoder_hidden_states": (2, (batch, rnd.choice([1, 7, 77, 154]), config["cross_attention_dim"])),
    }
    if "time_cond_proj_dim" in config:
        shapes["timestep_cond"] = (4, (batch, config["time_cond_proj_dim"]))
    for name, (seed, shape) in shapes.items():
        inputs[name], tensors[name] = described(seed, shape)
    inputs["timesteps"] = rnd.sample([0, 1, 37, 500, 501, 998, 999], 2)
    outputs = {f"t={t}": model(timestep=t, **tensors).sample for t in inputs["timesteps"]}
    return config, keys, inputs, outputs


def vae(rnd):
    channels = sorted(rnd.choice([8, 12, 16]) for _ in range(rnd.choice([1, 2, 3, 4])))
    levels, scale = len(channels), 2 ** (len(channels) - 1)
    config = {
        **VAE,
        "block_out_channels": channels,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "layers_per_block": rnd.choice([1, 2]),
        "latent_channels": rnd.choice([4, 4, 16]),
        "norm_num_groups": rnd.choice([2, 4]),
    }
    if rnd.random() < 0.25:
        config |= {"use_quant_conv": False, "use_post_quant_conv": False}
    model, keys = fill(AutoencoderKL(**config))
    height, width = rnd.choice([4, 5, 8, 11]), rnd.choice([4, 7, 8])
    image, pixels = described(5, (1, 3, height * scale, width * scale), clamped=True)
    z, latents = described(6, (rnd.choice([1, 2]), config["latent_channels"], height, width))
    posterior = model.encode(pixels).latent_dist
    outputs = {
        "moments": posterior.parameters,
        "sample_gen7": posterior.sample(torch.Generator().manual_seed(7)),
        "decoded": model.decode(latents).sample,
    }
    return config, keys, {"image": image, "z": z, "sample_generator_seed": 7}, outputs


def taesd(rnd):
    width = rnd.choice([4, 8, 12])
    config = {"encoder_block_out_channels": [width] * 4, "decoder_block_out_channels": [width] * 4}
    model, keys = fill(AutoencoderTiny(**config))
    size = rnd.choice([(4, 4), (3, 5), (6, 2)])
    image, pixels = described(5, (1, 3, 8 * size[0], 8 * size[1]), clamped=True)
    z, latents = described(6, (2, 4, *size))
    outputs = {"encoded": model.encode(pixels).latents, "decoded": model.decode(latents).sample}
    return config, keys, {"image": image, "z": z}, outputs


def clip(rnd):
    heads = rnd.choice([1, 2, 4])
    width = heads * rnd.choice([6, 8, 10, 12])
    config = dict(
        vocab_size=1000, hidden_size=width, intermediate_size=rnd.choice([40, 64, 100]),
        num_hidden_layers=rnd.choice([2, 3, 5]), num_attention_heads=heads, max_position_embeddings=77,
        layer_norm_eps=1e-5, bos_token_id=0, eos_token_id=rnd.choice([2, 999]), pad_token_id=1,
        hidden_act=rnd.choice(["quick_gelu", "gelu"]), projection_dim=rnd.choice([24, width, 7]),
    )
    model, keys = fill(CLIPTextModelWithProjection(CLIPTextConfig(**config)), "text_model.")
    ids = torch.full((rnd.choice([1, 2, 3]), 77), rnd.choice([999, 0]))
    for row in ids:
        words = [rnd.randrange(3, 990) for _ in range(rnd.randrange(76))]
        row[: len(words) + 2] = torch.tensor([998, *words, 999])
    out = model(ids, output_hidden_states=True)
    outputs = {
        "last_hidden_state": out.last_hidden_state,
        "penultimate_hidden_state_no_ln": out.hidden_states[-2],
        "clip_skip1_with_final_ln": model.text_model.final_layer_norm(out.hidden_states[-2]),
        "text_embeds": out.text_embeds,
    }
    return config, keys, {"input_ids": ids.tolist()}, outputs


@torch.no_grad()
def main():
    out, count, seed = sys.argv[1:] + ["60", "7"][len(sys.argv) - 2 :]
    rnd = random.Random(int(seed))
    cases, refused = {}, 0
    for i in range(int(count)):
        make = rnd.choice([unet, unet, unet, vae, taesd, clip])
        try:
            config, keys, inputs, outputs = make(rnd)
        except (RuntimeError, ValueError):
            refused += 1
            continue
        outputs = {name: flat(x) for name, x in outputs.items()}
        cases[f"{make.__name__} {i}"] = {"config": config, "keys": keys, "inputs": inputs, "outputs": outputs}
    with open(out, "w") as file:
        json.dump({"cases": cases}, file)
    print(f"{len(cases)} models, {refused} refused")


main()
