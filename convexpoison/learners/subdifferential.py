"""What the clean data hold against a model: the set that added points have to balance.

A set of points z_k with weights m_k makes the victim return theta_p exactly if

    0 in G + sum m_k a(z_k),    G = dL(theta_p; D_c) + rho grad R(theta_p),    a(z) = dl(theta_p; z) + kappa grad R(theta_p),

where d is the subdifferential. G is one vector for smooth losses; for the hinge it is a box in the directions of the
rows whose margin is exactly 1 (the *boundary* rows). For any direction v with ``h(v) = max over z of <a(z), v> > 0``

    sum m_k >= [min over g in G of -<g, v>] / h(v):

weak duality, and the best v makes it an equality. That ratio is the limit of MTP's ``z(theta_p + t v)`` (Theorem 2) as t
falls to 0, so its supremum over v is what Theorem 2 can say at most, and it is what reproducing theta_p costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Victim

BOUNDARY = 1e-9
"""A margin this close to 1 (relative to the size of the sum that makes it) counts as exactly 1; counting a row that is
not there weakens the bound and keeps it valid."""
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Direction:
    """A direction ``(w, b)`` in the space of models; b is 0 where the victim has no intercept."""

    w: FloatArray
    b: float


@dataclass(frozen=True, eq=False)
class Stationarity:
    """The set G: ``g + sum over boundary rows of [0, 1] * pull``.

    Attributes
    ----------
    g : Direction
        What is the same in every element of G.
    pull_w : array of shape (n_boundary, n_features)
    pull_b : array of shape (n_boundary,)
        ``-c y (x, 1)`` of the boundary rows.
    error : Direction or None
        By how much rounding may have moved each entry of g; None where nobody has asked.
    """

    g: Direction
    pull_w: FloatArray
    pull_b: FloatArray
    error: Direction | None = None

    @classmethod
    def of(cls, victim: Victim, data: TrainingData, target: LinearModel) -> Stationarity:
        """Evaluate G at the target."""
        loss = victim.loss
        argument = loss.argument(target.decision_function(data.X), data.y)
        size = 1.0 + np.abs(argument) + _sum_sizes(data, target)
        at_kink = np.zeros(data.n_samples, dtype=bool)
        if not loss.smooth:
            at_kink = np.abs(argument - 1.0) <= BOUNDARY * size
        slope = data.sample_weight * loss.slope(data.y)
        weight = np.where(at_kink, 0.0, slope * loss.derivative(argument))
        penalty_w, penalty_b = victim.penalty_gradient(target)
        rho = victim.rho(data.n_rows)
        rows = data.X[np.flatnonzero(at_kink)]
        dense = rows.toarray() if sp.issparse(rows) else np.asarray(rows)
        pull = -slope[at_kink]
        free = float(victim.intercept != "none")
        g = Direction(_add_up(data.X, weight) + rho * penalty_w, free * float(weight.sum() + rho * penalty_b))
        # All losses bend most at 0, so this is the most that an error in the argument can do to the derivative.
        bend = float(loss.curvature(loss.bends_most_at))
        moved = _EPS * (data.n_features + 8) * bend * np.abs(slope) * size
        moved += _EPS * (data.n_samples + 8) * np.abs(weight)
        rounding = _EPS * (data.n_samples + 8) * rho
        error_w = _add_up(abs(data.X), moved) + rounding * np.abs(penalty_w)
        error = Direction(error_w, free * float(moved.sum() + rounding * abs(penalty_b)))
        return cls(g, pull[:, None] * dense, free * pull, error)

    def resistance(self, v: Direction) -> float:
        """``min over g in G of -<g, v>``: what points have to make up for along v."""
        along = self.pull_w @ v.w + self.pull_b * v.b
        return float(-(self.g.w @ v.w + self.g.b * v.b) - np.maximum(along, 0.0).sum())

    def resistance_bound(self, v: Direction) -> float:
        """The resistance less what rounding may have added to it."""
        w, b = np.abs(v.w), abs(v.b)
        error = 0.0 if self.error is None else float(self.error.w @ w + self.error.b * b)
        sizes = float(
            np.abs(self.g.w) @ w + abs(self.g.b) * b + (np.abs(self.pull_w) @ w + np.abs(self.pull_b) * b).sum()
        )
        return self.resistance(v) - error - _EPS * (w.size + self.pull_b.size + 8) * sizes


def _sum_sizes(data: TrainingData, target: LinearModel) -> FloatArray:
    """``sum |x_j w_j|`` of every row: what rounding errors of its score are measured by."""
    size = abs(data.X) @ np.abs(target.coef)
    return np.asarray(size).ravel() + abs(target.intercept)


def _add_up(X: Any, weight: FloatArray) -> FloatArray:
    """The weighted sum of the rows of X, dense or sparse."""
    return np.asarray(X.T @ weight).ravel()
