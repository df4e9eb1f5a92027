"""MTP's figures: convergence to the target, accuracy and lower bound along the points (Figs. 1 to 16).

python experiments/mtp_figures.py --scale paper
"""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from common import RESULTS, options, title
from mtp import LOSSES, approach, rows, target

import convexpoison as cp

LEVELS = {"mnist_17": (0.05, 0.10, 0.15), "adult": (0, 1, 2), "digits_17": (0.10,)}
PANELS = (
    ("max_loss_difference", "maximum loss difference"),
    ("distance", "Euclidean distance"),
    ("accuracy", "accuracy on the measured rows"),
    ("lower_bound", "lower bound for the target"),
)


def draw(dataset: str, loss: str) -> str:
    """One figure: a panel a quantity, a line a target; in the last panel Theorem 2 on the way and the tight bound."""
    figure, axes = plt.subplots(1, len(PANELS), figsize=(16, 3.6))
    curves = []
    for k, level in enumerate(LEVELS[dataset]):
        r = rows(dataset, loss, int(level) if dataset == "adult" else None)
        run = approach(dataset, loss, target(dataset, loss, level).model, r)
        name = f"cluster {level}" if dataset == "adult" else f"{100 * level:.0f} % error"
        used = np.concatenate([[0], np.cumsum(run.counts)])
        for axis, (quantity, label) in zip(axes, PANELS, strict=True):
            axis.plot(used, run.history[quantity][: used.size], color=f"C{k}", label=name)
            axis.set(xlabel="points", ylabel=label)
        _bounds(axes[-1], run, f"C{k}")
        curves.append(run.to_frame().iloc[: used.size].drop(columns="seconds").assign(target=name))
    for axis in axes[:2]:
        axis.set_yscale("log")
    axes[0].legend(fontsize=7)
    axes[-1].set_title("dashed: tight bound", fontsize=8)
    figure.suptitle(f"{LOSSES[loss]} on {dataset}")
    figure.tight_layout()
    stem = f"mtp_figures_{dataset}_{loss}"
    figure.savefig(RESULTS / f"{stem}.png", dpi=110)
    pd.concat(curves).to_csv(RESULTS / f"{stem}.csv", index=False, float_format="%.6g")
    plt.close(figure)
    return stem


def _bounds(axis: plt.Axes, run: cp.AttackResult, color: str) -> None:
    axis.axhline(float(run.bound), color=color, linestyle="--", linewidth=1)


def main() -> None:
    arguments = options(__doc__ or "")
    _, command = title("mtp_figures", arguments)
    datasets = ("digits_17",) if arguments.scale == "smoke" else ("mnist_17", "adult")
    page = ["# MTP's figures", "", f"From {command}. Dogfish needs the user's feature files.", ""]
    for dataset in datasets:
        for loss in LOSSES:
            if arguments.only in f"{loss} / {dataset}":
                stem = draw(dataset, loss)
                page += [f"![{LOSSES[loss]} on {dataset}]({stem}.png)", ""]
    (RESULTS / f"mtp_figures_{arguments.scale}.md").write_text("\n".join(page))


if __name__ == "__main__":
    main()
