"""The effect of one point of poison in the plane, as a function of its place (RMD, Figure 1).

    python experiments/rmd_figure1.py --scale paper

Left: validation loss almost without regularisation (lambda = -8). Centre: with lambda = log 20. Right: the lambda that makes the
validation loss least. Two Gaussian classes, 32 training and 64 validation rows (RMD, Appendix C.1).
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from common import RESULTS, write
from rmd_common import options
from threadpoolctl import threadpool_limits

import convexpoison as cp
from convexpoison.attacks.base import Budget
from convexpoison.attacks.minimax import minimax
from convexpoison.data.training_data import TrainingData
from convexpoison.problem import Problem
from convexpoison.threats import AddRows

BOX, LAMBDAS = 9.5, (-8.0, float(np.log(20)))
SEED = 0


def gaussians(n: int, rng: np.random.Generator) -> TrainingData:
    """Draw n rows of each class: means (-3, 0) and (3, 0), variances 2.5 and 1.5."""
    y = np.repeat([-1.0, 1.0], n)
    X = np.column_stack([3.0 * y, np.zeros(2 * n)]) + rng.normal(size=(2 * n, 2)) * np.sqrt([2.5, 1.5])
    return TrainingData.from_user((X, y))


def fit(train: TrainingData, lam: float, point: np.ndarray | None, label: float) -> cp.LinearModel:
    """Train the model with this lambda, with or without the point."""
    X, y = train.X, train.y
    if point is not None:
        X, y = np.vstack([X, point]), np.append(y, label)
    return cp.Victim("logistic", C=float(np.exp(-lam))).trainer(TrainingData(X, y, np.ones(len(y)))).model


def loss(model: cp.LinearModel, data: TrainingData) -> float:
    """Return the mean logistic loss."""
    return float(np.logaddexp(0.0, -data.y * model.decision_function(data.X)).mean())


def maps(train: TrainingData, held_out: TrainingData, label: float, ticks: np.ndarray, lams: np.ndarray) -> np.ndarray:
    """Compute the loss at the two fixed lambdas and the best lambda, for every place; shape (3, n_ticks, n_ticks)."""
    out = np.empty((3, ticks.size, ticks.size))
    for i, second in enumerate(ticks):
        for j, first in enumerate(ticks):
            point = np.array([first, second])
            losses = [loss(fit(train, lam, point, label), held_out) for lam in (*LAMBDAS, *lams)]
            out[:, i, j] = losses[0], losses[1], lams[int(np.argmin(losses[2:]))]
    return out


def attack(train: TrainingData, held_out: TrainingData, lam: float, label: int) -> np.ndarray:
    """Compute one point by ascent from a flipped validation row, 50 hyperiterations, best of 5 starts."""
    space = cp.Space.box(-BOX, BOX, 2).with_labels([label])
    task = (
        Problem(cp.Victim("logistic", C=float(np.exp(-lam))), train, AddRows(space)),
        Budget(1, rows=held_out, random_state=SEED),
    )
    return minimax(*task, tune=None, iterations=50, restarts=4).points[0]


def plot(images: np.ndarray, ticks: np.ndarray, data: TrainingData, held_out: TrainingData, path: Path) -> None:
    """Plot the three colour maps, with the poison found and the boundaries before and after."""
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.4))
    titles = ("validation loss, lambda = -8", "validation loss, lambda = log 20", "best lambda")
    for axis, image, title in zip(axes, images, titles, strict=True):
        limits = {"vmin": images[:2].min(), "vmax": images[0].max()} if title != titles[2] else {}
        shown = axis.pcolormesh(ticks, ticks, image, shading="nearest", **limits)
        figure.colorbar(shown, ax=axis)
        axis.scatter(*data.X.T, c=np.where(data.y > 0, "tab:green", "tab:blue"), edgecolors="w", s=25)
        axis.set(title=title, xlim=(-10, 10), ylim=(-10, 10))
    for axis, lam in zip(axes, LAMBDAS, strict=False):
        point = attack(data, held_out, lam, 1)
        axis.plot(*point, "ro")
        for model, style in ((fit(data, lam, None, 1.0), "w--"), (fit(data, lam, point, 1.0), "r-")):
            axis.axline(
                -model.coef * model.intercept / (model.coef @ model.coef),
                slope=-model.coef[0] / model.coef[1],
                ls=style[1:],
                color=style[0],
            )
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def summary(images: np.ndarray, clean: list[float]) -> list[dict[str, object]]:
    """Return the range of the loss and of the best lambda over the places of the point."""
    names = ("validation loss, lambda = -8", "validation loss, lambda = log 20", "best lambda")
    return [
        {
            "map": name,
            "without poison": f"{before:.3f}",
            "least": f"{image.min():.3f}",
            "median": f"{np.median(image):.3f}",
            "largest": f"{image.max():.3f}",
        }
        for name, image, before in zip(names, images, clean, strict=True)
    ]


def main() -> None:
    arguments = options(__doc__ or "")
    paper, rng = arguments.scale == "paper", np.random.default_rng(SEED)
    train, held_out = gaussians(16, rng), gaussians(32, rng)
    ticks, lams = np.linspace(-BOX, BOX, 31 if paper else 7), np.linspace(-8.0, 6.0, 29 if paper else 8)
    with threadpool_limits(1):
        images = maps(train, held_out, 1.0, ticks, lams)
        before = [loss(fit(train, lam, None, 1.0), held_out) for lam in (*LAMBDAS, *lams)]
        name = f"rmd_figure1_{arguments.scale}"
        RESULTS.mkdir(exist_ok=True)
        plot(images, ticks, train, held_out, RESULTS / f"{name}.png")
    correlation = np.corrcoef(np.argsort(np.argsort(images[0].ravel())), np.argsort(np.argsort(images[2].ravel())))[
        0, 1
    ]
    harm = images[0] > np.quantile(images[0], 0.75)
    words = [
        f"From `python experiments/rmd_figure1.py --scale {arguments.scale}`. One point labelled as the right-hand class, at "
        f"{ticks.size} x {ticks.size} places; lambda from a grid of {lams.size} over [-8, 6]; exactly trained models.",
        "",
        "RMD's statements (its figure has no numbers):",
        "",
        f"- With lambda = log 20 the loss depends less on the place: it ranges over {np.ptp(images[1]):.3f}, against "
        f"{np.ptp(images[0]):.3f} almost without regularisation.",
        f"- lambda is larger where the point does more harm: {images[2][harm].mean():.2f} on average over the "
        f"worst quarter of the places, {images[2][~harm].mean():.2f} elsewhere (rank correlation {correlation:.2f}).",
        "",
        '"Without regularisation" is lambda = -8 here: where the rows can be separated there is no finite model without any.',
    ]
    clean = [*before[:2], float(lams[int(np.argmin(before[2:]))])]
    print(write(name, "One point of poison in the plane (RMD, Figure 1)", words, summary(images, clean)))


if __name__ == "__main__":
    main()
