"""Theorem 1 of MTP with its constant: how close the attack must have come after T points.

MTP's Appendix C finds the constant for an SVM whose rows may be any vector. Here it is found for the space at hand: let
``c`` be the largest number such that ``c * grad R(theta_p)`` is a convex combination of ``y x`` over points of the space
on which theta_p has margin at most 1. On such points the hinge loss of any theta exceeds that of theta_p by at least
``y x @ (theta_p - theta)``, so ``D(theta, theta_p) >= c (R(theta_p) - R(theta))`` and MTP's Lemma 2 holds with
``gamma = 1 - kappa / c``. Over all of R^d without intercept ``c = 1 / |theta_p|^2``, which is Appendix C's constant.

The regret is that of follow-the-leader on losses that are kappa-strongly convex (MTP, Remark 1): the step after ``N + t``
rows costs at most ``G^2 / (2 kappa (N + t))``, with ``G = B + min(B, sqrt(2 kappa))`` and B the largest ``|(x, s)|``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.special import digamma

from convexpoison.data.training_data import TrainingData
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.losses.hinge import Hinge
from convexpoison.learners.victim import Victim
from convexpoison.spaces.space import Space

_MARGIN = 1e-6
"""Taken off the linear program's constant: far more than its feasibility tolerance can have added."""


@dataclass(frozen=True)
class Guarantee:
    """After T points some iterate of follow-the-leader is ``epsilon(T)``-close to the target (MTP, Theorem 1).

    Attributes
    ----------
    gamma : float
        MTP's Lemma 2; positive.
    start : float
        ``F(theta_p) - F(theta_c)``: what the clean data hold against the target.
    n_rows : float
        Clean rows N.
    kappa : float
    gradient_bound : float
        G, the largest norm of a subgradient.
    """

    gamma: float
    start: float
    n_rows: float
    kappa: float
    gradient_bound: float

    def regret(self, n_points: int) -> float:
        """``alpha(T)``: at most ``G^2 / (2 kappa) * sum over t = 1..T of 1 / (N + t)``."""
        harmonic = digamma(self.n_rows + n_points + 1.0) - digamma(self.n_rows + 1.0)
        return float(self.gradient_bound**2 / (2.0 * self.kappa) * harmonic)

    def epsilon(self, n_points: int) -> float:
        """The promised maximum loss difference after that many points, in units of the loss."""
        if n_points < 1:
            raise ValueError(f"n_points must be at least 1; got {n_points}")
        return (self.regret(n_points) + self.start) / (n_points * self.gamma)


def guarantee(
    victim: Victim,
    data: TrainingData,
    target: LinearModel,
    clean: LinearModel,
    space: Space,
    time_limit_s: float | None = None,
) -> Guarantee | None:
    """The guarantee where Theorem 1 gives one, else None.

    It needs the hinge loss, the mean convention (with ``kappa = 0`` the regret grows as fast as the number of points), an
    intercept that is regularised or absent, a bounded convex space of box, one-hot hulls and slabs, ``gamma > 0``, and a linear
    program that is solved in the time given.
    """
    convex = space.parts <= {"box", "one_hot", "slab"}
    bounded = bool(np.isfinite(space.lower).all() and np.isfinite(space.upper).all())
    if not (victim.loss == Hinge() and victim.kappa > 0 and victim.intercept != "free" and convex and bounded):
        return None
    c = _lemma_constant(victim, target, space, time_limit_s)
    if not c > victim.kappa:
        return None
    scale = victim.intercept_scaling if victim.intercept == "regularized" else 0.0
    longest = float(np.hypot(np.linalg.norm(np.maximum(np.abs(space.lower), np.abs(space.upper))), scale))
    return Guarantee(
        gamma=1.0 - victim.kappa / c,
        start=victim.objective(target, data) - victim.objective(clean, data),
        n_rows=data.n_rows,
        kappa=victim.kappa,
        gradient_bound=longest + min(longest, float(np.sqrt(2.0 * victim.kappa))),
    )


def _lemma_constant(victim: Victim, target: LinearModel, space: Space, time_limit_s: float | None) -> float:
    """The largest c of the module docstring, by a linear program; 0 where there is none.

    Columns: U_+ and U_- (mass times mean point of each label), then m_+ and m_- (the masses), then c.
    """
    from convexpoison.solvers import highs
    from convexpoison.solvers.linear_program import LinearProgram, homogeneous_rows

    d, gradient = space.n_features, victim.penalty_gradient(target)
    eye, column = sp.identity(d, format="csr"), sp.csr_matrix(gradient[0][:, None])
    blocks = [sp.hstack([eye, -eye, sp.csr_matrix((d, 2)), -column])]
    balance = np.zeros((2, 2 * d + 3))
    balance[0, 2 * d : 2 * d + 2] = 1.0
    if victim.intercept == "regularized":
        balance[1, 2 * d :] = 1.0, -1.0, -gradient[1]
    blocks.append(sp.csr_matrix(balance))
    lower, upper = [np.zeros(d), np.array([1.0, 0.0])], [np.zeros(d), np.array([1.0, 0.0])]
    A, row_lower, row_upper = homogeneous_rows(space)
    for k, y in enumerate((1.0, -1.0)):
        place = np.r_[k * d : (k + 1) * d, 2 * d + k]
        inside = sp.csr_matrix(
            np.append(y * target.coef, y * target.intercept - 1.0)
        )  # margin at most 1, times the mass
        spread = sp.csr_matrix((np.ones(d + 1), (np.arange(d + 1), place)), shape=(d + 1, 2 * d + 3))
        blocks += [A @ spread, inside @ spread]
        lower += [row_lower, np.array([-np.inf])]
        upper += [row_upper, np.array([0.0])]
    program = LinearProgram(
        cost=np.append(np.zeros(2 * d + 2), 1.0),
        lower=np.concatenate([np.full(2 * d, -np.inf), np.zeros(3)]),
        upper=np.concatenate([np.full(2 * d, np.inf), [float(y in space.labels) for y in (1, -1)], [np.inf]]),
        A=sp.vstack(blocks),
        row_lower=np.concatenate(lower),
        row_upper=np.concatenate(upper),
        maximize=True,
    )
    solution = highs.solve(program, time_limit_s)
    return (1.0 - _MARGIN) * solution.objective if solution.optimal else 0.0
