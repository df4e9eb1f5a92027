"""What the experiments on PACD share: data, victims, attacks at three sizes, and certification of who trains on them."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from common import write

import convexpoison as cp
from convexpoison import neural
from convexpoison.datasets.images import Images, load_images
from convexpoison.neural.training.fit import flip_and_crop

RUNS = Path(__file__).parent / "runs"
TARGETS = {"mnist": 8, "cifar10": 8}
"""Digit 8; class "ship"."""
EPS = {"mnist": 0.1, "cifar10": 0.03}
DATA = ("clean", "watermarked", "poisoned")


@dataclass(frozen=True)
class Size:
    """How much of everything; None means all. ``draws`` certify each image."""

    n_train: int | None
    n_test: int | None
    seeds: int
    certified: int
    draws: int
    validation: float = 1.0 / 12.0
    device: str = "cpu"


SIZES = {
    "smoke": Size(400, 200, 1, 10, 200, 0.25),
    "small": Size(2_400, 1_500, 3, 60, 1_000, 1.0 / 6.0),
    "paper": Size(None, None, 5, 500, 100_000, device="cuda"),
}
"""smoke: digits, seconds to a minute; small: MNIST, minutes on a CPU; paper: the paper's settings, for a GPU."""


def parse(description: str) -> argparse.Namespace:
    """``--scale smoke|small|paper``, and ``--data`` at paper scale."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--scale", choices=tuple(SIZES), default="smoke")
    parser.add_argument("--data", choices=tuple(TARGETS), nargs="+", default=["mnist"])
    return parser.parse_args()


@lru_cache(maxsize=1)
def images(data: str, scale: str) -> Images:
    """The images of that size."""
    size = SIZES[scale]
    return load_images("digits" if scale == "smoke" else data).subset(size.n_train, size.n_test)


def objective(method: str, sigma: float, data: str, below: bool) -> neural.GaussianAugmentation | Any:
    """Appendix E.3; ``below``: as the attacker trains, with fewer draws and a weaker hinge for MACER."""
    if method == "ga":
        return neural.GaussianAugmentation(sigma)
    if method == "smoothadv":
        return neural.SmoothAdv(sigma, eps=1.0, steps=2, k=1)
    if below:
        return neural.Macer(sigma, k=2, lam=1.0)
    return neural.Macer(sigma, k=16, lam=16.0 if data == "mnist" else 12.0 if sigma < 0.5 else 4.0)


def victim(method: str, sigma: float, data: str, scale: str, below: bool = False) -> neural.NeuralVictim:
    """Network, objective, and the recipe of retraining: Adam 1e-3, batches of 200, 101 epochs (CIFAR-10 with GA: 201)."""
    epochs = {"smoke": 10, "small": 20, "paper": 201 if (data, method) == ("cifar10", "ga") else 101}[scale]
    color = data == "cifar10" and scale != "smoke"
    recipe = neural.Recipe(
        epochs=epochs, batch_size=200 if scale == "paper" else 100, optimizer="adam", learning_rate=1e-3,
        weight_decay=0.0, augment=flip_and_crop if color and method != "smoothadv" else None,
    )  # fmt: skip
    return neural.NeuralVictim("resnet20" if color else "pacd_mnist", objective(method, sigma, data, below), recipe)


def settings(scale: str) -> neural.BilevelSettings | str:
    """The program's own at paper scale; elsewhere smaller batches, fewer steps, and conjugate gradients."""
    if scale == "paper":
        return "code"
    few = scale == "smoke"
    return neural.BilevelSettings(
        epochs=1 if few else 8, steps_per_epoch=2 if few else 10, reinitialize_every=1 if few else 2,
        lower_steps=1 if few else 5, system_steps=2 if few else 5, hypergradient="cg", damping=1.0, batch_size=200,
        batch_poison=20, batch_validation=40, draws=4 if few else 8, warm_up=5 if few else 60,
    )  # fmt: skip


