"""The victim's model as a differentiable function of a few poison points.

One point a label, whose place and number of copies change. The optimum is found by Newton's method from the last one, its
derivatives by :mod:`convexpoison.learners.implicit.adjoint`. For that the kink of the hinge is rounded off: the slope of a
row then changes continuously as it crosses the margin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.implicit.adjoint import Adjoint, solve_adjoint
from convexpoison.learners.losses.rounded_hinge import RoundedHinge
from convexpoison.learners.trainers.newton import NewtonTrainer
from convexpoison.learners.trainers.row_system import CurvedRowSolver
from convexpoison.learners.victim import Victim

_RESIDUAL = 1e-8
"""Relative residual to which the adjoint system is solved."""

_LOOSE_INTERCEPT = 1e3
"""Scaling of an intercept that is to be free: its penalty is a millionth of what a weight's would be."""


def _rounded(victim: Victim) -> Victim:
    """Return the victim with a rounded hinge. A free intercept gets a small penalty: its curvature is 0 if no row is at the
    kink."""
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

    solver = CurvedRowSolver

    def __init__(self, victim: Victim, data: TrainingData, labels: FloatArray) -> None:
        super().__init__(victim if victim.loss.smooth else _rounded(victim), data)
        self._n_rows = data.n_rows
        for y in labels.tolist():
            self._point.add(np.zeros(data.n_features), y, 0.0)

    @property
    def theta(self) -> FloatArray:
        """``(w, b)``, or ``w`` where the victim has no intercept."""
        return self._point.theta

    def put(self, points: FloatArray, counts: FloatArray) -> None:
        """Replace the points and their numbers of copies, and refit."""
        point, n = self._point, self._rows.n_clean
        self._rows.added[:] = points
        point.weight[n:] = counts
        point.rho = self.victim.rho(self._n_rows + float(counts.sum()))
        point.refresh()
        self._minimise()

    def slope(self, gradient: FloatArray) -> Slope:
        """Return the derivatives of a function whose gradient at the model is given, shape (n_parameters,)."""
        v, scores = self.adjoint(gradient)
        point, n, loss = self._point, self._rows.n_clean, self.victim.loss
        y, count = point.y[n:], point.weight[n:]
        argument = loss.argument(point.scores[n:], y)
        slopes, bends = loss.derivative(argument) * loss.slope(y), loss.curvature(argument)
        found = Adjoint(point.theta, v, count * slopes, count * bends * scores[n:], self._rows.n_features)
        return Slope(found.points, found.weights(slopes, scores[n:], self.victim.kappa * (point.ridge / point.rho)))

    def adjoint(self, gradient: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ``H^-1 @ gradient`` with the Hessian at the model, and its scores of all rows."""
        step = solve_adjoint(self._hessian, gradient, self._point.curvatures(), self._point.ridge, _RESIDUAL)
        return step.theta, step.scores
