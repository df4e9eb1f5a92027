"""Problems of least mass that several test modules use, and what must hold for every bound."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.optimize import lsq_linear

import convexpoison as cp
from convexpoison.bounds.tight import improve
from convexpoison.bounds.tight_program import TightProgram
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.losses import LOSSES
from convexpoison.problem import Problem
from convexpoison.threats import AddRows
from tests.loss_difference.queries import sample

STRENGTHS = ({"C": 0.5}, {"C_R": 0.1})
INTERCEPTS = ("regularized", "free", "none")
VICTIMS = [
    cp.Victim(loss, intercept=intercept, **strength)
    for loss, intercept, strength in product(sorted(LOSSES), INTERCEPTS, STRENGTHS)
]


def reachable(rng, victim, space, k, n=14):
    """A target that the victim learns from n clean rows and k added points of the space, as a problem."""
    X = sample(space, rng)
    clean, added = X[:n], X[n : n + k]
    if victim.loss.classification:
        y, y_added = np.where(np.arange(n) % 2, 1, -1), rng.choice(space.labels, len(added))
    else:
        y, y_added = rng.uniform(-2, 2, n), rng.uniform(*space.response, len(added))
    target = victim.fit(np.vstack([clean, added]), np.append(y, y_added))
    return Problem(victim, training(victim, clean, y), AddRows(space), target)


def training(victim, X, y):
    return TrainingData.from_user((X, y), regression=not victim.loss.classification)


def residual(problem, attack):
    """How far the fractional attack leaves stationarity from holding, relative to G."""
    victim, target, kappa = problem.victim, problem.target, problem.victim.kappa
    penalty_w, penalty_b = victim.penalty_gradient(target)
    left = np.append(problem.subdifferential.g.w, problem.subdifferential.g.b)
    for part in attack:
        left = left + part.weight * kappa * np.append(penalty_w, penalty_b)
        if part.point is None:
            continue
        argument = victim.loss.argument(target.decision_function(part.point[None]), part.label)
        if not victim.loss.smooth:
            assert argument[0] <= 1.0 + 1e-7
            argument = argument - 1e-6
        pull = victim.loss.derivative(argument)[0] * victim.loss.slope(part.label)
        left = left + part.weight * pull * np.append(part.point, 1.0)
    pulls = np.column_stack([problem.subdifferential.pull_w, problem.subdifferential.pull_b]).T
    if victim.intercept == "none":
        left, pulls = left[:-1], pulls[:-1]
    left = lsq_linear(pulls, -left, (0.0, 1.0), method="bvls", tol=1e-14).fun if pulls.size else left
    return float(np.abs(left).max()) / max(1.0, TightProgram(problem).unit)


def check(problem, k=np.inf):
    """A closed bound that k points meet, proven by its direction, with an attack that has its mass."""
    steps = list(improve(problem))
    bound = steps[-1]
    assert np.all(np.diff([step.value for step in steps]) >= 0.0)
    assert bound.value <= min(k, bound.mass) + 1e-7
    assert bound.closed and np.isfinite(bound.mass)
    assert sum(part.weight for part in bound.attack) == pytest.approx(bound.mass, rel=1e-6, abs=1e-7)
    assert residual(problem, bound.attack) < 1e-6
    assert all(
        problem.space.relax().contains(part.point[None], tol=1e-6) for part in bound.attack if part.point is not None
    )
    if bound.direction is not None:
        assert TightProgram(problem).ratio(bound.direction)[0] == bound.value
    return bound


def replace_space(problem, space):
    return Problem(problem.victim, problem.data, AddRows(space), problem.target)


def flipped(digits, victim):
    """The target of label flips, and the tight bound for it, on digits 1 and 7."""
    data = (digits.X_train, digits.y_train)
    model = cp.targets.label_flip(victim, data, error=0.1, quantiles=(0.2,), copies=(5, 10, 20), progress=False).model
    return Problem(victim, TrainingData.from_user(data), AddRows(cp.Space.box(0, 1, 64)), model)


def columns(problem, X):
    """Every point as a column of its own: the product of phi' and (x, 1), plus what it adds to the regularisation."""
    victim, target = problem.victim, problem.target
    penalty = victim.kappa * np.append(*victim.penalty_gradient(target))
    found = []
    for y in problem.space.labels if victim.loss.classification else problem.space.response:
        argument = victim.loss.argument(target.decision_function(X), y)
        pull = victim.loss.derivative(argument) * victim.loss.slope(np.full(len(X), float(y)))
        found.append(pull[:, None] * np.column_stack([X, np.ones(len(X))]) + penalty)
    return np.vstack(found)
