"""Seconds and memory for large data: 100,000 x 500 dense, and 200,000 x 50,000 sparse with 0.1 % nonzeros.

Rows are drawn with a seed around a planted model, whose labels are wrong for one row in twenty. The target is a label flip;
it is attacked with a fixed budget (``cp.attack``, both bounds at its end included) and bounded (``cp.lower_bound``, and its
certificate checked from the rows). Each step runs in a process of its own, so that its peak memory is its own, data included.
Writes ``benchmarks/results/large.md`` and ``large.json``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

RESULTS = Path(__file__).parent / "results"
SEED = 0
WRONG = 0.05
"""Share of the clean labels that contradict the planted model."""
N_FLIP = 10_000
"""Rows, drawn anew, that the target has wrong in part."""


def dense(n: int = 100_000, d: int = 500, seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
    """Rows in [0, 1], labels of a planted model with noise."""
    rng, planted = np.random.default_rng(seed), np.random.default_rng(SEED).normal(size=d)
    X = rng.random((n, d))
    return X, _labels(X @ planted - 0.5 * planted.sum(), rng)


def sparse(n: int = 200_000, d: int = 50_000, nonzeros: int = 50, seed: int = SEED) -> tuple[Any, np.ndarray]:
    """Rows with exactly that many nonzeros in (0, 1], some columns much more frequent than others, as words are."""
    # Few columns say much: heavy tails.
    rng, planted = np.random.default_rng(seed), np.random.default_rng(SEED).normal(size=d) ** 5
    block = d // nonzeros
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
