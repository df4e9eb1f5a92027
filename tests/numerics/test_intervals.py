"""Every interval must hold the exact result, and be narrow."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from convexpoison.numerics.interval_matrix import Matrix
from convexpoison.numerics.intervals import _LOG2_HIGH, _LOG2_LOW, Interval, dot, entropy, exp, log, product, sigmoid

numbers = st.floats(-1e60, 1e60, allow_subnormal=True)
vectors = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8)
ULP = 2.0**-52


def holds(interval: Interval, exact: Fraction) -> bool:
    return bool(Fraction(float(interval.lower)) <= exact <= Fraction(float(interval.upper)))


@given(numbers, numbers)
def test_arithmetic_of_numbers(a: float, b: float) -> None:
    x, y = Fraction(a), Fraction(b)
    A, B = Interval.of(a), Interval.of(b)
    assert holds(A + B, x + y)
    assert holds(A - B, x - y)
    assert holds(A * B, x * y)
    if b > 1e-200:
        assert holds(A / B, x / y)
    root = Interval.of(abs(a)).sqrt()
    assert Fraction(float(root.lower)) ** 2 <= abs(x) <= Fraction(float(root.upper)) ** 2


@given(numbers, numbers, numbers, numbers)
def test_arithmetic_of_intervals(a: float, b: float, c: float, d: float) -> None:
    A, B = (Interval(np.array(min(p)), np.array(max(p))) for p in ((a, b), (c, d)))
    for p in (a, b):
        for q in (c, d):
            assert holds(A + B, Fraction(p) + Fraction(q))
            assert holds(A * B, Fraction(p) * Fraction(q))


def test_exact_results_stay_exact() -> None:
    """A price of exactly 0 proves a target unattainable, so zeros and signs must not be blurred."""
    for sure in (
        Interval.of(0.0) * 3.7,
        Interval.of(0.0) * np.inf,
        Interval.of(0.1) - 0.1,
        Interval.of([0.1, 0.2, -0.1, -0.2]).sum(),
    ):
        assert sure.lower == sure.upper == 0.0
    signed = -1.0 * Interval.of(0.1)
    assert signed.lower == signed.upper == -0.1


@given(vectors)
def test_sums_and_products(pairs: list[tuple[float, float]]) -> None:
    a, b = np.array(pairs).T
    assert holds(Interval.of(a).sum(), sum(map(Fraction, a.tolist()), Fraction(0)))
    exact = sum((Fraction(x) * Fraction(y) for x, y in zip(a.tolist(), b.tolist(), strict=True)), Fraction(0))
    assert holds(dot(a, b), exact)
    for X in (a[None, :], sp.csr_matrix(a[None, :])):
        rows, _ = product(X, b)
        assert holds(Interval(rows.lower[0], rows.upper[0]), exact)


def test_sums_beyond_the_largest_number() -> None:
    big = Interval.of([1.7e308, 1.7e308]).sum()
    assert big.lower <= 1.7e308 and big.upper == np.inf
    both = Interval.of([np.inf, -np.inf]).sum()
    assert both.lower == -np.inf and both.upper == np.inf
    assert np.isnan(Interval.of([np.nan, 1.0]).sum().lower)


@pytest.mark.parametrize("x", [0.0, 1e-300, -1e-9, 0.35, -0.34657359027997264, 1.0, -20.5, 88.7, 600.0, -690.0, 699.9])
def test_exponential(x: float) -> None:
    found = exp(Interval.of(x))
    with localcontext() as context:
        context.prec = 80
        assert Decimal(float(found.lower)) <= Decimal(x).exp() <= Decimal(float(found.upper))
    assert float(found.upper) - float(found.lower) <= 20.0 * ULP * float(found.upper)


@given(st.floats(-750.0, 750.0))
def test_sigmoid(x: float) -> None:
    found = sigmoid(Interval.of(x))
    with localcontext() as context:
        context.prec = 400
        assert Decimal(float(found.lower)) <= 1 / (1 + (-Decimal(x)).exp()) <= Decimal(float(found.upper))
    assert float(found.upper) - float(found.lower) <= 1e-300 + 40.0 * ULP * float(found.upper)


@given(st.floats(1e-290, 1e6))
def test_entropy(x: float) -> None:
    found, rough = entropy(Interval.of(x)), float(entropy(np.array(x)))
    with localcontext() as context:
        context.prec = 80
        exact = -Decimal(x) * Decimal(x).ln()
        assert Decimal(float(found.lower)) <= exact <= Decimal(float(found.upper))
    assert float(found.upper) - float(found.lower) <= 1e-13 * (x + abs(rough))
    assert rough == pytest.approx(float(exact), rel=1e-14, abs=1e-14)


def test_entropy_at_the_end_of_its_range() -> None:
    found = entropy(Interval(np.array([0.0, 0.0]), np.array([0.0, 0.5])))
    assert found.lower[0] == found.upper[0] == entropy(np.array(0.0)) == 0.0
    assert found.lower[1] <= 0.0 and found.upper[1] >= np.exp(-1.0)  # 1 / e at 1 / e


def test_exponential_everywhere(rng: np.random.Generator) -> None:
    x = rng.uniform(-700.0, 700.0, 2000)
    found = exp(Interval.of(x))
    with localcontext() as context:
        context.prec = 60
        for value, low, high in zip(x.tolist(), found.lower.tolist(), found.upper.tolist(), strict=True):
            assert Decimal(low) < Decimal(value).exp() < Decimal(high)


def test_far_out() -> None:
    found = exp(Interval(np.array([-np.inf, -800.0]), np.array([-800.0, np.inf])))
    assert found.lower.tolist() == [0.0, 0.0]
    assert 0.0 < found.upper[0] < 1e-300 and found.upper[1] == np.inf


def test_logarithm_of_two() -> None:
    with localcontext() as context:
        context.prec = 60
        missing = Decimal(2).ln() - Decimal(_LOG2_HIGH)
        assert Decimal(_LOG2_LOW[0]) < missing < Decimal(_LOG2_LOW[1])
    assert _LOG2_LOW[1] == np.nextafter(_LOG2_LOW[0], 1.0)


def test_against_ball_arithmetic(rng: np.random.Generator) -> None:
    """The exponential and a dot product next to python-flint's."""
    flint = pytest.importorskip("flint", reason="python-flint is not installed (extra 'test')")
    x, y = rng.uniform(-50, 50, 200), rng.normal(size=200)
    found, inner = exp(Interval.of(x)), dot(x, y)
    with flint.ctx.workprec(300):
        for value, low, high in zip(x.tolist(), found.lower.tolist(), found.upper.tolist(), strict=True):
            assert flint.arb(low) <= flint.arb(value).exp() <= flint.arb(high)
        total = sum((flint.arb(a) * flint.arb(b) for a, b in zip(x.tolist(), y.tolist(), strict=True)), flint.arb(0))
        assert flint.arb(float(inner.lower)) <= total <= flint.arb(float(inner.upper))


