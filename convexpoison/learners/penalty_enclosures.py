"""The regulariser of a victim in interval arithmetic."""

from __future__ import annotations

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.learners.dual_vector import DualVector
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Victim
from convexpoison.numerics.intervals import Interval, dot


def regularisation(victim: Victim, sample_weight: FloatArray, m: float = 0.0) -> Interval:
    """``rho(N + m)``."""
    return _reciprocal(victim.C) + victim.kappa * (Interval.of(sample_weight).sum() + m)


def penalty_slope(victim: Victim, target: LinearModel, v: DualVector) -> Interval:
    """``<grad R, v>``."""
    along = dot(target.coef, v.w)
    if victim.intercept != "regularized":
        return along
    scale = Interval.of(victim.intercept_scaling)
    return along + Interval.of(target.intercept) * v.b / (scale * scale)


def _reciprocal(C: float | None) -> Interval:
    return Interval.of(0.0) if C is None or np.isinf(C) else 1.0 / Interval.of(C)
