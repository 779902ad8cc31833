"""What a step of diffusers says of itself: both halves of guidance, and where the picture looks at each token.

    python tests/reference/inspect_steps.py tests/fixtures/tiny-model tests/fixtures/inspect.json.gz

Runs the tiny model (tiny_folder.py) in float32 on the CPU with attention processors that keep their probabilities.
"""

import gzip
import json
import sys

import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline
from torch.nn.functional import interpolate

TOKENS = 12  # of 77: the prompt, the end and a little padding


class Keep:
    """Plain attention that keeps softmax(q kT / sqrt d), averaged over heads, of the prompt's row."""

    def __init__(self, kept):
        self.kept = kept

    def __call__(self, attn, x, encoder_hidden_states=None, **_):
        context = x if encoder_hidden_states is None else encoder_hidden_states
        q, k, v = (attn.head_to_batch_dim(f(y)) for f, y in
                   ((attn.to_q, x), (attn.to_k, context), (attn.to_v, context)))
        probs = attn.get_attention_scores(q, k)
        if encoder_hidden_states is not None:
            self.kept.append(probs.unflatten(0, (x.shape[0], attn.heads))[-1].mean(0))
        return attn.to_out[0](attn.batch_to_head_dim(probs @ v))


def main():
    folder, out = sys.argv[1:]
    pipe = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    runs = []
    for sampler in ("ddim", "euler"):
        if sampler == "euler":
            pipe.scheduler = EulerDiscreteScheduler.from_config(pipe.scheduler.config)
        kept, halves = [], []
        pipe.unet.set_attn_processor(Keep(kept))
        hook = pipe.unet.register_forward_hook(lambda _m, _i, output: halves.append(output[0]))
        options = dict(prompt="the lake", negative_prompt="a dam", width=64, height=64)
        pipe(**options, num_inference_steps=2, guidance_scale=4, generator=torch.Generator().manual_seed(7))
        hook.remove()
        per_step = len(kept) // len(halves)
        steps = []
        for i, (unconditioned, conditioned) in enumerate(halves):
            maps = []
            for probs in kept[i * per_step:(i + 1) * per_step]:
                edge = int(probs.shape[0] ** 0.5)
                square = probs.T.reshape(1, -1, edge, edge)
                maps.append(interpolate(square, (8, 8), mode="bilinear", align_corners=False)[0])
            mean = torch.stack(maps).mean(0)[:TOKENS]
            steps.append(dict(
                unconditioned=unconditioned.flatten().tolist(),
                conditioned=conditioned.flatten().tolist(), maps=mean.flatten().tolist()))
        runs.append(dict(sampler=sampler, steps=steps))
    with gzip.GzipFile(out, "wb", mtime=0) as file:
        file.write(json.dumps(dict(tokens=TOKENS, runs=runs)).encode())


if __name__ == "__main__":
    with torch.no_grad():
        main()
