"""Dual vectors: what a lower bound is proven by."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from convexpoison._utils.types import FloatArray

BOUNDARY = 1e-9
"""A margin this close to 1 (relative to the size of the sum that makes it) counts as exactly 1; counting a row that is
not there weakens the bound and keeps it valid."""


class DualVector:
    """A vector in the space of models, ``(w, b)`` for each output; b is 0 where the victim has no intercept.

    Gradients of an objective with respect to a model have the same shape and are kept in the same class.

    Parameters
    ----------
    w : array of shape (n_features,) or (n_outputs, n_features)
    b : float, or array of shape (n_outputs,)

    Attributes
    ----------
    values : array of shape (n_outputs, n_features + 1)
    """

    __slots__ = ("values",)
    values: FloatArray

    def __init__(self, w: ArrayLike, b: ArrayLike) -> None:
        w, b = np.atleast_2d(np.asarray(w, dtype=np.float64)), np.atleast_1d(np.asarray(b, dtype=np.float64))
        self.values = np.column_stack([w, b])

    @property
    def n_outputs(self) -> int:
        """How many models it stands for: 1 for two classes and regressions."""
        return int(self.values.shape[0])

    @property
    def w(self) -> FloatArray:
        """The part of the coefficients, shape (n_features,) for one output."""
        return self.values[0, :-1] if self.n_outputs == 1 else self.values[:, :-1]

    @property
    def b(self) -> float:
        """The part of the intercept, of one output."""
        return float(self.values[0, -1])

    def __repr__(self) -> str:
        return f"DualVector(w={self.w!r}, b={self.b!r})"
