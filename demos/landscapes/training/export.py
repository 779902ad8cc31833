"""Stage `export`: the diffusers folder, half precision, averaged weights, no trace of where it was made."""
import json
import os
import shutil

import torch
from safetensors.torch import save_file

from . import diffusion, loop, text, vae

SCHEDULER = {
    "_class_name": "DDIMScheduler", "_diffusers_version": "0.39.0", "beta_end": 0.012, "beta_schedule": "scaled_linear",
    "beta_start": 0.00085, "clip_sample": False, "num_train_timesteps": 1000, "prediction_type": "epsilon",
    "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1, "trained_betas": None,
}
INDEX = {
    "_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.39.0",
    "feature_extractor": [None, None], "requires_safety_checker": False, "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def _json(path, values):
    with open(path, "w") as f:
        json.dump(values, f, indent=2, sort_keys=True)
        f.write("\n")


def _part(folder, name, module, file):
    os.makedirs(os.path.join(folder, name), exist_ok=True)
    state = {k: v.detach().half().contiguous() for k, v in module.state_dict().items() if not k.endswith("position_ids")}
    if name == "text_encoder":  # the hub's files carry this prefix, whatever the class in memory does
        state = {k if k.startswith("text_model.") else "text_model." + k: v for k, v in state.items()}
    assert all(torch.isfinite(v).all() for v in state.values())
    save_file(state, os.path.join(folder, name, file), metadata={"format": "pt"})
    config = {k: v for k, v in dict(json.loads(module.config.to_json_string())).items() if k != "_name_or_path"} \
        if hasattr(module.config, "to_json_string") else \
        {k: v for k, v in json.loads(module.to_json_string()).items() if k != "_name_or_path"}
    if name == "text_encoder":
        config.update(architectures=["CLIPTextModel"], dtype="float16", model_type="clip_text_model")
    _json(os.path.join(folder, name, "config.json"), config)


def export(work, folder, tokenizer, averaged=True):
    """Write the model folder from the checkpoints of the work folder."""
    state = loop.load(os.path.join(work, "diffusion.pt"))
    unet, encoder = diffusion.build(), text.build(tokenizer)
    unet.load_state_dict(state["unet"])
    encoder.load_state_dict(loop.load(os.path.join(work, "text.pt"))["model"])
    if averaged:
        for live, kept in zip(unet.parameters(), state["kept"]):
            live.data.copy_(kept)
    os.makedirs(folder, exist_ok=True)
    _part(folder, "unet", unet, "diffusion_pytorch_model.safetensors")
    _part(folder, "vae", vae.finish(work), "diffusion_pytorch_model.safetensors")
    _part(folder, "text_encoder", encoder, "model.safetensors")
    os.makedirs(os.path.join(folder, "tokenizer"), exist_ok=True)
    for name in sorted(os.listdir(os.path.join(work, "tokenizer"))):
        shutil.copyfile(os.path.join(work, "tokenizer", name), os.path.join(folder, "tokenizer", name))
    os.makedirs(os.path.join(folder, "scheduler"), exist_ok=True)
    _json(os.path.join(folder, "scheduler", "scheduler_config.json"), SCHEDULER)
    _json(os.path.join(folder, "model_index.json"), INDEX)
    return sum(os.path.getsize(os.path.join(r, f)) for r, _, files in os.walk(folder) for f in files if f.endswith(".safetensors"))
