"""Outcomes at which an attack may stop. A goal is any callable ``goal(model) -> bool``; here are the usual ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from convexpoison.data import check_rows
from convexpoison.model import LinearModel

Goal = Callable[[LinearModel], bool]


@dataclass(frozen=True, eq=False)
class ErrorRate:
    """Reached when the model errs on at least ``rate`` of the rows.

    Parameters
    ----------
    rate : float
        Fraction in [0, 1].
    X : array or sparse matrix of shape (n_rows, n_features)
    y : labels of shape (n_rows,), in the same terms as the training labels
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
        return 1.0 - model.accuracy(self.X, self.y) >= self.rate