@given(st.floats(1e-320, 1e300, allow_subnormal=True))
def test_log(x: float) -> None:
    found = log(Interval.of(x))
    with localcontext() as context:
        context.prec = 60
        exact = Decimal(x).ln()
    assert Decimal(float(found.lower)) <= exact <= Decimal(float(found.upper))
    if x > 1e-299:
        assert found.upper - found.lower <= 1e-14 * max(1.0, abs(float(exact)))


def test_log_at_the_ends() -> None:
    assert log(Interval.of(0.0)).lower == -np.inf and log(Interval.of(0.0)).upper < -690.0
    one = log(Interval.of(1.0))
    assert one.lower <= 0.0 <= one.upper < 1e-14
    wide = log(Interval(np.array(1.0), np.array(2.0)))
    assert wide.lower <= 0.0 and np.log(2.0) <= wide.upper < 0.6931472


@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_products_with_the_same_matrix(seed: int, sparse: bool, wide: bool) -> None:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(7, 5)) * 10.0 ** rng.integers(-8, 8, size=(7, 5)) * (rng.random((7, 5)) < 0.7)
    v, low = rng.normal(size=5), rng.normal(size=7)
    up = low + wide * rng.random(7)
    matrix = Matrix(sp.csr_matrix(X) if sparse else X)
    forward, back = matrix.dot(v), matrix.transposed_dot(Interval(low, up))
    exact = [[Fraction(x) for x in row] for row in X.tolist()]
    for i in range(7):
        total = sum(a * Fraction(b) for a, b in zip(exact[i], v.tolist(), strict=True))
        assert Fraction(float(forward.lower[i])) <= total <= Fraction(float(forward.upper[i]))
    for j in range(5):
        for end in (low, up):
            total = sum(exact[i][j] * Fraction(b) for i, b in enumerate(end.tolist()))
            assert Fraction(float(back.lower[j])) <= total <= Fraction(float(back.upper[j]))
