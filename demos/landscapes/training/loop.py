"""What the training stages share: a budget in minutes, checkpoints, a log, an average.

The learning rate follows the share of the budget that is spent, not a count of
steps: on a machine shared with other work nobody knows how many steps an hour
holds, and a schedule that does not reach its end wastes the most useful part.
"""
import json
import math
import os
import time

import torch


class Budget:
    """Spent and given minutes, carried across restarts by the checkpoint."""

    def __init__(self, minutes, spent=0.0):
        self.total, self.before, self.start = minutes * 60, spent, time.time()

    @property
    def spent(self):
        return self.before + time.time() - self.start

    @property
    def share(self):
        return min(1.0, self.spent / self.total)

    def rate(self, step, peak, warmup=100, floor=0.02):
        """Linear warm-up by steps, then a cosine over the budget."""
        cosine = floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * self.share))
        return peak * min(1.0, (step + 1) / warmup) * cosine


class Average:
    """An exponential moving average of a module's parameters, warmed up."""

    def __init__(self, modules, decay):
        self.decay, self.steps = decay, 0
        self.live = [p for m in modules for p in m.parameters()]
        self.kept = [p.detach().clone() for p in self.live]

    @torch.no_grad()
    def update(self):
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.kept, self.live, 1 - decay)

    def swap(self):
        """Exchange the average with the live weights; a second call undoes the first."""
        for kept, live in zip(self.kept, self.live):
            kept.data, live.data = live.data, kept.data


class Log:
    """One JSON line per report, appended, so that a resumed run continues the curve."""

    def __init__(self, path):
        self.path = path
        os.makedirs(os.path.dirname(path), exist_ok=True)

    def write(self, **values):
        line = json.dumps({k: round(v, 6) if isinstance(v, float) else v for k, v in values.items()})
        print(line, flush=True)
        with open(self.path, "a") as f:
            f.write(line + "\n")


def save(path, **state):
    torch.save(state, path + ".part")
    os.replace(path + ".part", path)  # a run killed while writing leaves the old one whole


def load(path):
    return torch.load(path, map_location="cpu", weights_only=False) if os.path.exists(path) else None
