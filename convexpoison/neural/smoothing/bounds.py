"""Confidence bounds for a mean of values in [0, 1] from a number of draws fixed in advance.

Every function takes sums over the draws, works on arrays of any shape, and rounds to the safe side: a lower bound
is lowered by a relative ``1e-12``, far more than the error of the special functions used. Sums of non-integer values also
carry the rounding of ``n`` additions; the bounds from means include a margin for it that grows with ``n``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincinv

from convexpoison._utils.types import FloatArray

ROUNDING = 1e-12
"""Relative amount by which a certified number is moved to the safe side."""
_BISECTIONS = 45


def clopper_pearson_lower(k: npt.ArrayLike, n: npt.ArrayLike, alpha: npt.ArrayLike) -> FloatArray:
    """Compute the exact one-sided lower confidence bound of a probability at level ``1 - alpha``.

    Parameters
    ----------
    k, n : int arrays
        Successes and draws.
    alpha : float
        Probability that the bound is too high, in (0, 1).

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
    """Compute the randomized Clopper-Pearson bound: at least as high, with error probability exactly ``alpha``.

    Parameters
    ----------
    k, n : int arrays
    alpha : float
    tie : float array in [0, 1]
        Uniform variate, one per count, independent of the draws. 1 gives Clopper-Pearson.

    Returns
    -------
    float array
        Solution p of ``P_p(X > k) + tie P_p(X = k) = alpha``, capped at ``1 - 1/n``: otherwise a small ``tie`` could
        certify any radius. Lowering a lower bound keeps it valid.

    References
    ----------
    Stevens (1950), Fiducial limits of the parameter of a discontinuous distribution; Voráček (NeurIPS 2024) for smoothing.
    """
    k, n, tie = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (k, n, tie)))

    def tail(p: FloatArray) -> FloatArray:
        """Compute ``P_p(X > k) + tie P_p(X = k)``, which increases with p."""
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
    """Compute Hoeffding's lower bound ``mean - sqrt(log(1 / alpha) / (2 n))``, at least 0.

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
    return _safe(total / n - _mean_rounding(n) - np.sqrt(-np.log(alpha) / (2.0 * n)))


def bernstein_lower(total: npt.ArrayLike, squares: npt.ArrayLike, n: npt.ArrayLike, alpha: npt.ArrayLike) -> FloatArray:
    """Compute the empirical Bernstein lower bound of a mean, at least 0.

    The bound is ``mean - sqrt(2 S² log(2 / alpha) / n) - 7 log(2 / alpha) / (3 (n - 1))``.

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
    # Cancellation: the difference may consist only of the rounding errors of its terms, each up to n.
    variance = (np.maximum(squares - total**2 / n, 0.0) + 3.0 * n * _mean_rounding(n)) / (n - 1.0)
    log = np.log(2.0 / np.asarray(alpha, dtype=np.float64))
    return _safe(total / n - _mean_rounding(n) - np.sqrt(2.0 * variance * log / n) - 7.0 * log / (3.0 * (n - 1.0)))


def upper(lower_of_complement: FloatArray) -> FloatArray:
    """Return the upper bound of a mean, given the lower bound of one minus the mean."""
    return np.minimum((1.0 - lower_of_complement) * (1.0 + ROUNDING), 1.0)


def lower_of(
    bound: str, total: FloatArray, squares: FloatArray, n: np.ndarray, alpha: float, tie: FloatArray | None = None
) -> FloatArray:
    """Compute the named lower bound: "clopper_pearson", "randomized", "hoeffding" or "bernstein"."""
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
    """Compute, per image, an upper bound of the largest mean among the classes other than ``top``.

    The maximum of the classes' upper bounds is at least the bound of the class with the largest mean, and this class does
    not depend on the draws: ``alpha`` need not be divided among the classes. ``top`` must not depend on these draws either.

    Parameters
    ----------
    bound : str
        As in :func:`lower_of`; "randomized" means Clopper-Pearson here.
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
    """Choose the least number of draws per image that keeps the loss of radius small.

    The choice uses only the draws that selected the class. The certifying draws are independent of it, so their bound holds
    for the chosen number of draws as for any other.

    Parameters
    ----------
    k0 : int array of shape (n_images,)
        Votes for the chosen class among ``n0`` draws.
    n0 : int
    sizes : int array, ascending
        Candidate numbers of draws; the loss is measured relative to the last.
    alpha : float
        Level of the certificate.
    tolerance : float
        Accepted loss of radius, in the unit of ``radius``.
    radius : callable
        Maps a lower bound of the class probability to a radius.
    doubt : float
        The loss is maximised over the Clopper-Pearson interval of the class probability at level ``1 - doubt``.

    References
    ----------
    Chen et al., Input-Specific Robustness Certification for Randomized Smoothing (AAAI 2022).
    """
    k0, places = np.unique(np.asarray(k0), return_inverse=True)
    sizes = np.asarray(sizes, dtype=np.float64)
    low = clopper_pearson_lower(k0, n0, doubt / 2)
    high = upper(clopper_pearson_lower(n0 - k0, n0, doubt / 2))
    p = np.linspace(low, high, 33)  # one column per distinct k0
    reached = np.stack([radius(clopper_pearson_lower(np.floor(p * n), n, alpha)) for n in sizes])
    reached = np.maximum(reached, 0.0)  # a negative radius is an abstention, for any number of draws
    loss = (reached[-1] - reached).max(axis=1)
    return np.asarray(sizes[(loss <= tolerance).argmax(axis=0)][places], dtype=np.int64)


def _mean_rounding(n: FloatArray) -> FloatArray:
    """Return a bound on the rounding error of a mean, or mean of squares, of n values in [0, 1] summed sequentially.

    A sum of n terms has a relative error of ``(n - 1) eps / 2``; the squares of the complements, ``n - 2 total + squares``,
    have three times, ``total**2 / n`` twice this error. The total, including single operations, is below ``3 (n + 8) eps``.
    """
    return np.asarray((n + 8.0) * np.finfo(np.float64).eps)


def _safe(bound: FloatArray) -> FloatArray:
    return np.clip(bound - ROUNDING, 0.0, 1.0)
