"""Evidence that a mean of values in [0, 1] exceeds a limit, which may be looked at after every draw.

Robbins' mixture: the likelihood ratio of Bernoulli means against the limit p, mixed by a Beta prior that is cut off at p,

    M_n(p) = integral over q > p of (q / p)^k ((1 - q) / (1 - p))^(n - k) dBeta(q; a, b),  divided by the prior's mass there.

If the mean is p, it is a nonnegative martingale that starts at 1; if the mean is smaller, a supermartingale, because a factor
``(q / p)^x ((1 - q) / (1 - p))^(1 - x)`` with ``q > p`` grows with x. By Ville's inequality it then exceeds ``1 / alpha`` at
any time with probability at most ``alpha``. For values between 0 and 1 (soft votes; k is then their sum) the same holds,
because the factor is convex in x.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betaincc, betaln, xlog1py, xlogy

from convexpoison._utils.types import FloatArray
from convexpoison.neural.smoothing.bounds import ROUNDING

_PRIOR = (0.5, 0.5)
"""Jeffreys: certified images have probabilities near 1, where it has much of its mass."""


def log_evidence(k: npt.ArrayLike, n: npt.ArrayLike, p: npt.ArrayLike) -> FloatArray:
    """``log M_n(p)``, rounded down: that the mean is p or less is refuted at level ``1 - alpha`` above ``log(1 / alpha)``.

    Parameters
    ----------
    k : float array
        Sum of the draws, which were added one after the other.
    n : int array
        Draws so far.
    p : float array
        The limit, in (0, 1).

    Returns
    -------
    float array
        Minus infinity where the draws' mean does not exceed the limit (there is nothing to find, and the mixture's tail
        cannot be computed).

    References
    ----------
    Robbins (1970), Statistical methods related to the law of the iterated logarithm; Voráček (NeurIPS 2024) for smoothing.
    """
    k, n, p = (np.asarray(v, dtype=np.float64) for v in (k, n, p))
    a, b = _PRIOR
    found = k > p * n
    tails = np.log(np.where(found, betaincc(a + k, b + n - k, p), 1.0)) - np.log(betaincc(a, b, p))
    mixed = betaln(a + k, b + n - k) - betaln(a, b) + tails
    single = xlogy(k, p) + xlog1py(n - k, -p)
    slack = ROUNDING * (1.0 + np.abs(mixed) + np.abs(single)) + _of_the_sum(k, n, p)
    return np.asarray(np.where(found, mixed - single - slack, -np.inf))


def _of_the_sum(k: FloatArray, n: FloatArray, p: FloatArray) -> FloatArray:
    """What the rounding of the sum k can add to the logarithm.

    ``n`` additions are off by a relative ``n eps / 2``. The logarithm's slope in k is the mixture's mean of
    ``log(q / (1 - q)) - log(p / (1 - p))``: small where p cuts little off, and about 2 where it leaves only the end of the
    posterior; ``4 (log(n + 1) + 2)`` is more than either. Counted votes carry no error, but it costs them nothing to speak of.
    """
    slope = 4.0 * (np.log(n + 1.0) + 2.0) + np.abs(np.log(p) - np.log1p(-p))
    return np.asarray(k * n * np.finfo(np.float64).eps * slope)
