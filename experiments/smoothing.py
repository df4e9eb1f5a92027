"""Data, training at three sizes, and certification in three ways, for the experiments on MACER and DDRS."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from time import perf_counter
from typing import Any

from common import RESULTS, write

import convexpoison as cp
from convexpoison import neural
from convexpoison.datasets.images import Images, load_images
from convexpoison.neural.training.fit import flip_and_crop
from convexpoison.neural.training.objectives import Objective

RADII = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25)
NAMES = {"ga": "Cohen (GA)", "smoothadv": "SmoothAdv", "macer": "MACER"}
RUNS = Path(__file__).parent / "runs"
_FEW_EPOCHS, _EARLY_LAMBDA = 50, 2.0
"""With fewer epochs and the papers' weight, MACER does not learn the classes; then the second is its weight."""
_ASCENT: dict[bool, dict[str, Any]] = {
    True: {"n": 100, "steps": 900, "learning_rate": 0.04},
    False: {"n": 8, "steps": 20, "check": 100},
}
"""Settings of the search for each image's sigma: as in DDRS's code (which differs from its text) at paper scale, else fast."""


@dataclass(frozen=True)
class Size:
    """Sizes of an experiment.

    ``n_train`` and ``n_test`` None mean all; ``k`` are MACER's draws; ``draws`` certify each image; of every
    ``every`` test images one is taken.
    """

    network: str
    n_train: int | None
    n_test: int | None
    k: int
    draws: int
    device: str = "cpu"
    every: int = 1


def sizes(data: str, source: str = "ddrs") -> dict[str, Size]:
    """Return the sizes. smoke: seconds on digits; small: minutes on a CPU; paper: the settings of ``source``, for a GPU."""
    photographs = data == "cifar10"
    network = {"ddrs": "resnet18", "macer": "resnet110"}[source] if photographs else "lenet"
    return {
        "smoke": Size("lenet", 300, 10, 2, 200),
        "small": Size("resnet20", 5_000, 50, 4, 1_000) if photographs else Size("lenet", 5_000, 200, 8, 1_000),
        "paper": Size(network, None, None, 16, 100_000, "cuda", every=20),
    }


