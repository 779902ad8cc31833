"""Writes random runs of diffusers' schedulers as golden JSON, in the format of schedulers.py:

    python tests/reference/random_schedulers.py OUT [COUNT [SEED]] [--sde]

Every option is drawn that a scheduler has; what diffusers refuses, and what it leaves as NaN, is
drawn again.
"""

import gzip
import json
import math
import random
import sys
import warnings

import diffusers
import torch
from schedulers import CONFIG, K_FAMILY, PLAIN, SOLVERS, run

NO_SAMPLE = ["PNDM", "EulerAncestralDiscrete", "KDPM2Discrete", "KDPM2AncestralDiscrete", "DPMSolverSDE"]
KEEPS_BETAS = {"beta_schedule": "scaled_linear"}


def draw(rnd, sde):
    name = "DPMSolverSDE" if sde else rnd.choice(PLAIN + K_FAMILY + SOLVERS)
    known = getattr(diffusers, name + "Scheduler")._get_init_keys(getattr(diffusers, name + "Scheduler"))
    over, step, extra = {}, {}, {}

    def maybe(chance, key, value):
        if key in known and rnd.random() < chance:
            over[key] = value()

    n = rnd.choice([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 15, 16, 20, 25, 28, 30, 33, 40, 50, 77, 100])
    if sde:
        n = min(n, 30)
    maybe(0.5, "timestep_spacing", lambda: rnd.choice(["leading", "trailing", "linspace"]))
    maybe(0.3, "steps_offset", lambda: rnd.choice([0, 1, 2]))
    kinds = ["v_prediction"] if name in NO_SAMPLE else ["v_prediction", "sample"]
    maybe(0.35, "prediction_type", lambda: rnd.choice(kinds))
    rules = [r for r in ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas") if r in known]
    if rules and rnd.random() < 0.5:
        over[rnd.choice(rules)] = True
    maybe(0.15, "beta_schedule", lambda: rnd.choice(["linear", "squaredcos_cap_v2"]))
    if over.get("beta_schedule") == "linear":
        over |= {"beta_start": 0.0001, "beta_end": 0.02}
    maybe(0.1, "num_train_timesteps", lambda: rnd.choice([500, 1100, 2000]))
    maybe(0.3, "final_sigmas_type", lambda: rnd.choice(["zero", "sigma_min"]))
    maybe(0.5, "solver_order", lambda: rnd.choice([1, 2, 3]))
    maybe(0.3, "lower_order_final", lambda: rnd.random() < 0.5)
    maybe(0.3, "euler_at_final", lambda: rnd.random() < 0.5)
    maybe(0.3, "set_alpha_to_one", lambda: rnd.random() < 0.5)
    maybe(0.3, "predict_x0", lambda: rnd.random() < 0.5)
    maybe(0.2, "disable_corrector", lambda: sorted(rnd.sample(range(6), 2)))
    maybe(0.2, "thresholding", lambda: True)
    if over.get("thresholding"):
        maybe(0.7, "sample_max_value", lambda: rnd.choice([1.0, 1.5, 3.0]))
        maybe(0.5, "dynamic_thresholding_ratio", lambda: rnd.choice([0.9, 0.97]))
    else:
        maybe(0.2, "clip_sample", lambda: True)
        maybe(0.2, "clip_sample_range", lambda: rnd.choice([0.7, 2.0]))
    maybe(0.15, "lambda_min_clipped", lambda: rnd.choice([-2.0, -5.1]))
    maybe(0.2, "interpolation_type", lambda: rnd.choice(["linear", "log_linear"]))
    maybe(0.1, "timestep_type", lambda: "continuous")
    maybe(0.2, "variance_type", lambda: rnd.choice(["fixed_small", "fixed_small_log", "fixed_large"]))
    maybe(0.3, "skip_prk_steps", lambda: False)
    maybe(0.3, "original_inference_steps", lambda: rnd.choice([25, 100]))
    maybe(0.3, "timestep_scaling", lambda: rnd.choice([1.0, 5.0]))
    if name in ("EulerDiscrete", "UniPCMultistep") and rnd.random() < 0.2 and rules:
        over |= {"sigma_min": rnd.choice([0.05, 0.1]), "sigma_max": rnd.choice([8.0, 12.0])}
    if name == "DPMSolverMultistep":
        maybe(0.6, "algorithm_type", lambda: rnd.choice(["dpmsolver++", "sde-dpmsolver++", "dpmsolver", "sde-dpmsolver"]))
    if name == "DPMSolverSinglestep":
        maybe(0.6, "algorithm_type", lambda: rnd.choice(["dpmsolver++", "sde-dpmsolver++", "dpmsolver"]))
    if name.startswith("DPMSolver") and not sde:
        maybe(0.5, "solver_type", lambda: rnd.choice(["midpoint", "heun"]))
    if name == "UniPCMultistep":
        maybe(0.5, "solver_type", lambda: rnd.choice(["bh1", "bh2"]))
    if "rescale_betas_zero_snr" in known and rnd.random() < 0.12:
        over |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}
    if name == "DDIM":
        if rnd.random() < 0.4:
            step["eta"] = rnd.choice([0.25, 0.5, 1.0])
        if rnd.random() < 0.2:
            step["use_clipped_model_output"] = True
    if name == "TCD" and rnd.random() < 0.6:
        step["eta"] = rnd.choice([0.0, 0.5, 1.0])
    if name == "EulerDiscrete" and rnd.random() < 0.3:
        step |= {"s_churn": rnd.choice([1.0, 5.0, 40.0]), "s_noise": rnd.choice([1.0, 1.007])}
        if rnd.random() < 0.5:
            step |= {"s_tmin": 0.05, "s_tmax": 9.0}
    if name == "LMSDiscrete" and rnd.random() < 0.4:
        step["order"] = rnd.choice([1, 2, 3])
    parameters = getattr(diffusers, name + "Scheduler").set_timesteps.__code__.co_varnames
    free = not any(over.get(r) for r in rules)
    if "timesteps" in parameters and free and rnd.random() < 0.12:
        top = over.get("num_train_timesteps", 1000)
        extra["timesteps"] = sorted(rnd.sample(range(1, top), rnd.randint(2, 12)), reverse=True)
        n = None
    elif name == "EulerDiscrete" and free and rnd.random() < 0.12:
        values = sorted((math.exp(rnd.uniform(-3, 2.6)) for _ in range(rnd.randint(2, 12))), reverse=True)
        extra["sigmas"] = [round(v, 4) for v in values] + [0.0]
        n = None
    if sde:
        over["noise_sampler_seed"] = rnd.randrange(2**32)
        if rnd.random() < 0.3:
            step["s_noise"] = rnd.choice([0.9, 1.003])
    if rnd.random() < 0.2:
        extra["shape"] = rnd.choice([[2, 4, 4, 6], [1, 4, 8, 5], [3, 4, 2, 2]])
        if sde:
            over["noise_sampler_seed"] = [rnd.randrange(2**32) for _ in range(extra["shape"][0])]
    if n and rnd.random() < 0.25:
        order = getattr(diffusers, name + "Scheduler").order
        strength = rnd.choice([0.1, 0.3, 0.5, 0.58, 0.75, 0.8, 0.9])
        extra["begin_index"] = max(n - min(int(n * strength), n), 0) * order
    return name, n, over, step, extra


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith("--")]
    out, count, seed = arguments[0], int((arguments + ["", "60"])[1] or 60), int((arguments + ["", "", "7"])[2] if len(arguments) > 2 else 7)
    sde = "--sde" in sys.argv
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    diffusers.utils.logging.set_verbosity_error()
    rnd = random.Random(seed)
    runs, refused = [], 0
    while len(runs) < count:
        case = draw(rnd, sde)
        try:
            result = run(*case)
        except Exception as error:
            refused += 1
            print("refused:", case, repr(error)[:100], file=sys.stderr)
            continue
        if all(math.isfinite(x) for x in result["final"]) and result["first4_after_each_step"]:
            runs.append(result)
    print(len(runs), "runs,", refused, "refused")
    text = json.dumps({"config": CONFIG, "runs": runs}, separators=(",", ":")).encode()
    with open(out, "wb") as file:
        file.write(gzip.compress(text, mtime=0) if out.endswith(".gz") else text)


if __name__ == "__main__":
    main()
