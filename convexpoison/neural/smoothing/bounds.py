"""Confidence bounds for a mean of values in [0, 1] from a number of draws that was fixed beforehand.

Every function takes sums over the draws, works on arrays of any shape, and errs on the safe side of rounding: a lower bound
is lowered by a relative ``1e-12``, far more than the error of the special functions behind it. Sums of values that are no
whole numbers carry the rounding of ``n`` additions on top, for which the bounds from means leave room that grows with ``n``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincinv

from convexpoison._utils.types import FloatArray

ROUNDING = 1e-12
"""Relative amount by which a certified number is moved to its safe side."""
_BISECTIONS = 45


def clopper_pearson_lower(k: npt.ArrayLike, n: npt.ArrayLike, alpha: npt.ArrayLike) -> FloatArray:
    """Exact lower bound of a probability, one-sided, at level ``1 - alpha``.

    Parameters
    ----------
    k, n : int arrays
        Successes and draws.
    alpha : float
        Probability with which the bound may be too high, in (0, 1).

    Returns
    -------
    float array
        The ``alpha`` quantile of Beta(k, n - k + 1); 0 where ``k = 0``.

    References
    ----------
    Clopper and Pearson (1934); Cohen et al. (2019), LOWERCONFBOUND of their CERTIFY.
    """
    k, n = np.broadcast_arrays(np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64))
    bound = np.where(k > 0, betaincinv(np.maximum(k, 1.0), n - k + 1.0, alpha), 0.0)
    return np.asarray(bound * (1.0 - ROUNDING))


def randomized_lower(k: npt.ArrayLike, n: npt.ArrayLike, alpha: float, tie: npt.ArrayLike) -> FloatArray:
    """Clopper-Pearson made exact by a uniform number: at least as high, and wrong with probability ``alpha`` and not less.

    Parameters
    ----------
    k, n : int arrays
    alpha : float
    tie : float array in [0, 1]
        Drawn uniformly, once for each count, and independently of the draws. 1 gives Clopper-Pearson.

    Returns
    -------
    float array
        The p with ``P_p(X > k) + tie P_p(X = k) = alpha``; at most ``1 - 1/n``, because a luckier ``tie`` could otherwise
        certify any radius (a lower bound stays a bound when it is lowered).

    References
    ----------
    Stevens (1950), Fiducial limits of the parameter of a discontinuous distribution; Voráček (NeurIPS 2024) for smoothing.
    """
    k, n, tie = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (k, n, tie)))

    def tail(p: FloatArray) -> FloatArray:
        """P_p(X > k) + tie P_p(X = k), which grows with p."""
        at_least = np.where(k > 0, betainc(np.maximum(k, 1.0), n - k + 1.0, p), 1.0)
        more = np.where(k < n, betainc(k + 1.0, np.maximum(n - k, 1.0), p), 0.0)
        return np.asarray(tie * at_least + (1.0 - tie) * more)

    low, high = np.zeros(k.shape), 1.0 - 1.0 / n
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        below = tail(middle) <= alpha
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray(low * (1.0 - ROUNDING))


def hoeffding_lower(total: npt.ArrayLike, n: npt.ArrayLike, alpha: npt.ArrayLike) -> FloatArray:
    """``mean - sqrt(log(1 / alpha) / (2 n))``, at least 0.

    Parameters
    ----------
    total : float array
        Sum of the draws.
    n : int array
    alpha : float

    References
    ----------
    MACER, Appendix A, Eq. (23).
    """
    total, n = np.asarray(total, dtype=np.float64), np.asarray(n, dtype=np.float64)
    return _safe(total / n - _of_sums(n) - np.sqrt(-np.log(alpha) / (2.0 * n)))


def bernstein_lower(total: npt.ArrayLike, squares: npt.ArrayLike, n: npt.ArrayLike, alpha: npt.ArrayLike) -> FloatArray:
    """Empirical Bernstein: ``mean - sqrt(2 S² log(2 / alpha) / n) - 7 log(2 / alpha) / (3 (n - 1))``, at least 0.

    Parameters
    ----------
    total, squares : float arrays
        Sum of the draws and of their squares; ``S²`` is the sample variance (divisor ``n - 1``).
    n : int array
        At least 2.
    alpha : float

    References
    ----------
    Maurer and Pontil (2009), Theorem 4; MACER, Appendix A, Eq. (26).
    """
    total, squares, n = (np.asarray(v, dtype=np.float64) for v in (total, squares, n))
    # The difference cancels: what is left may be nothing but the rounding of its parts, each up to n.
    variance = (np.maximum(squares - total**2 / n, 0.0) + 3.0 * n * _of_sums(n)) / (n - 1.0)
    log = np.log(2.0 / np.asarray(alpha, dtype=np.float64))
    return _safe(total / n - _of_sums(n) - np.sqrt(2.0 * variance * log / n) - 7.0 * log / (3.0 * (n - 1.0)))


def upper(lower_of_complement: FloatArray) -> FloatArray:
    """The upper bound of a mean from the lower bound of one minus it."""
    return np.minimum((1.0 - lower_of_complement) * (1.0 + ROUNDING), 1.0)


def lower_of(
    bound: str, total: FloatArray, squares: FloatArray, n: np.ndarray, alpha: float, tie: FloatArray | None = None
) -> FloatArray:
    """The lower bound of this name: "clopper_pearson", "randomized", "hoeffding" or "bernstein"."""
    if bound == "clopper_pearson":
        return clopper_pearson_lower(total, n, alpha)
    if bound == "randomized":
        assert tie is not None
        return randomized_lower(total, n, alpha, tie)
    if bound == "hoeffding":
        return hoeffding_lower(total, n, alpha)
    return bernstein_lower(total, squares, n, alpha)


def upper_of_others(
    bound: str, total: FloatArray, squares: FloatArray, n: np.ndarray, top: np.ndarray, alpha: float
) -> FloatArray:
    """Upper bound, for each image, of the largest mean among the classes other than ``top``.

    The largest of the classes' upper bounds is at least that of the class with the largest mean, and which class that is does
    not depend on the draws: so ``alpha`` need not be divided among the classes. ``top`` must not depend on these draws either.

    Parameters
    ----------
    bound : str
        As :func:`lower_of`; "randomized" stands for Clopper-Pearson here.
    total, squares : float arrays of shape (n_images, n_classes)
    n : int array of shape (n_images,)
    top : int array of shape (n_images,)
    alpha : float
    """
    n = n[:, None]
    plain = "clopper_pearson" if bound == "randomized" else bound
    highest = upper(lower_of(plain, n - total, n - 2.0 * total + squares, n, alpha))
    highest[np.arange(len(top)), top] = 0.0
    return np.asarray(highest.max(axis=1))


def sample_sizes(
    k0: npt.ArrayLike, n0: int, sizes: npt.ArrayLike, alpha: float, tolerance: float,
    radius: Callable[[FloatArray], FloatArray], doubt: float = 0.05,
) -> np.ndarray:  # fmt: skip
    """For each image the least number of draws that costs little radius, judged from the draws that chose the class.

    The certifying draw is independent of this choice, so that its bound holds at the chosen number as at any other.

    Parameters
    ----------
    k0 : int array of shape (n_images,)
        Votes for the chosen class among ``n0`` draws.
    n0 : int
    sizes : int array, ascending
        What can be chosen; the last is what the loss is measured against.
    alpha : float
        Level of the certificate to come.
    tolerance : float
        Loss of radius that is accepted, in the unit of ``radius``.
    radius : callable
        Lower bound of the class probability -> radius.
    doubt : float
        The probability is sought in its Clopper-Pearson interval at level ``1 - doubt``; the largest loss in it counts.

    References
    ----------
    Chen et al., Input-Specific Robustness Certification for Randomized Smoothing (AAAI 2022).
    """
    k0, places = np.unique(np.asarray(k0), return_inverse=True)
    sizes = np.asarray(sizes, dtype=np.float64)
    low = clopper_pearson_lower(k0, n0, doubt / 2)
    high = upper(clopper_pearson_lower(n0 - k0, n0, doubt / 2))
    p = np.linspace(low, high, 33)  # one column for each different k0
    reached = np.stack([radius(clopper_pearson_lower(np.floor(p * n), n, alpha)) for n in sizes])
    reached = np.maximum(reached, 0.0)  # below 0 it abstains, with however many draws
    loss = (reached[-1] - reached).max(axis=1)
    return np.asarray(sizes[(loss <= tolerance).argmax(axis=0)][places], dtype=np.int64)


def _of_sums(n: FloatArray) -> FloatArray:
    """Bound of the error of a mean, or mean of squares, of n values in [0, 1] that were added one after the other.

    The sum of n terms is off by a relative ``(n - 1) eps / 2``; three times as much for the squares of the complements,
    ``n - 2 total + squares``, twice as much for ``total**2 / n``. Together, and for single operations, below
    ``3 (n + 8) eps``.
    """
    return np.asarray((n + 8.0) * np.finfo(np.float64).eps)


def _safe(bound: FloatArray) -> FloatArray:
    return np.clip(bound - ROUNDING, 0.0, 1.0)
