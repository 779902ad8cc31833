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
import torch.distributed as dist


class Team:
    """Processes of one thread each that average their gradients once a step.

    Two threads of one process meet at a barrier after every operation; on a
    machine with other work one of them is always late. Processes meet once a
    step, and lose only the time that others really use.
    """

    def __init__(self, rank=0, size=1, rendezvous=None):
        self.rank, self.size = rank, size
        if size > 1:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
            dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=size)

    def average(self, parameters, *values):
        """Average the gradients in place, and the numbers beside them, which are returned."""
        if self.size == 1:
            return values
        whole = torch.cat([p.grad.reshape(-1) for p in parameters] + [torch.tensor(values, dtype=torch.float32)])
        dist.all_reduce(whole)
        whole /= self.size
        at = 0
        for p in parameters:
            p.grad.copy_(whole[at:at + p.numel()].view_as(p))
            at += p.numel()
        return whole[at:].tolist()

    def wait(self):
        if self.size > 1:
            dist.barrier()

    def gather(self, parts):
        """Sum lists of tensors over the team: each member fills its own and leaves the rest zero."""
        if self.size > 1:
            whole = torch.cat([p.reshape(-1) for p in parts])
            dist.all_reduce(whole)
            parts = [w.view_as(p) for w, p in zip(whole.split([p.numel() for p in parts]), parts)]
        return parts


def together(target, size, *args):
    """Run target(team, *args) in `size` processes of one thread each."""
    if size == 1:
        return target(Team(), *args)
    import tempfile
    import torch.multiprocessing as processes
    with tempfile.TemporaryDirectory() as folder:
        processes.spawn(_member, (target, size, os.path.join(folder, "meet"), args), nprocs=size)


def _member(rank, target, size, rendezvous, args):
    os.setsid()  # a scheduler that shares the machine by sessions sees as many as there are members
    torch.set_num_threads(1)
    target(Team(rank, size, rendezvous), *args)


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

    @staticmethod
    def rate(share, step, peak, warmup=100, floor=0.02):
        """Linear warm-up by steps, then a cosine over the budget."""
        cosine = floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * share))
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

    def __init__(self, path, quiet=False):
        self.path, self.quiet = path, quiet
        os.makedirs(os.path.dirname(path), exist_ok=True)

    def write(self, **values):
        if self.quiet:
            return
        line = json.dumps({k: round(v, 6) if isinstance(v, float) else v for k, v in values.items()})
        print(line, flush=True)
        with open(self.path, "a") as f:
            f.write(line + "\n")


def save(path, **state):
    torch.save(state, path + ".part")
    os.replace(path + ".part", path)  # a run killed while writing leaves the old one whole


def load(path):
    return torch.load(path, map_location="cpu", weights_only=False) if os.path.exists(path) else None
