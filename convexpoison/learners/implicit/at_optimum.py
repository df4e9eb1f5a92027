"""How a loss at the victim's optimum changes when poison moves: implicit differentiation, for a fixed regularisation.

The victim's optimum ``theta(x)`` minimises ``F = sum_i c_i phi(a_i) + rho R``, and the attacker looks at its mean loss A on
rows of his own. Smooth losses: ``H @ dtheta = -d(grad F)`` with the Hessian H of F, so that one system
``H @ v = grad A`` gives the derivatives for all poison points (Mei and Zhu, 2015; Demontis et al., USENIX Security 2019;
Koh and Liang, ICML 2017, Section 2.2).

Hinge: as long as no row changes sides, rows inside the margin keep their multipliers ``c_i`` and rows on the margin keep
``y_i score_i = 1``, which leaves a linear system in theta and the multipliers of the latter (Cauwenberghs and Poggio, 2001;
Biggio, Nelson and Laskov, ICML 2012). Where a row does change sides the derivative jumps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.losses.base import Loss
from convexpoison.learners.trainers.row_system import RowSolver
from convexpoison.learners.victim import Victim

_ON_MARGIN = 1e-7
"""Distance from margin 1 up to which a row counts as on it; the trainer leaves about 1e-12."""
_RESIDUAL = 1e-11
"""Relative residual to which a Hessian system is solved."""


@dataclass(frozen=True, eq=False)
class Block:
    """Poison points that are looked at together.

    Attributes
    ----------
    points : array of shape (n_points, n_features)
    labels : array of shape (n_points,)
        -1 and +1, or the response.
    counts : int array of shape (n_points,)
        Copies of each.
    """

    points: FloatArray
    labels: FloatArray
    counts: np.ndarray

    @classmethod
    def empty(cls, n_features: int) -> Block:
        """No points."""
        return cls(np.empty((0, n_features)), np.empty(0), np.empty(0, dtype=np.int64))

    def __len__(self) -> int:
        return int(self.labels.size)

    def __add__(self, other: Block) -> Block:
        return Block(
            np.concatenate([self.points, other.points]),
            np.concatenate([self.labels, other.labels]),
            np.concatenate([self.counts, other.counts]),
        )


@dataclass(frozen=True, eq=False)
class Slope:
    """Derivative of a loss at the optimum with respect to poison.

    Attributes
    ----------
    points : array of shape (n_points, n_features)
    labels : array of shape (n_points,)
        With respect to the responses; 0 for classes.
    """

    points: FloatArray
    labels: FloatArray


def mean_loss(victim: Victim, model: LinearModel, rows: TrainingData) -> float:
    """The victim's loss, without regularisation, averaged over the rows."""
    return victim.data_loss(model, rows) / rows.n_rows


