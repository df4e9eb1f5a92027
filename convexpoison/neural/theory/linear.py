"""Effect of poisoning on the certified radius of a linear classifier, in closed form.

The smoothed linear classifier is the linear classifier itself, and its certified radius is the distance to its hyperplane
(Cohen et al., 2019). PACD analyses this case: Theorem 1 (one dimension, squared loss) and Appendix D.2 (two isotropic
Gaussians). With equally many rows of both classes, least squares places the threshold at the midpoint of the two means,
regardless of the distributions of the classes. Only the mean of the poisoned class matters; all results follow from this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from convexpoison._utils.types import FloatArray
from convexpoison.neural.theory.linear_attack import check_positive

_Measure = Callable[[float, int], tuple[float, float]]
"""Maps threshold and sign of the slope to the mean radius and the accuracy of the negative class."""


@dataclass(frozen=True)
class Optimum:
    """Victim's classifier ``sign * (x - threshold) > 0``, and its certified radii for the negative class.

    Attributes
    ----------
    shift : float
        Shift added to every row of the negative class.
    threshold : float
    sign : {-1, 1}
        Sign of the slope: -1 if the poison has moved the negative class beyond the positive one.
    radius : float
        Average certified radius of the negative class, with 0 for misclassified points.
    accuracy : float
        Share of the negative class that is classified correctly.
    mean_radius : float
        Certified radius of the mean of the negative class: the number reported in D.2 of PACD.
    """

    shift: float
    threshold: float
    sign: int
    radius: float
    accuracy: float
    mean_radius: float


@dataclass(frozen=True)
class LinearTheory:
    """Theorem 1 for one pair of classes.

    Attributes
    ----------
    clean : Optimum
        Classifier without poison.
    optima : tuple of Optimum
        Local optima of the attack: Case 1 (shift ``-eps``), and Case 2 (shift ``+eps``) if ``eps > least_eps``.
    eps : float
        Largest shift of the mean available to the attacker.
    least_eps : float
        Distance of the means: the threshold on eps.
    """

    clean: Optimum
    optima: tuple[Optimum, ...]
    eps: float
    least_eps: float

    @property
    def best(self) -> Optimum:
        """Optimum with the least radius: the global optimum."""
        return min(self.optima, key=lambda optimum: optimum.radius)


def one_dimension(
    x_minus: npt.ArrayLike,
    x_plus: npt.ArrayLike,
    eps: float,
    *,
    fraction: float = 1.0,
    x_test: npt.ArrayLike | None = None,
) -> LinearTheory:
    """Compute the local optima of the attack on a 1-d least-squares classifier (PACD, Theorem 1 and Corollary 2).

    Parameters
    ----------
    x_minus, x_plus : arrays of shape (n,)
        Training points of the two classes; the negative class is poisoned.
    eps : float
        Largest displacement of each poisoned point.
    fraction : float
        Share of poisoned negative points: equivalent to poisoning all of them with ``fraction * eps`` (Corollary 2).
    x_test : array, optional
        Test points of the negative class; default: ``x_minus``.

    Returns
    -------
    LinearTheory

    Raises
    ------
    ValueError
        If the points are not two finite one-dimensional arrays of equal length, the means are in the wrong order, eps is not
        positive, or the fraction is outside (0, 1].

    Notes
    -----
    The theorem states Case 2 for ``eps >= least_eps``. At equality the means coincide, the least-squares slope is 0, and there
    is no threshold: Case 2 requires strict inequality. It is then a local optimum and never merges with Case 1.
    """
    minus, plus = _points("x_minus", x_minus), _points("x_plus", x_plus)
    test = minus if x_test is None else _points("x_test", x_test)
    if minus.size != plus.size:
        raise ValueError(
            f"Theorem 1 needs equally many points of both classes; got {minus.size} negative and {plus.size} positive points. "
            "Pass the same number of each"
        )
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction is {fraction!r}; it is the share of poisoned points and must lie in (0, 1]")

    def measure(threshold: float, sign: int) -> tuple[float, float]:
        distance = sign * (threshold - test)
        return float(np.maximum(distance, 0.0).mean()), float((distance >= 0).mean())

    return _theory(float(minus.mean()), float(plus.mean()), fraction * check_positive("eps", eps), measure)


def two_gaussians(
    mean_minus: float = 0.2, mean_plus: float = 0.8, scale: float = 0.3, eps: float = 0.1, *, n_features: int = 2
) -> LinearTheory:
    """Compute the local optima for two isotropic Gaussians whose means have equal coordinates (PACD, Appendix D.2).

    The victim is any learner with the Bayes classifier's boundary: least squares or logistic regression, also with Gaussian
    augmentation. Every coordinate moves by at most eps (l-infinity). Along the diagonal this is Theorem 1.

    Parameters
    ----------
    mean_minus, mean_plus : float
        Value of every coordinate of the class means.
    scale : float
        Standard deviation of every coordinate.
    eps : float
    n_features : int

    Returns
    -------
    LinearTheory
        l2 distances along the diagonal: thresholds and shifts are ``sqrt(n_features)`` times those of a coordinate.

    Raises
    ------
    ValueError
        If the means are in the wrong order, or scale, eps or the number of features is not positive.

    Notes
    -----
    The defaults are those of the paper. Its "certified radius" is the radius of the mean, 0.3 sqrt(2) = 0.4243, and decreases
    by ``eps / sqrt(2)`` to 0.25 sqrt(2) = 0.3536; the paper prints 0.3546, which differs from its formula.
    """
    spread = check_positive("scale", scale)
    if n_features < 1:
        raise ValueError(f"n_features is {n_features!r}; at least 1 is needed")
    length = float(np.sqrt(n_features))

    def measure(threshold: float, sign: int) -> tuple[float, float]:
        mean = sign * (threshold - length * mean_minus)
        z = mean / spread
        return float(mean * norm.cdf(z) + spread * norm.pdf(z)), float(norm.cdf(z))

    return _theory(length * mean_minus, length * mean_plus, length * check_positive("eps", eps), measure)


def _theory(mean_minus: float, mean_plus: float, eps: float, measure: _Measure) -> LinearTheory:
    gap = mean_plus - mean_minus
    if not gap > 0:
        raise ValueError(
            f"the mean of the negative class must be below the positive mean; got {mean_minus:g} and {mean_plus:g}. "
            "Negate all points, or swap the classes"
        )

    def optimum(shift: float, sign: int) -> Optimum:
        threshold = (mean_minus + shift + mean_plus) / 2
        mean_radius = max(sign * (threshold - mean_minus), 0.0)
        return Optimum(shift, threshold, sign, *measure(threshold, sign), mean_radius)

    cases = (optimum(-eps, 1), optimum(eps, -1)) if eps > gap else (optimum(-eps, 1),)
    return LinearTheory(optimum(0.0, 1), cases, eps, gap)


def _points(name: str, values: Any) -> FloatArray:
    points = np.asarray(values, dtype=np.float64)
    if points.ndim != 1 or points.size == 0 or not np.isfinite(points).all():
        raise ValueError(f"{name} must be finite, one-dimensional and not empty; got shape {points.shape}")
    return points
