"""The victim's model closest to a goal: a constrained fit whose row slopes support the data term from below.

What a certificate needs of it are the slopes ``alpha_i = -phi'(margin_i)`` alone, and *any* slopes give a valid one
(:mod:`convexpoison.bounds.goal`). So the fit may be rough where that is quick: the hinge is rounded off over a small
width, and the goal's half-spaces are held by a stiff quadratic penalty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.losses.base import Hinge, Loss
from convexpoison.learners.trainers.hessian import HessianSolver
from convexpoison.learners.victim import Victim

_WIDTHS = (0.3, 0.03)
"""Over what margin the kink of the hinge is rounded off: first to come near, then to come close."""
_STIFFNESS = 1e3
"""Penalty of a violated half-space, relative to the ridge: the fit may miss the goal by a thousandth of its pull."""
_DAMPING = 1e-3
"""Curvature of a free intercept that steps reckon with in any case, relative to the rows' weight."""
_MAX_STEPS = 60


@dataclass(frozen=True, eq=False)
class Fit:
    """A constrained fit.

    Attributes
    ----------
    theta : array of shape (n_parameters,)
        ``(w, b)``, or ``w`` without an intercept.
    slopes : array of shape (n_samples,)
        ``-phi'`` of every clean row, not negative.
    pull : array of shape (n_rows_of_the_goal,)
        Multipliers of the goal's half-spaces, not negative.
    """

    theta: FloatArray
    slopes: FloatArray
    pull: FloatArray


def slopes_at(loss: Loss, margins: FloatArray, width: float = 0.0) -> FloatArray:
    """``-phi'`` at these margins; for the hinge within its range [0, 1], rounded off over ``width``."""
    if isinstance(loss, Hinge):
        return np.clip((1.0 - margins) / width, 0.0, 1.0) if width else (margins < 1.0).astype(np.float64)
    return -loss.derivative(margins)


class GoalFitter:
    """Minimises ``L(theta; D_c) + rho <grad R(theta), theta - reference>`` over half-spaces, one goal after another.

    Parameters
    ----------
    victim : Victim
    data : TrainingData
        The clean rows.
    n_goal_rows : int
        How many half-spaces a goal has.
    """

    def __init__(self, victim: Victim, data: TrainingData, n_goal_rows: int) -> None:
        self._loss = victim.loss
        self._rows = data.rows.growing(victim.intercept != "none")
        for _ in range(n_goal_rows):
            self._rows.append(np.zeros(data.n_features))
        self._solver = HessianSolver(self._rows)
        self._y = np.concatenate([data.y, np.ones(n_goal_rows)])
        self._c = data.sample_weight
        self._n = data.n_samples

    def fit(
        self, goal_rows: FloatArray, labels: FloatArray, reference: FloatArray, ridge: FloatArray, start: FloatArray
    ) -> Fit:
        """The fit for the half-spaces ``labels * (goal_rows @ w + b) <= 0``.

        Parameters
        ----------
        goal_rows, labels : arrays of shape (n_goal_rows, n_features) and (n_goal_rows,)
        reference, start : arrays of shape (n_parameters,)
        ridge : array of shape (n_parameters,)
            ``rho`` times the diagonal of the Hessian of R.
        """
        self._rows.added[:] = goal_rows
        self._y[self._n :] = labels
        stiff = _STIFFNESS * float(ridge.max()) / max(float((goal_rows**2).sum(axis=1).mean()), 1e-12)
        theta = start
        for width in _WIDTHS if isinstance(self._loss, Hinge) else (0.0,):
            theta = self._descend(theta, reference, ridge, stiff, width)
        margins = self._y * self._rows.dot(theta)
        slopes = slopes_at(self._loss, margins[: self._n], width)
        return Fit(theta, slopes, stiff * np.maximum(margins[self._n :], 0.0))

    def _descend(
        self, theta: FloatArray, reference: FloatArray, ridge: FloatArray, stiff: float, width: float
    ) -> FloatArray:
        """Newton's method with a line search; stops where a step gains next to nothing."""
        scores = self._rows.dot(theta)
        value = self._value(theta, scores, reference, ridge, stiff, width)
        # Where no row is near its kink nothing else keeps a step in a free intercept finite.
        damping = np.where(ridge > 0.0, 0.0, _DAMPING * float(self._c.sum()))
        for _ in range(_MAX_STEPS):
            slope, curvature = self._derivatives(scores, stiff, width)
            gradient = self._rows.transposed_dot(slope) + ridge * (2.0 * theta - reference)
            bent = np.flatnonzero(curvature[: self._n])  # a few rows only for the hinge
            self._solver.rows = self._rows.restricted(bent)
            curvature = np.append(curvature[bent], curvature[self._n :])
            step = self._solver.solve(gradient, curvature, 2.0 * ridge + damping, _close_enough)
            moved = self._rows.dot(step.theta)
            length = 1.0
            while length > 1e-6:
                after = theta + length * step.theta, scores + length * moved
                lower = self._value(*after, reference, ridge, stiff, width)
                if lower <= value - 0.2 * length * step.decrement:
                    break
                length *= 0.4
            else:
                return theta
            gain, value, (theta, scores) = value - lower, lower, after
            if gain <= 1e-5 * (1.0 + abs(value) / self._n):
                break
        return theta

    def _value(
        self,
        theta: FloatArray,
        scores: FloatArray,
        reference: FloatArray,
        ridge: FloatArray,
        stiff: float,
        width: float,
    ) -> float:
        margins = self._y * scores
        clean, goal = margins[: self._n], np.maximum(margins[self._n :], 0.0)
        data = float(self._c @ rounded(self._loss, clean, width))
        return data + float((ridge * theta) @ (theta - reference)) + 0.5 * stiff * float(goal @ goal)

    def _derivatives(self, scores: FloatArray, stiff: float, width: float) -> tuple[FloatArray, FloatArray]:
        """Slope and curvature of every row's term, clean rows first."""
        margins = self._y * scores
        clean, goal = margins[: self._n], margins[self._n :]
        if isinstance(self._loss, Hinge):
            bend = ((clean < 1.0) & (clean > 1.0 - width)) / width
        else:
            bend = self._loss.curvature(clean)
        slope = np.concatenate([-self._c * slopes_at(self._loss, clean, width), stiff * np.maximum(goal, 0.0)])
        return slope * self._y, np.concatenate([self._c * bend, stiff * (goal > 0.0)])


def _close_enough(residual: FloatArray, size: float, first: float) -> bool:
    return size <= 1e-2 * first


def rounded(loss: Loss, margins: FloatArray, width: float) -> FloatArray:
    """The loss at these margins, the kink of the hinge rounded off over ``width``; never above the loss itself."""
    if not isinstance(loss, Hinge):
        return loss.value(margins)
    short = np.maximum(1.0 - margins, 0.0)
    return np.where(short < width, short**2 / (2.0 * width), short - 0.5 * width)
