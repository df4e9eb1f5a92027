"""What the clean rows hold against a target along a direction, in interval arithmetic, and the weights of the losses.

See :mod:`convexpoison.learners.subdifferential` for G; the other half of the ratio is in
:mod:`convexpoison.threats.support_bound`.
"""

from __future__ import annotations

import math

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.dual_vector import BOUNDARY, DualVector
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.losses.base import Loss
from convexpoison.learners.penalty_enclosures import penalty_slope, regularisation
from convexpoison.learners.victim import Victim
from convexpoison.numerics.intervals import Interval, product

MARGIN = 1e-10
"""What a claim leaves, relative to what was proven: another machine adds up in another order."""
_PROOFS = ("steepness", "decay_rate", "stationary_point", "derivative_enclosure")
"""The formulas of a loss that certificates rest on."""


def has_proofs(loss: Loss) -> bool:
    """Whether the formulas that certificates need are written down for this loss."""
    return not loss.missing(*_PROOFS)


def need_proofs(loss: Loss, purpose: str) -> None:
    """Refuse a loss without these formulas, rather than prove with those of another.

    Raises
    ------
    ValueError
    """
    try:
        loss.need(purpose, *_PROOFS)
    except ValueError as error:
        raise ValueError(
            f"{error}; method='follow_the_leader' of attack and method='theorem_2' of lower_bound do without"
        ) from None


def dual_objective(victim: Victim, data: TrainingData, target: LinearModel, v: DualVector) -> Interval:
    """``min over g in G of -<g, v>``.

    A hinge row whose margin may be 1 counts with whichever share in [0, 1] of its gradient is worst for the bound. So do
    rows within ``BOUNDARY`` of it: a fitted target holds them at 1 only up to rounding.
    """
    loss = victim.loss
    need_proofs(loss, "a certificate")
    scores, size = product(data.X, target.coef)
    scores = scores + target.intercept
    along = product(data.X, v.w)[0] + v.b
    argument = scores - data.y
    if loss.classification:
        argument, along = scores * data.y, along * data.y
    worst = _may_be_at_kink(loss, argument, size + abs(target.intercept))
    terms = loss.derivative_enclosure(argument) * along
    fixed = (terms * data.sample_weight).where(~worst, 0.0).sum()
    shared = (-along * data.sample_weight).where(worst, 0.0).at_least(0.0).sum()
    rho = regularisation(victim, data.sample_weight)
    return -(fixed + rho * penalty_slope(victim, target, v)) - shared


def _may_be_at_kink(loss: Loss, margins: Interval, size: FloatArray) -> np.ndarray:
    if loss.smooth:
        return np.zeros(margins.lower.shape, dtype=bool)
    kink, near = loss.active_range[1], BOUNDARY * (1.0 + np.abs(margins.upper) + size)
    return (margins.lower <= kink + near) & (margins.upper >= kink - near)


def normalized(v: DualVector) -> DualVector:
    """The same direction at a length of about 1, by a power of two; what underflows makes it another one, also valid."""
    shift = scale_of(v)
    return DualVector(np.ldexp(v.w, shift), math.ldexp(v.b, shift))


def scale_of(v: DualVector) -> int:
    """The exponent of that power of two."""
    return -math.frexp(max(float(np.abs(v.w).max()), abs(v.b)))[1]
