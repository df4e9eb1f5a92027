"""Outcomes at which an attack may stop. A goal is any callable ``goal(model) -> bool``; here are the usual ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np
import scipy.sparse as sp

from convexpoison._utils.types import FloatArray
from convexpoison.data.frames import as_dense
from convexpoison.data.training_data import TrainingData, check_rows, sign_labels
from convexpoison.learners.linear_model import LinearModel

Goal = Callable[[LinearModel], bool]


def rows_asked(rate: float, n_rows: int) -> int:
    """The least number of rows that is that share of so many; counted, because shares are rounded (``1 - 0.9 < 0.1``)."""
    return ceil(rate * n_rows - 1e-9)


@dataclass(frozen=True, eq=False)
class ErrorRate:
    """Reached when the model errs on at least ``rate`` of the rows.

    Parameters
    ----------
    rate : float
        Fraction in [0, 1].
    X : array or sparse matrix of shape (n_rows, n_features)
    y : labels of shape (n_rows,), in the same terms as the training labels

    Examples
    --------
    >>> from convexpoison import LinearModel, goals
    >>> model = LinearModel([1.0], 0.0, classes=("no", "yes"))
    >>> goals.ErrorRate(0.5, [[-1.0], [1.0]], ["yes", "yes"])(model)
    True
    """

    rate: float
    X: Any
    y: Any

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ValueError(f"rate is a fraction between 0 and 1; got {self.rate}")
        rows, _ = check_rows(self.X)
        if np.shape(self.y) != (rows.shape[0],):
            raise ValueError(f"X has {rows.shape[0]} rows and y has shape {np.shape(self.y)}; they must match")
        object.__setattr__(self, "X", rows)
        object.__setattr__(self, "y", np.asarray(self.y))

    def __call__(self, model: LinearModel) -> bool:
        wrong = np.count_nonzero(model.predict(_of_width(self.X, model.n_features)) != self.y)
        return bool(wrong >= rows_asked(self.rate, self.y.size))


@dataclass(frozen=True, eq=False)
class Flip:
    """Reached when the prediction of one row changes.

    Parameters
    ----------
    x0 : array of shape (n_features,)
    label : label, optional
        What the clean model predicts, in the same terms as the training labels. :func:`~convexpoison.lower_bound` finds it
        out by itself; to stop an attack it has to be given.

    Raises
    ------
    ValueError
        If x0 is not one row of finite numbers.
    """

    x0: Any
    label: Any = None

    def __post_init__(self) -> None:
        row = self.x0 if sp.issparse(self.x0) else np.atleast_2d(np.asarray(self.x0))
        rows = as_dense(check_rows(row)[0])
        if rows.shape[0] != 1:
            raise ValueError(f"Flip is about one row; got {rows.shape[0]} (Misclassify takes a whole set)")
        object.__setattr__(self, "x0", rows[0])

    def __call__(self, model: LinearModel) -> bool:
        if self.label is None:
            raise ValueError("Flip does not know what the clean model predicts; pass label=, or use bind(clean_model)")
        return bool(model.predict(self._row(model.n_features))[0] != self.label)

    def bind(self, clean: LinearModel) -> Flip:
        """The same goal with the clean model's prediction filled in (and checked, where a label was given)."""
        predicted = clean.predict(self._row(clean.n_features)).tolist()[0]
        if self.label is not None and predicted != self.label:
            raise ValueError(f"the clean model predicts {predicted!r} for this row already, not {self.label!r}")
        return replace(self, label=predicted)

    def half_spaces(self, data: TrainingData) -> tuple[FloatArray, FloatArray]:
        """Rows and signed labels: the goal is reached only where ``labels * score <= 0``."""
        return self._row(data.n_features), sign_labels(np.array([self.label]), data.classes)[0]

    def _row(self, n_features: int) -> FloatArray:
        return _of_width(self.x0[None], n_features)


@dataclass(frozen=True, eq=False)
class Misclassify:
    """Reached when the model is wrong on every one of the rows.

    Parameters
    ----------
    X : array or sparse matrix of shape (n_rows, n_features)
    y : labels of shape (n_rows,), in the same terms as the training labels

    Raises
    ------
    ValueError
        If the rows are not finite numbers or y has another length.
    """

    X: Any
    y: Any

    def __post_init__(self) -> None:
        rows = as_dense(check_rows(self.X)[0])
        if np.shape(self.y) != (rows.shape[0],):
            raise ValueError(f"X has {rows.shape[0]} rows and y has shape {np.shape(self.y)}; they must match")
        object.__setattr__(self, "X", rows)
        object.__setattr__(self, "y", np.asarray(self.y))

    def __call__(self, model: LinearModel) -> bool:
        return bool(np.all(model.predict(_of_width(self.X, model.n_features)) != self.y))

    def bind(self, clean: LinearModel) -> Misclassify:
        """The goal itself: what it means does not depend on the clean model."""
        _of_width(self.X, clean.n_features)
        return self

    def half_spaces(self, data: TrainingData) -> tuple[FloatArray, FloatArray]:
        """Rows and signed labels: the goal is reached only where ``labels * score <= 0``."""
        return _of_width(self.X, data.n_features), sign_labels(self.y, data.classes)[0]


def _of_width(rows: FloatArray, n_features: int) -> FloatArray:
    if rows.shape[1] != n_features:
        raise ValueError(f"the goal's rows have {rows.shape[1]} features where {n_features} are needed")
    return rows
