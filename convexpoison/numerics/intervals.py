"""Interval arithmetic on arrays: every result holds the exact one, whatever was rounded on the way.

The numbers that go in are taken as exact. What is relied upon is IEEE 754 double arithmetic (``+ - * /`` and square root
rounded to nearest, gradual underflow) and nothing else:

- a sum is rounded outwards only where it is inexact (its error is known: Knuth's TwoSum), a product or quotient always
  by one unit in the last place, except where a factor is 0, 1 or -1;
- a sum of many terms is :func:`math.fsum`'s, corrected by the sign and size of what it leaves over;
- a matrix product is whatever the linear algebra library makes of it: any order of summation, fused or not, has an
  error of at most ``n u / (1 - n u)`` times the product of the absolute values, with ``u = 2**-53`` (Higham, "Accuracy
  and Stability of Numerical Algorithms", 2nd ed., 2002, Section 3.1);
- the exponential is a Taylor polynomial with a bound on its errors, and a logarithm is checked by it: no mathematical
  library is trusted.

This was preferred to arbitrary-precision intervals (python-flint, mpmath) because a matrix of ten million entries takes
milliseconds, not minutes, and because the error of a double is far below what a lower bound on a number of points needs;
the tests compare it with those.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum
from typing import Any, TypeVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from convexpoison._utils.types import FloatArray

UNIT = 2.0**-53
TINY = 2.0**-1073
"""More than what one product can lose to underflow."""
_LOG2_HIGH = float.fromhex("0x1.62e42fee00000p-1")
"""log 2 to 32 bits: its product with a small integer is exact."""
_LOG2_LOW = (float.fromhex("0x1.a39ef35793c76p-33"), float.fromhex("0x1.a39ef35793c77p-33"))
"""What is missing to log 2 lies between these neighbours."""
_EXP_RANGE = 700.0
_LOG_LEAST = 1e-300
"""The logarithm of anything below is bounded by that of this."""
_EXP_TERMS = 15
"""What is left of the series after ``r**15 / 15!`` is below ``2**-60`` for ``|r| <= 0.35``."""


@dataclass(frozen=True, eq=False)
class Interval:
    """``lower <= x <= upper``, one interval an entry; the arrays are of one shape (0-dimensional for one number)."""

    lower: FloatArray
    upper: FloatArray

    __array_ufunc__ = None  # so that ``array * interval`` comes here

    @classmethod
    def of(cls, value: Interval | ArrayLike) -> Interval:
        """The number itself, exactly; an interval stays what it is."""
        if isinstance(value, Interval):
            return value
        exact = np.asarray(value, dtype=np.float64)
        return cls(exact, exact)

    def __add__(self, other: Interval | ArrayLike) -> Interval:
        o = Interval.of(other)
        return Interval(_add(self.lower, o.lower, -np.inf), _add(self.upper, o.upper, np.inf))

    def __neg__(self) -> Interval:
        return Interval(-self.upper, -self.lower)

    def __sub__(self, other: Interval | ArrayLike) -> Interval:
        return self + -Interval.of(other)

    def __rsub__(self, other: ArrayLike) -> Interval:
        return Interval.of(other) - self

    def __mul__(self, other: Interval | ArrayLike) -> Interval:
        o = Interval.of(other)
        corners = [_product(a, b) for a in (self.lower, self.upper) for b in (o.lower, o.upper)]
        return Interval(
            np.minimum.reduce([low for low, _ in corners]),
            np.maximum.reduce([high for _, high in corners]),
        )

    __radd__ = __add__
    __rmul__ = __mul__

    def __truediv__(self, other: Interval | ArrayLike) -> Interval:
        """Quotient by what is proven positive; the whole line where it is not."""
        o = Interval.of(other)
        with np.errstate(all="ignore"):
            quotients = [a / b for a in (self.lower, self.upper) for b in (o.lower, o.upper)]
        low = np.nextafter(np.minimum.reduce(quotients), -np.inf)
        high = np.nextafter(np.maximum.reduce(quotients), np.inf)
        positive = o.lower > 0.0
        return Interval(np.where(positive, low, -np.inf), np.where(positive, high, np.inf))

    def __rtruediv__(self, other: ArrayLike) -> Interval:
        return Interval.of(other) / self

    def at_least(self, floor: float) -> Interval:
        """``max(x, floor)``."""
        return Interval(np.maximum(self.lower, floor), np.maximum(self.upper, floor))

    def sqrt(self) -> Interval:
        """The square root of what is not negative."""
        low, high = np.sqrt(np.maximum(self.lower, 0.0)), np.sqrt(np.maximum(self.upper, 0.0))
        return Interval(np.maximum(np.nextafter(low, -np.inf), 0.0), np.nextafter(high, np.inf))

    def sum(self) -> Interval:
        """The sum of all entries."""
        return Interval(np.asarray(_sum(self.lower, -np.inf)), np.asarray(_sum(self.upper, np.inf)))

    def where(self, condition: np.ndarray, otherwise: float) -> Interval:
        """These entries where the condition holds, a number elsewhere."""
        return Interval(np.where(condition, self.lower, otherwise), np.where(condition, self.upper, otherwise))


def dot(a: Interval | ArrayLike, b: Interval | ArrayLike) -> Interval:
    """The inner product of two vectors."""
    return (Interval.of(a) * b).sum()


def longest_row(X: Any) -> int:
    """Return the most numbers that a product adds up for a row of X, an array or CSR matrix."""
    return int(np.diff(X.indptr).max(initial=0)) if sp.issparse(X) else int(X.shape[1])


def product(X: Any, v: FloatArray) -> tuple[Interval, FloatArray]:
    """``X @ v`` for an array or CSR matrix, and about ``|X| @ |v|``, by which its rounding errors are measured."""
    n = longest_row(X)
    if n * UNIT > 0.01:
        raise ValueError(f"rows of {n} entries are too long for a rigorous product")
    centre, size = (np.asarray(A @ u).reshape(-1) for A, u in ((X, v), (abs(X), np.abs(v))))
    # Twice the textbook's bound, which pays for the rounding of ``size`` and of this line.
    radius = 2.0 * n * UNIT * size + n * TINY
    return Interval(_add(centre, -radius, -np.inf), _add(centre, radius, np.inf)), size


def exp(x: Interval) -> Interval:
    """The exponential."""
    ends = _exp(np.stack([x.lower, x.upper]))
    return Interval(ends.lower[0], ends.upper[1])


def log(x: Interval) -> Interval:
    """The natural logarithm of what is not negative; -inf where an end is 0."""
    return Interval(_log(x.lower).lower, _log(x.upper).upper)


Number = TypeVar("Number", FloatArray, Interval)
"""What a formula is evaluated with: doubles, or intervals where it has to be proven."""


def entropy(x: Number) -> Number:
    """Return ``-x log x`` of numbers that are not negative; 0 at 0."""
    if isinstance(x, Interval):
        return -(x * log(x)).where(x.upper > 0.0, 0.0)
    return np.asarray(-(x * np.log(np.where(x > 0.0, x, 1.0))))


def sigmoid(x: Interval) -> Interval:
    """``1 / (1 + exp(-x))``."""
    return 1.0 / (1.0 + exp(-x))


def _exp(x: FloatArray) -> Interval:
    """``exp(k log 2 + r) = 2**k exp(r)`` with ``|r| <= 0.35``.

    Horner's rule rounds three times a step, and a later step multiplies what came before by ``r / n``: together less than
    6 units of ``2**-53`` relative to the result. Taking the lower end of r, known to ``2**-52``, costs at most 4, and the
    remainder of the series less than 1: 16 pay for all of it.
    """
    inside = np.clip(x, -_EXP_RANGE, _EXP_RANGE)
    k = np.rint(inside / _LOG2_HIGH)
    low = Interval(np.asarray(_LOG2_LOW[0]), np.asarray(_LOG2_LOW[1]))
    r = (Interval.of(inside) - k * _LOG2_HIGH - low * k).lower
    power = np.ones_like(r)
    for n in range(_EXP_TERMS, 0, -1):
        power = 1.0 + power * r / n
    scale = np.nan_to_num(k).astype(np.int64)
    lower, upper = (np.ldexp(power * (1.0 + s * 16.0 * UNIT), scale) for s in (-1.0, 1.0))
    return Interval(np.where(x < -_EXP_RANGE, 0.0, lower), np.where(x > _EXP_RANGE, np.inf, upper))


def _log(x: FloatArray) -> Interval:
    """``log x = y + log t`` with ``t = x exp(-y)`` and ``1 - 1 / t <= log t <= t - 1``, for any y."""
    positive = np.maximum(x, _LOG_LEAST)
    y = np.log(positive)
    t = Interval.of(positive) * exp(Interval.of(-y))
    lower = Interval.of(y) + (1.0 - 1.0 / t)
    return Interval(np.where(x < _LOG_LEAST, -np.inf, lower.lower), (Interval.of(y) + (t - 1.0)).upper)


def _add(a: FloatArray, b: FloatArray, towards: float) -> FloatArray:
    """The sum, rounded towards an infinity."""
    with np.errstate(all="ignore"):
        total = a + b
        grown = total - a
        error = (a - (total - grown)) + (b - grown)
    # After an overflow the error is not a number, and rounding leads back to the largest finite one.
    exact = error >= 0.0 if towards < 0 else error <= 0.0
    return np.where(exact, total, np.nextafter(total, towards))


def _product(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The product rounded down and up."""
    zero = (a == 0.0) | (b == 0.0)
    with np.errstate(all="ignore"):
        value = np.where(zero, 0.0, a * b)
    exact = zero | (np.abs(a) == 1.0) | (np.abs(b) == 1.0)
    return (
        np.where(exact, value, np.nextafter(value, -np.inf)),
        np.where(exact, value, np.nextafter(value, np.inf)),
    )


def _sum(values: FloatArray, towards: float) -> float:
    terms = values.reshape(-1).tolist()
    try:
        total = fsum(terms)
        rest = fsum([*terms, -total])
    except (OverflowError, ValueError):  # beyond the largest number, or infinities of both signs
        return towards
    if rest == 0.0 or (rest > 0.0) == (towards < 0.0):
        return total
    return float(np.nextafter(total + rest, towards))
