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
from convexpoison.learners.losses.base import Loss
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


def smooth(loss: Loss, width: float) -> Loss:
    """Return the loss itself, or its smooth form where it has a kink; nowhere above the loss."""
    return loss if loss.smooth else loss.rounded(width)


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
        for loss in [smooth(self._loss, width) for width in (_WIDTHS[:1] if self._loss.smooth else _WIDTHS)]:
            theta = self._descend(theta, reference, ridge, stiff, loss)
        margins = self._y * self._rows.dot(theta)
        slopes = -loss.derivative(margins[: self._n])
        return Fit(theta, slopes, stiff * np.maximum(margins[self._n :], 0.0))

    def _descend(
        self, theta: FloatArray, reference: FloatArray, ridge: FloatArray, stiff: float, loss: Loss
    ) -> FloatArray:
        """Newton's method with a line search; stops where a step gains next to nothing."""
        scores = self._rows.dot(theta)
        value = self._value(theta, scores, reference, ridge, stiff, loss)
        # Where no row is near its kink nothing else keeps a step in a free intercept finite.
        damping = np.where(ridge > 0.0, 0.0, _DAMPING * float(self._c.sum()))
        for _ in range(_MAX_STEPS):
            slope, curvature = self._derivatives(scores, stiff, loss)
            gradient = self._rows.transposed_dot(slope) + ridge * (2.0 * theta - reference)
            bent = np.flatnonzero(curvature[: self._n])  # a few rows only for the hinge
            self._solver.rows = self._rows.restricted(bent)
            curvature = np.append(curvature[bent], curvature[self._n :])
            step = self._solver.solve(gradient, curvature, 2.0 * ridge + damping, _close_enough)
            moved = self._rows.dot(step.theta)
            length = 1.0
            while length > 1e-6:
                after = theta + length * step.theta, scores + length * moved
                lower = self._value(*after, reference, ridge, stiff, loss)
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
        loss: Loss,
    ) -> float:
        margins = self._y * scores
        clean, goal = margins[: self._n], np.maximum(margins[self._n :], 0.0)
        data = float(self._c @ loss.value(clean))
        return data + float((ridge * theta) @ (theta - reference)) + 0.5 * stiff * float(goal @ goal)

    def _derivatives(self, scores: FloatArray, stiff: float, loss: Loss) -> tuple[FloatArray, FloatArray]:
        """Slope and curvature of every row's term, clean rows first."""
        margins = self._y * scores
        clean, goal = margins[: self._n], margins[self._n :]
        slope = np.concatenate([self._c * loss.derivative(clean), stiff * np.maximum(goal, 0.0)])
        return slope * self._y, np.concatenate([self._c * loss.curvature(clean), stiff * (goal > 0.0)])


def _close_enough(residual: FloatArray, size: float, first: float) -> bool:
    return size <= 1e-2 * first
