"""Helpers for rows of training data: appending, error counts, checks of integers."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.linear_model import LinearModel


def appended(data: TrainingData, X: Any, y: FloatArray, copies: np.ndarray) -> TrainingData:
    """Return the data with further rows, copies as weights; rows without copies are left out."""
    used = np.flatnonzero(copies)
    return data.with_rows(X[used], y[used], copies[used].astype(np.float64))


def error_rate(model: LinearModel, rows: TrainingData) -> float:
    """Return the share of the rows (not weighted) whose class the model has wrong."""
    return n_wrong(model, rows) / rows.n_samples


def n_wrong(model: LinearModel, rows: TrainingData) -> int:
    """Return the number of rows (not weighted) whose class the model has wrong; rates are compared by it, without rounding."""
    return int(np.count_nonzero((model.decision_function(rows.X) > 0) != (rows.y > 0)))


def is_integer(value: Any, least: int) -> bool:
    """Return whether the value is an integer of at least ``least``."""
    return isinstance(value, Real) and float(value).is_integer() and float(value) >= least


def held_out(clean: TrainingData, one_in: int, random_state: int | None) -> TrainingData:
    """Draw one clean row in so many at random. They are copies for the attacker: ``clean`` keeps them."""
    chosen = np.random.default_rng(random_state).permutation(clean.n_samples)[: max(2, clean.n_samples // one_in)]
    chosen.sort()
    return clean.subset(chosen)
