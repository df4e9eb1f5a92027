"""What the clean data hold against a model: gradients, boundary rows, and the least of -<g, v>."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from scipy.optimize import lsq_linear

import convexpoison as cp
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.dual_vector import DualVector
from convexpoison.learners.subdifferential import Subdifferential

SMOOTH = ["squared_hinge", "logistic", "squared"]
STRENGTHS = [{"C": 0.5}, {"C_R": 0.1}]
INTERCEPTS = ["regularized", "free", "none"]


def rows(rng, loss, n=20, d=3):
    X = rng.normal(size=(n, d))
    y = rng.normal(size=n) if loss == "squared" else np.where(np.arange(n) % 2, 1, -1)
    return TrainingData.from_user((X, y), regression=loss == "squared", sample_weight=rng.integers(1, 4, n))


@pytest.mark.parametrize("loss", SMOOTH)
@pytest.mark.parametrize("strength", STRENGTHS, ids=str)
@pytest.mark.parametrize("intercept", INTERCEPTS)
def test_is_the_gradient_of_the_objective(loss, strength, intercept, rng):
    victim, data = cp.Victim(loss, intercept=intercept, intercept_scaling=2.0, **strength), rows(rng, loss)
    b = 0.0 if intercept == "none" else 0.3
    model = cp.LinearModel(rng.normal(size=3), b)
    found = Subdifferential.of(victim, data, model)
    assert found.pull_b.size == 0
    steps = np.vstack([np.eye(4)[: 3 if intercept == "none" else 4]]) * 1e-6
    ends = [[cp.LinearModel(model.coef + s * step[:3], b + s * step[3]) for s in (1, -1)] for step in steps]
    slopes = [(victim.objective(up, data) - victim.objective(down, data)) / 2e-6 for up, down in ends]
    g = np.append(found.g.w, found.g.b)
    assert np.allclose(g[: len(slopes)], slopes, rtol=1e-6, atol=1e-6)
    assert intercept != "none" or found.g.b == 0.0


@pytest.mark.parametrize("loss", ["hinge", *SMOOTH])
@pytest.mark.parametrize("strength", STRENGTHS, ids=str)
@pytest.mark.parametrize("intercept", INTERCEPTS)
def test_holds_the_origin_at_the_clean_optimum(loss, strength, intercept, rng):
    victim, data = cp.Victim(loss, intercept=intercept, **strength), rows(rng, loss)
    found = Subdifferential.of(victim, data, victim.trainer(data).model)
    g = np.append(found.g.w, found.g.b)
    if loss == "hinge":
        assert found.pull_b.size > 0
        pulls = np.column_stack([found.pull_w, found.pull_b])
        g = lsq_linear(pulls.T, -g, (0.0, 1.0), tol=1e-14).fun
    assert np.abs(g).max() < 1e-7
    for _ in range(20):
        v = DualVector(rng.normal(size=3), 0.0 if intercept == "none" else rng.normal())
        assert found.dual_objective(v) < 1e-6  # no direction resists


def test_the_resistance_is_the_least_over_all_shares_of_boundary_rows():
    """Two rows with a margin of exactly 1, one with loss, one without, under the score x1."""
    X = np.array([[1.0, 2.0], [-1.0, 0.5], [0.5, 1.0], [3.0, 0.0]])
    data = TrainingData.from_user((X, [1, -1, 1, 1]), sample_weight=[1.0, 2.0, 3.0, 4.0])
    found = Subdifferential.of(cp.Victim("hinge", C=0.5), data, cp.LinearModel([1.0, 0.0]))
    assert found.g.w.tolist() == [-1.5 + 2.0, -3.0] and found.g.b == -3.0
    assert found.pull_w.tolist() == [[-1.0, -2.0], [-2.0, 1.0]] and found.pull_b.tolist() == [-1.0, 2.0]
    for w1, w2, b in product((-1.0, 0.0, 2.0), repeat=3):
        v = DualVector(np.array([w1, w2]), b)
        least = min(
            -((found.g.w + c @ found.pull_w) @ v.w + (found.g.b + c @ found.pull_b) * b)
            for c in map(np.array, product((0.0, 1.0), repeat=2))
        )
        assert found.dual_objective(v) == pytest.approx(least)


def test_weights_count_as_copies(rng):
    victim = cp.Victim("logistic", C_R=0.1)
    data = rows(rng, "logistic")
    copies = np.repeat(np.arange(data.n_samples), data.sample_weight.astype(int))
    again = TrainingData.from_user((data.X[copies], data.y[copies]))
    model = cp.LinearModel(rng.normal(size=3), 0.2)
    one, two = (Subdifferential.of(victim, d, model).g for d in (data, again))
    assert np.allclose(one.w, two.w, rtol=1e-12) and one.b == pytest.approx(two.b, rel=1e-12)


def test_the_bound_on_the_resistance_allows_for_rounding(rng):
    """In exact arithmetic, for a squared loss whose terms nearly cancel: large rows, a model near the optimum."""
    X, y = 1e4 * rng.normal(size=(30, 3)), rng.normal(size=30)
    victim, data = cp.Victim("squared", C=1.0), TrainingData.from_user((X, y), regression=True)
    model = victim.trainer(data).model
    found = Subdifferential.of(victim, data, model)
    w, b = [Fraction(float(c)) for c in model.coef], Fraction(model.intercept)
    residuals = [
        sum(Fraction(float(c)) * p for c, p in zip(x, w, strict=True)) + b - Fraction(t)
        for x, t in zip(X, y, strict=True)
    ]
    for _ in range(10):
        v = DualVector(rng.normal(size=3), float(rng.normal()))
        along = [
            sum(Fraction(float(c)) * Fraction(float(p)) for c, p in zip(x, v.w, strict=True)) + Fraction(v.b) for x in X
        ]
        penalty = sum(p * Fraction(float(q)) for p, q in zip(w, v.w, strict=True)) + b * Fraction(v.b)
        exact = -sum(2 * r * a for r, a in zip(residuals, along, strict=True)) - penalty
        assert found.dual_objective_bound(v) <= exact
        assert float(exact) - found.dual_objective_bound(v) < 1e-3  # the terms are of the order 1e8
