"""Writes random runs of diffusers' pipelines on the tiny models, in the format of pipelines.py:

    python tests/reference/random_pipelines.py OUT [COUNT [SEED]]
"""

import random
import sys
import warnings

import diffusers
import torch
from pipelines import NEGATIVE, PROMPT, run, write

SCHEDULERS = [
    "DDIM", "DDPM", "PNDM", "EulerDiscrete", "EulerAncestralDiscrete", "HeunDiscrete", "LMSDiscrete",
    "KDPM2Discrete", "KDPM2AncestralDiscrete", "DPMSolverMultistep", "DPMSolverSinglestep",
    "UniPCMultistep", "DEISMultistep", "LCM",
]  # fmt: skip
RULED = ["EulerDiscrete", "HeunDiscrete", "DPMSolverMultistep", "UniPCMultistep", "DEISMultistep", "LMSDiscrete"]


def draw(rnd):
    name = rnd.choice(SCHEDULERS)
    mode = rnd.choice(["txt2img", "txt2img", "img2img", "img2img", "inpaint", "inpaint"])
    options = {
        "mode": mode,
        "scheduler": name + "Scheduler",
        "steps": rnd.choice([2, 3, 4, 5, 7, 9]),
        "guidanceScale": rnd.choice([1.0, 0.0, 3.0, 7.5, 12.0]),
        "seed": rnd.randrange(2**31),
    }
    over = {}
    if rnd.random() < 0.3:
        over["timestep_spacing"] = rnd.choice(["leading", "trailing", "linspace"])
    if name in RULED and rnd.random() < 0.3:
        over[rnd.choice(["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"])] = True
    if rnd.random() < 0.2:
        over["prediction_type"] = "v_prediction"
    if name == "DPMSolverMultistep" and rnd.random() < 0.4:
        over["algorithm_type"] = "sde-dpmsolver++"
    if over:
        options["schedulerOverrides"] = over
    is_xl = rnd.random() < 0.25
    if is_xl:
        options["unet"] = "sdxl"
    elif mode == "inpaint" and rnd.random() < 0.5:
        options["unet"] = "inpaint9"
    if rnd.random() < 0.4:
        options["negative"] = True
    if rnd.random() < 0.2:
        options["clipSkip"] = 1
    if rnd.random() < 0.25 and mode == "txt2img":
        options["guidanceRescale"] = rnd.choice([0.3, 0.7, 1.0])
    if mode != "txt2img":
        options["strength"] = rnd.choice([0.3, 0.5, 0.58, 0.8, 0.95, 1.0])
    if rnd.random() < 0.25:
        options["count"] = 2
        if mode != "inpaint" and rnd.random() < 0.5:
            options["seeds"] = [rnd.randrange(2**31), rnd.randrange(2**31)]
    elif rnd.random() < 0.15 and mode == "txt2img":
        options["prompts"] = [PROMPT, rnd.choice(["", NEGATIVE])]
    if mode == "txt2img" and rnd.random() < 0.25:
        options |= {"width": rnd.choice([48, 64, 96]), "height": rnd.choice([40, 64, 80])}
    if mode != "inpaint" and not is_xl and rnd.random() < 0.1:
        options["vae"] = "taesd"
    return options


def main():
    out, count, seed = (sys.argv[1:] + ["40", "1"])[:3] if len(sys.argv) < 4 else sys.argv[1:4]
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    diffusers.utils.logging.set_verbosity_error()
    rnd = random.Random(int(seed))
    runs = []
    while len(runs) < int(count):
        options = draw(rnd)
        # What diffusers takes without effect and we refuse: a setting that a scheduler lacks, no step.
        unheard = "Singlestep" in options["scheduler"] and "timestep_spacing" in options.get("schedulerOverrides", {})
        if unheard or int(options["steps"] * options.get("strength", 1)) < 1:
            continue
        try:
            result = run(options)
        except Exception as error:
            print("refused:", options, repr(error)[:120], file=sys.stderr)
            continue
        if torch.tensor(result["latents"]["data"]).isfinite().all():
            runs.append({"name": f"random {len(runs)}", **result})
    write(out, runs)
    print(len(runs), "runs")


if __name__ == "__main__":
    main()
