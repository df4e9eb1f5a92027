"""Upper bounds on the loss difference that need no solver: weak duality, evaluated in closed form.

The hinge difference ``max(a, 0) - max(a', 0)`` of ``a = 1 - y (w @ x + b)`` and ``a'`` (the same of the reference) is
the larger of ``a - max(a', 0)`` and ``-max(a', 0)`` (MTP, Definition 1, for the hinge loss). For any ``lam`` in [0, 1]

    a - max(a', 0) <= a - lam a',        -max(a', 0) <= -lam a',

which is linear in x, and bounded over the space by :mod:`convexpoison.geometry.weak_duality`.
"""

from __future__ import annotations

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.geometry.weak_duality import TIGHT, Domain, linear_maximum
from convexpoison.learners.losses.hinge import Hinge
from convexpoison.loss_difference.query import Proposal, Question
from convexpoison.numerics.ellipsoid_method import minimize

_EPS = float(np.finfo(np.float64).eps)


def upper_bound(question: Question, proposal: Proposal) -> float:
    """An upper bound on the largest loss difference, proven here.

    Tight (to about 1e-9, relative) for the hinge loss over convex spaces of box, one-hot hulls, slabs and balls. Over
    integer columns it bounds the relaxation; the user's own constraints are ignored. For curved losses it is the loss
    under the model at its largest less the loss under the reference at its smallest: valid and loose (the backends that
    take curved losses bring bounds of their own).

    Parameters
    ----------
    question : Question
    proposal : Proposal
        The search stops early where the bound meets the value at its point.

    Returns
    -------
    float
        ``inf`` if the box stays unbounded when its slabs and balls are taken into account.
    """
    domain = Domain.of(question.space)
    if question.loss != Hinge():
        return max(_bound_of_ranges(question, domain, y) for y in question.responses)
    value = question.value_at(proposal.point, proposal.label)
    goal = value + TIGHT * max(1.0, abs(value))
    return float(max(_hinge(question, domain, y, active, goal) for y in question.responses for active in (True, False)))


def _hinge(question: Question, domain: Domain, y: float, active: bool, goal: float) -> float:
    """``a - lam a'`` (active) or ``-lam a'`` for one label, with the best lam in [0, 1]."""
    model, reference = question.model, question.reference
    share = float(active)
    first, second = -share * y * model.coef, y * reference.coef
    start, drop = share * (1.0 - y * model.intercept), 1.0 - y * reference.intercept
    sizes = np.abs(first) + np.abs(second)

    def oracle(z: FloatArray) -> tuple[float, FloatArray]:
        lam, rest = z[0], z[1:]
        value, point, gradient = domain.bound(first + lam * second, sizes, rest)
        allowance = 4.0 * _EPS * (abs(start) + abs(drop))
        return start - lam * drop + value + allowance, np.concatenate([[second @ point - drop], gradient])

    radii, lower, upper = domain.multipliers(sizes)
    return minimize(
        oracle,
        start=np.zeros(radii.size + 1),
        radii=np.concatenate([[1.0], radii]),
        lower=np.concatenate([[0.0], lower]),
        upper=np.concatenate([[1.0], upper]),
        goal=goal,
        tol=0.1 * TIGHT,
    )


def _bound_of_ranges(question: Question, domain: Domain, y: float) -> float:
    """Largest loss under the model less smallest loss under the reference: a convex loss is largest at an end of the
    range of its argument, and smallest at the largest margin or at the residual nearest to 0."""
    ends = []
    for model in (question.model, question.reference):
        scores = np.array([-linear_maximum(domain, -model.coef), linear_maximum(domain, model.coef)]) + model.intercept
        ends.append(np.sort(question.loss.argument(scores, y)))
    (low, high), loss = ends[1], question.loss
    least = high if loss.classification else min(max(0.0, low), high)
    bound = float(np.max(loss.value(ends[0])) - loss.value(least))
    return bound + 1e-12 * max(1.0, abs(bound)) if np.isfinite(bound) else np.inf
