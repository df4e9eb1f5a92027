"""Evidence that may be looked at at any time: a martingale by enumeration, coverage at all times at once, exact numbers."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from scipy.stats import binom

from convexpoison.neural.smoothing.sequential import log_evidence


def _exact(k: Fraction | int, n: int, p: float) -> mpmath.mpf:
    """The mixture by quadrature, in 40 digits."""
    with mpmath.workdps(40):
        k = mpmath.mpf(k.numerator) / k.denominator
        limit, half = mpmath.mpf(p), mpmath.mpf(1) / 2

        def weight(angle: mpmath.mpf) -> mpmath.mpf:
            """q = sin(angle)^2: Jeffreys' prior is uniform in the angle."""
            q = mpmath.sin(angle) ** 2
            return (q / limit) ** k * ((1 - q) / (1 - limit)) ** (n - k)

        first, last = mpmath.asin(mpmath.sqrt(limit)), mpmath.pi * half
        peak, width = mpmath.asin(mpmath.sqrt(k / n)), 1 / mpmath.sqrt(n)
        ends = [first, *(e for e in (peak + j * width for j in (-8, -2, 0, 2, 8)) if first < e < last), last]
        return mpmath.log(mpmath.quad(weight, ends) / (last - first))


@pytest.mark.parametrize(("k", "n", "p"), [(9, 10, 0.5), (100, 100, 0.99), (700, 1000, 0.69), (990, 1000, 0.9)])
def test_the_mixture_is_the_integral(k: int, n: int, p: float) -> None:
    assert log_evidence(k, n, p) == pytest.approx(float(_exact(k, n, p)), abs=1e-8)
    assert log_evidence(k, n, p) <= _exact(k, n, p)


@pytest.mark.parametrize("p", [0.5, 0.7, 0.93])
def test_its_mean_is_at_most_one(p: float) -> None:
    """Over all counts, under the limit and under a smaller probability; what is set to nothing below the limit is missing."""
    for n in (1, 2, 7, 40):
        k = np.arange(n + 1)
        mean = (binom.pmf(k, n, p) * np.exp(log_evidence(k, n, p))).sum()
        assert 0.2 < mean <= 1.0
        assert (binom.pmf(k, n, 0.9 * p) * np.exp(log_evidence(k, n, p))).sum() < mean


@pytest.mark.parametrize("p", [0.6, 0.9, 0.98])
def test_coverage_at_all_times(p: float) -> None:
    """10,000 sequences of 600 draws, looked at after every draw."""
    runs, alpha = 10_000, 0.05
    rng = np.random.default_rng(0)
    left = np.zeros(runs, dtype=bool)
    votes = np.zeros(runs)
    for n in range(1, 601):
        votes += rng.random(runs) < p
        left |= log_evidence(votes, n, p) >= -np.log(alpha)
    assert left.mean() <= binom.isf(1e-4, runs, alpha) / runs
    assert left.mean() > 0.1 * alpha  # not valid by being empty


def test_coverage_at_all_times_for_values_between() -> None:
    runs, alpha = 10_000, 0.05
    rng = np.random.default_rng(1)
    for a, b in ((0.5, 0.2), (20.0, 1.0)):
        left, total = np.zeros(runs, dtype=bool), np.zeros(runs)
        for n in range(1, 301):
            total += rng.beta(a, b, size=runs)
            left |= log_evidence(total, n, a / (a + b)) >= -np.log(alpha)
        assert left.mean() <= binom.isf(1e-4, runs, alpha) / runs


@pytest.mark.parametrize("value", [0.1, 0.7, 1.0 - 1e-7])
def test_rounding_of_a_long_sum_is_allowed_for(value: float) -> None:
    """100,000 equal values, whose errors of addition do not cancel: never above the evidence of the exact sum."""
    n = 100_000
    z = np.full(n, value)
    total, exact = float(np.cumsum(z)[-1]), n * Fraction(value)
    for p in (0.5 * value, 0.999 * value):
        found, true = log_evidence(total, n, p), _exact(exact, n, p)
        assert found <= true
        assert found >= float(true) - 0.01


def test_needs_a_little_more_than_a_fixed_number_of_draws() -> None:
    """All votes for one class: how many until 3 sigma are certified, against Clopper-Pearson's number."""
    p, alpha, n = 0.99865, 0.001, np.arange(4000, 9000)
    fixed = n[np.argmax(alpha ** (1 / n) >= p)]
    anytime = n[np.argmax(log_evidence(n, n, p) >= -np.log(alpha))]
    assert fixed < anytime < 1.3 * fixed
