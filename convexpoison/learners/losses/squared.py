"""The squared loss, and what the squared hinge shares with it where it is active."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from convexpoison._utils.types import FloatArray, IntArray
from convexpoison.learners.losses.base import Loss
from convexpoison.learners.losses.edges import EdgeMaximum, Edges, Places, best_of, exact
from convexpoison.numerics.intervals import Interval


class Squared(Loss):
    """``r**2`` for regression, the data term of ``Ridge`` and ``LinearRegression``."""

    name = "squared"
    classification = False
    active_range = (0.0, np.inf)

    def value(self, argument: ArrayLike) -> FloatArray:
        return np.asarray(argument, dtype=np.float64) ** 2

    def derivative(self, argument: ArrayLike) -> FloatArray:
        return 2.0 * np.asarray(argument, dtype=np.float64)

    def curvature(self, argument: ArrayLike) -> FloatArray:
        return np.full_like(argument, 2.0, dtype=np.float64)

    def lipschitz(self, reach: float) -> float:
        return 2.0 * reach

    def edge_maxima(self, edges: Edges, vertex: FloatArray, floor: float) -> Places:
        return exact(self, edges, *stationary_squares(edges, 0.0))

    def support_peak(self, u: FloatArray, v: FloatArray) -> EdgeMaximum:
        return largest_product(u, v)

    def perspective(self, p: float) -> tuple[float, float]:
        return -0.5 * p * p, -p

    def derivative_enclosure(self, u: Interval) -> Interval:
        return 2.0 * u

    def steepness(self, u: Interval) -> Interval:
        return 2.0 * u

    def decay_rate(self, u: Interval) -> Interval:
        return -(1.0 / u)

    def stationary_point(self, A: float, B: float) -> float:
        return -0.5 * A / B

    def slack(self, u: Interval, eps: float) -> FloatArray:
        """Return ``u + sqrt(u**2 + eps)``."""
        return lift(u, eps).upper


def stationary_squares(edges: Edges, shift: float) -> tuple[IntArray, FloatArray]:
    """Return the edges, and the fractions of them, where ``(u - shift)**2 - (v - shift)**2`` has a maximum inside.

    These are edges on which v changes faster than u. Ends that rounding yields do no harm. Where rise and run nearly agree the
    place is uncertain, but the difference is then a straight line up to rounding and its better end is a vertex.
    """
    edge = np.flatnonzero(np.abs(edges.rise) < edges.run)
    p, q = edges.rise[edge], edges.run[edge]
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # where the curvature underflows to 0
        fraction = (p * (edges.u[edge] - shift) - q * (edges.v[edge] - shift)) / ((q - p) * (q + p))
    within = (fraction > 0.0) & (fraction < 1.0)
    return edge[within], fraction[within]


def largest_product(u: FloatArray, v: FloatArray) -> EdgeMaximum:
    """Return the largest ``2 v u``: it is concave on edges where the two run against each other."""
    run, rise = np.diff(v), np.diff(u)
    edge = np.flatnonzero(run * rise < 0.0)
    fraction = np.clip(-0.5 * (v[edge] / run[edge] + u[edge] / rise[edge]), 0.0, 1.0)
    inside = 2.0 * (v[edge] + fraction * run[edge]) * (u[edge] + fraction * rise[edge])
    return best_of(2.0 * v * u, inside, edge, fraction)


def lift(a: Interval, eps: float) -> Interval:
    """Enclose ``a + sqrt(a**2 + eps)``, which grows with a."""
    ends = []
    for end in (Interval.of(a.lower), Interval.of(a.upper)):
        root = (end * end + eps).sqrt()
        # Without cancellation where a is negative; the root is positive there, and so is what is divided by.
        small = Interval.of(eps) / (root - end)
        direct = end + root
        ends.append(
            (np.where(end.lower < 0.0, small.lower, direct.lower), np.where(end.lower < 0.0, small.upper, direct.upper))
        )
    return Interval(np.maximum(ends[0][0], 0.0), ends[1][1])
