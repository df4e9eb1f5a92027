"""What the clean rows hold against a target along a direction, in interval arithmetic, and the weights of the losses.

See :mod:`convexpoison.learners.subdifferential` for G; the other half of the ratio is in
:mod:`convexpoison.threats.support_bound`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import wrightomega

from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.losses.base import Loss
from convexpoison.learners.penalty_enclosures import penalty_slope, regularisation
from convexpoison.learners.subdifferential import BOUNDARY, Direction
from convexpoison.learners.victim import Victim
from convexpoison.numerics.intervals import Interval, exp, log, product, sigmoid


class Weight(NamedTuple):
    """``q(V) = |phi'(V)|`` on the range of arguments where it is not 0, and log-concave there."""

    low: float
    high: float
    value: Callable[[Interval], Interval]
    rate: Callable[[Interval], Interval]
    """``-(log q)'``."""
    summit: Callable[[float, float], float]
    """The stationary point of ``q(V) (A + B V)`` for ``B != 0``, roughly; any number will do."""


def _flat(V: Interval) -> Interval:
    return 1.0 + 0.0 * V


WEIGHTS: dict[str, Weight] = {
    "hinge": Weight(-np.inf, 1.0, _flat, lambda V: 0.0 * V, lambda A, B: 1.0),
    "squared_hinge": Weight(
        -np.inf, 1.0, lambda V: 2.0 * (1.0 - V), lambda V: 1.0 / (1.0 - V), lambda A, B: 0.5 - 0.5 * A / B
    ),
    # The derivative's zero, (A / B + V) sigmoid(V) = 1, is (V - c) exp(V - c) = exp(-c) with c = 1 - A / B.
    "logistic": Weight(
        -np.inf, np.inf, lambda V: sigmoid(-V), sigmoid, lambda A, B: 1.0 - A / B + float(wrightomega(A / B - 1.0))
    ),
    "squared": Weight(0.0, np.inf, lambda V: 2.0 * V, lambda V: -(1.0 / V), lambda A, B: -0.5 * A / B),
}


def has_proofs(loss: Loss) -> bool:
    """Whether the formulas that certificates need are written down for this loss."""
    return loss.name in WEIGHTS


def need_proofs(loss: Loss, purpose: str) -> None:
    """Refuse a loss without these formulas, rather than prove with those of another.

    Raises
    ------
    ValueError
    """
    if not has_proofs(loss):
        raise ValueError(
            f"{purpose} needs formulas for the loss {loss.name!r} that are written down for {', '.join(WEIGHTS)} only; "
            "method='follow_the_leader' of attack and method='theorem_2' of lower_bound do without them"
        )


def resistance(victim: Victim, data: TrainingData, target: LinearModel, v: Direction) -> Interval:
    """``min over g in G of -<g, v>``.

    A hinge row whose margin may be 1 counts with whichever share in [0, 1] of its gradient is worst for the bound. So do
    rows within ``BOUNDARY`` of it: a fitted target holds them at 1 only up to rounding.
    """
    loss = victim.loss
    need_proofs(loss, "a certificate")
    scores, size = product(data.X, target.coef)
    scores = scores + target.intercept
    along = product(data.X, v.w)[0] + v.b
    if not loss.classification:
        terms = 2.0 * (scores - data.y) * along
        worst = np.zeros(data.n_samples, dtype=bool)
    else:
        margins, along = scores * data.y, along * data.y
        worst = _may_be_at_kink(loss, margins, size + abs(target.intercept))
        terms = -_weight_anywhere(loss, margins) * along
    fixed = (terms * data.sample_weight).where(~worst, 0.0).sum()
    shared = (-along * data.sample_weight).where(worst, 0.0).at_least(0.0).sum()
    rho = regularisation(victim, data.sample_weight)
    return -(fixed + rho * penalty_slope(victim, target, v)) - shared


def loss_value(loss: Loss, margins: Interval) -> Interval:
    """``phi(u)`` of a loss that falls with the margin."""
    if loss.name == "logistic":
        low, high = (_softplus(-Interval.of(end)) for end in (margins.upper, margins.lower))
        return Interval(np.maximum(low.lower, 0.0), high.upper)
    short = (1.0 - margins).at_least(0.0)
    return short * short if loss.name == "squared_hinge" else short


def support_height(loss: Loss, slopes: FloatArray) -> Interval:
    """``min over u of phi(u) + slope * u``, see :func:`convexpoison.learners.losses.support_line.support`."""
    s = Interval.of(slopes)
    if loss.name == "hinge":
        return s
    if loss.name == "squared_hinge":
        return s - 0.25 * (s * s)
    rest = 1.0 - s
    return -(s * log(s)).where(slopes > 0.0, 0.0) - (rest * log(rest)).where(slopes < 1.0, 0.0)


def _softplus(x: Interval) -> Interval:
    """``log(1 + exp(x))`` of numbers (intervals without width)."""
    return x.at_least(0.0) + log(1.0 + exp(Interval.of(-np.abs(x.lower))))


def _may_be_at_kink(loss: Loss, margins: Interval, size: FloatArray) -> np.ndarray:
    if loss.smooth:
        return np.zeros(margins.lower.shape, dtype=bool)
    near = BOUNDARY * (1.0 + np.abs(margins.upper) + size)
    return (margins.lower <= 1.0 + near) & (margins.upper >= 1.0 - near)


def _weight_anywhere(loss: Loss, margins: Interval) -> Interval:
    """q, which is 0 beyond its range; at the hinge's kink the value of the active side."""
    weight = WEIGHTS[loss.name]
    if weight.high == np.inf:
        return weight.value(margins)
    inside = Interval(np.minimum(margins.lower, weight.high), np.minimum(margins.upper, weight.high))
    if not loss.smooth:
        return weight.value(inside).where(margins.lower <= weight.high, 0.0)
    return weight.value(inside).at_least(0.0)
