"""Anytime-valid evidence that a mean of values in [0, 1] exceeds a limit: it may be evaluated after every draw.

Robbins' mixture is the likelihood ratio of Bernoulli means against the limit p, mixed over a Beta prior truncated at p:

    M_n(p) = integral over q > p of (q / p)^k ((1 - q) / (1 - p))^(n - k) dBeta(q; a, b),  divided by the prior's mass there.

If the mean is p, it is a nonnegative martingale that starts at 1; if the mean is smaller, it is a supermartingale, because a
factor ``(q / p)^x ((1 - q) / (1 - p))^(1 - x)`` with ``q > p`` increases with x. By Ville's inequality it then ever exceeds
``1 / alpha`` with probability at most ``alpha``. The same holds for values between 0 and 1 (soft votes; k is then their sum),
because the factor is convex in x.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betaincc, betaln, xlog1py, xlogy

from convexpoison._utils.types import FloatArray
from convexpoison.neural.smoothing.bounds import ROUNDING

_PRIOR = (0.5, 0.5)
"""Jeffreys prior: much of its mass is near 1, where the probabilities of certified images are."""


def log_evidence(k: npt.ArrayLike, n: npt.ArrayLike, p: npt.ArrayLike) -> FloatArray:
    """Compute ``log M_n(p)``, rounded down.

    Values of at least ``log(1 / alpha)`` reject the hypothesis that the mean is p or less, at level ``alpha``.

    Parameters
    ----------
    k : float array
        Sum of the draws, added sequentially.
    n : int array
        Number of draws so far.
    p : float array
        Limit, in (0, 1).

    Returns
    -------
    float array
        Minus infinity where the sample mean does not exceed the limit (there is no evidence, and the tail of the mixture
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
    slack = ROUNDING * (1.0 + np.abs(mixed) + np.abs(single)) + _sum_rounding(k, n, p)
    return np.asarray(np.where(found, mixed - single - slack, -np.inf))


def _sum_rounding(k: FloatArray, n: FloatArray, p: FloatArray) -> FloatArray:
    """Return a bound on the effect of rounding in the sum k on the logarithm.

    ``n`` additions have a relative error of ``n eps / 2``. The slope of the logarithm in k is the mixture's mean of
    ``log(q / (1 - q)) - log(p / (1 - p))``: small where p truncates little, and about 2 where only the end of the posterior
    remains; ``4 (log(n + 1) + 2)`` exceeds both. Counted votes have no such error; for them the bound is negligible.
    """
    slope = 4.0 * (np.log(n + 1.0) + 2.0) + np.abs(np.log(p) - np.log1p(-p))
    return np.asarray(k * n * np.finfo(np.float64).eps * slope)
