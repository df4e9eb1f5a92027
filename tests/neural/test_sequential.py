"""Confidence sequences: a martingale by enumeration, and coverage at all times at once."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from convexpoison.neural.smoothing.sequential import log_mixture, sequence_interval


@pytest.mark.parametrize("p", [0.1, 0.5, 0.93])
def test_the_mixture_has_mean_one(p: float) -> None:
    """Exactly: its expectation over all counts."""
    for n in (1, 2, 7, 40):
        k = np.arange(n + 1)
        assert (binom.pmf(k, n, p) * np.exp(log_mixture(k, n, p))).sum() == pytest.approx(1.0, rel=1e-9)


def test_the_mixture_has_mean_at_most_one_for_values_between() -> None:
    """One draw from {0, 1/2, 1} after any sum: the mean of its factor does not exceed 1."""
    values, weights = np.array([0.0, 0.5, 1.0]), np.array([0.1, 0.5, 0.4])
    mean = float(values @ weights)
    for total, n in ((0.0, 0), (3.5, 6), (30.0, 40)):
        now = log_mixture(total, n, mean)
        later = log_mixture(total + values, n + 1, mean)
        assert (weights * np.exp(later - now)).sum() <= 1.0 + 1e-9


@pytest.mark.parametrize("p", [0.6, 0.9, 0.995])
def test_coverage_at_all_times(p: float) -> None:
    """10,000 sequences of 600 draws, looked at after every draw."""
    runs, alpha = 10_000, 0.05
    rng = np.random.default_rng(0)
    left = np.zeros(runs, dtype=bool)
    votes = np.zeros(runs)
    for n in range(1, 601):
        votes += rng.random(runs) < p
        left |= log_mixture(votes, n, p) >= -np.log(alpha)
    assert left.mean() <= binom.isf(1e-4, runs, alpha) / runs
    assert left.mean() > 0.0  # not valid by being empty


def test_the_interval_ends_where_the_mixture_says() -> None:
    k, n, alpha = np.array([0.0, 3.0, 55.5, 98.0, 100.0]), 100, 0.01
    lower, upper = sequence_interval(k, n, alpha)
    assert lower[0] == 0.0
    assert upper[-1] == 1.0
    inside = (lower > 0.0, upper < 1.0)
    np.testing.assert_allclose(log_mixture(k, n, lower)[inside[0]], -np.log(alpha), rtol=1e-6)
    np.testing.assert_allclose(log_mixture(k, n, upper)[inside[1]], -np.log(alpha), rtol=1e-6)
    assert ((lower <= k / n) & (k / n <= upper)).all()


def test_the_interval_is_wider_than_one_for_a_fixed_number_but_not_by_much() -> None:
    from convexpoison.neural.smoothing.bounds import clopper_pearson_lower

    lower, _ = sequence_interval(9_900, 10_000, 0.001)
    fixed = clopper_pearson_lower(9_900, 10_000, 0.001)
    assert 0.98 < lower < fixed
