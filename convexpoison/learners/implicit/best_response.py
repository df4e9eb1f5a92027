"""The victim's model as a differentiable function of a few poison points.

One point a label, whose place and number of copies move. The optimum is found by Newton's method from the last one, and one
system with the Hessian gives the derivatives for all points (Mei and Zhu, 2015; Koh and Liang, 2017, Section 2.2). The
hinge's kink is rounded off for that: a row then passes from one side of the margin to the other by and by.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.losses.rounded_hinge import RoundedHinge
from convexpoison.learners.trainers.hessian import Step
from convexpoison.learners.trainers.newton import NewtonTrainer
from convexpoison.learners.victim import Victim

_RESIDUAL = 1e-8
"""Relative residual to which the adjoint system is solved."""

_LOOSE_INTERCEPT = 1e3
"""Scaling of an intercept that is to be free: its penalty is a millionth of what a weight's would be."""


def _rounded(victim: Victim) -> Victim:
    """The victim with a rounded hinge, which leaves a free intercept loose where no row is at its kink: a trace of a penalty
    holds it there."""
    free = victim.intercept == "free"
    return Victim(
        RoundedHinge(),
        C=victim.C,
        C_R=victim.C_R,
        intercept="regularized" if free else victim.intercept,
        intercept_scaling=_LOOSE_INTERCEPT if free else victim.intercept_scaling,
    )


@dataclass(frozen=True, eq=False)
class Slope:
    """Derivatives of a function of the model with respect to the poison.

    Attributes
    ----------
    points : array of shape (n_labels, n_features)
    counts : array of shape (n_labels,)
        With respect to the numbers of copies, regularisation and all.
    """

    points: FloatArray
    counts: FloatArray


class Response(NewtonTrainer):
    """The victim's optimum on the clean rows and one point a label, kept while these move.

    Parameters
    ----------
    victim : Victim
        A classifier; the hinge is replaced by :class:`RoundedHinge`.
    data : TrainingData
        The clean rows.
    labels : array of shape (n_labels,)
        Different ones, out of -1 and +1.
    """

    def __init__(self, victim: Victim, data: TrainingData, labels: FloatArray) -> None:
        super().__init__(victim if victim.loss.smooth else _rounded(victim), data)
        self._n_rows = data.n_rows
        for y in labels.tolist():
            self._point.add(np.zeros(data.n_features), y, 0.0)

    @property
    def _lifted(self) -> bool:
        return self._rows.has_intercept

    @property
    def theta(self) -> FloatArray:
        """``(w, b)``, or ``w`` where the victim has no intercept."""
        return self._point.theta

    def put(self, points: FloatArray, counts: FloatArray) -> None:
        """Put the points there, that many times, and refit."""
        point, n = self._point, self._rows.n_clean
        self._rows.added[:] = points
        point.weight[n:] = counts
        point.rho = self.victim.rho(self._n_rows + float(counts.sum()))
        point.refresh()
        self._minimise()

    def slope(self, gradient: FloatArray) -> Slope:
        """What moving the poison does to a function whose gradient at the model is given, shape (n_parameters,)."""
        lam, scores = self.adjoint(gradient)
        point, n, d, loss = self._point, self._rows.n_clean, self._rows.n_features, self.victim.loss
        y, count = point.y[n:], point.weight[n:]
        argument = loss.argument(point.scores[n:], y)
        pull, bend = loss.derivative(argument) * loss.slope(y), loss.curvature(argument)
        points = -np.outer(count * pull, lam[:d]) - np.outer(count * bend * scores[n:], point.theta[:d])
        growth = self.victim.kappa * (point.ridge / point.rho) @ (lam * point.theta)
        return Slope(points, -pull * scores[n:] - growth)

    def adjoint(self, gradient: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``H^-1 @ gradient`` with the Hessian at the model, and what it is as a score of every row."""
        step = self._solve(
            -gradient, self._point.curvatures(), lambda _, size, first: bool(size <= _RESIDUAL**2 * first)
        )
        return step.theta, step.scores

    def _newton_step(self, curvature: FloatArray, aim: float) -> Step:
        if not self._few(curvature):
            return super()._newton_step(curvature, aim)
        return self._solve(self._point.gradient, curvature, lambda *_: True)

    def _few(self, curvature: FloatArray) -> bool:
        """Whether so few rows are curved (the hinge's are) that their Gram matrix is smaller than the Hessian."""
        return bool(self._point.ridge.all() and np.count_nonzero(curvature) < self._rows.n_parameters)

    def _solve(
        self, gradient: FloatArray, curvature: FloatArray, enough: Callable[[FloatArray, float, float], bool]
    ) -> Step:
        """``H @ step = -gradient``, by the matrix inversion lemma where few rows are curved."""
        ridge = self._point.ridge
        if not self._few(curvature):
            return self._hessian.solve(gradient, curvature, ridge, enough)
        index = np.flatnonzero(curvature)
        rows = self._rows.take(index)
        rows = np.sqrt(curvature[index])[:, None] * (
            np.column_stack([rows, np.ones(index.size)]) if self._lifted else rows
        )
        kernel = (rows / ridge) @ rows.T + np.identity(index.size)
        first = gradient / ridge
        step = rows.T @ cho_solve(cho_factor(kernel), rows @ first) / ridge - first
        return Step(step, self._rows.dot(step), -0.5 * float(gradient @ step))
