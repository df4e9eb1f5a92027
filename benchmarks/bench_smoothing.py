"""Certification by smoothing against the raw forward pass of the same network, side by side in one run.

``python benchmarks/bench_smoothing.py``; needs torch, and ``mnist.npz`` in the folder that ``CONVEXPOISON_DATA`` names. The
competitors take turns, and each counts with its best turn, in seconds of processor time, because machines are noisy and
shared. Prints a table and writes
``benchmarks/results/smoothing.md`` and ``smoothing.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from torch import nn

from convexpoison.neural import Evaluation, SmoothedClassifier

RESULTS = Path(__file__).parent / "results"
SIGMA = 0.5
BATCHES = (100, 200, 500)
RADII = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def mnist() -> dict[str, np.ndarray]:
    with np.load(Path(os.environ["CONVEXPOISON_DATA"]) / "mnist.npz") as file:
        return {name: file[name] for name in file.files}


def images(data: np.ndarray) -> np.ndarray:
    return data[:, None].astype(np.float32) / 255


def trained(data: dict[str, np.ndarray], epochs: int) -> nn.Module:
    """LeNet trained on noisy images (Gaussian augmentation), long enough to have something to certify."""
    torch.manual_seed(0)
    net, X = lenet(), torch.from_numpy(images(data["x_train"]))
    y = torch.from_numpy(data["y_train"]).long()
    optimiser = torch.optim.Adam(net.parameters(), 2e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(X)).split(256):
            noisy = X[rows] + SIGMA * torch.randn(len(rows), 1, 28, 28)
            loss = nn.functional.cross_entropy(net(noisy), y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return net.eval()


def forward_pass(net: nn.Module, batch: int, channels_last: bool, samples: int) -> Callable[[], int]:
    """Nothing but the network, on a batch that lies ready in memory."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    copy = lenet().eval()
    copy.load_state_dict(net.state_dict())
    copy = copy.to(memory_format=layout)
    flat = torch.rand(batch, 784)
    x = flat.view(batch, 28, 28, 1).permute(0, 3, 1, 2) if channels_last else flat.view(batch, 1, 28, 28)

    def run() -> int:
        with torch.inference_mode():
            for _ in range(samples // batch):
                copy(x)
        return samples // batch * batch

    return run


def bench_speed(net: nn.Module, X: np.ndarray, threads: int, repetitions: int, samples: int) -> dict[str, Any]:
    """Samples per second of processor time (of all threads together), of the network alone and of certification."""
    torch.set_num_threads(threads)
    competitors: dict[str, Callable[[], int]] = {
        f"forward, {'channels last' if last else 'channels first'}, batch {batch}": forward_pass(
            net, batch, last, samples
        )
        for last, batch in product((True, False), BATCHES)
    }
    classifier = SmoothedClassifier(net, SIGMA, random_state=0)

    def certify() -> int:
        classifier.certify(X[:1], n0=100, n=samples)
        return 100 + samples

    best = dict.fromkeys([*competitors, "certify"], 0.0)
    for _ in range(repetitions):
        for name, run in competitors.items():
            for key, job in (
                (name, run),
                ("certify", certify),
            ):  # certify has a turn after each, and so as many chances
                start = process_time()
                done = job()
                best[key] = max(best[key], done / (process_time() - start))
    raw = max(competitors, key=lambda name: best[name])
    return {
        "threads": threads,
        "samples per CPU second": best,
        "best forward": raw,
        "ratio": best["certify"] / best[raw],
    }


def bench_time(net: nn.Module, X: np.ndarray, threads: int, n_images: int) -> dict[str, Any]:
    """Seconds for images at n = 100,000."""
    torch.set_num_threads(threads)
    classifier = SmoothedClassifier(net, SIGMA, random_state=0)
    start = perf_counter()
    classifier.certify(X[:n_images], n0=100, n=100_000)
    seconds = perf_counter() - start
    return {
        "threads": threads,
        "images": n_images,
        "seconds": seconds,
        "seconds for 500, extrapolated": seconds / n_images * 500,
    }


def bench_cheaper(net: nn.Module, X: np.ndarray, y: np.ndarray, n: int) -> dict[str, Any]:
    """Certified accuracies and draws: a fixed n, a size for each image, and a sequence that stops for each radius."""
    classifier = SmoothedClassifier(net, SIGMA, random_state=0)
    zeros = np.zeros(len(y))

    def accuracies(prediction: np.ndarray, radius: np.ndarray) -> list[float]:
        return Evaluation(np.arange(len(y)), y, prediction, radius, zeros).certified_accuracy(RADII).tolist()

    full = classifier.certify(X, n0=100, n=n)
    sized = classifier.certify(X, n0=500, n=n, tolerance=0.1)
    decisions = [classifier.certify_radius(X, radius, n0=100, n_max=n) for radius in RADII]
    return {
        "images": len(y),
        "n": n,
        "radii": RADII,
        "fixed n": {"accuracy": accuracies(full.prediction, full.radius), "draws": float(full.n.mean())},
        "n for each image, tolerance 0.1": {
            "accuracy": accuracies(sized.prediction, sized.radius),
            "draws": float(sized.n.mean() + 400),  # its n0 is larger by 400
        },
        "sequence for each radius": {
            "accuracy": [float((d.prediction == y).mean()) for d in decisions],
            "draws": [float(d.n.mean()) for d in decisions],
        },
    }


def report(found: dict[str, Any]) -> str:
    lines = [
        "# Smoothing, measured by `python benchmarks/bench_smoothing.py`",
        "",
        f"LeNet on MNIST, sigma {SIGMA}, Gaussian noise, {found['machine']['device']}.",
        "",
        "## Samples per second of processor time",
        "",
        "| threads | certify | best forward pass | which | certify / forward |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in found["speed"]:
        rates = row["samples per CPU second"]
        lines.append(
            f"| {row['threads']} | {rates['certify']:,.0f} | {rates[row['best forward']]:,.0f} "
            f"| {row['best forward']} | {row['ratio']:.3f} |"
        )
    lines += [
        "",
        "## Time at n = 100,000",
        "",
        "| threads | images | seconds | 500 images, extrapolated |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row['threads']} | {row['images']} | {row['seconds']:.1f} | {row['seconds for 500, extrapolated'] / 60:.1f} min |"
        for row in found["time"]
    ]
    cheaper = found.get("cheaper")
    if cheaper:
        lines += [
            "", f"## Certified accuracies of {cheaper['images']} images, n = {cheaper['n']:,}", "",
            "| how | " + " | ".join(f"r = {r:g}" for r in cheaper["radii"]) + " | draws an image |",
            "| --- |" + " --- |" * (len(cheaper["radii"]) + 1),
        ]  # fmt: skip
        for how in ("fixed n", "n for each image, tolerance 0.1", "sequence for each radius"):
            draws = np.atleast_1d(cheaper[how]["draws"])
            told = f"{draws.min():,.0f}" if len(draws) == 1 else f"{draws.min():,.0f} to {draws.max():,.0f} a radius"
            lines.append(f"| {how} | " + " | ".join(f"{a:.3f}" for a in cheaper[how]["accuracy"]) + f" | {told} |")
    versions = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    return "\n".join([*lines, "", f"Versions: {versions}.", ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--samples", type=int, default=10_000, help="draws in a turn")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--timed-images", type=int, default=5, help="images at n = 100,000")
    parser.add_argument(
        "--images", type=int, default=100, help="images for the cheaper certificates; 0: leave them out"
    )
    parser.add_argument("--n", type=int, default=100_000, help="draws for the cheaper certificates")
    parser.add_argument("--weights", type=Path, help="LeNet's state_dict; trained here without it")
    options = parser.parse_args()
    data = mnist()
    if options.weights is None:
        net = trained(data, options.epochs)
    else:
        net = lenet().eval()
        net.load_state_dict(torch.load(options.weights, weights_only=True))
    X = images(data["x_test"])
    found: dict[str, Any] = {
        "speed": [bench_speed(net, X, threads, options.repetitions, options.samples) for threads in (1, 2)],
        "time": [bench_time(net, X, threads, options.timed_images) for threads in (1, 2)],
        "machine": {
            "device": "CPU", "python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__,
            "load when started": f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
        },
    }  # fmt: skip
    if options.images:
        some = slice(0, 10_000, 10_000 // options.images)
        found["cheaper"] = bench_cheaper(net, X[some], data["y_test"][some].astype(np.int64), options.n)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "smoothing.json").write_text(json.dumps(found, indent=2) + "\n")
    text = report(found)
    (RESULTS / "smoothing.md").write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
