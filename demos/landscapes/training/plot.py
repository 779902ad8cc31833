"""Stage `plot`: the loss curves of the logs, as one small picture."""
import json
import os


def curves(work, path):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np
    figure, axes = plt.subplots(1, 3, figsize=(10, 2.8), dpi=80)
    panels = (("vae", "psnr", "autoencoder: PSNR in training, dB"), ("text", "held_right", "text: facts read rightly, held out"),
              ("diffusion", "loss", "diffusion: squared error of the noise"))
    for axis, (name, key, title) in zip(axes, panels):
        with open(os.path.join(work, "logs", f"{name}.jsonl")) as f:
            rows = {r["step"]: r for r in map(json.loads, f) if key in r}  # a resumed run repeats a few steps
        rows = [rows[step] for step in sorted(rows)]
        x, y = np.array([r["step"] for r in rows]), np.array([r[key] for r in rows])
        axis.plot(x, y, color="#9db4c8", linewidth=0.8)
        if len(y) > 10:
            width = max(3, len(y) // 25)
            axis.plot(x[width - 1:], np.convolve(y, np.ones(width) / width, "valid"), color="#1f4e79", linewidth=1.4)
        if name == "diffusion":
            axis.set_ylim(y[-1] * 0.8, np.percentile(y, 95))
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("steps", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.25)
    figure.tight_layout()
    figure.savefig(path)
