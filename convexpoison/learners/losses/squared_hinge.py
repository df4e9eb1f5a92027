"""The squared hinge loss."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from convexpoison._utils.types import FloatArray
from convexpoison.learners.losses.base import Loss
from convexpoison.learners.losses.edges import EdgeMaximum, Edges, Places, exact
from convexpoison.learners.losses.squared import largest_product, lift, stationary_squares
from convexpoison.numerics.intervals import Interval, Number


class SquaredHinge(Loss):
    """``max(0, 1 - u)**2``: scikit-learn's default for ``LinearSVC``."""

    name = "squared_hinge"
    active_range = (-np.inf, 1.0)

    def value(self, argument: ArrayLike) -> FloatArray:
        return np.maximum(0.0, 1.0 - np.asarray(argument, dtype=np.float64)) ** 2

    def derivative(self, argument: ArrayLike) -> FloatArray:
        return -2.0 * np.maximum(0.0, 1.0 - np.asarray(argument, dtype=np.float64))

    def curvature(self, argument: ArrayLike) -> FloatArray:
        return np.where(np.asarray(argument) <= 1.0, 2.0, 0.0)

    def lipschitz(self, reach: float) -> float:
        return 2.0 * reach

    def edge_maxima(self, edges: Edges, vertex: FloatArray, floor: float) -> Places:
        """Return the maxima of a quadratic: both losses are active there.

        The model's alone is convex, the reference's alone ascends to 0, and the difference has no kinks, so that no other
        maximum can lie where these pieces meet.
        """
        return exact(self, edges, *stationary_squares(edges, 1.0))

    def support_peak(self, u: FloatArray, v: FloatArray) -> EdgeMaximum:
        """Return the largest ``2 (v - 1) u`` where the margin v is below 1, and 0 elsewhere."""
        active = v < 1.0
        if not active.any():
            return EdgeMaximum(0.0, 0, 0.0)
        last = int(np.count_nonzero(active)) - 1
        if last + 1 == v.size:
            return largest_product(u, v - 1.0)
        # Cut the edge that crosses margin 1.
        cut = float((1.0 - v[last]) / (v[last + 1] - v[last]))
        u, v = np.append(u[: last + 1], u[last] + cut * (u[last + 1] - u[last])), np.append(v[: last + 1] - 1.0, 0.0)
        value, edge, fraction = largest_product(u, v)
        if edge > last:
            return EdgeMaximum(value, last, cut)
        return EdgeMaximum(value, edge, fraction * cut if edge == last else fraction)

    def perspective(self, p: float) -> tuple[float, float]:
        return p - 0.5 * p * p, 1.0 - p

    def derivative_enclosure(self, u: Interval) -> Interval:
        return -2.0 * (1.0 - u).at_least(0.0)

    def steepness(self, u: Interval) -> Interval:
        return 2.0 * (1.0 - u)

    def decay_rate(self, u: Interval) -> Interval:
        return 1.0 / (1.0 - u)

    def stationary_point(self, A: float, B: float) -> float:
        return 0.5 - 0.5 * A / B

    def value_enclosure(self, u: Interval) -> Interval:
        short = (1.0 - u).at_least(0.0)
        return short * short

    def support_line(self, slope: Number) -> Number:
        return slope - 0.25 * (slope * slope)

    def slack(self, u: Interval, eps: float) -> FloatArray:
        """Return ``u - 1 + sqrt(max(0, 1 - u)**2 + eps)``."""
        return ((u - 1.0).at_least(0.0) + lift(-(1.0 - u).at_least(0.0), eps)).upper
