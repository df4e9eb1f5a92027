"""Certification by smoothing against the raw forward pass of the same network, side by side in one run.

``python benchmarks/bench_smoothing.py``; needs torch, and ``mnist.npz`` in the folder that ``CONVEXPOISON_DATA`` names. The
competitors take turns, and each counts with its best turn, in seconds of processor time where there is one thread, because
machines are noisy and shared; with two threads in seconds of the clock, which are meaningful on an idle machine only. One
of them draws noise and does not count votes, on all threads together as torch runs a network. Prints a
table and writes ``benchmarks/results/smoothing.md`` and ``smoothing.json``.

With ``--device cuda`` all run in half precision, time is that of the clock, and the files are ``smoothing_cuda.*``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from torch import nn

from convexpoison.datasets.images import load_images
from convexpoison.neural import SmoothedClassifier, make_network

RESULTS = Path(__file__).parent / "results"
SIGMA = 0.5
LAST, FIRST = "channels last", "channels first"
FORWARDS = {
    "cpu": ((LAST, 50), (LAST, 100), (LAST, 200), (LAST, 500), (FIRST, 200)),
    "cuda": ((LAST, 1000), (LAST, 5000), (LAST, 10_000), (FIRST, 5000)),
}
NOISY = {"cpu": (200, 500), "cuda": (5000,)}
"""Rows at a time of the forward pass with noise; the best counts."""


def lenet5() -> nn.Module:
    """Build LeCun's network of 6 and 16 filters, so small that the noise takes a large part of the time."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    ).eval()  # fmt: skip


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "MACER's LeNet (20 and 50 filters)": lambda: make_network("lenet", 0).eval(),
    "LeNet-5 (6 and 16 filters)": lenet5,
}
"""Speed does not depend on the weights."""


