"""Methods for the hypergradient in the bilevel attack on a network: seconds an outer step, time to a given fall, memory.

    python benchmarks/bench_bilevel.py

Digits, a perceptron, Gaussian augmentation. Each way runs in a process of its own with one thread; seconds are those
of the processor. Its soft radius is compared, step by step, with that of the same run in which the poison may not move
(eps = 0): same network, same batches, same noise. Writes ``benchmarks/results/bilevel.md`` and ``.json``.
"""

from __future__ import annotations

import json
import resource
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"
TARGET, SIGMA, EPS = 8, 0.25, 0.1
STEPS, LOWER_STEPS, SYSTEM_STEPS, WINDOW, FALL = 100, 5, 5, 10, 0.3
WAYS: dict[str, dict[str, Any]] = {
    "Adam (PACD)": {"hypergradient": "adam", "system_rate": 1e-2},
    "conjugate gradients": {"hypergradient": "cg"},
    "Neumann series": {"hypergradient": "neumann", "system_rate": 0.1},
    "reverse mode": {"hypergradient": "reverse"},
}


def run(way: dict[str, Any], eps: float) -> dict[str, Any]:
    """Run one attack and record, after each step, processor seconds, peak memory (MB) and the soft radius of the batch."""
    import torch

    from convexpoison import neural
    from convexpoison.datasets.images import load_images

    torch.set_num_threads(1)
    seconds, memory = [process_time()], list[float]()

    def watch(_: Any) -> None:
        seconds.append(process_time())
        memory.append(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024.0**2 if sys.platform == "darwin" else 1024.0)
        )

    settings = neural.BilevelSettings(
        epochs=1, steps_per_epoch=STEPS, reinitialize_every=1, lower_steps=LOWER_STEPS, lower_optimizer="sgd", lower_rate=0.1,
        system_steps=SYSTEM_STEPS, damping=1.0, poison_rate=0.03, shared=True, batch_size=60, batch_poison=15,
        batch_validation=25, draws=8, warm_up=100, **way,
    )  # fmt: skip
    found = neural.attack(
        TARGET, load_images("digits").subset(800, 100), eps=eps, settings=settings, validation=0.25, progress=False,
        victim=neural.NeuralVictim("mlp", neural.GaussianAugmentation(SIGMA), neural.Recipe(weight_decay=0.0)),
        callback=watch,
    )  # fmt: skip
    # The first step includes the warm-up.
    return {"seconds": np.diff(seconds)[1:].tolist(), "memory": memory, "radius": found.trace["upper"].tolist()}


def measured() -> dict[str, dict[str, Any]]:
    """Run every method with movable and with fixed poison, one process after another."""
    out = {}
    for name, way in WAYS.items():
        with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
            moved, still = (pool.submit(run, way, eps).result() for eps in (EPS, 0.0))
        ratio = np.convolve(moved["radius"], np.ones(WINDOW), "valid") / np.convolve(
            still["radius"], np.ones(WINDOW), "valid"
        )
        reached = np.flatnonzero(ratio <= 1.0 - FALL)
        step = int(reached[0]) + WINDOW if reached.size else None
        out[name] = {
            "seconds a step": float(np.median(moved["seconds"])), "steps": step,
            "seconds": None if step is None else float(np.sum(moved["seconds"][: step - 1])),
            "fall at the end": 1.0 - float(ratio[-1]),
            "memory": {str(k): moved["memory"][k - 1] for k in (2, 10, STEPS)},
        }  # fmt: skip
        print(name, out[name], file=sys.stderr)
    return out


def report(found: dict[str, dict[str, Any]]) -> str:
    """Format the figures as Markdown."""
    lines = [
        "# Hypergradients of the bilevel attack",
        "",
        f"From `python benchmarks/bench_bilevel.py`. Digits, 600 images to train on, target class {TARGET}, sigma {SIGMA}, "
        f"eps {EPS}; 109,386 weights; {LOWER_STEPS} steps of training before each outer step, {SYSTEM_STEPS} iterations for the "
        "linear system; each outer step moves all images alike. Processor time of one thread, medians over the steps.",
        "",
        f"The fall is that of the soft radius on validation images, mean of {WINDOW} steps, against the same run with the poison "
        f"held still. Time counts from the end of the warm-up. Memory is the peak of the process until that outer step.",
        "",
        f"| way | seconds an outer step | steps to a fall of {FALL:.0%} | seconds to it | fall after {STEPS} steps | "
        f"MB at step 2 | MB at step 10 | MB at step {STEPS} |",
        "| --- |" + " --- |" * 7,
    ]
    for name, row in found.items():
        reached = "not reached" if row["steps"] is None else str(row["steps"])
        taken = "" if row["seconds"] is None else f"{row['seconds']:.1f}"
        peaks = " | ".join(f"{mb:.0f}" for mb in row["memory"].values())
        lines.append(
            f"| {name} | {row['seconds a step']:.3f} | {reached} | {taken} | {row['fall at the end']:.0%} | {peaks} |"
        )
    return "\n".join([*lines, ""])


def main() -> int:
    found = measured()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "bilevel.json").write_text(json.dumps(found, indent=2) + "\n")
    (RESULTS / "bilevel.md").write_text(report(found))
    print(report(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
