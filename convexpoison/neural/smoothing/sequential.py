"""Bounds for a mean of values in [0, 1] that hold after every draw at once, so that one may stop whenever one likes.

Robbins' mixture: under mean p, the likelihood ratio of a Beta mixture of Bernoulli means against p,

    M_n(p) = B(a + k, b + n - k) / (B(a, b) p^k (1 - p)^(n - k)),

is a nonnegative martingale that starts at 1, and by Ville's inequality exceeds ``1 / alpha`` at any time with probability at
most ``alpha``. For values between 0 and 1 (soft votes; k is then their sum) it is a supermartingale, because
``x -> (q / p)^x ((1 - q) / (1 - p))^(1 - x)`` is convex.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, xlog1py, xlogy

from convexpoison.losses import FloatArray
from convexpoison.neural.smoothing.bounds import ROUNDING

_PRIOR = (0.5, 0.5)
"""Jeffreys: certified images have probabilities near 1, where it has much of its mass."""
_BISECTIONS = 45


def log_mixture(k: npt.ArrayLike, n: npt.ArrayLike, p: npt.ArrayLike) -> FloatArray:
    """``log M_n(p)``, rounded down; the mean p is refuted at level ``1 - alpha`` where it exceeds ``log(1 / alpha)``.

    Parameters
    ----------
    k : float array
        Sum of the draws.
    n : int array
        Draws so far.
    p : float array
        In [0, 1].
    """
    k, n, p = (np.asarray(v, dtype=np.float64) for v in (k, n, p))
    a, b = _PRIOR
    mixed = betaln(a + k, b + n - k) - betaln(a, b)
    # xlogy(0, 0) is 0: what never happened says nothing against p = 0.
    single = xlogy(k, p) + xlog1py(n - k, -p)
    with np.errstate(invalid="ignore"):
        size = np.where(np.isfinite(single), np.abs(mixed) + np.abs(single), 0.0)
    return np.asarray(mixed - single - ROUNDING * (1.0 + size))


def sequence_interval(k: npt.ArrayLike, n: npt.ArrayLike, alpha: float) -> tuple[FloatArray, FloatArray]:
    """Confidence sequence: with probability ``1 - alpha`` the mean lies in the interval after every number of draws.

    Parameters
    ----------
    k : float array
        Sum of the draws.
    n : int array
    alpha : float

    Returns
    -------
    lower, upper : float arrays

    References
    ----------
    Robbins (1970), Statistical methods related to the law of the iterated logarithm; Voráček (NeurIPS 2024) for smoothing.
    """
    k, n = np.broadcast_arrays(np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64))
    middle, limit = k / n, -np.log(alpha)

    def edge(end: float) -> FloatArray:
        """The mixture falls from either end of [0, 1] to the sample mean: its level sets are intervals."""
        out, inside = np.full(k.shape, end), middle.copy()
        for _ in range(_BISECTIONS):
            p = 0.5 * (out + inside)
            refuted = log_mixture(k, n, p) >= limit
            out, inside = np.where(refuted, p, out), np.where(refuted, inside, p)
        return np.asarray(out)

    return edge(0.0), edge(1.0)
