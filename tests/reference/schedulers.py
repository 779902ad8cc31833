"""Writes diffusers' scheduler runs as golden JSON: `schedulers.py schedulers OUT` or `schedulers.py sde OUT`.

Made with torch 2.13 (CPU) and diffusers 0.39; "sde" needs torchsde too. A run starts from
randn(shape, seed 0) * init_noise_sigma, the model is 0.2 * (t / 1000) * x + 0.1 * randn(shape, seed 1),
and the steps' noise comes from seed 2. A run with `begin_index` starts as image-to-image does: from
add_noise(randn(seed 3), randn(seed 0), timesteps[begin_index]).
"""

import gzip
import json
import sys

import diffusers
import numpy as np
import torch

CONFIG = {
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
    "clip_sample": False,
}
K_FAMILY = ["EulerDiscrete", "EulerAncestralDiscrete", "HeunDiscrete", "LMSDiscrete", "KDPM2Discrete", "KDPM2AncestralDiscrete"]
SOLVERS = ["DPMSolverMultistep", "DPMSolverSinglestep", "UniPCMultistep", "DEISMultistep"]
PLAIN = ["DDIM", "DDPM", "PNDM", "LCM", "TCD"]
RULES = ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"]
ZERO_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}


def cases():
    for name in PLAIN + K_FAMILY + SOLVERS:
        for n in (1, 4, 7, 16, 30):
            yield name, n, {}
    for name in K_FAMILY + SOLVERS:
        if name != "EulerAncestralDiscrete":
            for rule in RULES:
                for n in (5, 18):
                    yield name, n, {rule: True}
    for name in ["DDIM", "DDPM", "PNDM"] + K_FAMILY + ["DPMSolverMultistep", "UniPCMultistep", "DEISMultistep"]:
        for spacing in ("leading", "trailing", "linspace"):
            for n in (6, 48):
                yield name, n, {"timestep_spacing": spacing}
    for name in PLAIN + K_FAMILY + SOLVERS:
        yield name, 9, {"prediction_type": "v_prediction"}
        if name not in ("PNDM", "EulerAncestralDiscrete", "KDPM2Discrete", "KDPM2AncestralDiscrete"):
            yield name, 9, {"prediction_type": "sample"}
    for schedule in ("linear", "squaredcos_cap_v2"):
        for name in PLAIN + K_FAMILY + SOLVERS:
            yield name, 8, {"beta_schedule": schedule}
    for rule in RULES + ["use_lu_lambdas"]:
        # These repeat timesteps, which diffusers survives only with a begin index.
        over = {"beta_schedule": "squaredcos_cap_v2", rule: True}
        yield "DPMSolverMultistep", 8, over, {}, {"begin_index": 1}
    yield "DDPM", 8, {"beta_schedule": "sigmoid"}
    yield "DDPM", 8, {"beta_schedule": "laplace"}
    yield "HeunDiscrete", 8, {"beta_schedule": "exp"}
    yield "DDIM", 8, {"num_train_timesteps": 1100, "beta_schedule": "linear"}
    yield "EulerDiscrete", 3, {"trained_betas": [0.01 * (i + 1) for i in range(20)], "num_train_timesteps": 20}
    for name in ("DDIM", "DDPM", "EulerDiscrete", "EulerAncestralDiscrete", "DPMSolverMultistep", "UniPCMultistep", "LCM", "TCD"):
        yield name, 10, ZERO_SNR
    for eta in (0.3, 1.0):
        yield "DDIM", 12, {}, {"eta": eta}
        yield "TCD", 6, {}, {"eta": eta}
    yield "TCD", 6, {}, {"eta": 0.0}
    yield "TCD", 6, {"prediction_type": "v_prediction", "original_inference_steps": 25}
    yield "LCM", 6, {"original_inference_steps": 25, "timestep_scaling": 5.0, "clip_sample": True}
    yield "DDIM", 7, {"set_alpha_to_one": True, "clip_sample": True, "clip_sample_range": 0.7}, {"use_clipped_model_output": True}
    yield "DDIM", 10, {"thresholding": True, "sample_max_value": 1.5, "dynamic_thresholding_ratio": 0.9}
    for name in ("DDPM", "LCM", "DPMSolverMultistep", "DPMSolverSinglestep", "UniPCMultistep", "DEISMultistep"):
        yield name, 10, {"thresholding": True, "sample_max_value": 2.0}
    yield "DDPM", 12, {"variance_type": "fixed_large"}
    yield "DDPM", 12, {"variance_type": "fixed_small_log"}
    yield "PNDM", 12, {"skip_prk_steps": False}
    yield "PNDM", 5, {"skip_prk_steps": False, "prediction_type": "v_prediction", "set_alpha_to_one": True}
    yield "EulerDiscrete", 11, {}, {"s_churn": 3.0, "s_tmin": 0.1, "s_tmax": 10.0, "s_noise": 1.003}
    yield "EulerDiscrete", 11, {"interpolation_type": "log_linear"}
    yield "EulerDiscrete", 11, {"interpolation_type": "log_linear", "use_karras_sigmas": True}
    yield "EulerDiscrete", 11, {"final_sigmas_type": "sigma_min", "use_karras_sigmas": True, "sigma_min": 0.1, "sigma_max": 10.0}
    yield "EulerDiscrete", 11, {"timestep_type": "continuous", "prediction_type": "v_prediction", "use_karras_sigmas": True}
    yield "LMSDiscrete", 11, {}, {"order": 2}
    yield "HeunDiscrete", 6, {"clip_sample": True, "clip_sample_range": 0.9}
    for n in (6, 7, 8, 17):
        for order in (1, 2, 3):
            yield "DEISMultistep", n, {"solver_order": order}
            for kind in ("midpoint", "heun"):
                for algorithm in ("dpmsolver++", "sde-dpmsolver++", "dpmsolver"):
                    over = {"solver_order": order, "solver_type": kind, "algorithm_type": algorithm}
                    if algorithm == "dpmsolver":
                        over["final_sigmas_type"] = "sigma_min"
                    yield "DPMSolverMultistep", n, over
                    if n in (6, 7):
                        yield "DPMSolverSinglestep", n, over
            for kind in ("bh1", "bh2"):
                yield "UniPCMultistep", n, {"solver_order": order, "solver_type": kind}
    yield "DPMSolverMultistep", 7, {"algorithm_type": "sde-dpmsolver", "final_sigmas_type": "sigma_min", "solver_type": "heun"}
    yield "DPMSolverMultistep", 20, {"algorithm_type": "sde-dpmsolver", "final_sigmas_type": "sigma_min"}
    yield "DPMSolverMultistep", 9, {"use_lu_lambdas": True}
    yield "DPMSolverMultistep", 9, {"use_lu_lambdas": True, "use_karras_sigmas": True}
    yield "DPMSolverMultistep", 9, {"lambda_min_clipped": -2.0, "timestep_spacing": "trailing"}
    yield "DPMSolverSinglestep", 9, {"lambda_min_clipped": -2.0}
    yield "DPMSolverMultistep", 9, {"euler_at_final": True, "lower_order_final": False, "final_sigmas_type": "sigma_min"}
    yield "DPMSolverMultistep", 9, {"solver_type": "bh2", "algorithm_type": "deis", "final_sigmas_type": "sigma_min"}
    yield "DPMSolverSinglestep", 9, {"final_sigmas_type": "sigma_min", "solver_order": 3}
    yield "UniPCMultistep", 9, {"final_sigmas_type": "sigma_min", "use_karras_sigmas": True, "solver_order": 3}
    yield "UniPCMultistep", 9, {"predict_x0": False, "final_sigmas_type": "sigma_min", "solver_order": 3}
    yield "UniPCMultistep", 9, {"disable_corrector": [0, 3], "lower_order_final": False, "final_sigmas_type": "sigma_min"}
    yield "UniPCMultistep", 9, {"use_exponential_sigmas": True, "sigma_min": 0.05, "sigma_max": 12.0}
    yield "UniPCMultistep", 9, {"solver_type": "midpoint"}
    for name in ("DDPM", "EulerDiscrete", "HeunDiscrete", "DPMSolverMultistep", "DPMSolverSinglestep", "LCM", "TCD"):
        yield name, None, {}, {}, {"timesteps": [999, 850, 736, 645, 545, 455, 343, 233, 124, 24]}
    yield "EulerDiscrete", None, {}, {}, {"sigmas": [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.0]}
    for name in PLAIN + K_FAMILY + SOLVERS:
        order = getattr(diffusers, name + "Scheduler").order
        yield name, 12, {}, {}, {"begin_index": 5 * order}
        yield name, 16, {"prediction_type": "v_prediction"}, {}, {"begin_index": 3 * order, "shape": [2, 4, 4, 6]}


