"""Data, victims, attacks at three sizes, and retraining on their poison: the parts that the experiments on PACD share.

One run is one victim trained from scratch, with several seeds, on one kind of data. Runs and poison are kept in
``experiments/runs``, which all tables and figures read: the poison of Table 2 is made once, and the others only retrain on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import convexpoison as cp
from convexpoison import neural
from convexpoison.datasets.images import Images, load_images
from convexpoison.neural.training.fit import flip_and_crop
from convexpoison.neural.training.objectives import Objective

RUNS = Path(__file__).parent / "runs"
TARGETS = {"mnist": 8, "cifar10": 8}
"""Digit 8; class "ship"."""
EPS = {"mnist": 0.1, "cifar10": 0.03}
NAMES = {"standard": "Standard", "ga": "GA", "smoothadv": "SmoothAdv", "macer": "MACER"}
Params = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """Sizes of an experiment; None means all. ``draws`` certify each image; ``k`` are MACER's draws in retraining, with
    weight ``lam`` (None: the paper's); ``budgets`` and ``moved`` are distortions and images of Table 5."""

    n_train: int | None
    n_test: int | None
    seeds: int
    certified: int
    draws: int
    epochs: int
    validation: float = 1.0 / 12.0
    k: int = 16
    lam: float | None = None
    budgets: int = 40
    moved: int = 200
    device: str = "cpu"


SIZES = {
    "smoke": Size(400, 200, 1, 10, 200, 10, 0.25, k=2, lam=1.0, budgets=4, moved=4),
    "small": Size(4_000, 1_500, 3, 40, 500, 10, 0.125, k=2, lam=2.0, budgets=8, moved=8),
    "paper": Size(None, None, 5, 500, 100_000, 101, device="cuda"),
}
"""smoke: digits, seconds to a minute; small: MNIST, minutes on a CPU; paper: the paper's settings, for a GPU."""


def job(data: str, scale: str, kind: str, trains: str, sigma: float, **changes: Any) -> Params:
    """Describe one run: the victim's objective ``trains``, on ``kind`` of data ("clean", "watermarked" or "poisoned").

    Changes are ``against`` (the objective that the attacker assumes; default: the victim's own), ``target``, ``eps``,
    ``goal``, ``point`` (a single test image, by its place in the class), ``network``, ``weight_decay``, ``distortion``, and
    ``own`` (accuracy is that of the target class alone).
    """
    how = {"data": data, "scale": scale, "kind": kind, "trains": trains, "sigma": sigma, "against": trains}
    how |= {"target": TARGETS[data], "eps": EPS[data], "goal": "radius", "point": -1}
    how |= {"network": "", "weight_decay": 0.0, "distortion": False, "own": False} | changes
    # The attacker's assumptions are irrelevant where the training data have no poison.
    return (
        how
        if kind == "poisoned"
        else how | {"against": "", "goal": "radius"} | ({"eps": 0.0} if kind == "clean" else {})
    )


def measured(jobs: list[Params]) -> list[Params | None]:
    """Return the outcome of each run, None if it failed; runs that another table has stored are not repeated."""
    distinct = {_key(how): how for how in jobs}
    grid = [{name: [value] for name, value in how.items()} for how in distinct.values()]
    found = cp.sweep(grid, run, store=RUNS / "pacd" / jobs[0]["scale"], random_state=0)
    for record in found.failed:
        print(record.error)
    results = {_key(record.params): record.result for record in found.records}
    return [results[_key(how)] for how in jobs]


def _key(how: Params) -> tuple[Any, ...]:
    return tuple(sorted(how.items()))


def run(how: Params, random_state: int) -> Params:
    """Retrain from scratch, and certify the target class (or the single image)."""
    size, some = SIZES[how["scale"]], images(how["data"], how["scale"])
    made, everything = poison(how), (some.X_train, some.y_train)
    found = neural.retrain(
        victim(how["trains"], how["sigma"], how["data"], how["scale"], how["network"], how["weight_decay"]),
        made.clean(*everything) if how["kind"] == "clean" else made.poisoned(*everything),
        _tested(how, some), how["target"], sigma=how["sigma"], n_seeds=size.seeds, n=size.draws, device=size.device,
        n_test=size.moved if how["distortion"] else size.certified,
        distortion=np.geomspace(0.25, 10.0, size.budgets) if how["distortion"] else None,
    )  # fmt: skip
    out: Params = {name: getattr(found, name).tolist() for name in ("acr", "aca", "accuracy", "distortion")}
    return out | {"images": found.n_images}


def poison(how: Params) -> neural.PoisonResult:
    """Make the poison, or load it; bilevel poison is kept in a file, and an interrupted attack resumes."""
    data, scale, size = how["data"], how["scale"], SIZES[how["scale"]]
    aim: Any = how["target"] if how["goal"] == "radius" else neural.TargetClass(how["target"], how["goal"])
    if how["point"] >= 0:
        aim = neural.TargetPoint(_tested(how, images(data, scale))[0][0], how["target"])
    ask: Params = {"eps": how["eps"], "validation": size.validation, "sigma": how["sigma"], "progress": False}
    if how["kind"] != "poisoned":
        return neural.attack(how["target"], images(data, scale), method="watermark", **ask)
    parts = (
        data,
        scale,
        how["against"],
        f"{how['sigma']:g}",
        how["target"],
        f"{how['eps']:g}",
        how["goal"],
        how["point"],
    )
    kept = RUNS / "pacd" / f"{'_'.join(map(str, parts))}.npz"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        found = neural.attack(
            aim, images(data, scale), victim=attacked_victim(how), settings=settings(scale), device=size.device,
            checkpoint=kept.with_suffix(".safetensors"), **ask,
        )  # fmt: skip
        if found.stop_reason == "interrupted":
            raise KeyboardInterrupt
        found.save(kept)
    return neural.PoisonResult.load(kept)


def attacked_victim(how: Params) -> neural.NeuralVictim:
    """Return the victim that the attacker assumes: MACER with fewer draws and a weaker hinge (Appendix E.3)."""
    sigma, data, scale = how["sigma"], how["data"], how["scale"]
    imagined = victim(how["against"], sigma, data, scale)
    if how["against"] != "macer":
        return imagined
    return neural.NeuralVictim(imagined.network, neural.Macer(sigma, k=2, lam=1.0), imagined.recipe)


@lru_cache(maxsize=1)
def images(data: str, scale: str) -> Images:
    """Load the images of a scale."""
    size = SIZES[scale]
    return load_images("digits" if scale == "smoke" else data).subset(size.n_train, size.n_test)


def _tested(how: Params, some: Images) -> tuple[np.ndarray, np.ndarray]:
    """Return the test images: all, those of the class, or the single one."""
    own = np.flatnonzero(some.y_test == how["target"])
    if how["point"] >= 0:
        own = own[[how["point"]]]
    elif not how["own"]:
        own = np.arange(len(some.y_test))
    return some.X_test[own], some.y_test[own]


def victim(
    method: str, sigma: float, data: str, scale: str, network: str = "", weight_decay: float = 0.0
) -> neural.NeuralVictim:
    """Return network, objective and recipe of retraining: Adam 1e-3, batches of 200, 101 epochs (CIFAR-10 with GA: 201)."""
    color = data == "cifar10" and scale != "smoke"
    epochs = 201 if (scale, data, method) == ("paper", "cifar10", "ga") else SIZES[scale].epochs
    recipe = neural.Recipe(
        epochs=epochs, batch_size=200 if scale == "paper" else 100, optimizer="adam", learning_rate=1e-3,
        weight_decay=weight_decay, augment=flip_and_crop if color and method != "smoothadv" else None,
    )  # fmt: skip
    own = "resnet20" if color else "pacd_mnist"
    return neural.NeuralVictim(network or own, objective(method, sigma, data, scale), recipe)


def objective(method: str, sigma: float, data: str, scale: str) -> Objective:
    """Return the objective with the settings of Appendix E.3."""
    size = SIZES[scale]
    if method == "standard":
        return neural.Standard()
    if method == "ga":
        return neural.GaussianAugmentation(sigma)
    if method == "smoothadv":
        return neural.SmoothAdv(sigma, eps=1.0, steps=2, k=1, warmup_epochs=min(10, size.epochs // 2))
    lam = 16.0 if data == "mnist" else 12.0 if sigma < 0.5 else 4.0
    return neural.Macer(sigma, k=size.k, lam=lam if size.lam is None else size.lam)


def settings(scale: str) -> neural.BilevelSettings | str:
    """Return the published program's settings at paper scale, else fewer and cheaper steps that move the class as a whole."""
    if scale == "paper":
        return "code"
    few = scale == "smoke"
    return neural.BilevelSettings(
        epochs=1 if few else 4, steps_per_epoch=6 if few else 30, reinitialize_every=1, lower_steps=1 if few else 3,
        system_steps=2, hypergradient="cg", damping=1.0, batch_size=60 if few else 150, batch_poison=12 if few else 30,
        batch_validation=20 if few else 40, draws=4 if few else 8, warm_up=40 if few else 60, shared=True,
        poison_rate=0.02,
    )  # fmt: skip
