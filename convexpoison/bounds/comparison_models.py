"""Theorem 2 of MTP at any model that is eps-close to the target, and MTP's Corollary 1.

For a witness theta and every theta' with ``D(theta', theta_p) <= eps``, Theorem 2 at theta' gives

    m >= [F_low - F(theta)] / [D(theta, theta_p) + max over N and z of (l_p - l') + kappa (R(theta) - R_low)],

since ``D(theta, theta') <= D(theta, theta_p) + D(theta_p, theta')``. MTP's Corollary 1 is the case
``F_low = L(theta_p) - N k eps``, ``R_low = 0`` and ``k eps`` for the maximum (MTP bounds R(theta) by R*), with k of its
Corollary 3 replaced as :mod:`~convexpoison.bounds.eps_close` says. The Corollary's statement has ``+ k eps`` in the
denominator and the last lines of its proof ``- k eps``; only the plus follows. The sharper form takes every clean row's own
movement and, from convexity, ``R(theta') >= R(a) + <J a, theta' - a>`` for some a near theta_p.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from convexpoison.bounds.eps_close import Close
from convexpoison.bounds.robust_program import ROUNDING
from convexpoison.geometry.support_function import score_range
from convexpoison.learners.dual_vector import DualVector
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.losses.hinge import Hinge
from convexpoison.loss_difference.query import Question
from convexpoison.loss_difference.solve import answer

_RAY = (1.0, 0.5, 0.2, 0.1, 0.03, 0.01)
"""Fractions of the way from the target to the clean model at which witnesses are tried."""


@dataclass(frozen=True, eq=False)
class _Ingredients:
    """What closeness says of theta': least F on the clean rows, least R, and the largest ``l_p - l'`` over the space."""

    objective: float
    penalty: float
    difference: float


def witness_bounds(close: Close) -> Iterator[tuple[str, float]]:
    """Methods and their values, each the best of the witnesses between the target and the clean model."""
    problem = close.problem
    victim, data, target = problem.victim, problem.data, problem.target
    if not victim.loss.classification or set(problem.space.labels) != {-1, 1}:
        return
    methods = {"witness": _sharp(close)}
    if victim.loss == Hinge():
        methods["corollary_1"] = _corollary_1(close)
    clean = victim.trainer(data).model
    witnesses = [target.between(clean, fraction) for fraction in _RAY]
    for method, parts in methods.items():
        yield method, max(_quotient(close, theta, parts) for theta in witnesses)


def _quotient(close: Close, theta: LinearModel, parts: _Ingredients) -> float:
    problem = close.problem
    victim, objective = problem.victim, problem.victim.objective(theta, problem.data)
    numerator = parts.objective - objective - ROUNDING * (abs(parts.objective) + objective)
    if numerator <= 0.0:
        return 0.0
    difference = answer(Question(victim.loss, theta, problem.target, problem.space)).upper
    denominator = difference + parts.difference + victim.kappa * (victim.penalty(theta) - parts.penalty)
    denominator += ROUNDING * (abs(difference) + parts.difference + victim.kappa * victim.penalty(theta))
    return float(numerator / denominator) if denominator > 0.0 else np.inf


def _corollary_1(close: Close) -> _Ingredients:
    """MTP's own form: every row may lose ``k eps``, and nothing is known of R(theta')."""
    problem = close.problem
    k_eps = max(close.largest_fall(1), close.largest_fall(-1))
    loss = problem.victim.data_loss(problem.target, problem.data)
    return _Ingredients(loss - problem.data.n_rows * k_eps, 0.0, k_eps)


def _sharp(close: Close) -> _Ingredients:
    """Every row's own fall, and R from below by a tangent."""
    problem = close.problem
    victim, data, target = problem.victim, problem.data, problem.target
    loss, (fall, rise) = victim.loss, close.score_moves()
    scores = target.decision_function(data.X)
    highest = np.maximum(data.y * (scores - fall), data.y * (scores + rise))
    least = float(data.sample_weight @ loss.value(highest))
    sway = close.sway(DualVector(-target.coef, -target.intercept))
    penalty = 0.0
    if np.isfinite(sway.value):
        a, weight = DualVector(-sway.v.w, -sway.v.b), victim.intercept_weight
        tangent = (
            0.5 * (a.w @ a.w + weight * a.b**2) + a.w @ (target.coef - a.w) + weight * a.b * (target.intercept - a.b)
        )
        penalty = max(0.0, float(tangent) - sway.value - ROUNDING * victim.penalty(target))
    low, high = (end + target.intercept for end in score_range(target, problem.space))
    ends = {1: low, -1: -high}  # margins, and with them slopes, are worst there; phi falls no faster anywhere else
    difference = max(float(-loss.derivative(end)) * close.largest_fall(-y) for y, end in ends.items())
    return _Ingredients(least + victim.rho(data.n_rows) * penalty, penalty, difference)
