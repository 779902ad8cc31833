"""Writes whole runs of diffusers' pipelines on tiny models, in the format of the golden files:

    python tests/reference/pipelines.py tests/fixtures/golden/pipelines-more.json.gz

What is here goes beyond pipelines.json.gz: batches, several prompts, custom schedules, SDXL from
pictures, tiles, seams, and inpainting of the masked region only. The models' weights follow the rule
of that file: parameter i in order of name is drawn from seed 1000 + i.
"""

import gzip
import json
import math
import sys

import diffusers
import numpy as np
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

PROMPT = "a photo of an astronaut riding a horse on mars"
NEGATIVE = "blurry, low quality"
IDS = {
    "": [],
    PROMPT: [320, 1125, 539, 550, 18376, 6765, 320, 4558, 525, 7496],
    NEGATIVE: [21977, 267, 1042, 3027],
}

TEXT = dict(
    vocab_size=49408, hidden_size=32, intermediate_size=64, num_hidden_layers=3,
    num_attention_heads=4, max_position_embeddings=77, layer_norm_eps=1e-5,
    hidden_act="quick_gelu", projection_dim=32, bos_token_id=49406, eos_token_id=49407,
    pad_token_id=1,
)  # fmt: skip
TEXT_2 = {**TEXT, "hidden_size": 40, "hidden_act": "gelu", "projection_dim": 20}
BASE = dict(
    sample_size=8, in_channels=4, out_channels=4, block_out_channels=[8, 16, 16],
    layers_per_block=2,
    down_block_types=["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    up_block_types=["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    cross_attention_dim=32, attention_head_dim=2, norm_num_groups=4,
)  # fmt: skip
SDXL = dict(
    sample_size=8, block_out_channels=[8, 16, 16], layers_per_block=2,
    down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    cross_attention_dim=72, attention_head_dim=[1, 2, 4], transformer_layers_per_block=[1, 2, 3],
    use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=8,
    projection_class_embeddings_input_dim=68, norm_num_groups=4,
)  # fmt: skip
UNETS = {"base": BASE, "inpaint9": {**BASE, "in_channels": 9}, "sdxl": SDXL}
VAE = dict(
    in_channels=3, out_channels=3, down_block_types=["DownEncoderBlock2D"] * 4,
    up_block_types=["UpDecoderBlock2D"] * 4, block_out_channels=[8, 8, 16, 16],
    layers_per_block=2, latent_channels=4, norm_num_groups=4, sample_size=64,
    scaling_factor=0.18215,
)  # fmt: skip
TAESD = dict(
    encoder_block_out_channels=[8, 8, 8, 8], decoder_block_out_channels=[8, 8, 8, 8],
    num_encoder_blocks=[1, 2, 2, 2], num_decoder_blocks=[2, 2, 2, 1],
)  # fmt: skip
SDXL_SCALING = 0.13025
SCHEDULER = dict(
    beta_end=0.012, beta_schedule="scaled_linear", beta_start=0.00085, num_train_timesteps=1000,
    set_alpha_to_one=False, skip_prk_steps=True, steps_offset=1, trained_betas=None,
    clip_sample=False,
)  # fmt: skip
SEED = 42
INIT = "clamp(randn seed 11 (1,3,64,64)*0.25+0.5,0,1) as torch tensor in [0,1]"
MASK = "1 inside rows 16..47, cols 24..63, else 0"
# Away from the edges, so that a region can be cut out around it.
SMALL_MASK = "1 inside rows 20..35, cols 24..47, else 0"

DDIM, EULER, HEUN = "DDIMScheduler", "EulerDiscreteScheduler", "HeunDiscreteScheduler"
ANCESTRAL, MULTISTEP = "EulerAncestralDiscreteScheduler", "DPMSolverMultistepScheduler"
SINGLESTEP, UNIPC = "DPMSolverSinglestepScheduler", "UniPCMultistepScheduler"

CASES = {
    "clip_skip1": dict(scheduler=DDIM, clipSkip=1, negative=True),
    "one_generator_batch2": dict(scheduler=EULER, count=2),
    "one_generator_batch2_ancestral": dict(scheduler=ANCESTRAL, count=2),
    "seeds_batch2_ancestral": dict(scheduler=ANCESTRAL, count=2, seeds=[42, 7]),
    "prompts2": dict(scheduler=MULTISTEP, prompts=[PROMPT, NEGATIVE], seeds=[1, 2]),
    "prompts2_negatives2_count2": dict(
        scheduler=DDIM, prompts=[PROMPT, ""], negativePrompt=[NEGATIVE, ""], count=2,
        seeds=[1, 2, 3, 4], steps=3,
    ),
    "rescale_batch2": dict(scheduler=DDIM, count=2, seeds=[3, 4], guidanceRescale=0.5),
    "singlestep": dict(scheduler=SINGLESTEP, steps=6),
    "unipc_karras": dict(scheduler=UNIPC, schedulerOverrides={"use_karras_sigmas": True}),
    "timesteps_euler": dict(scheduler=EULER, timesteps=[999, 700, 300, 50]),
    "timesteps_heun": dict(scheduler=HEUN, timesteps=[900, 500, 100]),
    "sigmas_euler": dict(scheduler=EULER, sigmas=[10.0, 3.0, 1.0, 0.3, 0.0]),
    "wide": dict(scheduler=DDIM, width=96, height=64, steps=3),
    "tiled": dict(scheduler=DDIM, width=96, height=112, steps=2, vaeTiling=True, picture=True),
    "seamless": dict(scheduler=DDIM, steps=3, seamless=True, picture=True),
    "taesd": dict(scheduler=DDIM, steps=3, vae="taesd", picture=True),
    "img2img_taesd": dict(mode="img2img", scheduler=EULER, strength=0.6, vae="taesd"),
    "img2img_batch2": dict(mode="img2img", scheduler=DDIM, strength=0.5, count=2),
    "img2img_seeds2": dict(mode="img2img", scheduler=EULER, strength=0.5, seeds=[5, 6], count=2),
    "img2img_heun_custom": dict(
        mode="img2img", scheduler=EULER, timesteps=[999, 800, 600, 400, 200], strength=0.5
    ),
    "img2img_singlestep": dict(mode="img2img", scheduler=SINGLESTEP, strength=0.6),
    "inpaint4_batch2": dict(mode="inpaint", scheduler=MULTISTEP, strength=0.7, count=2),
    # No inpainting with a list of seeds: diffusers encodes the picture with the first one alone,
    # where each of our pictures depends on nothing but its own seed.
    "inpaint4_crop": dict(
        mode="inpaint", scheduler=DDIM, strength=0.8, paddingMaskCrop=4, mask=SMALL_MASK,
        picture=True,
    ),
    "inpaint9_crop": dict(
        mode="inpaint", unet="inpaint9", scheduler=EULER, strength=1.0, paddingMaskCrop=10,
        mask=SMALL_MASK, width=64, height=48, picture=True,
    ),
    "sdxl_negative": dict(unet="sdxl", scheduler=EULER, negative=True),
    "sdxl_clip_skip1": dict(unet="sdxl", scheduler=DDIM, clipSkip=1, negative=True),
    "sdxl_img2img": dict(mode="img2img", unet="sdxl", scheduler=EULER, strength=0.3, steps=10),
    "sdxl_img2img_batch2": dict(
        mode="img2img", unet="sdxl", scheduler=MULTISTEP, strength=0.6, count=2
    ),
    "sdxl_inpaint": dict(mode="inpaint", unet="sdxl", scheduler=DDIM, strength=0.9999, steps=10),
    "sdxl_inpaint_s1": dict(mode="inpaint", unet="sdxl", scheduler=EULER, strength=1.0),
}  # fmt: skip


class Tokenizer:
    """CLIP's, for the few texts above: its vocabulary is not needed for them."""

    model_max_length = 77
    added_tokens_encoder = {}

    def tokenize(self, text):
        return []

    def __call__(self, texts, **_):
        texts = [texts] if isinstance(texts, str) else texts
        rows = [([49406, *IDS[text], 49407] + [49407] * 77)[:77] for text in texts]
        ids = torch.tensor(rows)
        return type("Encoding", (), {"input_ids": ids, "attention_mask": torch.ones_like(ids)})


def fill(model, base=1000, prefix=""):
    """Gives a model the weights of the rule."""
    names = {}
    for name, parameter in model.named_parameters():
        plain = name
        if prefix and not name.startswith((prefix, "text_projection")):
            plain = prefix + name
        names[plain] = parameter
    with torch.no_grad():
        for i, name in enumerate(sorted(names)):
            parameter = names[name]
            draw = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(base + i))
            if draw.ndim >= 2:
                draw = draw * np.float32(1 / math.sqrt(math.prod(draw.shape[1:])))
            elif name.endswith("weight"):
                draw = 1 + 0.1 * draw
            else:
                draw = 0.05 * draw
            parameter.copy_(draw)
    return model.eval()


