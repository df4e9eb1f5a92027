"""A better reference model for the slopes at hand: the other block of the ascent.

With slopes and multipliers fixed, the number of :mod:`convexpoison.certificates.goal_dual_function` is concave in the
reference theta;
for ``q = 0`` it is, up to a constant,

    -L(theta) - m max over z of l(theta; z) - sum over columns of (G - rho_m r theta + pull)^2 / (4 rho_m r).

What is maximised here is a smooth version of it (any theta is valid, so that costs strength only).
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from convexpoison._utils.types import FloatArray
from convexpoison.bounds.goal_fit import smooth
from convexpoison.certificates.goal_dual_function import Barrier
from convexpoison.learners.losses.base import Loss

_WIDTH = 0.03
"""Margin over which the kink of the hinge is rounded off."""
_TIE = 0.2
"""Difference of the two labels' worst losses at which both count about alike."""
_ITERATIONS = 30


def better_reference(barrier: Barrier, m: float, pull: FloatArray) -> FloatArray:
    """A reference for these slopes and multipliers, and m points.

    Parameters
    ----------
    barrier : Barrier
        Whose reference is the start.
    m : float
    pull : array of shape (n_parameters,)
        ``sum nu_i c_i``.
    """
    objective = _Objective(barrier, m, pull)
    return np.asarray(
        minimize(
            objective, barrier.theta, jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS, "ftol": 1e-7}
        ).x
    )


class _Objective:
    """The smooth version of what is minimised, with its gradient."""

    def __init__(self, barrier: Barrier, m: float, pull: FloatArray) -> None:
        ground = barrier.ground
        self._ground, self._m = ground, m
        ridge = ground.ridge(m)
        # A free intercept has no parabola; its column is left to the losses.
        self._ridge, self._base = ridge, np.where(ridge > 0.0, barrier.plane[1] + pull, 0.0)
        self._bend = np.where(ridge > 0.0, 0.25 / np.where(ridge > 0.0, ridge, 1.0), 0.0)
        low, high = ground.box
        self._middle, self._half = 0.5 * (low + high), 0.5 * (high - low)
        self._round = 1e-3 * float(np.abs(barrier.theta).mean()) + 1e-12

    def __call__(self, theta: FloatArray) -> tuple[float, FloatArray]:
        loss, slope = self._data(theta)
        worst, gradient = self._worst(theta)
        q = self._base - self._ridge * theta
        value = loss + self._m * worst + float(self._bend @ q**2)
        return value, slope + self._m * gradient - 2.0 * self._bend * q * self._ridge

    def _data(self, theta: FloatArray) -> tuple[float, FloatArray]:
        g, data = self._ground, self._ground.data
        value, derivative = _smooth(g.victim.loss, data.y * g.scores(theta))
        pull = data.sample_weight * derivative * data.y
        gradient = data.rows.transposed_dot(pull)
        if theta.size > data.n_features:
            gradient = np.append(gradient, pull.sum())
        return float(data.sample_weight @ value), gradient

    def _worst(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """The largest loss in the box, smoothly: ``|theta_j|`` rounded off, and the labels' soft maximum."""
        size = np.sqrt(theta**2 + self._round**2)
        labels = np.array(self._ground.space.labels, dtype=np.float64)
        margins = labels * (self._middle @ theta) - self._half @ size
        value, derivative = _smooth(self._ground.victim.loss, margins)
        shares = np.exp((value - value.max()) / _TIE)
        top = float(value.max() + _TIE * np.log(shares.sum()))
        shares = shares / shares.sum() * derivative
        return top, float(shares @ labels) * self._middle - float(shares.sum()) * self._half * theta / size


def _smooth(loss: Loss, margins: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return value and derivative of the loss, its kink rounded off."""
    form = smooth(loss, _WIDTH)
    return form.value(margins), form.derivative(margins)
