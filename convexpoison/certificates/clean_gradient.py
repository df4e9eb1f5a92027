"""The clean objective's subdifferential at a target along a direction, in interval arithmetic.

See :mod:`convexpoison.learners.subdifferential` for G; the other half of the ratio is in
:mod:`convexpoison.certificates.support_bound`.
"""

from __future__ import annotations

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.losses.base import Loss
from convexpoison.learners.subdifferential import BOUNDARY, Direction
from convexpoison.learners.victim import Victim
from convexpoison.numerics.intervals import Interval, dot, product

PROOFS = ("derivative_enclosure", "steepness", "decay_rate", "stationary_point")
"""Formulas that a loss must define so that a direction proves anything for it."""
GOAL_PROOFS = ("lipschitz", "value_enclosure", "support_line")
"""Formulas that certificates for goals need as well."""


def has_proofs(loss: Loss) -> bool:
    """Return whether the loss defines the formulas that certificates need."""
    return not loss.missing(*PROOFS)


def need_proofs(loss: Loss, purpose: str, *formulas: str) -> None:
    """Check that the loss defines these formulas and those of certificates, rather than prove with those of another loss.

    Raises
    ------
    ValueError
    """
    try:
        loss.need(purpose, *PROOFS, *formulas)
    except ValueError as error:
        raise ValueError(
            f"{error}; method='follow_the_leader' of attack and method='theorem_2' of lower_bound do without"
        ) from None


def resistance(victim: Victim, data: TrainingData, target: LinearModel, v: Direction) -> Interval:
    """Enclose ``min over g in G of -<g, v>``.

    A row whose argument may be at a kink counts with whichever subgradient is worst for the bound. So do rows within
    ``BOUNDARY`` of it: a fitted target has them there only up to rounding.
    """
    loss, weight = victim.loss, data.sample_weight
    need_proofs(loss, "a certificate")
    scores, size = product(data.X, target.coef)
    scores = scores + target.intercept
    along = product(data.X, v.w)[0] + v.b
    argument = scores * data.y if loss.classification else scores - data.y
    along = along * data.y if loss.classification else along
    derivative = subdifferential(loss, argument, 1.0 + np.abs(argument.upper) + (size + abs(target.intercept)))
    worst = np.zeros(data.n_samples, dtype=bool) if loss.smooth else derivative.lower < derivative.upper
    fixed = (derivative * along * weight).where(~worst, 0.0).sum()
    ends = [(Interval.of(end) * along * weight).where(worst, 0.0) for end in (derivative.lower, derivative.upper)]
    shared = Interval(np.maximum(*(end.lower for end in ends)), np.maximum(*(end.upper for end in ends))).sum()
    rho = regularisation(victim, weight)
    return -(fixed + rho * penalty_slope(victim, target, v)) - shared


def subdifferential(loss: Loss, argument: Interval, scale: FloatArray) -> Interval:
    """Enclose the subdifferential of the loss; with kinks, also within ``BOUNDARY * scale`` of the argument (one entry a row)."""
    if loss.smooth:
        return loss.derivative_enclosure(argument)
    near = BOUNDARY * scale
    return loss.derivative_enclosure(Interval(argument.lower - near, argument.upper + near))


def regularisation(victim: Victim, sample_weight: FloatArray, m: float = 0.0) -> Interval:
    """``rho(N + m)``."""
    return _reciprocal(victim.C) + victim.kappa * (Interval.of(sample_weight).sum() + m)


def _reciprocal(C: float | None) -> Interval:
    return Interval.of(0.0) if C is None or np.isinf(C) else 1.0 / Interval.of(C)


def penalty_slope(victim: Victim, target: LinearModel, v: Direction) -> Interval:
    """``<grad R, v>``."""
    along = dot(target.coef, v.w)
    if victim.intercept != "regularized":
        return along
    scale = Interval.of(victim.intercept_scaling)
    return along + Interval.of(target.intercept) * v.b / (scale * scale)
