"""The clean objective's subdifferential at a target along a direction, in interval arithmetic.

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

_PROOFS = ("steepness", "decay_rate", "stationary_point", "derivative_enclosure")
"""The formulas of a loss that certificates rest on."""
GOAL_FORMULAS = ("value_enclosure", "support_line", "lipschitz")
"""Those that certificates for goals rest on."""


def has_proofs(loss: Loss) -> bool:
    """Return whether the loss defines the formulas that certificates need."""
    return not loss.missing(*_PROOFS)


def need_proofs(loss: Loss, purpose: str, *formulas: str) -> None:
    """Check that the loss defines these formulas and those of certificates, rather than prove with those of another loss.

    Raises
    ------
    ValueError
    """
    try:
        loss.need(purpose, *_PROOFS, *formulas)
    except ValueError as error:
        raise ValueError(
            f"{error}; method='follow_the_leader' of attack and method='theorem_2' of lower_bound do without"
        ) from None


def dual_objective(victim: Victim, data: TrainingData, target: LinearModel, v: DualVector) -> Interval:
    """Enclose ``min over g in G of -<g, v>``.

    A row whose argument may be at a kink counts with whichever subgradient is worst for the bound. So do rows within
    ``BOUNDARY`` of it: a fitted target has them there only up to rounding.
    """
    loss, weight = victim.loss, data.sample_weight
    need_proofs(loss, "a certificate")
    scores, size = product(data.X, target.coef)
    scores = scores + target.intercept
    along = product(data.X, v.w)[0] + v.b
    argument = scores - data.y
    if loss.classification:
        argument, along = scores * data.y, along * data.y
    near = BOUNDARY * (1.0 + np.abs(argument.upper) + (size + abs(target.intercept)))
    derivative = subdifferential(loss, argument, near)
    worst = ~(derivative.lower == derivative.upper) & (not loss.smooth)
    fixed = (derivative * along * weight).where(~worst, 0.0).sum()
    ends = [(Interval.of(end) * along * weight).where(worst, 0.0) for end in (derivative.lower, derivative.upper)]
    shared = Interval(np.maximum(*(end.lower for end in ends)), np.maximum(*(end.upper for end in ends))).sum()
    rho = regularisation(victim, weight)
    return -(fixed + rho * penalty_slope(victim, target, v)) - shared


def subdifferential(loss: Loss, argument: Interval, near: FloatArray) -> Interval:
    """Enclose the subdifferential over intervals of the argument, which ``near`` widens where the loss has a kink."""
    if not loss.smooth:
        argument = Interval(argument.lower - near, argument.upper + near)
    return loss.derivative_enclosure(argument)


def normalized(v: DualVector) -> DualVector:
    """The same direction at a length of about 1, by a power of two; what underflows makes it another one, also valid."""
    shift = scale_of(v)
    return DualVector(np.ldexp(v.w, shift), math.ldexp(v.b, shift))


def scale_of(v: DualVector) -> int:
    """The exponent of that power of two."""
    return -math.frexp(max(float(np.abs(v.w).max()), abs(v.b)))[1]