def poisons(params: dict[str, Any], random_state: int) -> dict[str, neural.PoisonResult | None]:
    """Clean, watermarked and poisoned; the bilevel poison is kept in a file, and goes on where it was broken off."""
    data, scale, method, sigma = (params[name] for name in ("data", "scale", "method", "sigma"))
    size, attacker = SIZES[scale], victim(method, sigma, data, scale, below=True)
    stem = f"{data}_{scale}_{method}_{sigma:g}_{params['target']}_{params['eps']:g}_{random_state}"
    folder = RUNS / "pacd"
    folder.mkdir(parents=True, exist_ok=True)
    how: dict[str, Any] = {"victim": attacker, "eps": params["eps"], "validation": size.validation}
    how |= {"random_state": random_state, "progress": False}
    kept = folder / f"{stem}.npz"
    if not kept.exists():
        found = neural.attack(
            params["target"], images(data, scale), settings=settings(scale), device=size.device,
            checkpoint=folder / f"{stem}.safetensors", **how,
        )  # fmt: skip
        if found.stop_reason == "interrupted":
            raise KeyboardInterrupt
        found.save(kept)
    marked = neural.attack(params["target"], images(data, scale), method="watermark", **how)
    return {"clean": None, "watermarked": marked, "poisoned": neural.PoisonResult.load(kept)}


def run(params: dict[str, Any], random_state: int) -> dict[str, Any]:
    """Attack once, retrain from scratch with several seeds on each kind of data, and certify the target class."""
    data, scale, method, sigma = (params[name] for name in ("data", "scale", "method", "sigma"))
    size, some, seed = SIZES[scale], images(data, scale), 0
    start = perf_counter()
    made = poisons(params, seed)
    seconds = perf_counter() - start
    found = neural.transfer(
        made, {method: victim(method, sigma, data, scale)}, (some.X_train, some.y_train), (some.X_test, some.y_test),
        params["target"], n_seeds=size.seeds, n_test=size.certified, n=size.draws, random_state=seed, device=size.device,
    )  # fmt: skip
    out: dict[str, Any] = {"attack_s": seconds, "seconds": perf_counter() - start}
    for (name, _), one in found.items():
        out[name] = {"acr": one.acr.tolist(), "aca": one.aca.tolist(), "accuracy": one.accuracy.tolist()}
    return out


def table(
    stem: str, method: str, heading: str, paper: dict[tuple[str, float], tuple[str, ...]], description: str
) -> None:
    """Rows of Tables 2 to 4: ours beside the paper's (``paper``: ACR and ACA in turn for each kind of data)."""
    arguments = parse(description)
    scale = arguments.scale
    names = ["mnist"] if scale != "paper" else arguments.data
    sigmas = {"smoke": [0.5], "small": [0.5]}.get(scale, [0.25, 0.5, 0.75])
    grid = [
        {"data": [d], "scale": [scale], "method": [method], "sigma": [s for s in sigmas if (d, s) in paper],
         "target": [TARGETS[d]], "eps": [EPS[d]]}
        for d in names
    ]  # fmt: skip
    found = cp.sweep(grid, run, store=RUNS / f"{stem}_{scale}", random_state=0)
    for record in found.failed:
        print(record.error)
    rows = []
    for record in found.records:
        if record.result is None:
            continue
        p, r = record.params, record.result
        for k, kind in enumerate(DATA):
            row = {"data": "digits" if scale == "smoke" else p["data"], "sigma": p["sigma"], "trained on": kind}
            row |= {"ACR": _spread(r[kind]["acr"]), "ACA %": _spread(r[kind]["aca"], 100.0, 1)}
            row["accuracy, all classes %"] = _spread(r[kind]["accuracy"], 100.0, 1)
            if scale != "smoke":
                row |= {
                    "paper's ACR": paper[p["data"], p["sigma"]][2 * k],
                    "paper's ACA %": paper[p["data"], p["sigma"]][2 * k + 1],
                }
            rows.append(row | {"attack, s": f"{r['attack_s']:.0f}" if kind == "poisoned" else ""})
    if rows:
        command = f"`python experiments/{stem}.py --scale {scale}`"
        print(write(f"{stem}_{scale}", heading, [f"From {command}.", "", *_words(scale)], rows))


def _words(scale: str) -> list[str]:
    size = SIZES[scale]
    if scale == "paper":
        return []
    how = settings(scale)
    assert not isinstance(how, str)
    return [
        f"Reduced: {size.n_train:,} images, of which {size.validation:.0%} are set aside for the attacker; "
        f"{size.seeds} seeds; {size.certified} test images of the target class at most, {size.draws:,} draws each. "
        f"The attack takes {how.epochs * (how.steps_per_epoch or 0)} outer steps with conjugate gradients.",
        "± is the standard deviation over the seeds of retraining; the attack is made once. Compare the falls, not the values.",
    ]


def _spread(values: list[float], factor: float = 1.0, digits: int = 3) -> str:
    return f"{factor * np.mean(values):.{digits}f} ± {factor * np.std(values):.{digits}f}"
