"""Losses as functions of one number, the *argument*.

The contract, written once (every other module relies on it):

- A row ``(x, y)`` meets the model ``(w, b)`` only through its score ``w @ x + b``.
- Classification, ``y`` in {-1, +1}: the argument is the margin ``u = y * score``; the loss is ``phi(u)``, convex and
  non-increasing.
- Regression, ``y`` real: the argument is the residual ``r = score - y``; the loss is ``phi(r)``, convex.
- ``slope(y)`` is the derivative of the argument with respect to the score (``y`` for margins, 1 for residuals).
- ``derivative`` at a kink is the value on the side where the loss is active (hinge at ``u = 1``: -1); ``curvature``
  is the (generalised) second derivative.

All functions act elementwise on arrays of any shape and return float64 arrays of that shape.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from convexpoison._utils.types import FloatArray


class Loss(ABC):
    """A convex loss of one argument; see the module docstring for the contract."""

    name: ClassVar[str]
    classification: ClassVar[bool] = True
    smooth: ClassVar[bool] = True
    """Continuously differentiable, so that Newton's method applies."""
    bends_most_at: ClassVar[float] = 0.0
    """An argument at which the curvature is largest; it never rises on the way from there, on either side."""

    def argument(self, scores: ArrayLike, y: ArrayLike) -> FloatArray:
        """Margin ``y * score`` (classification) or residual ``score - y`` (regression)."""
        if self.classification:
            return np.multiply(y, scores, dtype=np.float64)
        return np.subtract(scores, y, dtype=np.float64)

    def slope(self, y: ArrayLike) -> FloatArray:
        """Derivative of the argument with respect to the score, one entry a row."""
        y = np.asarray(y, dtype=np.float64)
        return y if self.classification else np.ones_like(y)

    @abstractmethod
    def value(self, argument: ArrayLike) -> FloatArray:
        """``phi(argument)``, never negative."""

    @abstractmethod
    def derivative(self, argument: ArrayLike) -> FloatArray:
        """``phi'(argument)``; at a kink the derivative of the active side."""

    @abstractmethod
    def curvature(self, argument: ArrayLike) -> FloatArray:
        """``phi''(argument)``; at a jump of ``phi'`` the larger one-sided value."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(self.name)


class Hinge(Loss):
    """``max(0, 1 - u)``: the SVM of MTP and of ``LinearSVC(loss="hinge")``."""

    name = "hinge"
    smooth = False

    def value(self, argument: ArrayLike) -> FloatArray:
        return np.maximum(0.0, 1.0 - np.asarray(argument, dtype=np.float64))

    def derivative(self, argument: ArrayLike) -> FloatArray:
        return np.where(np.asarray(argument) <= 1.0, -1.0, 0.0)

    def curvature(self, argument: ArrayLike) -> FloatArray:
        return np.zeros_like(argument, dtype=np.float64)


class SquaredHinge(Loss):
    """``max(0, 1 - u)**2``: scikit-learn's default for ``LinearSVC``."""

    name = "squared_hinge"

    def value(self, argument: ArrayLike) -> FloatArray:
        return np.maximum(0.0, 1.0 - np.asarray(argument, dtype=np.float64)) ** 2

    def derivative(self, argument: ArrayLike) -> FloatArray:
        return -2.0 * np.maximum(0.0, 1.0 - np.asarray(argument, dtype=np.float64))

    def curvature(self, argument: ArrayLike) -> FloatArray:
        return np.where(np.asarray(argument) <= 1.0, 2.0, 0.0)


class Logistic(Loss):
    """``log(1 + exp(-u))``: ``LogisticRegression``."""

    name = "logistic"

    def value(self, argument: ArrayLike) -> FloatArray:
        return np.logaddexp(0.0, -np.asarray(argument, dtype=np.float64))

    def derivative(self, argument: ArrayLike) -> FloatArray:
        return np.asarray(-expit(-np.asarray(argument, dtype=np.float64)))

    def curvature(self, argument: ArrayLike) -> FloatArray:
        u = np.asarray(argument, dtype=np.float64)
        return np.asarray(expit(u) * expit(-u))


class Squared(Loss):
    """``r**2`` for regression, the data term of ``Ridge`` and ``LinearRegression``."""

    name = "squared"
    classification = False

    def value(self, argument: ArrayLike) -> FloatArray:
        return np.asarray(argument, dtype=np.float64) ** 2

    def derivative(self, argument: ArrayLike) -> FloatArray:
        return 2.0 * np.asarray(argument, dtype=np.float64)

    def curvature(self, argument: ArrayLike) -> FloatArray:
        return np.full_like(argument, 2.0, dtype=np.float64)


LOSSES: dict[str, Loss] = {loss.name: loss for loss in (Hinge(), SquaredHinge(), Logistic(), Squared())}


def get_loss(loss: str | Loss) -> Loss:
    """The loss of that name (or the loss itself).

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if isinstance(loss, Loss):
        return loss
    if loss not in LOSSES:
        raise ValueError(f"unknown loss {loss!r}; choose one of {sorted(LOSSES)}")
    return LOSSES[loss]
