"""Writes tests/fixtures/checkpoints/: one tiny model, as Stable Diffusion 1.x, in every format that
people keep checkpoints in. Its weights are random; all files hold the same ones, except that the
averaged (EMA) weights of checkpoint.ckpt differ from its raw ones. `pictures.json` holds what
diffusers draws with them on a CPU in float32: with the weights as they are, with those rounded to
float16 and to bfloat16, and with the raw ones.

    python tests/reference/checkpoints.py
"""

import copy
import gzip
import io
import json
import pickle
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import torch
from checkpoint_names import ldm_unet, ldm_vae
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from tiny_folder import write_tokenizer
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

OUT = Path(__file__).parent.parent / "fixtures" / "checkpoints"
GROUPS = dict(norm_num_groups=2, layers_per_block=1, block_out_channels=[4, 8])
VOCABULARY = 520
RAW = 1  # the raw weights of the UNet are the averaged ones and this
RUN = dict(prompt="the lake", num_inference_steps=4, guidance_scale=4)


def models():
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        **GROUPS,
        down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"],
        up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"],
        cross_attention_dim=8,
        attention_head_dim=2,
        sample_size=8,
    )
    vae = AutoencoderKL(
        **GROUPS,
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=4,
        sample_size=16,
    )
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=VOCABULARY,
            hidden_size=8,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=77,
            projection_dim=8,
            bos_token_id=VOCABULARY - 2,
            eos_token_id=VOCABULARY - 1,
            pad_token_id=VOCABULARY - 1,
        )
    )
    for model in (unet, vae, text):
        with torch.no_grad():
            for name, p in model.named_parameters():
                # Biases are f16 subnormals, so that no format can cheat.
                if p.ndim > 1:
                    p.copy_(torch.randn_like(p) * 0.3)
                else:
                    p.copy_(torch.randn_like(p) * (0.1 if name.endswith("weight") else 1e-5))
                    if name.endswith("weight"):
                        p.add_(1)
    return unet, vae, text


def write(path, data):
    target = OUT / f"{path}.gz"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(gzip.compress(data, 9, mtime=0))


def safetensors(path, tensors, metadata=None):
    with tempfile.NamedTemporaryFile() as file:
        save_file({k: v.detach().contiguous() for k, v in tensors.items()}, file.name, metadata)
        write(path, Path(file.name).read_bytes())


def torch_file(path, value, **options):
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    write(path, buffer.getvalue())


def text_json(path, value):
    write(path, json.dumps(value, indent=2).encode())


def folder(unet, vae, text):
    def config(model):
        return {"_class_name": type(model).__name__, **{k: v for k, v in model.config.items() if k[0] != "_"}}

    text_json(
        "diffusers/model_index.json",
        {
            "_class_name": "StableDiffusionPipeline",
            "scheduler": ["diffusers", "PNDMScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
            "safety_checker": [None, None],
        },
    )
    with tempfile.TemporaryDirectory() as place:
        assert write_tokenizer(Path(place)) == VOCABULARY
        for file in sorted(Path(place).iterdir()):
            write(f"diffusers/tokenizer/{file.name}", file.read_bytes())
        tokenizer = CLIPTokenizer(f"{place}/vocab.json", f"{place}/merges.txt", model_max_length=77)
    text_json("diffusers/tokenizer/tokenizer_config.json", {"model_max_length": 77})
    scheduler = PNDMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1)
    text_json("diffusers/scheduler/scheduler_config.json", {**scheduler.config, "_class_name": "PNDMScheduler"})
    for place in ("diffusers", "sharded"):
        text_json(f"{place}/unet/config.json", config(unet))
    text_json("diffusers/vae/config.json", config(vae))
    text_json("diffusers/text_encoder/config.json", text.config.to_dict())
    for variant, dtype in (("", torch.float32), (".fp16", torch.float16), (".bf16", torch.bfloat16)):
        for name, model in (("unet", unet), ("vae", vae)):
            tensors = {k: v.to(dtype) for k, v in model.state_dict().items()}
            safetensors(f"diffusers/{name}/diffusion_pytorch_model{variant}.safetensors", tensors, {"format": "pt"})
        tensors = {text_name(k): v.to(dtype) for k, v in text.state_dict().items()}
        safetensors(f"diffusers/text_encoder/model{variant}.safetensors", tensors, {"format": "pt"})
    names = list(unet.state_dict())
    half = len(names) // 2
    weight_map = {}
    for i, part in enumerate((names[:half], names[half:]), 1):
        file = f"diffusion_pytorch_model-0000{i}-of-00002.safetensors"
        safetensors(f"sharded/unet/{file}", {k: unet.state_dict()[k] for k in part}, {"format": "pt"})
        weight_map.update({k: file for k in part})
    text_json(
        "sharded/unet/diffusion_pytorch_model.safetensors.index.json",
        {"metadata": {"total_size": 0}, "weight_map": weight_map},
    )
    torch_file("bin/unet/diffusion_pytorch_model.bin", unet.state_dict())
    text_json("pictures.json", pictures(unet, vae, text, tokenizer))


