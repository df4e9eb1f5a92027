"""Theorem 2 of MTP, evaluated at any models.

For every model theta (both conventions; see :mod:`convexpoison.learners.victim` for rho and kappa)

    n >= z(theta) = [F(theta_p) - F(theta)] / [D(theta, theta_p) + kappa (R(theta) - R(theta_p))]

because at theta_p the poisoned objective is smallest, and n points change the comparison by at most n denominators. A
positive numerator over a denominator that is not positive proves that no number of points reproduces theta_p.

The history of an attack holds z; what is told as a bound is the certificate of the direction ``theta - theta_p``, which proves
at least as much (:mod:`convexpoison.certificates.target`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from convexpoison.bounds.bound import Bound, TheTarget
from convexpoison.certificates.clean_gradient import has_proofs
from convexpoison.certificates.target import certify
from convexpoison.learners.dual_vector import DualVector
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Victim
from convexpoison.loss_difference.query import Question
from convexpoison.loss_difference.solve import answer
from convexpoison.problem import Problem

_ROUNDING = 64 * np.finfo(float).eps
"""Allowance for the rounding of an objective, relative to it: subtracted from numerators, added to denominators."""


def z(problem: Problem, theta: LinearModel, objective: float | None = None, *, solver: str = "auto") -> float:
    """Return ``z(theta)``, rounded so that it stays a lower bound (0 where it proves nothing).

    Parameters
    ----------
    problem : Problem
    theta : LinearModel
        The comparison model.
    objective : float, optional
        ``F(theta)`` on the clean rows, if it is known; default: evaluated from the rows.
    solver : str
        Backend of the maximum loss difference.
    """
    if objective is None:
        objective = problem.victim.objective(theta, problem.data)
    difference = answer(Question(problem.victim.loss, theta, problem.target, problem.space), solver=solver)
    return quotient(problem.victim, theta, problem.target, objective, problem.target_objective, difference.upper)


def theorem_2_bound(problem: Problem, models: Iterable[LinearModel], *, solver: str = "auto") -> Bound:
    """Return the best bound that these comparison models prove, each by its direction from the target: at least their z.

    For a loss without proofs the bound is z itself, and not certified.
    """
    best = Bound(0.0, TheTarget(problem.target), None, "theorem_2", solver=solver)
    for theta in models:
        v = DualVector(theta.coef - problem.target.coef, theta.intercept - problem.target.intercept)
        if has_proofs(problem.victim.loss):
            found = certified_bound(problem, v, math.inf, "theorem_2", solver)
        else:
            found = replace(best, value=z(problem, theta, solver=solver))
        best = max(best, found, key=lambda bound: bound.value)
    return best


def certified_bound(problem: Problem, direction: DualVector, mass: float, method: str, solver: str) -> Bound:
    """Return the bound that a dual vector proves, with its certificate."""
    certificate = certify(problem.victim, problem.target, problem.space, direction, problem.data)
    proof = certificate if certificate.value > 0.0 else None
    return Bound(certificate.value, TheTarget(problem.target), proof, method, mass, solver)


def quotient(
    victim: Victim,
    theta: LinearModel,
    target: LinearModel,
    objective: float,
    target_objective: float,
    difference: float,
) -> float:
    """``z(theta)`` from its parts (MTP, Theorem 2), rounded down; ``inf`` where it proves the target unattainable.

    Parameters
    ----------
    objective, target_objective : float
        F on the clean rows.
    difference : float
        An upper bound on ``D(theta, target)``.
    """
    numerator = target_objective - objective - _ROUNDING * (abs(target_objective) + abs(objective))
    if numerator <= 0:
        return 0.0
    penalties = victim.penalty(theta), victim.penalty(target)
    growth = victim.kappa * (penalties[0] - penalties[1])
    denominator = difference + growth + _ROUNDING * (abs(difference) + victim.kappa * sum(penalties))
    return float(numerator / denominator) if denominator > 0 else math.inf
