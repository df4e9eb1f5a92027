"""What poisoning does to the certified radius of a linear classifier, in closed form.

The smoothed linear classifier is the linear classifier itself, and its certified radius is the distance to its hyperplane
(Cohen et al., 2019). PACD analyses this case: Theorem 1 (one dimension, squared loss) and Appendix D.2 (two isotropic
Gaussians). With as many rows of either class, least squares puts the threshold in the middle of the two means, whatever
the classes' distributions, so that only the mean of the poisoned class counts; everything below follows from that.
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
"""Threshold and sign of the slope to the mean radius and the accuracy of the negative class."""


@dataclass(frozen=True)
class Optimum:
    """A classifier ``sign * (x - threshold) > 0`` that the victim learns, and what it certifies for the negative class.

    Attributes
    ----------
    shift : float
        What is added to every row of the negative class.
    threshold : float
    sign : {-1, 1}
        Of the slope: -1 where the poison has pushed the negative class beyond the positive one.
    radius : float
        Average certified radius of the negative class, 0 for the points that are misclassified.
    accuracy : float
        Share of the negative class that is classified rightly.
    mean_radius : float
        Certified radius of the negative class's mean: the number of PACD's D.2.
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
        Without poison.
    optima : tuple of Optimum
        The local optima of the attack: Case 1 (shift ``-eps``), and Case 2 (shift ``+eps``) where ``eps > least_eps``.
    eps : float
        The shift that the attacker can give to the mean.
    least_eps : float
        Distance of the means: the threshold on eps.
    """

    clean: Optimum
    optima: tuple[Optimum, ...]
    eps: float
    least_eps: float

    @property
    def best(self) -> Optimum:
        """The optimum with the least radius: the global one."""
        return min(self.optima, key=lambda optimum: optimum.radius)


def one_dimension(
    x_minus: npt.ArrayLike,
    x_plus: npt.ArrayLike,
    eps: float,
    *,
    fraction: float = 1.0,
    x_test: npt.ArrayLike | None = None,
) -> LinearTheory:
    """Local optima of the attack on a one-dimensional least-squares classifier (PACD, Theorem 1 and Corollary 2).

    Parameters
    ----------
    x_minus, x_plus : arrays of shape (n,)
        Training points of the two classes; the negative one is poisoned.
    eps : float
        Each poisoned point moves by at most this much.
    fraction : float
        Share of the negative points that are poisoned: the same as all of them with ``fraction * eps`` (Corollary 2).
    x_test : array, optional
        Test points of the negative class; ``x_minus`` where not given.

    Returns
    -------
    LinearTheory

    Raises
    ------
    ValueError
        Points that are not one finite row a class of the same length, means in the wrong order, eps not positive, or a
        fraction outside (0, 1].

    Notes
    -----
    The theorem has Case 2 for ``eps >= least_eps``. At equality the means coincide, least squares learns slope 0, and there
    is no threshold: Case 2 begins strictly beyond. It is a local optimum there and never passes over into Case 1.
    """
    minus, plus = _points("x_minus", x_minus), _points("x_plus", x_plus)
    test = minus if x_test is None else _points("x_test", x_test)
    if minus.size != plus.size:
        raise ValueError(
            f"Theorem 1 is about as many points of either class; got {minus.size} negative and {plus.size} positive ones. "
            "Draw the same number of both"
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
    """Local optima of the attack on two isotropic Gaussians whose means have equal coordinates (PACD, Appendix D.2).

    The victim is any whose boundary is the Bayes classifier's: least squares, logistic regression, either under Gaussian
    augmentation. Every coordinate moves by at most eps (l-infinity). Along the diagonal this is Theorem 1.

    Parameters
    ----------
    mean_minus, mean_plus : float
        Every coordinate of the classes' means.
    scale : float
        Standard deviation of every coordinate.
    eps : float
    n_features : int

    Returns
    -------
    LinearTheory
        Distances in l2, along the diagonal: thresholds and shifts are ``sqrt(n_features)`` times those of a coordinate.

    Raises
    ------
    ValueError
        Means in the wrong order, or a scale, eps or number of features that is not positive.

    Notes
    -----
    The defaults are the paper's. Its "certified radius" is that of the mean, 0.3 sqrt(2) = 0.4243, and falls by
    ``eps / sqrt(2)`` to 0.25 sqrt(2) = 0.3536; the paper prints 0.3546, which its own formula does not give.
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
            f"the negative class's mean must lie below the positive one's; got {mean_minus:g} and {mean_plus:g}. "
            "Change the sign of all points, or the names of the classes"
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
        raise ValueError(f"{name} must be finite numbers in one dimension, at least one; got shape {points.shape}")
    return points
