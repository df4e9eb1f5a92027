"""The hinge with a parabola in place of its kink, and no curvature elsewhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from convexpoison._utils.types import FloatArray
from convexpoison.learners.losses.base import Loss


class RoundedHinge(Loss):
    """The hinge with a parabola within ``width / 2`` of its kink; elsewhere it is the hinge, and has no curvature.

    Rows off the kink cost nothing in a Hessian, which they would with a loss that is curved everywhere.

    Parameters
    ----------
    width : float
        In units of the margin.
    below : bool
        Put the parabola between margins ``1 - width`` and 1 instead: the loss is then nowhere above the hinge, and ``width / 2``
        below it for smaller margins.
    """

    name = "rounded_hinge"

    def __init__(self, width: float = 0.05, *, below: bool = False) -> None:
        self.width, self.below = width, below
        self._beyond = 0.0 if below else 0.5 * width
        self.bends_most_at = 1.0 - (0.5 * width - self._beyond)

    def value(self, argument: ArrayLike) -> FloatArray:
        short = 1.0 - np.asarray(argument, dtype=np.float64)
        inside = np.maximum(short + self._beyond, 0.0)
        linear = short + (self._beyond - 0.5 * self.width)
        return np.where(short < self.width - self._beyond, inside**2 / (2.0 * self.width), linear)

    def derivative(self, argument: ArrayLike) -> FloatArray:
        short = 1.0 - np.asarray(argument, dtype=np.float64)
        return -np.clip(short / self.width + self._beyond / self.width, 0.0, 1.0)

    def curvature(self, argument: ArrayLike) -> FloatArray:
        short = 1.0 - np.asarray(argument, dtype=np.float64)
        near = (short > -self._beyond) & (short < self.width - self._beyond)
        return np.where(near, 1.0 / self.width, 0.0)

    def __repr__(self) -> str:
        return f"RoundedHinge(width={self.width}{', below=True' if self.below else ''})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RoundedHinge) and (other.width, other.below) == (self.width, self.below)

    def __hash__(self) -> int:
        return hash((self.name, self.width, self.below))
