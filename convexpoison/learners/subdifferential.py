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

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.dual_vector import BOUNDARY, DualVector
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Victim

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Subdifferential:
    """The set G: ``g + sum over boundary rows of [0, 1] * pull``.

    Attributes
    ----------
    g : DualVector
        What is the same in every element of G.
    pull_w : array of shape (n_boundary, n_features)
    pull_b : array of shape (n_boundary,)
        ``-c y (x, 1)`` of the boundary rows.
    error : DualVector
        By how much rounding may have moved each entry of g.
    """

    g: DualVector
    pull_w: FloatArray
    pull_b: FloatArray
    error: DualVector

    @classmethod
    def of(
        cls, victim: Victim, data: TrainingData, target: LinearModel, boundary: np.ndarray | None = None
    ) -> Subdifferential:
        """Evaluate G at the target.

        Parameters
        ----------
        boundary : bool array of shape (n_samples,), optional
            The boundary rows; default: those whose argument is at the kink up to rounding. More of them make G larger.
        """
        loss = victim.loss
        argument = loss.argument(target.decision_function(data.X), data.y)
        absolute = data.rows.absolute()
        size = 1.0 + np.abs(argument) + (absolute.dot(np.abs(target.coef)) + abs(target.intercept))
        kink = loss.active_range[1]
        if boundary is None:
            smooth = np.zeros(data.n_samples, dtype=bool)
            boundary = smooth if loss.smooth else np.abs(argument - kink) <= BOUNDARY * size
        slope = data.sample_weight * loss.slope(data.y)
        weight = np.where(boundary, 0.0, slope * loss.derivative(argument))
        penalty_w, penalty_b = victim.penalty_gradient(target)
        rho = victim.rho(data.n_rows)
        pull = slope[boundary] * loss.derivative(np.full(np.count_nonzero(boundary), kink))
        free = float(victim.intercept != "none")
        g = DualVector(data.rows.transposed_dot(weight) + rho * penalty_w, free * float(weight.sum() + rho * penalty_b))
        # The most that an error in the argument can do to the derivative; no bound rests on a loss that does not state it.
        bend = 0.0 if loss.missing("bends_most_at") else loss.largest_curvature
        moved = _EPS * (data.n_features + 8) * bend * np.abs(slope) * size
        moved += _EPS * (data.n_samples + 8) * np.abs(weight)
        rounding = _EPS * (data.n_samples + 8) * rho
        error_w = absolute.transposed_dot(moved) + rounding * np.abs(penalty_w)
        error = DualVector(error_w, free * float(moved.sum() + rounding * abs(penalty_b)))
        return cls(g, pull[:, None] * data.rows.take(np.flatnonzero(boundary)), free * pull, error)

    def dual_objective(self, v: DualVector) -> float:
        """``min over g in G of -<g, v>``: what points have to make up for along v."""
        along = self.pull_w @ v.w + self.pull_b * v.b
        return float(-(self.g.w @ v.w + self.g.b * v.b) - np.maximum(along, 0.0).sum())

    def dual_objective_bound(self, v: DualVector) -> float:
        """The resistance less what rounding may have added to it."""
        w, b = np.abs(v.w), abs(v.b)
        error = float(self.error.w @ w + self.error.b * b)
        sizes = float(
            np.abs(self.g.w) @ w + abs(self.g.b) * b + (np.abs(self.pull_w) @ w + np.abs(self.pull_b) * b).sum()
        )
        return self.dual_objective(v) - error - _EPS * (w.size + self.pull_b.size + 8) * sizes
