"""Theorem 1's constant: Appendix C's closed form where that applies, and the lemma behind it at random models."""

from __future__ import annotations

import numpy as np
import pytest

import convexpoison as cp
from convexpoison.bounds.convergence import guarantee
from convexpoison.data.training_data import TrainingData


def problem(intercept="none"):
    rng = np.random.default_rng(0)
    y = np.where(np.arange(60) % 2, 1, -1)
    X = np.clip(rng.normal(size=(60, 3)) * 0.5 + 0.3 * y[:, None], -2, 2)
    victim = cp.Victim("hinge", C_R=0.05, intercept=intercept)
    return victim, TrainingData.from_user((X, y)), victim.fit(X, y)


def test_gamma_is_that_of_appendix_c_in_a_wide_space():
    """MTP, Appendix C: gamma >= 1 - 2 C_R R(theta_p) when rows may be any vector."""
    victim, data, clean = problem()
    target = cp.LinearModel(0.7 * clean.coef)
    found = guarantee(victim, data, target, clean, cp.Space.box(-1e3, 1e3, 3))
    assert found.gamma == pytest.approx(1 - 2 * 0.05 * victim.penalty(target), rel=1e-5)


@pytest.mark.parametrize("intercept", ["none", "regularized"])
def test_lemma_2_holds_at_random_models(intercept):
    victim, data, clean = problem(intercept)
    target = cp.LinearModel(0.5 * clean.coef, 0.5 * clean.intercept)
    space = cp.Space.box(-2, 2, 3)
    gamma = guarantee(victim, data, target, clean, space).gamma
    rng = np.random.default_rng(1)
    for _ in range(200):
        b = 0.0 if intercept == "none" else rng.normal()
        theta = cp.LinearModel(rng.normal(size=3) * rng.choice([0.1, 1.0]), b)
        difference = cp.max_loss_difference(theta, target, space)
        growth = victim.kappa * (victim.penalty(theta) - victim.penalty(target))
        assert difference.upper + growth >= gamma * difference.value - 1e-9


def test_none_where_the_theorem_says_nothing():
    victim, data, clean = problem()
    box = cp.Space.box(-2, 2, 3)
    assert guarantee(cp.Victim("hinge", C=1.0, intercept="none"), data, clean, clean, box) is None
    assert guarantee(cp.Victim("hinge", C_R=0.05, intercept="free"), data, clean, clean, box) is None
    assert guarantee(cp.Victim("logistic", C_R=0.05, intercept="none"), data, clean, clean, box) is None
    huge = cp.LinearModel(100 * clean.coef)
    assert guarantee(victim, data, huge, clean, box) is None
    with pytest.raises(ValueError, match="at least 1"):
        guarantee(victim, data, cp.LinearModel(0.5 * clean.coef), clean, box).epsilon(0)


def test_a_program_that_is_not_solved_in_time_promises_nothing():
    victim, data, clean = problem()
    target, box = cp.LinearModel(0.5 * clean.coef), cp.Space.box(-2, 2, 3)
    assert guarantee(victim, data, target, clean, box, time_limit_s=60.0) is not None
    assert guarantee(victim, data, target, clean, box, time_limit_s=0.0) is None
