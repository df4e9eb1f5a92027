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
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator
from mtp import LOSSES, approach, rows, target

LEVELS = {"mnist_17": (0.05, 0.10, 0.15), "adult": (0, 1, 2), "digits_17": (0.10,)}
NAMES = {"mnist_17": "MNIST 1-7", "adult": "Adult", "digits_17": "scikit-learn's digits 1-7"}
PANELS = (
    ("max_loss_difference", "largest loss difference to the target"),
    ("distance", "Euclidean distance to the target"),
    ("accuracy", "accuracy on the measured rows, %"),
    ("lower_bound", "lower bound for the target, points"),
)
MOST_ROWS = 500
"""Largest number of rows of a target's curve in the CSV; the picture shows all."""
WORDS = (
    "Algorithm 1 towards the targets of Table 1 (Adult) and Table 2 (MNIST), until it is as close as MTP asks. Measured are the "
    "test rows; on Adult those of the subpopulation that is attacked. The largest loss difference swings from point to point: "
    "its curve looks like a band. The bound along the points is Theorem 2 "
    "at the models that Algorithm 1 passes through; the dashed lines are the tight bounds of the same targets. Each CSV "
    f"has at most {MOST_ROWS} rows a target. Dogfish needs the user's feature files."
)


def curves(dataset: str, loss: str) -> pd.DataFrame:
    """Return all quantities after every point, for one target after the other."""
    found = []
    for level in LEVELS[dataset]:
        r = rows(dataset, loss, int(level) if dataset == "adult" else None)
        run = approach(dataset, loss, target(dataset, loss, level).model, r)
        name = f"cluster {level}" if dataset == "adult" else f"{100 * level:.0f} % error"
        frame = run.to_frame().iloc[: len(run.counts) + 1].drop(columns="seconds")
        frame["n_points"] = np.concatenate([[0], np.cumsum(run.counts)])
        found.append(frame.assign(target=name, tight_bound=float(run.bound)))
    return pd.concat(found, ignore_index=True)


def draw(found: pd.DataFrame, heading: str) -> Figure:
    """Draw one panel for each quantity, with one line for each target."""
    figure, axes = plt.subplots(2, 2, figsize=(9, 6.4), layout="constrained")
    for k, (name, frame) in enumerate(found.groupby("target", sort=False)):
        for axis, (quantity, label) in zip(axes.flat, PANELS, strict=True):
            scale = 100.0 if quantity == "accuracy" else 1.0
            axis.plot(frame["n_points"], scale * frame[quantity], color=f"C{k}", label=name, linewidth=1.0)
            axis.set(xlabel="poison points", ylabel=label)
            axis.grid(alpha=0.3)
        axes.flat[-1].axhline(frame["tight_bound"].iloc[0], color=f"C{k}", linestyle="--", linewidth=1.0)
    for axis in axes[0]:
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.set_minor_formatter("")
    axes[0, 0].legend()
    styles = [Line2D([], [], color="black", linestyle=style, linewidth=1.0) for style in ("-", "--")]
    axes[1, 1].legend(styles, ["Theorem 2 on the way", "tight bound"], fontsize=8)
    axes[1, 1].set_ylim(bottom=0)
    figure.suptitle(heading)
    return figure


def thinned(found: pd.DataFrame) -> pd.DataFrame:
    """Return at most ``MOST_ROWS`` evenly spaced rows of each target, including the first and the last."""
    parts = [frame for _, frame in found.groupby("target", sort=False)]
    chosen = [np.unique(np.linspace(0, len(part) - 1, MOST_ROWS).astype(int)) for part in parts]
    return pd.concat([part.iloc[index] for part, index in zip(parts, chosen, strict=True)])


def write(found: pd.DataFrame, dataset: str, loss: str) -> str:
    """Write picture and CSV to ``experiments/results``; return the line that shows the picture."""
    heading, stem = f"{LOSSES[loss]} on {NAMES[dataset]}", f"mtp_figures_{dataset}_{loss}"
    figure = draw(found, heading)
    figure.savefig(RESULTS / f"{stem}.png", dpi=110)
    plt.close(figure)
    thinned(found).to_csv(RESULTS / f"{stem}.csv", index=False, float_format="%.6g")
    return f"![{heading}]({stem}.png)"


def main() -> None:
    arguments = options(__doc__ or "")
    _, command = title("mtp_figures", arguments)
    datasets = ("digits_17",) if arguments.scale == "smoke" else ("mnist_17", "adult")
    page = ["# MTP's figures", "", f"From {command}.", "", WORDS, ""]
    for dataset in datasets:
        for loss in LOSSES:
            if arguments.only in f"{loss} / {dataset}":
                page += [write(curves(dataset, loss), dataset, loss), ""]
    (RESULTS / f"mtp_figures_{arguments.scale}.md").write_text("\n".join(page))


if __name__ == "__main__":
    main()
