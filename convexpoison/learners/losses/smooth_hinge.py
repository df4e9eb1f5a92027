"""The hinge with its kink rounded off, so that training can be differentiated."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from convexpoison._utils.types import FloatArray
from convexpoison.learners.losses.base import Loss


class SmoothHinge(Loss):
    """``t log(1 + exp((1 - u) / t))``, which lies between the hinge and the hinge plus ``t log 2``.

    The form that Koh and Liang (2017, Section 4.2) differentiate in place of the hinge.

    Parameters
    ----------
    temperature : float
        ``t``, in the units of the margin.

    Raises
    ------
    ValueError
        If the temperature is not positive and finite.
    """

    name = "smooth_hinge"
    bends_most_at = 1.0

    def __init__(self, temperature: float = 0.05) -> None:
        if not (np.isfinite(temperature) and temperature > 0):
            raise ValueError(f"temperature must be positive and finite; got {temperature}")
        self.temperature = float(temperature)

    def value(self, argument: ArrayLike) -> FloatArray:
        return np.asarray(self.temperature * np.logaddexp(0.0, self._left(argument)))

    def derivative(self, argument: ArrayLike) -> FloatArray:
        return np.asarray(-expit(self._left(argument)))

    def curvature(self, argument: ArrayLike) -> FloatArray:
        left = self._left(argument)
        return np.asarray(expit(left) * expit(-left) / self.temperature)

    def _left(self, argument: ArrayLike) -> FloatArray:
        return np.asarray((1.0 - np.asarray(argument, dtype=np.float64)) / self.temperature)

    def __repr__(self) -> str:
        return f"SmoothHinge(temperature={self.temperature})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SmoothHinge) and other.temperature == self.temperature

    def __hash__(self) -> int:
        return hash((self.name, self.temperature))
