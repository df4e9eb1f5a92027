"""Seconds and memory for large data: 100,000 x 500 dense, and 200,000 x 50,000 sparse with 0.1 % nonzeros.

Rows are drawn with a seed around a planted model, whose labels are wrong for one row in twenty. The target is a label flip;
it is attacked with a fixed budget (``cp.attack``, both bounds at its end included) and bounded (``cp.lower_bound``, and its
certificate checked from the rows). Each step runs in a process of its own, so that its peak memory is its own, data included.
Writes ``benchmarks/results/large.md`` and ``large.json``.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import scipy.sparse as sp

RESULTS = Path(__file__).parent / "results"
SEED = 0
WRONG = 0.05
"""Share of the clean labels that contradict the planted model."""
N_FLIP = 10_000
"""Rows, drawn anew, that the target has wrong in part."""
MORE_WRONG = 0.03
"""By how much the target's error rate exceeds the clean model's."""


def dense(n: int = 100_000, d: int = 500, seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
    """Rows in [0, 1], labels of a planted model with noise."""
    rng, planted = np.random.default_rng(seed), np.random.default_rng(SEED).normal(size=d)
    X = rng.random((n, d))
    return X, _labels(X @ planted - 0.5 * planted.sum(), rng)


def sparse(n: int = 200_000, d: int = 50_000, nonzeros: int = 50, seed: int = SEED) -> tuple[Any, np.ndarray]:
    """Rows with exactly that many nonzeros in (0, 1], some columns much more frequent than others, as words are."""
    rng, planted = np.random.default_rng(seed), np.random.default_rng(SEED).normal(size=d)
    block = d // nonzeros
    planted[np.arange(d) % block >= block // 50] = 0.0  # the most frequent columns decide
    # One column of each block, its number falling off like a power: distinct columns in ascending order.
    within = np.floor(block * rng.random((n, nonzeros)) ** 3).astype(np.int32)
    indices = (within + block * np.arange(nonzeros, dtype=np.int32)).ravel()
    values = 1.0 - rng.random(n * nonzeros)
    X = sp.csr_matrix((values, indices, np.arange(0, n * nonzeros + 1, nonzeros)), shape=(n, d))
    score = X @ planted
    return X, _labels(score - np.median(score), rng)


def _labels(score: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.where((score > 0) != (rng.random(score.size) < WRONG), 1, -1)


MAKERS: dict[str, Callable[..., tuple[Any, np.ndarray]]] = {"dense": dense, "sparse": sparse}
C_R = {("dense", "hinge"): 1e-2, ("dense", "logistic"): 1e-2, ("sparse", "hinge"): 1e-2, ("sparse", "logistic"): 1e-4}
"""Chosen for a small test error; the SVM on sparse rows is regularised more (its free rows cost their number's cube)."""
STEPS = ("target", "attack", "bound")


def step(case: str, loss: str, name: str, max_points: int, folder: Path) -> dict[str, Any]:
    """One step, as it is run in a process of its own; what it found, in plain numbers."""
    import convexpoison as cp

    X, y = MAKERS[case]()
    fresh = MAKERS[case](n=N_FLIP, seed=SEED + 1)
    victim = cp.Victim(loss, C_R=C_R[case, loss])
    file = folder / f"{case}_{loss}.npz"
    started, worked = perf_counter(), process_time()
    if name == "target":
        clean = victim.fit(X, y)
        wrong = 1.0 - clean.accuracy(*fresh)
        found = cp.targets.label_flip(
            victim, (X, y), error=wrong + MORE_WRONG, flip=fresh, quantiles=(0.3,), copies=(1, 2, 4, 8, 16)
        )
        np.savez(file, coef=found.model.coef, intercept=found.model.intercept)
        told = {"error_clean": wrong, "error_target": found.error}
    else:
        stored = np.load(file)
        target = cp.LinearModel(stored["coef"], float(stored["intercept"]), (-1, 1))
        told = (attack if name == "attack" else bound)(target, (X, y), victim, fresh, max_points)
    told |= {"seconds": perf_counter() - started, "cpu_seconds": process_time() - worked}
    return told | {"peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9}


def attack(target: Any, data: Any, victim: Any, fresh: Any, max_points: int) -> dict[str, Any]:
    """Algorithm 1 with a budget, and both bounds."""
    import convexpoison as cp

    found = cp.attack(target, data, victim=victim, max_points=max_points, test_data=fresh)
    return found.to_dict() | {"seconds_per_point": float(np.median(np.diff(found.history["seconds"])))}


def bound(target: Any, data: Any, victim: Any, fresh: Any, max_points: int) -> dict[str, Any]:
    """The tight bound, and its certificate checked again from the rows."""
    import convexpoison as cp

    found = cp.lower_bound(target, data, victim=victim)
    started = perf_counter()
    verdict = found.certificate.verify(data)
    return found.to_dict() | {"verified": bool(verdict), "seconds_verify": perf_counter() - started}


def measure(case: str, loss: str, name: str, max_points: int, folder: Path) -> dict[str, Any]:
    """The step in a process of its own."""
    command = [sys.executable, __file__, "--step", name, "--case", case, "--loss", loss]
    command += ["--max-points", str(max_points), "--folder", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return {"case": case, "loss": loss, "step": name, **json.loads(done.stdout)}
