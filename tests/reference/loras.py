"""Writes tests/fixtures/loras/: LoRA files of every spelling for the tiny model of checkpoints.py,
with the weights that merging must give, by the formulas of kohya-ss/sd-scripts (`networks/lora.py`,
`merge_to`: a convolution's change is conv2d of its two halves); and textual inversions.

    python tests/reference/loras.py
"""

import json

import torch
import torch.nn.functional as F
from checkpoint_names import ldm_unet
from checkpoints import OUT, models, safetensors, text_json, text_name, torch_file

MODULES = {
    "unet": [
        "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
        "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_out.0",
        "down_blocks.0.attentions.0.transformer_blocks.0.ff.net.0.proj",
        "down_blocks.0.attentions.0.proj_in",  # 1x1
        "down_blocks.0.resnets.0.conv1",  # 3x3
        "up_blocks.1.attentions.1.transformer_blocks.0.attn2.to_k",
    ],
    "text_encoder": [
        "text_model.encoder.layers.0.self_attn.q_proj",
        "text_model.encoder.layers.1.self_attn.out_proj",
        "text_model.encoder.layers.1.mlp.fc1",
    ],
}
RANK = 2
ALPHA = 1.5
STRENGTH = {"unet": 0.75, "text_encoder": -0.5}


def halves(weight, generator):
    shape = weight.shape
    if weight.ndim == 2:
        down, up = (RANK, shape[1]), (shape[0], RANK)
    else:
        down, up = (RANK, *shape[1:]), (shape[0], RANK, 1, 1)
    return torch.randn(down, generator=generator), torch.randn(up, generator=generator)


def delta(down, up, weight):
    if weight.ndim == 2:
        return up @ down
    if weight.shape[2:] == (1, 1):
        return (up.flatten(1) @ down.flatten(1))[:, :, None, None]
    return F.conv2d(down.permute(1, 0, 2, 3), up).permute(1, 0, 2, 3)


def old_name(part, module):
    """As diffusers named it when attention processors held the LoRA."""
    if part == "unet":
        attention, projection = module.split(".to_")
        return f"unet.{attention}.processor.to_{projection.replace('.0', '')}_lora"
    attention, projection = module.rsplit(".", 1)
    return f"{part}.{attention}.to_{projection.replace('_proj', '')}_lora"


def main():
    global OUT
    unet, vae, text = models()
    weights = {
        "unet": dict(unet.named_parameters()),
        "text_encoder": {text_name(k): v for k, v in text.named_parameters()},
    }
    ldm = {v: k[len("model.diffusion_model.") :] for k, v in ldm_unet(unet).items()}
    generator = torch.Generator().manual_seed(1)
    kohya, sgm, peft, linear_layer, old = {}, {}, {}, {}, {}
    expected = {"alpha": {}, "rank": {}}
    for part, modules in MODULES.items():
        for module in modules:
            weight = weights[part][f"{module}.weight"].detach()
            down, up = halves(weight, generator)
            prefix = "lora_unet_" if part == "unet" else "lora_te_"
            name = prefix + module.replace(".", "_")
            kohya[f"{name}.lora_down.weight"] = down.half()
            kohya[f"{name}.lora_up.weight"] = up.half()
            kohya[f"{name}.alpha"] = torch.tensor(ALPHA)
            if part == "unet":
                name = prefix + ldm[f"{module}.weight"][: -len(".weight")].replace(".", "_")
            else:
                name = name.replace("lora_te_", "lora_te1_")
            sgm[f"{name}.lora_down.weight"] = down.half()
            sgm[f"{name}.lora_up.weight"] = up.half()
            sgm[f"{name}.alpha"] = torch.tensor(ALPHA)
            down, up = down.half().float(), up.half().float()
            peft[f"{part}.{module}.lora_A.weight"] = down
            peft[f"{part}.{module}.lora_B.weight"] = up
            linear_layer[f"{part}.{module}.lora_linear_layer.down.weight"] = down
            linear_layer[f"{part}.{module}.lora_linear_layer.up.weight"] = up
            if ".attn" in module or "self_attn" in module:
                old[f"{old_name(part, module)}.down.weight"] = down
                old[f"{old_name(part, module)}.up.weight"] = up
            change = STRENGTH[part] * delta(down, up, weight)
            expected["rank"][f"{part}/{module}.weight"] = (weight + change).flatten().tolist()
            merged = weight + ALPHA / RANK * change
            expected["alpha"][f"{part}/{module}.weight"] = merged.flatten().tolist()
    OUT = OUT.parent / "loras"
    import checkpoints

    checkpoints.OUT = OUT
    safetensors("kohya.safetensors", kohya, {"ss_network_alpha": str(ALPHA)})
    safetensors("kohya-sgm.safetensors", sgm)
    safetensors("peft.safetensors", peft)
    config = {f"{part}.{key}": value for part in MODULES for key, value in (("r", RANK), ("lora_alpha", ALPHA))}
    safetensors("peft-alpha.safetensors", peft, {"lora_adapter_metadata": json.dumps(config)})
    safetensors("linear-layer.safetensors", linear_layer)
    safetensors("old.safetensors", old)
    text_json("expected.json", {"strength": STRENGTH, **expected})

    vectors = torch.randn(3, 8, generator=generator)
    torch_file("diffusers.bin", {"<cat>": vectors[0]})
    safetensors("diffusers-embedding.safetensors", {"<cat>": vectors})
    safetensors("a1111.safetensors", {"emb_params": vectors})
    torch_file(
        "a1111.pt",
        {
            "string_to_token": {"*": 265},
            "string_to_param": {"*": vectors},
            "name": "cat",
            "step": 500,
            "sd_checkpoint": None,
        },
    )
    torch_file("a1111-old.pt", {"string_to_param": torch.nn.ParameterDict({"*": torch.nn.Parameter(vectors)})})
    safetensors("sdxl.safetensors", {"clip_l": vectors, "clip_g": torch.cat([vectors, vectors], 1)})
    text_json("vectors.json", vectors.flatten().tolist())


main()
