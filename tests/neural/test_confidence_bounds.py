"""Bounds from a fixed number of draws: formulas, exactness, and how often they hold."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from scipy.stats import beta, binom

from convexpoison.neural.smoothing import bounds

N_RUNS = 10_000


def _allowed(alpha: float) -> float:
    """Failures at rate ``alpha`` exceed this share of N_RUNS with probability below 1e-4."""
    return float(binom.isf(1e-4, N_RUNS, alpha)) / N_RUNS


def test_clopper_pearson_is_the_beta_quantile() -> None:
    k, n = np.array([0, 1, 50, 99, 100, 99_000, 100_000]), np.array([100, 100, 100, 100, 100, 100_000, 100_000])
    expected = np.where(k > 0, beta.ppf(0.001, np.maximum(k, 1), n - k + 1), 0.0)
    np.testing.assert_allclose(bounds.clopper_pearson_lower(k, n, 0.001), expected, rtol=1e-11)
    assert bounds.clopper_pearson_lower(100_000, 100_000, 0.001) == pytest.approx(0.001 ** (1 / 100_000), rel=1e-11)


@pytest.mark.parametrize(("k", "n"), [(1, 100), (57, 100), (100, 100), (9_990, 10_000), (99_999, 100_000)])
def test_clopper_pearson_errs_on_the_safe_side(k: int, n: int) -> None:
    """In 50 digits, the tail at the bound is no larger than alpha."""
    with mpmath.workdps(50):
        p = mpmath.mpf(float(bounds.clopper_pearson_lower(k, n, 0.001)))
        tail = mpmath.betainc(k, n - k + 1, 0, p, regularized=True)
        assert tail <= mpmath.mpf(0.001)
        assert tail >= mpmath.mpf(0.001) * (1 - mpmath.mpf("1e-6"))


def test_randomised_bound_lies_between_two_clopper_pearson_bounds() -> None:
    k, n = np.arange(0, 100), 100
    plain, next_ = (bounds.clopper_pearson_lower(j, n, 0.01) for j in (k, k + 1))
    for tie in (0.05, 0.5, 0.95):
        found = bounds.randomized_lower(k, n, 0.01, tie)
        assert (found >= plain * (1 - 1e-9)).all()
        assert (found <= next_).all()
    np.testing.assert_allclose(bounds.randomized_lower(k, n, 0.01, 1.0), plain, rtol=1e-9, atol=1e-12)


def test_randomised_bound_solves_its_equation() -> None:
    k, n, tie, alpha = np.array([3, 50, 97]), 100, np.array([0.3, 0.8, 0.1]), 0.01
    p = bounds.randomized_lower(k, n, alpha, tie)
    np.testing.assert_allclose(binom.sf(k, n, p) + tie * binom.pmf(k, n, p), alpha, rtol=1e-8)


def test_a_lucky_tie_certifies_no_infinite_radius() -> None:
    assert bounds.randomized_lower(100, 100, 0.01, 0.001) <= 0.99


def test_hoeffding_and_bernstein_follow_their_formulas() -> None:
    z = np.random.default_rng(0).beta(8, 2, size=500)
    alpha, n, mean, variance = 0.01, 500, z.mean(), z.var(ddof=1)
    hoeffding = mean - np.sqrt(-np.log(alpha) / (2 * n))
    bernstein = mean - np.sqrt(2 * variance * np.log(2 / alpha) / n) - 7 * np.log(2 / alpha) / (3 * (n - 1))
    assert bounds.hoeffding_lower(z.sum(), n, alpha) == pytest.approx(hoeffding, rel=1e-10)
    assert bounds.bernstein_lower(z.sum(), np.square(z).sum(), n, alpha) == pytest.approx(bernstein, rel=1e-10)
    assert bounds.hoeffding_lower(1.0, n, alpha) == 0.0


@pytest.mark.parametrize("p", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("n", [100, 1000])
def test_coverage_of_bounds_for_votes(p: float, n: int) -> None:
    rng, alpha = np.random.default_rng(1), 0.05
    k = rng.binomial(n, p, size=N_RUNS)
    all_k = np.arange(n + 1)
    plain = (bounds.clopper_pearson_lower(all_k, n, alpha)[k] > p).mean()
    randomised = (bounds.randomized_lower(k, n, alpha, rng.random(N_RUNS)) > p).mean()
    hoeffding = (bounds.hoeffding_lower(all_k, n, alpha)[k] > p).mean()
    bernstein = (bounds.bernstein_lower(all_k, all_k, n, alpha)[k] > p).mean()
    assert max(plain, randomised, hoeffding, bernstein) <= _allowed(alpha)
    if p < 1 - 1 / n:  # where the cap of lucky ties does not matter, it fails exactly as often as it may
        assert randomised >= alpha - 5 * np.sqrt(alpha / N_RUNS)


def test_coverage_of_bounds_for_soft_votes() -> None:
    rng, alpha, n = np.random.default_rng(2), 0.05, 200
    for a, b in ((0.5, 0.5), (20.0, 1.0), (3.0, 2.0)):
        z = rng.beta(a, b, size=(N_RUNS, n))
        total, squares, mean = z.sum(axis=1), np.square(z).sum(axis=1), a / (a + b)
        assert (bounds.hoeffding_lower(total, n, alpha) > mean).mean() <= _allowed(alpha)
        assert (bounds.bernstein_lower(total, squares, n, alpha) > mean).mean() <= _allowed(alpha)


def test_one_level_bounds_the_largest_of_many_rivals() -> None:
    """Nine equal rivals, the hardest case for the largest count: still at most alpha."""
    rng, alpha, n = np.random.default_rng(3), 0.05, 300
    p = np.r_[0.55, np.full(9, 0.05)]
    counts = rng.multinomial(n, p, size=N_RUNS).astype(float)
    top, ns = np.zeros(N_RUNS, dtype=int), np.full(N_RUNS, n)
    upper = bounds.upper_of_others("clopper_pearson", counts, counts, ns, top, alpha)
    assert (upper < 0.05).mean() <= _allowed(alpha)
    one_rival = rng.multinomial(n, [0.7, 0.3], size=N_RUNS).astype(float)
    upper = bounds.upper_of_others("clopper_pearson", one_rival, one_rival, ns, top, alpha)
    assert 0.5 * alpha <= (upper < 0.3).mean() <= _allowed(alpha)


def test_sample_sizes_lose_no_more_than_the_tolerance() -> None:
    from convexpoison.neural.smoothing.noise import NOISES

    sizes, n0, alpha, tolerance = np.array([500, 2000, 10_000, 50_000, 100_000]), 1000, 0.001, 0.1

    def radius(p: np.ndarray) -> np.ndarray:
        return NOISES["gaussian"].radius(p, bounds.upper(p), 1.0)

    k0 = np.array([300, 600, 900, 990, 1000])
    chosen = bounds.sample_sizes(k0, n0, sizes, alpha, tolerance, radius)
    assert set(chosen) <= set(sizes)
    assert chosen[0] == 500  # hopeless: it will abstain
    for k, n in zip(k0, chosen, strict=True):
        p = k / n0
        reached, most = (radius(bounds.clopper_pearson_lower(np.floor(p * m), m, alpha)) for m in (n, 100_000))
        assert max(most, 0) - max(reached, 0) <= tolerance


def test_a_sample_size_from_other_draws_keeps_the_level() -> None:
    rng, p, alpha = np.random.default_rng(4), 0.97, 0.05
    sizes = np.array([100, 150, 200, 300, 400, 600, 1000])
    k0 = rng.binomial(100, p, size=N_RUNS)
    chosen = bounds.sample_sizes(k0, 100, sizes, alpha, 0.08, lambda q: np.asarray(q - 0.5) * 3.0)
    assert len(np.unique(chosen)) > 1
    k = rng.binomial(chosen, p)
    assert (bounds.clopper_pearson_lower(k, chosen, alpha) > p).mean() <= _allowed(alpha)


def _exact_bernstein(z: list[Fraction], alpha: float) -> tuple[mpmath.mpf, mpmath.mpf]:
    """Hoeffding's and Bernstein's lower bounds of exact numbers, in 60 digits."""
    n, total, squares = len(z), sum(z, Fraction(0)), sum((v * v for v in z), Fraction(0))
    variance = (squares - total * total / n) / (n - 1)
    with mpmath.workdps(60):
        mean, s2 = (mpmath.mpf(v.numerator) / v.denominator for v in (total / n, variance))
        log = mpmath.log(2 / mpmath.mpf(alpha))
        hoeffding = mean - mpmath.sqrt(-mpmath.log(mpmath.mpf(alpha)) / (2 * n))
        return hoeffding, mean - mpmath.sqrt(2 * s2 * log / n) - 7 * log / (3 * (mpmath.mpf(n) - 1))


@pytest.mark.parametrize("alpha", [0.001, 0.3])
@pytest.mark.parametrize("spread", [0.0, 1e-12, 1e-9, 1e-7, 1e-3])
@pytest.mark.parametrize("middle", [1.0 - 1e-6, 0.7, 0.1])
def test_bounds_from_sums_are_safe_where_the_variance_cancels(middle: float, spread: float, alpha: float) -> None:
    """Nearly equal values: ``squares - total**2 / n`` is nothing but rounding. Against the same bounds in exact numbers."""
    rng, n = np.random.default_rng(5), 10_000
    z = np.clip(middle + spread * rng.standard_normal(n), 0.0, 1.0)
    total, squares = np.cumsum(z)[-1], np.cumsum(z * z)[-1]  # one after the other, as the draws are added
    hoeffding, bernstein = _exact_bernstein([Fraction(float(v)) for v in z], alpha)
    found = bounds.bernstein_lower(total, squares, n, alpha)
    assert found <= max(bernstein, 0)
    assert found >= bernstein - 1e-6  # and little is lost
    assert bounds.hoeffding_lower(total, n, alpha) <= max(hoeffding, 0)
    _, other = _exact_bernstein([1 - Fraction(float(v)) for v in z], alpha)
    tops, sums = np.array([0]), (np.array([[n, total]]), np.array([[n, squares]]), np.array([n]))
    assert bounds.upper_of_others("bernstein", *sums, tops, alpha)[0] >= 1 - max(other, 0)
