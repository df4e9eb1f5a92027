"""A matrix that is multiplied rigorously again and again: one pass a product, once its entries have been added up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.numerics.intervals import TINY, UNIT, Interval, longest_row


@dataclass(frozen=True, eq=False)
class Matrix:
    """Rows, dense or CSR.

    A product's rounding errors are at most ``n u / (1 - n u)`` times ``|X| |v|`` (see
    :mod:`~convexpoison.numerics.intervals`), and that is at most the sum of a row's sizes times the largest ``|v_j|``.
    """

    X: Any

    @cached_property
    def _row_sizes(self) -> FloatArray:
        return np.asarray(abs(self.X).sum(axis=1)).ravel()

    @cached_property
    def _column_sizes(self) -> FloatArray:
        return np.asarray(abs(self.X).sum(axis=0)).ravel()

    def dot(self, v: FloatArray) -> Interval:
        """``X @ v``."""
        return _around(self.X @ v, longest_row(self.X), self._row_sizes, v)

    def transposed_dot(self, v: Interval) -> Interval:
        """``X.T @ v``."""
        low = v.lower
        exact = _around(self.X.T @ low, self.X.shape[0], self._column_sizes, low)
        width = (v - low).upper
        if not width.any():
            return exact
        beyond = _around(abs(self.X).T @ width, self.X.shape[0], self._column_sizes, width).upper
        return exact + Interval(-beyond, beyond)


def _around(centre: Any, n: int, sizes: FloatArray, v: FloatArray) -> Interval:
    if n * UNIT > 0.01:
        raise ValueError(f"sums of {n} terms are too long for a rigorous product")
    # Twice the textbook's bound, which pays for the rounding of the sizes and of this line.
    radius = 2.0 * n * UNIT * sizes * float(np.abs(v).max(initial=0.0)) + n * TINY
    return Interval.of(np.asarray(centre).reshape(-1)) + Interval(-radius, radius)
