"""Losses as functions of one number, the *argument*.

The contract, written once (every other module relies on it):

- A row ``(x, y)`` meets the model ``(w, b)`` only through its score ``w @ x + b``.
- Classification, ``y`` in {-1, +1}: the argument is the margin ``u = y * score``; the loss is ``phi(u)``, convex and
  non-increasing.
- Regression, ``y`` real: the argument is the residual ``r = score - y``; the loss is ``phi(r)``, convex.
- ``slope(y)`` is the derivative of the argument with respect to the score (``y`` for margins, 1 for residuals).
- ``derivative`` at a kink is the value on the side where the loss is active (hinge at ``u = 1``: -1); ``curvature``
  is the (generalised) second derivative.

All functions act elementwise on arrays of any shape and return float64 arrays of that shape. What a loss may define besides is
in :mod:`convexpoison.learners.losses.formulas`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from convexpoison._utils.types import FloatArray
from convexpoison.learners.losses.formulas import FORMULAS, Formulas

_CONTRACT = ("classification", "smooth", "argument", "slope", "value", "derivative", "curvature")


class Loss(Formulas, ABC):
    """A convex loss of one argument; see the module docstring for the contract.

    A formula counts only in a class that keeps the functions that it was derived from: as Python drops an inherited
    ``__hash__`` where ``__eq__`` is redefined, a subclass that redefines a part of the contract loses the formulas that it does
    not redefine too. Nothing is ever proven with the formulas of another loss.
    """

    classification: ClassVar[bool] = True
    smooth: ClassVar[bool] = True
    """Continuously differentiable, so that Newton's method applies."""
    bends_most_at: float = 0.0
    """An argument at which the curvature is largest; it never rises on the way from there, on either side."""
    n_scores: ClassVar[int] = 1
    """Number of scores of a row that the loss depends on. The geometry of two models (hulls, edges, sandwich) is that of the
    plane, and asks for 1."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for formula in FORMULAS:
            if _is_of_another_loss(cls, formula):
                setattr(cls, formula, getattr(Formulas, formula))
        if _is_of_another_loss(cls, "name"):
            cls.name = cls.__name__  # files and messages name a loss

    def missing(self, *formulas: str) -> list[str]:
        """Return those of the formulas that this loss does not define."""
        return [name for name in formulas if getattr(type(self), name) is getattr(Formulas, name)]

    def need(self, purpose: str, *formulas: str) -> None:
        """Check that the loss defines these formulas.

        Raises
        ------
        ValueError
            If it does not, with the names of those that are missing.
        """
        if missing := self.missing(*formulas):
            raise ValueError(
                f"{purpose} is not compatible with the loss {self.name!r}: it must define {', '.join(missing)}"
            )

    def argument(self, scores: ArrayLike, y: ArrayLike) -> FloatArray:
        """Return the margin ``y * score`` (classification) or the residual ``score - y`` (regression)."""
        if self.classification:
            return np.multiply(y, scores, dtype=np.float64)
        return np.subtract(scores, y, dtype=np.float64)

    def slope(self, y: ArrayLike) -> FloatArray:
        """Return the derivative of the argument with respect to the score, one entry a row."""
        y = np.asarray(y, dtype=np.float64)
        return y if self.classification else np.ones_like(y)

    @abstractmethod
    def value(self, argument: ArrayLike) -> FloatArray:
        """Return ``phi(argument)``, never negative."""

    @abstractmethod
    def derivative(self, argument: ArrayLike) -> FloatArray:
        """Return ``phi'(argument)``; at a kink the derivative of the active side."""

    @abstractmethod
    def curvature(self, argument: ArrayLike) -> FloatArray:
        """Return ``phi''(argument)``; at a jump of ``phi'`` the larger one-sided value."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(self.name)


def _is_of_another_loss(cls: type[Loss], attribute: str) -> bool:
    """Return whether the class inherits the attribute from one with another function of the contract."""
    origin = next((base for base in cls.__mro__ if attribute in vars(base)), Formulas)
    return origin is not Formulas and any(getattr(origin, part, None) is not getattr(cls, part) for part in _CONTRACT)
