"""Theorem 2: never above what an attack has used, and what it says on a case worked by hand."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convexpoison as cp
from convexpoison.bounds.theorem2 import quotient, z
from convexpoison.data.training_data import TrainingData
from convexpoison.problem import Problem
from convexpoison.threats import AddRows

VICTIMS = [
    cp.Victim(loss, intercept=intercept, **strength)
    for loss in ("hinge", "squared_hinge", "logistic")
    for intercept in ("regularized", "free", "none")
    for strength in ({"C": 0.5}, {"C_R": 0.1})
]


def clean_rows(rng, n=20, d=2):
    y = np.where(np.arange(n) % 2, 1, -1)
    return np.clip(rng.normal(size=(n, d)) * 0.3 + 0.4 * y[:, None], -1, 1), y


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 8), which=st.integers(0, len(VICTIMS) - 1))
def test_never_above_the_points_that_reproduce_the_target(seed, k, which):
    """The target is what the victim learns from k random added points, so k points do it and the bound must allow k."""
    rng = np.random.default_rng(seed)
    victim = VICTIMS[which]
    X, y = clean_rows(rng)
    points, labels = rng.uniform(-1, 1, (k, 2)), rng.choice([-1, 1], k)
    target = victim.fit(np.vstack([X, points]), np.concatenate([y, labels]))
    bound = cp.lower_bound(target, (X, y), victim=victim, space=cp.Space.box(-1, 1, 2), max_points=25)
    assert float(bound) <= k + 1e-6


def test_z_of_any_model_is_a_bound():
    """Not only models that the attack meets: 200 random ones, for a target that 3 points reproduce."""
    rng = np.random.default_rng(0)
    X, y = clean_rows(rng)
    for victim in VICTIMS:
        target = victim.fit(np.vstack([X, [[-1, 1], [-1, 1], [1, -1]]]), np.concatenate([y, [1, 1, -1]]))
        if victim.intercept == "none":
            target = cp.LinearModel(target.coef, 0.0)
        data = TrainingData.from_user((X, y))
        problem = Problem(victim, data, AddRows(cp.Space.box(-1, 1, 2)), target)
        for scale in (0.01, 1.0):
            for _ in range(10):
                b = 0.0 if victim.intercept == "none" else target.intercept + scale * rng.normal()
                theta = cp.LinearModel(target.coef + scale * rng.normal(size=2), b)
                assert z(problem, theta) <= 3 + 1e-6


def test_exhaustion_on_a_grid():
    """The fewest grid points that reproduce a target, found by trying all, are never fewer than the bound."""
    rng = np.random.default_rng(3)
    X, y = clean_rows(rng, n=8, d=1)
    victim = cp.Victim("hinge", C=0.5)
    grid = [(x, label) for x in (-1.0, 0.0, 1.0) for label in (-1.0, 1.0)]
    fewest: dict[tuple[float, float], tuple[int, cp.LinearModel]] = {}
    for n in (1, 2, 3):
        for chosen in combinations_with_replacement(grid, n):
            rows = np.vstack([X, [[x] for x, _ in chosen]])
            model = victim.fit(rows, np.concatenate([y, [label for _, label in chosen]]))
            fewest.setdefault((round(model.coef[0], 6), round(model.intercept, 6)), (n, model))
    assert len(fewest) > 20
    tight = 0
    for n, model in fewest.values():
        bound = cp.lower_bound(model, (X, y), victim=victim, space=cp.Space.box(-1, 1, 1), max_points=6)
        assert float(bound) <= n + 1e-6
        tight += bound.n_points == n
    assert tight > len(fewest) / 3  # the bound says something


def test_worked_by_hand():
    """Sum convention, no intercept, x in [-1, 1], clean rows at x = 1 (y = +1) and x = -1 (y = -1), C = 1.

    F(w) = 2 max(0, 1 - w) + w^2 / 2 and the clean model is w = 1 with F = 1/2. For the target w_p = 0: F = 2 and
    D(1, 0) = max over y x in [-1, 1] of max(0, 1 - y x) - 1 = 1, so z(1) = 1.5; along w = t the value is
    (2 t - t^2 / 2) / t, which tends to 2: two points with y x = -1 reproduce w = 0 exactly.
    """
    X, y = np.array([[1.0], [-1.0]]), np.array([1, -1])
    victim = cp.Victim("hinge", C=1.0, intercept="none")
    clean = victim.fit(X, y)
    assert clean.coef[0] == pytest.approx(1.0, abs=1e-9)
    target = cp.LinearModel(np.zeros(1))
    assert quotient(victim, clean, target, 0.5, 2.0, 1.0) == pytest.approx(1.5, rel=1e-9)
    bound = cp.lower_bound(target, (X, y), victim=victim)
    assert 1.999 < float(bound) <= 2.0
    assert bound.n_points == 2


def test_unattainable_is_infinite_and_has_words():
    victim = cp.Victim("hinge", C_R=0.1, intercept="none")
    X, y = np.array([[1.0], [-1.0]]), np.array([1, -1])
    bound = cp.lower_bound(cp.LinearModel(np.array([50.0])), (X, y), victim=victim)
    assert not bound.attainable and bound.n_points == np.inf
    assert bound.to_dict()["value"] is None


def test_tight_bound_is_never_below_the_one_on_the_way(digits):
    victim = cp.Victim("hinge", C_R=0.05)
    target = cp.targets.label_flip(victim, digits.train, error=0.1).model
    common = {"victim": victim, "space": cp.Space.box(0, 1, 64)}
    tight = cp.lower_bound(target, digits.train, **common)
    on_the_way = cp.lower_bound(target, digits.train, method="theorem_2", max_points=100, **common)
    z_of_the_leader = cp.attack(target, digits.train, max_points=100, **common).history["lower_bound"][-1]
    assert z_of_the_leader <= float(on_the_way) * (1 + 1e-9) <= float(tight) * (1 + 2e-9)
    assert float(tight) > 1.3 * z_of_the_leader
    assert float(tight) == pytest.approx(tight.mass, rel=1e-6)


def test_space_with_constraints_of_its_own_is_bounded_by_theorem_2():
    rng = np.random.default_rng(5)
    X, y = clean_rows(rng)
    victim = cp.Victim("hinge", C=0.5)
    space = cp.Space.box(-1, 1, 2).with_constraints(lambda x: [x[0] + x[1] <= 1.5])
    points = np.array([[-1.0, 1.0], [0.5, -0.5]])
    target = victim.fit(np.vstack([X, points]), np.concatenate([y, [1, -1]]))
    bound = cp.lower_bound(target, (X, y), victim=victim, space=space, max_points=4)
    assert (bound.method, bound.certified) == ("theorem_2", True)
    assert 0 < float(bound) <= 2 + 1e-6
