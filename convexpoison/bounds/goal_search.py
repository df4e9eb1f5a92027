"""The search for what makes a goal's bound strong: references and slopes, by block ascent.

A constrained fit gives the slopes for a reference, and a concave maximisation a reference for the slopes. Nothing here needs
trust: a bound holds by :mod:`convexpoison.certificates.goal_check`, whatever the search came up with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.bounds.goal_fit import GoalFitter
from convexpoison.bounds.goal_reference import better_reference
from convexpoison.certificates.clean_gradient import GOAL_FORMULAS, need_proofs
from convexpoison.certificates.goal_dual_function import Barrier, Ground
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Victim
from convexpoison.spaces.space import Space

_PRECISION = 1e-3
"""Relative precision to which a barrier's reach is found."""
_WORTHWHILE = 1.01
"""Growth of the bound for which another round is tried."""
_LIMIT = 1e9


@dataclass(frozen=True, eq=False)
class Stretch:
    """A barrier and the numbers of points that it excludes: from ``first`` to ``last``, both included."""

    barrier: Barrier
    first: float
    last: float


@dataclass(frozen=True, eq=False)
class Search:
    """What the bounds of several goals share: the ground and the clean fit."""

    ground: Ground
    clean: LinearModel

    @classmethod
    def of(cls, victim: Victim, data: Any, space: Space | None, sample_weight: Any) -> Search:
        if not victim.loss.classification:
            raise ValueError("goals are about predicted classes; this victim is a regression")
        need_proofs(victim.loss, "a bound for a goal", *GOAL_FORMULAS)
        rows = TrainingData.from_user(data, sample_weight=sample_weight)
        if space is None:
            space = Space.infer(data.X if isinstance(data, TrainingData) else data[0])
        if space.n_features != rows.n_features:
            raise ValueError(f"the space has {space.n_features} columns and the data have {rows.n_features}")
        return cls(Ground(victim, rows, space), victim.trainer(rows).model)

    @property
    def provable(self) -> bool:
        """Whether the formula can prove anything here: it needs regularisation and a bounded box."""
        g = self.ground
        return g.bounded and bool(g.victim.rho(g.data.n_rows) > 0.0)

    def fitter(self, n_goal_rows: int) -> GoalFitter:
        """A fitter that serves goals of that many rows one after another."""
        return GoalFitter(self.ground.victim, self.ground.data, n_goal_rows)

    def ascend(
        self, fitter: GoalFitter, X: FloatArray, labels: FloatArray, rounds: int
    ) -> tuple[tuple[Stretch, ...], LinearModel | None]:
        """Block ascent; stretches are kept as far as later ones need them to start from."""
        g = self.ground
        theta = clean = np.append(self.clean.coef, [self.clean.intercept] * (g.metric.size - self.clean.coef.size))
        stretches: tuple[Stretch, ...] = ()
        start, best = clean, None
        for k in range(rounds + 1):
            reach = stretches[-1].last if stretches else 0.0
            fit = fitter.fit(X, labels, theta, g.ridge(reach), start)
            barrier = Barrier(g, (X, labels), theta, fit.slopes, fit.pull)
            longer = _extend(stretches, barrier)
            if longer is stretches:
                break
            stretches, start, best = longer, fit.theta, self.model(fit.theta)
            last = stretches[-1].last
            if k == rounds or last <= _WORTHWHILE * reach:
                break
            theta = better_reference(barrier, 1.05 * last, barrier.pulls.sum(axis=0))
        return stretches, best

    def model(self, theta: FloatArray) -> LinearModel:
        """Columns as a model in the user's terms."""
        d = self.clean.coef.size
        return LinearModel(theta[:d], float(theta[d:].sum()), self.clean.classes)


def _extend(stretches: tuple[Stretch, ...], barrier: Barrier) -> tuple[Stretch, ...]:
    """The stretches with this barrier's, where that reaches further; alone, where it needs no others to start from."""
    reach = stretches[-1].last if stretches else 0.0
    if not barrier.excess(reach) > 0.0:
        return stretches
    last = _reach(barrier, reach)
    if not last > reach:
        return stretches
    if reach == 0.0 or barrier.excess(0.0) > 0.0:
        return (Stretch(barrier, 0.0, last),)
    return (*stretches, Stretch(barrier, reach, last))


def _reach(barrier: Barrier, start: float) -> float:
    """About the largest m with a positive excess, from one that has."""
    low, step = start, max(1.0, 0.25 * start)
    height = barrier.excess(low)
    high = low + step
    while (depth := barrier.excess(high)) > 0.0:
        if high > _LIMIT:
            return high
        low, height, step = high, depth, 2.0 * step
        high = low + step
    while high - low > _PRECISION * high and high > 1e-9:
        # A secant of a concave function lies below it, so that only the lower end would ever move: a little further on.
        share = min(max(1.1 * height / (height - depth), 0.1), 0.9)
        m = low + share * (high - low)
        value = barrier.excess(m)
        low, height, high, depth = (m, value, high, depth) if value > 0.0 else (low, height, m, value)
    return low