def sde_cases():
    for n in (1, 3, 6, 15):
        for over in ({}, {"use_karras_sigmas": True}, {"prediction_type": "v_prediction"}, {"timestep_spacing": "leading"}):
            yield "DPMSolverSDE", n, {**over, "noise_sampler_seed": 123}
    yield "DPMSolverSDE", 8, {"use_beta_sigmas": True, "noise_sampler_seed": 5}
    yield "DPMSolverSDE", 8, {"use_exponential_sigmas": True, "noise_sampler_seed": 2**40 + 3}, {"s_noise": 0.9}
    yield "DPMSolverSDE", 6, {"noise_sampler_seed": [11, 12]}, {}, {"shape": [2, 4, 4, 6]}
    yield "DPMSolverSDE", 8, {"noise_sampler_seed": 5}, {}, {"begin_index": 4}


def randn(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def run(name, n, over, step_kwargs=None, extra=None):
    step_kwargs, extra = step_kwargs or {}, extra or {}
    scheduler = getattr(diffusers, name + "Scheduler").from_config(dict(CONFIG), **over)
    lists = {key: extra[key] for key in ("timesteps", "sigmas") if key in extra}
    scheduler.set_timesteps(**(lists or {"num_inference_steps": n}))
    shape = extra.get("shape", [1, 4, 4, 4])
    begin = extra.get("begin_index", 0)
    constant, noise = randn(shape, 1), randn(shape, 0)
    if begin:
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(begin)
        x = scheduler.add_noise(randn(shape, 3), noise, scheduler.timesteps[begin : begin + 1])
    else:
        x = noise * scheduler.init_noise_sigma
    kwargs = dict(step_kwargs)
    if "generator" in scheduler.step.__code__.co_varnames[: scheduler.step.__code__.co_argcount]:
        kwargs["generator"] = torch.Generator().manual_seed(2)
    after = []
    for t in scheduler.timesteps[begin:]:
        model_input = scheduler.scale_model_input(x, t)
        output = 0.2 * (t.float() / 1000) * model_input + 0.1 * constant
        x = scheduler.step(output, t, x, **kwargs).prev_sample
        after.append(short(x.flatten()[:4]))
    result = {
        "scheduler": name + "Scheduler",
        "n": n,
        "over": over,
        "step_kwargs": step_kwargs,
        **({"dtype": "torch.float32"} if "SDE" in name else {}),
        **{f"custom_{key}": value for key, value in lists.items()},
        "shape": shape,
        "begin_index": begin,
        "timesteps": [float(t) for t in scheduler.timesteps],
        **({"sigmas": short(scheduler.sigmas)} if "SDE" in name or "rescale_betas_zero_snr" in over and "Euler" in name else {}),
        "init_noise_sigma": float(scheduler.init_noise_sigma),
        "first4_after_each_step": after,
        "final": short(x.flatten()),
    }
    return result


def short(values):
    """The shortest decimals that give the same float32."""
    return [float(str(v)) for v in np.asarray(values, np.float32)]


def brownian():
    import torchsde

    t0, t1, shape, entropy = 0.0291675, 14.6146, [1, 4, 3, 2], 2**33 + 5
    queries = [[9.25, 14.6146], [0.5, 9.25], [0.5, 0.500001], [0.0291675, 0.5], [1.0, 2.0078125]]
    tree = torchsde.BrownianInterval(t0, t1, size=shape, entropy=entropy, tol=1e-6, pool_size=24, halfway_tree=True)
    return {"t0": t0, "t1": t1, "shape": shape, "entropy": entropy, "queries": queries, "W": [short(tree(a, b).flatten()) for a, b in queries]}


def seed_states():
    for entropy in (0, 1, 2**32 - 1, 2**32, 2**70 + 9):
        for key in (None, (0, 0), (3, 2), (2**40 + 1, 41)):
            state = np.random.SeedSequence(entropy, **({"spawn_key": key} if key else {}), pool_size=24).generate_state(4)
            yield {"entropy": str(entropy), "spawn_key": key and list(key), "state4": state.tolist()}


def main():
    kind, out = sys.argv[1:]
    torch.set_num_threads(1)  # tiny tensors: threads only wait for each other
    golden = {"config": CONFIG, "runs": [run(*case) for case in (sde_cases if kind == "sde" else cases)()]}
    if kind == "sde":
        golden |= {"brownian": brownian(), "seed_sequence_pool24": list(seed_states())}
    else:
        plain = diffusers.DDIMScheduler.from_config(dict(CONFIG))
        zero = diffusers.DDIMScheduler.from_config(dict(CONFIG), rescale_betas_zero_snr=True)
        bits = lambda tensor: tensor.numpy().view(np.uint32).tolist()
        golden["betas_u32"] = bits(plain.betas)
        golden["alphas_cumprod_u32"] = bits(plain.alphas_cumprod)
        golden["alphas_cumprod_zero_snr_u32"] = bits(zero.alphas_cumprod)
    text = json.dumps(golden, separators=(",", ":")).encode()
    with open(out, "wb") as file:
        file.write(gzip.compress(text, mtime=0) if out.endswith(".gz") else text)


if __name__ == "__main__":
    main()
