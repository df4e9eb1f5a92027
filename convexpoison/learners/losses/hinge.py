"""The hinge loss."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from convexpoison._utils.types import FloatArray
from convexpoison.learners.losses.base import Loss
from convexpoison.learners.losses.edges import EdgeMaximum, Edges, Places, exact, largest_fall
from convexpoison.learners.losses.rounded_hinge import RoundedHinge
from convexpoison.numerics.intervals import Interval, Number


class Hinge(Loss):
    """``max(0, 1 - u)``: the SVM of MTP and of ``LinearSVC(loss="hinge")``."""

    name = "hinge"
    smooth = False
    active_range = (-np.inf, 1.0)

    def value(self, argument: ArrayLike) -> FloatArray:
        return np.maximum(0.0, 1.0 - np.asarray(argument, dtype=np.float64))

    def derivative(self, argument: ArrayLike) -> FloatArray:
        return np.where(np.asarray(argument) <= 1.0, -1.0, 0.0)

    def curvature(self, argument: ArrayLike) -> FloatArray:
        return np.zeros_like(argument, dtype=np.float64)

    def lipschitz(self, reach: float) -> float:
        return 1.0

    def edge_maxima(self, edges: Edges, vertex: FloatArray, floor: float) -> Places:
        """Return the place where the reference's margin passes 1.

        The difference is piecewise linear; of the two kinks only the reference's can be a maximum. v grows along the hull,
        so that there is at most one such place.
        """
        k = int(edges.v.searchsorted(1.0, side="right")) - 1
        if k < 0 or k >= edges.run.size:
            return Places(np.empty(0, dtype=np.intp), np.empty(0), np.empty(0), np.empty(0))
        edge, fraction = np.array([k]), np.array([min((1.0 - float(edges.v[k])) / float(edges.run[k]), 1.0)])
        return exact(self, edges, edge, fraction)

    def support_peak(self, u: FloatArray, v: FloatArray) -> EdgeMaximum:
        """Return the largest ``-u`` where the margin v is at most 1."""
        return largest_fall(u, v, 1.0)

    def derivative_enclosure(self, u: Interval) -> Interval:
        return Interval(np.where(u.lower <= 1.0, -1.0, 0.0), np.where(u.upper >= 1.0, 0.0, -1.0))

    def steepness(self, u: Interval) -> Interval:
        return 1.0 + 0.0 * u

    def decay_rate(self, u: Interval) -> Interval:
        return 0.0 * u

    def stationary_point(self, A: float, B: float) -> float:
        return 1.0

    def value_enclosure(self, u: Interval) -> Interval:
        return (1.0 - u).at_least(0.0)

    def support_line(self, slope: Number) -> Number:
        return slope

    def difference_height(self, p: float, q: float) -> Interval | None:
        """Return ``1 - q`` for p = 1: ``phi(u') >= q (1 - u')``, and ``phi(u) <= max(phi(u'), 1 - u)``."""
        return 1.0 - Interval.of(q) if p == 1.0 and 0.0 <= q <= 1.0 else None

    def difference_lines(self, shares: FloatArray) -> list[tuple[float, float]]:
        return [(1.0, q) for q in shares.tolist()]

    def rounded(self, width: float) -> Loss:
        return RoundedHinge(width, below=True)

    def slack(self, u: Interval, eps: float) -> FloatArray:
        """Return ``eps + max(0, u - 1)``."""
        return (eps + (u - 1.0).at_least(0.0)).upper
