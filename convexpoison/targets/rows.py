"""Rows put behind rows, errors counted, and numbers that count."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.linear_model import LinearModel


def appended(data: TrainingData, X: Any, y: FloatArray, copies: np.ndarray) -> TrainingData:
    """The data with further rows, copies as weights; rows without copies are left out."""
    used = np.flatnonzero(copies)
    return data.with_rows(X[used], y[used], copies[used].astype(np.float64))


def error_rate(model: LinearModel, rows: TrainingData) -> float:
    """Share of the rows (not weighted) whose class the model has wrong."""
    return n_wrong(model, rows) / rows.n_samples


def n_wrong(model: LinearModel, rows: TrainingData) -> int:
    """Rows (not weighted) whose class the model has wrong: what a wanted rate is compared with, since shares are rounded."""
    return int(np.count_nonzero((model.decision_function(rows.X) > 0) != (rows.y > 0)))


def is_whole(value: Any, least: int) -> bool:
    """Whether that is a whole number of at least so much."""
    return isinstance(value, Real) and float(value).is_integer() and float(value) >= least


def held_out(clean: TrainingData, one_in: int, random_state: int | None) -> TrainingData:
    """One clean row in so many, drawn at random. They are set aside for the attacker alone: ``clean`` keeps them."""
    chosen = np.random.default_rng(random_state).permutation(clean.n_samples)[: max(2, clean.n_samples // one_in)]
    chosen.sort()
    return clean.subset(chosen)