def forward_pass(net: nn.Module, layout: str, batch: int, samples: int, noise: bool = False) -> Callable[[], None]:
    """Return a call of the network alone, on one batch that is already in memory, or filled with fresh noise each time."""
    where = next(net.parameters()).device
    copy = deepcopy(net).to(memory_format=torch.channels_last if layout == LAST else torch.contiguous_format)
    flat, generator = torch.rand(batch, 784, device=where), torch.Generator(where).manual_seed(0)
    x = flat.view(batch, 28, 28, 1).permute(0, 3, 1, 2) if layout == LAST else flat.view(batch, 1, 28, 28)

    def run() -> None:
        with torch.inference_mode(), torch.autocast(where.type, torch.float16, enabled=where.type == "cuda"):
            for _ in range(samples // batch):
                if noise:
                    flat.normal_(0.0, SIGMA, generator=generator)
                copy(x)

    return run


def clock(device: str, threads: int) -> float:
    """Return seconds: of the processor for one thread, of the wall otherwise, since threads that wait for each other keep a
    processor busy; on CUDA after all work is done."""
    if device == "cuda":
        torch.cuda.synchronize()
    return process_time() if device == "cpu" and threads == 1 else perf_counter()


def bench_speed(name: str, X: np.ndarray, threads: int, options: argparse.Namespace) -> dict[str, Any]:
    """Measure samples per second, of the network alone and of certification."""
    torch.set_num_threads(threads)
    samples, device = options.samples, options.device
    net = NETWORKS[name]().to(device)
    forwards = {
        f"{layout}, batch {batch:,}": forward_pass(net, layout, batch, samples) for layout, batch in FORWARDS[device]
    }
    precision = "float16" if device == "cuda" else "float32"
    classifier = SmoothedClassifier(net, SIGMA, precision=precision, random_state=0)
    noisy = {f"noise, batch {batch}": forward_pass(net, LAST, batch, samples, noise=True) for batch in NOISY[device]}
    jobs = forwards | noisy | {"certify": lambda: classifier.certify(X[:1], n0=100, n=samples - 100)}
    turns: dict[str, list[float]] = {job: [] for job in jobs}
    for _ in range(options.repetitions):
        for competitor in [*forwards, *noisy]:
            for job in (competitor, "certify"):  # certify has a turn after each, and so as many chances
                start = clock(device, threads)
                jobs[job]()
                turns[job].append(samples / (clock(device, threads) - start))
    best = {job: max(rates) for job, rates in turns.items()}
    raw = max(forwards, key=lambda job: best[job])
    return {
        "network": name,
        "threads": threads,
        "samples per second": best,
        "best forward": raw,
        "ratio": best["certify"] / best[raw],
        "limit": max(best[job] for job in noisy) / best[raw],
    }


def bench_time(X: np.ndarray, threads: int, n_images: int, device: str) -> dict[str, Any]:
    """Measure seconds for images at n = 100,000."""
    torch.set_num_threads(threads)
    classifier = SmoothedClassifier(make_network("lenet", 0).to(device), SIGMA, random_state=0)
    start, began = perf_counter(), process_time()
    classifier.certify(X[:n_images], n0=100, n=100_000)
    return {
        "threads": threads,
        "images": n_images,
        "seconds": perf_counter() - start,
        "processor seconds": process_time() - began,
        "load": os.getloadavg()[0],
    }


def report(found: dict[str, Any]) -> str:
    lines = [
        "# Smoothing, measured by `python benchmarks/bench_smoothing.py`",
        "",
        f"Images of MNIST, sigma {SIGMA}, Gaussian noise, {found['machine']['device']}; n0 = 100, "
        f"n = {found['samples'] - 100:,} for one image; best of {found['repetitions']} turns (certify: of "
        f"{found['certify turns']}).",
        "",
        f"## Samples per second{' (one thread: of processor time)' if found['machine']['device'] == 'CPU' else ''}",
        "",
        "Forward and noise: the forward pass with Gaussian draws and nothing else, over the best forward pass without; with two "
        "threads torch draws with one of them, which certify avoids.",
        "",
        "| network | threads | certify | best forward pass | which | certify / forward | forward and noise |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in found["speed"]:
        rates = row["samples per second"]
        lines.append(
            f"| {row['network']} | {row['threads']} | {rates['certify']:,.0f} | {rates[row['best forward']]:,.0f} "
            f"| {row['best forward']} | {row['ratio']:.3f} | {row['limit']:.3f} |"
        )
    if found["time"]:
        lines += [
            "",
            "## Time at n = 100,000",
            "",
            "MACER's LeNet. Measured for the images of the second column; the last two are extrapolated from them. Processor "
            "seconds are of all threads together; with one thread they equal the seconds of an idle machine.",
            "",
            "| threads | images, measured | seconds | processor s | load | 500 images | 500 images, processor |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
    for row in found["time"]:
        whole, busy = (row[key] / row["images"] * 500 / 60 for key in ("seconds", "processor seconds"))
        lines.append(
            f"| {row['threads']} | {row['images']} | {row['seconds']:.1f} | {row['processor seconds']:.1f} | {row['load']:.1f} "
            f"| {whole:.1f} min | {busy:.1f} min |"
        )
    if found["machine"]["device"] == "CPU" and not (RESULTS / "smoothing_cuda.md").exists():
        lines += ["", "On CUDA, in half precision (`--device cuda`): not yet run."]
    versions = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    return "\n".join([*lines, "", f"Versions: {versions}.", ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=6)
    parser.add_argument("--samples", type=int, default=20_000, help="draws in a turn, a multiple of 1,000")
    parser.add_argument("--timed-images", type=int, default=25, help="images at n = 100,000; 0: leave it out")
    parser.add_argument("--timed-threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    cuda, device = options.device == "cuda", options.device
    X = load_images("mnist").X_test
    settings = [(name, threads) for name in NETWORKS for threads in ((1,) if cuda else (1, 2))]
    timed = [t for t in options.timed_threads if options.timed_images]
    found: dict[str, Any] = {
        "samples": options.samples,
        "repetitions": options.repetitions,
        "certify turns": options.repetitions * (len(FORWARDS[device]) + len(NOISY[device])),
        "speed": [bench_speed(name, X, threads, options) for name, threads in settings],
        "time": [bench_time(X, threads, options.timed_images, device) for threads in timed],
        "machine": {
            "device": torch.cuda.get_device_name() if cuda else "CPU", "python": platform.python_version(),
            "torch": torch.__version__, "numpy": np.__version__,
            "load at the end": f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
        },
    }  # fmt: skip
    stem = "smoothing_cuda" if cuda else "smoothing"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{stem}.json").write_text(json.dumps(found, indent=2) + "\n")
    text = report(found)
    (RESULTS / f"{stem}.md").write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