class AtOptimum:
    """Derivatives of the mean loss over ``rows`` at the victim's optimum with respect to its poison.

    Parameters
    ----------
    victim : Victim
    data : TrainingData
        The clean rows.
    rows : TrainingData
        The rows of the attacker's loss.
    inner : Loss, optional
        Stands in for the victim's loss in the derivative of the optimum; a smooth one makes the hinge's approximate.
    """

    def __init__(self, victim: Victim, data: TrainingData, rows: TrainingData, inner: Loss | None = None) -> None:
        self._victim, self._outer = victim, rows
        self._inner = victim.loss if inner is None else inner
        self._rows = data.rows.growing(victim.intercept != "none")
        self._hessian = RowSolver(self._rows)
        self._y, self._weight = data.y, data.sample_weight
        self._metric = np.ones(self._rows.n_parameters)
        if self._rows.has_intercept:
            self._metric[-1] = victim.intercept_weight

    def at(self, model: LinearModel, poison: Block) -> Slope:
        """The derivatives at ``model``, which must be the victim's optimum on the clean rows and all of ``poison``."""
        y, weight = self._place(poison)
        ridge = self._victim.rho(float(weight.sum())) * self._metric
        theta = np.append(model.coef, model.intercept) if self._rows.has_intercept else model.coef
        argument = self._inner.argument(self._rows.dot(theta), y)
        if self._inner.smooth:
            slope = self._smooth(theta, argument, y, weight, ridge)
        else:
            slope = self._hinge(theta, argument, y, weight, ridge)
        return Slope(slope.points[: len(poison)], slope.labels[: len(poison)])

    def _place(self, poison: Block) -> tuple[FloatArray, FloatArray]:
        """Put the poison behind the clean rows; labels and weights of all rows, 0 for places that stand empty."""
        rows = self._rows
        while rows.n_rows - rows.n_clean < len(poison):
            rows.append(np.zeros(rows.n_features))
        rows.added[: len(poison)] = poison.points
        idle = rows.n_rows - rows.n_clean - len(poison)
        y = np.concatenate([self._y, poison.labels, np.ones(idle)])
        return y, np.concatenate([self._weight, poison.counts, np.zeros(idle)])

    def _outer_gradient(self, theta: FloatArray) -> FloatArray:
        """``grad A``, shape (n_parameters,)."""
        d, outer, loss = self._rows.n_features, self._outer, self._victim.loss
        scores = np.asarray(outer.X @ theta[:d]).reshape(-1) + theta[d:].sum()
        slopes = outer.sample_weight * loss.derivative(loss.argument(scores, outer.y)) * loss.slope(outer.y)
        slopes = slopes / outer.n_rows
        gradient = np.asarray(outer.X.T @ slopes).reshape(-1)
        return np.append(gradient, slopes.sum()) if self._rows.has_intercept else gradient

    def _smooth(
        self, theta: FloatArray, argument: FloatArray, y: FloatArray, weight: FloatArray, ridge: FloatArray
    ) -> Slope:
        loss, n, d = self._inner, self._rows.n_clean, self._rows.n_features
        curvature = weight * loss.curvature(argument)
        system = self._hessian.solve(
            self._outer_gradient(theta), curvature, ridge, lambda _, size, first: size <= _RESIDUAL**2 * first
        )
        minus_v, moved = system.theta[:d], system.scores[n:]  # H @ minus_v = -grad A, and what it does to poison scores
        pull = (weight * loss.derivative(argument) * loss.slope(y))[n:]
        bend = curvature[n:] * moved
        points = np.outer(pull, minus_v) + np.outer(bend, theta[:d])
        return Slope(points, np.zeros_like(bend) if loss.classification else -bend)

    def _hinge(
        self, theta: FloatArray, margin: FloatArray, y: FloatArray, weight: FloatArray, ridge: FloatArray
    ) -> Slope:
        rows, n, d = self._rows, self._rows.n_clean, self._rows.n_features
        index = np.flatnonzero((np.abs(margin - 1.0) <= _ON_MARGIN) & (weight > 0))
        on = y[index, None] * rows.take(index)
        v, forces = self._adjoint(on, y[index], self._outer_gradient(theta), ridge)
        inside = np.where(margin < 1.0 - _ON_MARGIN, weight, 0.0)
        multiplier, force = inside[n:].copy(), np.zeros(y.size - n)
        poison = index >= n
        if poison.any():
            column = y[index, None] if rows.has_intercept else np.empty((index.size, 0))
            left = ridge * theta - rows.transposed_dot(inside * y)
            multiplier[index[poison] - n] = np.linalg.lstsq(np.hstack([on, column]).T, left, rcond=None)[0][poison]
            force[index[poison] - n] = forces[poison]
        points = np.outer(y[n:] * multiplier, v[:d]) - np.outer(y[n:] * force, theta[:d])
        return Slope(points, np.zeros(len(points)))

    def _adjoint(
        self, on: FloatArray, y: FloatArray, gradient: FloatArray, ridge: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """``diag(ridge) @ v + A.T @ force = gradient`` and ``A @ v = 0`` with the signed rows A on the margin."""
        d, rho = self._rows.n_features, float(ridge[0])
        kernel, right = on @ on.T, on @ gradient[:d]
        if self._rows.has_intercept:
            kernel = np.block([[kernel, -rho * y[:, None]], [y[None], ridge[d:, None]]])
            right = np.append(right, gradient[d])
        # Least squares: rows that lie on the margin together may be linearly dependent, which leaves v determined.
        found = np.linalg.lstsq(kernel, right, rcond=None)[0]
        force = found[: y.size]
        v: FloatArray = np.append((gradient[:d] - force @ on) / rho, found[y.size :])
        return v, np.asarray(force)
