"""Theorem 2 climbs to the tight bound: z at models on the way to the target, along the direction of the bound.

    python experiments/climbing.py --scale paper

The tight bound comes with a direction v. ``z(theta_p + t v)`` does not fall as t falls, and its limit is the bound
(docs/theory.rst). MTP's best is the largest z at the models that Algorithm 1 passes through until it is eps-close.
"""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from common import RESULTS, Instance, follow_the_leader, instances, options, title, write

import convexpoison as cp
from convexpoison.bounds.theorem2 import z
from convexpoison.data.training_data import TrainingData
from convexpoison.problem import Problem
from convexpoison.threats import AddRows

_STEPS = 10.0 ** -np.arange(1.0, 6.01, 0.5)
# One target a loss is enough.
_WANTED = {"smoke": "digits", "paper": "MNIST 1-7 / 5 %"}


def rows(instance: Instance) -> list[dict[str, object]]:
    """Return z at every step, v of length 1."""
    bound = cp.lower_bound(instance.target, instance.data, victim=instance.victim, space=instance.space)
    leader = follow_the_leader(instance)
    v, target = bound.certificate.direction, instance.target
    length = float(np.hypot(np.linalg.norm(v.w), v.b))
    problem = Problem(instance.victim, TrainingData.from_user(instance.data), AddRows(instance.space), target)
    out = []
    for t in _STEPS:
        theta = cp.LinearModel(target.coef + t / length * v.w, target.intercept + t / length * v.b)
        value = z(problem, theta)
        out.append(
            {
                "target": instance.name,
                "t": f"{t:.3g}",
                "z(theta_p + t v)": f"{value:.4f}",
                "tight bound": f"{float(bound):.4f}",
                "short of it, %": f"{100 * (1 - value / float(bound)):.4f}",
                "best z of Algorithm 1": f"{leader.history['lower_bound'][-1]:.2f}",
            }
        )
    return out


def plot(table: list[dict[str, object]], path: str) -> None:
    """Plot z against t, one panel a target."""
    names = list(dict.fromkeys(row["target"] for row in table))
    columns = min(2, len(names))
    lines = -(-len(names) // columns)
    figure, panels = plt.subplots(lines, columns, figsize=(4.2 * columns, 3.6 * lines), squeeze=False)
    for panel in panels.flat[len(names) :]:
        panel.remove()
    for name, panel in zip(names, panels.flat, strict=False):
        t, z, bound, leader = (
            [float(str(row[column])) for row in table if row["target"] == name]
            for column in ("t", "z(theta_p + t v)", "tight bound", "best z of Algorithm 1")
        )
        panel.semilogx(t, z, "o-", markersize=3, label="z(θ_p + t v)")
        panel.axhline(bound[0], color="0.4", label="tight bound")
        panel.axhline(leader[0], color="C1", linestyle="--", label="best z of Algorithm 1")
        panel.invert_xaxis()
        panel.set(title=name, xlabel="t", ylabel="points", ylim=(0, 1.08 * bound[0]))
        panel.title.set_fontsize(8)
    panels[0, 0].legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def main() -> None:
    arguments = options(__doc__ or "")
    name, command = title("climbing", arguments)
    words = [
        f"From {command}. v has length 1. z is MTP's Theorem 2 at the model θ_p + t v, and every value of it is a lower bound on "
        "the points that the target takes. Below t = 1e-5 the last digits fall again: the differences of losses are then so "
        "small that the allowance of z for rounding errors matters.",
    ]
    table: list[dict[str, object]] = []
    for instance in instances(arguments.scale, arguments.only or _WANTED[arguments.scale]):
        table += rows(instance)
        page = write(name, "Theorem 2 climbs to the tight bound", words, table)
        plot(table, str(RESULTS / f"{name}.png"))
    print(page)


if __name__ == "__main__":
    main()
