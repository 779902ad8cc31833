"""Muon (Jordan et al. 2024): momentum whose matrices are made orthogonal before they are applied.

On two CPU cores a few thousand steps are all there is, and these go several
times further than Adam's. Matrices and convolutions take the orthogonal update, scaled
so that its size is that of an Adam update (Liu et al. 2025); gains, biases and
embeddings stay with AdamW.
"""
import torch


def orthogonal(g, steps=5):
    """The nearest semi-orthogonal matrices to a stack (n, rows, columns), by Newton-Schulz."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.bfloat16()
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.transpose(1, 2)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        s = x @ x.transpose(1, 2)
        x = a * x + (b * s + c * (s @ s)) @ x
    return (x.transpose(1, 2) if tall else x).float()


class Muon(torch.optim.Optimizer):
    """One optimizer for both kinds; `scale` of a group multiplies the learning rate."""

    def __init__(self, groups, lr, momentum=0.95, weight_decay=0.01, team=None):
        split = []
        for group in groups:
            for matrix in (True, False):
                chosen = [p for p in group["params"] if (p.ndim >= 2 and min(p.shape[0], p[0].numel()) > 3) == matrix]
                if chosen:
                    split.append(dict(params=chosen, scale=group.get("scale", 1.0), matrix=matrix))
        super().__init__(split, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))
        self.team = team

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            rate = group["lr"] * group["scale"]
            (self._matrices if group["matrix"] else self._vectors)(parameters, rate, group)

    def _matrices(self, parameters, rate, group):
        alike = {}
        for p in parameters:
            state = self.state[p]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(p)
            state["momentum"].lerp_(p.grad, 1 - group["momentum"])
            update = p.grad.lerp(state["momentum"], group["momentum"])
            alike.setdefault((p.shape[0], p[0].numel()), []).append((p, update.reshape(p.shape[0], -1)))
        # A team shares the work: each member orthogonalises every other stack of matrices.
        order = sorted(alike.items(), key=lambda item: -item[0][0] * item[0][1] * min(item[0]) * len(item[1]))
        size, rank = (self.team.size, self.team.rank) if self.team else (1, 0)
        whole = [torch.stack([u for _, u in members]) for _, members in order]
        whole = [orthogonal(w) if i % size == rank else torch.zeros_like(w) for i, w in enumerate(whole)]
        if size > 1:
            whole = self.team.gather(whole)
        for ((rows, columns), members), updates in zip(order, whole):
            for (p, _), update in zip(members, updates):
                p.mul_(1 - rate * group["weight_decay"])
                p.add_(update.view_as(p), alpha=-rate * 0.2 * max(rows, columns) ** 0.5)

    def _vectors(self, parameters, rate, group):
        for p in parameters:
            state = self.state[p]
            if "m" not in state:
                state["m"], state["v"], state["n"] = torch.zeros_like(p), torch.zeros_like(p), 0
            state["n"] += 1
            state["m"].lerp_(p.grad, 0.1)
            state["v"].lerp_(p.grad * p.grad, 0.01)
            m = state["m"] / (1 - 0.9 ** state["n"])
            v = state["v"] / (1 - 0.99 ** state["n"])
            p.sub_(rate * m / (v.sqrt() + 1e-8))