def seamless(*models):
    for model in models:
        for layer in model.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.padding_mode = "circular"


def pipeline_of(options):
    is_xl = options.get("unet") == "sdxl"
    tokenizer = Tokenizer()
    if options.get("vae") == "taesd":
        vae = fill(AutoencoderTiny(**TAESD))
    else:
        vae = fill(AutoencoderKL(**{**VAE, "scaling_factor": SDXL_SCALING} if is_xl else VAE))
    scheduler = getattr(diffusers, options["scheduler"]).from_config(
        SCHEDULER, **options.get("schedulerOverrides", {})
    )
    parts = dict(
        text_encoder=fill(CLIPTextModel(CLIPTextConfig(**TEXT)), prefix="text_model."),
        tokenizer=tokenizer,
        unet=fill(UNet2DConditionModel(**UNETS[options.get("unet", "base")])),
        vae=vae,
        scheduler=scheduler,
    )
    kind = {"txt2img": "", "img2img": "Img2Img", "inpaint": "Inpaint"}[options["mode"]]
    if is_xl:
        second = CLIPTextModelWithProjection(CLIPTextConfig(**TEXT_2))
        parts["text_encoder_2"] = fill(second, 5000, "text_model.")
        parts["tokenizer_2"] = tokenizer
        parts["add_watermarker"] = False
    else:
        parts.update(safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    name = f"StableDiffusion{'XL' if is_xl else ''}{kind}Pipeline"
    pipe = getattr(diffusers, name)(**parts)
    pipe.set_progress_bar_config(disable=True)
    if options.get("vaeTiling"):
        pipe.vae.enable_tiling()
    if options.get("seamless"):
        seamless(pipe.unet, pipe.vae)
    return pipe


def initial_image():
    draw = torch.randn((1, 3, 64, 64), generator=torch.Generator().manual_seed(11))
    return torch.clamp(draw * 0.25 + 0.5, 0, 1)


def mask_of(text):
    rows, columns = ([int(n) for n in part.split("..")] for part in
                     (text.split("rows ")[1].split(",")[0], text.split("cols ")[1].split(",")[0]))
    mask = torch.zeros((1, 1, 64, 64))
    mask[:, :, rows[0] : rows[1] + 1, columns[0] : columns[1] + 1] = 1
    return mask


def as_pil(tensor):
    array = (tensor[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    return Image.fromarray(array.squeeze())


def run(options):
    pipe = pipeline_of(options)
    seeds = options.get("seeds")
    generator = (
        [torch.Generator().manual_seed(seed) for seed in seeds]
        if seeds
        else torch.Generator().manual_seed(options.get("seed", SEED))
    )
    prompts = options.get("prompts", PROMPT)
    negative = options.get("negativePrompt", NEGATIVE if options.get("negative") else None)
    call = dict(
        prompt=prompts,
        negative_prompt=negative,
        num_images_per_prompt=options.get("count", 1),
        guidance_scale=options["guidanceScale"],
        generator=generator,
        output_type="latent",
    )
    for ours, theirs in [
        ("clipSkip", "clip_skip"),
        ("strength", "strength"),
        ("guidanceRescale", "guidance_rescale"),
    ]:
        if ours in options:
            call[theirs] = options[ours]
    for name in ("timesteps", "sigmas"):
        if name in options:
            call[name] = options[name]
    if "timesteps" not in call and "sigmas" not in call:
        call["num_inference_steps"] = options["steps"]
    if options["mode"] != "img2img":
        call.update(width=options.get("width", 64), height=options.get("height", 64))
    crop = options.get("paddingMaskCrop")
    if options["mode"] != "txt2img":
        image = initial_image()
        call["image"] = as_pil(image) if crop is not None else image
    if options["mode"] == "inpaint":
        mask = mask_of(options.get("mask", MASK))
        call["mask_image"] = as_pil(mask) if crop is not None else mask
    # The pipelines give latents or pictures: the latents are caught on their way to the decoder.
    caught = {}
    if options.get("picture"):
        decode = pipe.vae.decode

        def catching(z, *args, **kwargs):
            caught["latents"] = z * pipe.vae.config.scaling_factor
            return decode(z, *args, **kwargs)

        pipe.vae.decode = catching
        call["output_type"] = "pil" if crop is not None else "np"
    if crop is not None:
        call["padding_mask_crop"] = crop
    with torch.no_grad():
        images = pipe(**call).images
    latents = caught.get("latents", images)
    # What the file says of a run must be all there is to know of it.
    options = {key: value for key, value in options.items() if key != "picture"}
    result = {"options": options, "latents": packed(latents.numpy())}
    if call["output_type"] == "np":
        result["image"] = packed(images)
    elif call["output_type"] == "pil":
        result["pixels"] = packed(np.stack([np.asarray(image) for image in images]))
    return result


def packed(array):
    data = [float(f"{x:.7g}") for x in array.ravel()]
    if array.dtype == np.uint8:
        data = array.ravel().tolist()
    elif array.size > 4096:
        data = [round(x, 4) for x in data]
    return {"shape": list(array.shape), "data": data}


def main(path):
    runs = []
    for name, case in CASES.items():
        options = {"mode": "txt2img", "steps": 5, "guidanceScale": 7.5, **case}
        if "timesteps" in options or "sigmas" in options:
            options.pop("steps")
        runs.append({"name": name, **run(options)})
        print(name, flush=True)
    write(path, runs)


def write(path, runs):
    result = {
        "text_encoder": TEXT,
        "text_encoder_2": TEXT_2,
        "unet": BASE,
        "unets": UNETS,
        "vae": VAE,
        "vaes": {"taesd": {"_class_name": "AutoencoderTiny", **TAESD}},
        "vae_sdxl_scaling_factor": SDXL_SCALING,
        "scheduler": SCHEDULER,
        "prompt": PROMPT,
        "negative": NEGATIVE,
        "width": 64,
        "height": 64,
        "seed": SEED,
        "init_image": INIT,
        "mask": MASK,
        "runs": runs,
    }
    text = json.dumps(result, separators=(",", ":")).encode()
    with open(path, "wb") as file:
        file.write(gzip.compress(text, mtime=0) if path.endswith(".gz") else text)


if __name__ == "__main__":
    main(sys.argv[1])