def parse(description: str) -> argparse.Namespace:
    """Parse ``--scale smoke|small|paper``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--scale", choices=("smoke", "small", "paper"), default="smoke")
    return parser.parse_args()


@lru_cache(maxsize=1)
def images(data: str, scale: str) -> Images:
    """Load the images of a scale."""
    size = sizes(data)[scale]
    return load_images("digits" if scale == "smoke" else data).subset(size.n_train, size.n_test)


def recipe(data: str, scale: str, method: str, source: str = "ddrs") -> neural.Recipe:
    """Return epochs and rates: MACER's Section 5.1 on MNIST or with it as source; else DDRS's on CIFAR-10 (200 epochs)."""
    if scale == "smoke":
        return neural.Recipe(epochs=2)
    if scale == "small":
        return neural.Recipe(epochs=8, milestones=(5, 7))
    if data == "mnist" or source == "macer":
        return neural.Recipe(epochs=440, milestones=(200, 400), augment=None if data == "mnist" else flip_and_crop)
    return neural.Recipe(
        epochs=200, batch_size=256, learning_rate=0.01 if method == "macer" else 0.1,
        weight_decay=5e-4 if method == "macer" else 1e-4, milestones=(50, 100, 150), augment=flip_and_crop,
    )  # fmt: skip


def objective(method: str, sigma: float, data: str, epochs: int, options: dict[str, Any]) -> Objective:
    """Return the objective with the paper's settings for a data set and noise; ``options`` of MACER replace its own."""
    if method == "ga":
        return neural.GaussianAugmentation(sigma)
    if method == "smoothadv":
        eps, warmup = 1.0 if data == "mnist" else 0.25, min(10, max(1, epochs // 4))
        return neural.SmoothAdv(sigma, eps=eps, steps=2, k=1, warmup_epochs=warmup)
    lam = 16.0 if data == "mnist" else 12.0 if sigma < 0.5 else 4.0
    deferred = 0 if sigma < 1.0 or data == "mnist" else epochs // 2
    if epochs < _FEW_EPOCHS:
        lam = _EARLY_LAMBDA
    return neural.Macer(sigma, **({"lam": lam, "deferred_epochs": deferred} | options))


def run(params: dict[str, Any], random_state: int) -> dict[str, Any]:
    """Train and certify once: ``data, scale, method, sigma``, and optionally ``trained`` ("fixed" or "own"),
    ``source`` (whose network and recipe: "ddrs" or "macer"), ``noise`` and ``options`` of MACER.

    Certified with the sigma of training for all images, and with each image's own (DDRS, through the memory).
    """
    data, scale, method, sigma = (params[name] for name in ("data", "scale", "method", "sigma"))
    source = params.get("source", "ddrs")
    size, some = sizes(data, source)[scale], images(data, scale)
    how = recipe(data, scale, method, source)
    options = {"k": size.k} | params.get("options", {})
    aim = objective(method, sigma, data, how.epochs, options)
    if params.get("trained", "fixed") == "own":
        slow = scale == "paper"
        aim = neural.DataDependent(
            aim, start_epoch=how.epochs // 4, n=1 if slow else 4, learning_rate=1e-4 if slow else 1e-2
        )
    network = neural.make_network(size.network, random_state).to(size.device)
    start = perf_counter()
    trained = neural.fit(network, aim, some.X_train, some.y_train, how, random_state=random_state)
    out: dict[str, Any] = {"training_s": perf_counter() - start}
    smoothed = neural.SmoothedClassifier(
        trained.network, sigma, noise=params.get("noise", "gaussian"), random_state=random_state
    )
    X, y = some.X_test[:: size.every], some.y_test[:: size.every]
    start = perf_counter()
    own = neural.MemoryClassifier(smoothed, partial(neural.optimize_sigma, **_ASCENT[scale == "paper"]))
    for name, classifier in (("fixed", smoothed), ("own", own)):
        found = neural.evaluate(classifier, X, y, n=size.draws, chunk=10, progress=False)
        out[name] = {"acr": found.acr, "accuracies": [float(a) for a in found.certified_accuracy(RADII)]}
    sigmas = [float(s) for s in found.sigma]
    return out | {"certification_s": perf_counter() - start, "mean_sigma": sum(sigmas) / len(sigmas)}


def sweep(stem: str, scale: str, grid: list[dict[str, list[Any]]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return parameters and results of all runs, resumable."""
    store = RUNS / f"{stem}_{scale}"
    result = cp.sweep(grid, run, store=store, random_state=0)
    for record in result.failed:
        print(record.error)
    return [(record.params, record.result) for record in result.records if record.result is not None]


def line(acr: float, accuracies: list[float]) -> dict[str, str]:
    """Format the columns of one row: certified accuracies and ACR."""
    return {f"{r:g}": f"{a:.2f}" for r, a in zip(RADII, accuracies, strict=True)} | {"ACR": f"{acr:.3f}"}


def publish(
    stem: str, scale: str, heading: str, words: list[str], rows: list[dict[str, Any]], data: str, source: str = "ddrs"
) -> None:
    """Write CSV and Markdown; ``data`` and ``source`` as in :func:`run`."""
    command = f"`python experiments/{stem}.py --scale {scale}`"
    above = [f"From {command}.", "", *_standing(stem, scale), _setting(data, scale, source), *words]
    print(write(f"{stem}_{scale}", heading, above, rows))


def of_macer(data: str, scale: str) -> str:
    """Describe MACER's settings where a script does not vary them."""
    size, how = sizes(data)[scale], recipe(data, scale, "macer")
    usual = "16" if data == "mnist" else "12, and 4 from sigma = 0.5 on,"
    few = (
        f" and lambda = {_EARLY_LAMBDA:g} ({usual} in MACER, which needs its 440 epochs)"
        if how.epochs < _FEW_EPOCHS
        else ""
    )
    return f"MACER with k = {size.k}{few}."


def _setting(data: str, scale: str, source: str) -> str:
    size, how = sizes(data, source)[scale], recipe(data, scale, "macer", source)
    return (
        f"{size.network}, {f'{size.n_train:,}' if size.n_train else 'all'} training images, {how.epochs} epochs; "
        f"{size.n_test or 'each 20th of the'} test images, n = {size.draws:,}, alpha = 0.001."
    )


def _standing(stem: str, scale: str) -> list[str]:
    """Describe what a page of a smaller scale shows, and whether there is one at the paper's."""
    if scale == "paper":
        return []
    shown = {
        "smoke": "Two epochs on scikit-learn's digits: it shows that the script runs, and nothing about the table.",
        "small": "On a part of the data, for a few epochs: compare the order, not the values.",
    }[scale]
    whole = f"`python experiments/{stem}.py --scale paper`, with the paper's settings,"
    if (RESULTS / f"{stem}_paper.md").exists():
        return [f"{shown} {whole} has a page of its own.", ""]
    return [f"{shown} {whole} needs a CUDA device and is not yet run.", ""]