def pictures(unet, vae, text, tokenizer):
    """Latents and pixels of one run, by how the weights are stored."""

    def rounded(model, dtype):
        return copy.deepcopy(model).to(dtype).float()

    raw = copy.deepcopy(unet)
    with torch.no_grad():
        for p in raw.parameters():
            p.add_(RAW)
    weights = {
        "f32": (unet, vae, text),
        "f16": tuple(rounded(model, torch.float16) for model in (unet, vae, text)),
        "bf16": tuple(rounded(model, torch.bfloat16) for model in (unet, vae, text)),
        "raw": (raw, vae, text),
    }
    # From what was saved, as everybody's do: a scheduler in memory knows which settings were defaults.
    saved = json.loads(gzip.decompress((OUT / "diffusers/scheduler/scheduler_config.json.gz").read_bytes()))
    result = {}
    for name, (unet, vae, text) in weights.items():
        pipe = StableDiffusionPipeline(
            unet=unet,
            vae=vae,
            text_encoder=text,
            tokenizer=tokenizer,
            scheduler=PNDMScheduler.from_config(saved),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipe.set_progress_bar_config(disable=True)
        generator = torch.Generator().manual_seed(7)
        latents = pipe(**RUN, generator=generator, output_type="latent").images
        with torch.no_grad():
            image = vae.decode(latents / vae.config.scaling_factor).sample
        result[name] = {"latents": latents.flatten().tolist(), "image": image.flatten().tolist()}
    return result


class Block(torch.nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        conv = lambda a: torch.nn.Conv2d(a, n_out, 3, padding=1)
        relu = torch.nn.ReLU
        self.conv = torch.nn.Sequential(conv(n_in), relu(), conv(n_out), relu(), conv(n_out))
        self.skip = torch.nn.Conv2d(n_in, n_out, 1, bias=False) if n_in != n_out else torch.nn.Identity()
        self.fuse = relu()

    def forward(self, x):
        return self.fuse(self.conv(x) + self.skip(x))


class Clamp(torch.nn.Module):
    def forward(self, x):
        return torch.tanh(x / 3) * 3


def taesd(n=8):
    """The tiny autoencoder as madebyollin/taesd defines it, narrow: two files with bare numbers."""
    nn = torch.nn
    conv = lambda a, b, **kwargs: nn.Conv2d(a, b, 3, padding=1, **kwargs)
    blocks = lambda count: [Block(n, n) for _ in range(count)]
    down = lambda: [conv(n, n, stride=2, bias=False), *blocks(3)]
    up = lambda: [*blocks(3), nn.Upsample(scale_factor=2), conv(n, n, bias=False)]
    torch.manual_seed(1)
    encoder = nn.Sequential(conv(3, n), Block(n, n), *down(), *down(), *down(), conv(n, 4))
    decoder = nn.Sequential(Clamp(), conv(4, n), nn.ReLU(), *up(), *up(), *up(), Block(n, n), conv(n, 3))
    latents = torch.randn(1, 4, 4, 6)
    with torch.no_grad():
        image = decoder(latents)
        back = encoder(image)
    torch_file("taesd/taesd_decoder.pth", decoder.state_dict())
    torch_file("taesd/taesd_encoder.pth", encoder.state_dict())
    flat = lambda t: t.flatten().tolist()
    text_json("taesd/expected.json", {"latents": flat(latents), "image": flat(image), "back": flat(back)})


def text_name(name):
    return name if name.startswith("text_model.") else f"text_model.{name}"


def single_file(unet, vae, text):
    """The state dict of a CompVis checkpoint."""
    state = {}
    for ldm, name in ldm_unet(unet).items():
        state[ldm] = unet.state_dict()[name]
    for ldm, name in ldm_vae(vae).items():
        tensor = vae.state_dict()[name]
        is_conv = ".attn_1." in ldm and tensor.ndim == 2
        state[ldm] = tensor[:, :, None, None] if is_conv else tensor
    for name, tensor in text.state_dict().items():
        state[f"cond_stage_model.transformer.{text_name(name)}"] = tensor
    return state


def callback():
    """An object of a class that no reader knows."""
    module = types.ModuleType("pytorch_lightning.callbacks.model_checkpoint")
    cls = type("ModelCheckpoint", (), {"__module__": module.__name__})
    module.ModelCheckpoint = cls
    sys.modules["pytorch_lightning"] = types.ModuleType("pytorch_lightning")
    sys.modules["pytorch_lightning.callbacks"] = types.ModuleType("pytorch_lightning.callbacks")
    sys.modules[module.__name__] = module
    value = cls()
    value.best = {"score": np.float64(0.5)}
    return value


def main():
    unet, vae, text = models()
    folder(unet, vae, text)
    state = single_file(unet, vae, text)
    safetensors("model.safetensors", state)

    # As Lightning writes it: both kinds of weights, buffers, an optimizer, a callback object.
    full = dict(state)
    for name, tensor in state.items():
        if name.startswith("model."):
            full["model_ema." + name[len("model.") :].replace(".", "")] = tensor
            full[name] = tensor + RAW
    full["betas"] = torch.linspace(0, 1, 10)
    full["model_ema.decay"] = torch.tensor(0.9999)
    full["model_ema.num_updates"] = torch.tensor(7, dtype=torch.int)
    full["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(77)[None]
    # Strided views of one storage, as saving a sliced or transposed parameter makes them.
    name = "model.diffusion_model.time_embed.0.weight"
    ema = "model_ema." + name[len("model.") :].replace(".", "")
    wide = torch.zeros(full[ema].shape[1] + 3, full[ema].shape[0])
    wide[2:-1] = full[ema].t()
    full[ema] = wide[2:-1].t()
    assert not full[ema].is_contiguous() and full[ema].storage_offset() > 0
    checkpoint = {
        "epoch": 3,
        "global_step": 470000,
        "state_dict": full,
        "callbacks": {"ModelCheckpoint": callback()},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}, "lr": 1e-4}],
    }
    torch_file("checkpoint.ckpt", checkpoint)
    half = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    torch_file("legacy.ckpt", {"state_dict": half}, _use_new_zipfile_serialization=False)

    # Every way of seeing a storage, with what it must give.
    base = torch.arange(24, dtype=torch.float32)
    views = {
        "plain": base.reshape(4, 6),
        "slice": base.reshape(4, 6)[1:3, 2:5],
        "transposed": base.reshape(4, 6).t(),
        "permuted": base.reshape(2, 3, 4).permute(2, 0, 1),
        "every_second": base[::2],
        "scalar": base[5],
        "empty": base[:0],
        "parameter": torch.nn.Parameter(base[4:8]),
        "half": base.half().reshape(6, 4)[:, 1],
        "bf16": base.bfloat16(),
        "f64": base.double(),
        "long": torch.arange(3),
        "bool": torch.tensor([True, False]),
        "e4m3": base.to(torch.float8_e4m3fn),
        "e5m2": base.to(torch.float8_e5m2),
    }
    torch_file("views.pt", views)
    old = {k: v for k, v in views.items() if not k.startswith("e")}
    torch_file("views-legacy.pt", old, _use_new_zipfile_serialization=False)
    text_json("views.json", {k: v.detach().double().flatten().tolist() for k, v in views.items()})
    taesd()
    write("plain.pkl", pickle.dumps({"a": 1}))
    print(sum(f.stat().st_size for f in OUT.rglob("*.gz")), "bytes")


if __name__ == "__main__":
    main()
