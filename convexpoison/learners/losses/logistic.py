"""The logistic loss."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, wrightomega

from convexpoison._utils.types import FloatArray, IntArray
from convexpoison.learners.losses.base import Loss
from convexpoison.learners.losses.edges import EdgeMaximum, Edges, Places, best_of
from convexpoison.numerics.intervals import Interval, Number, entropy, exp, log, sigmoid

_GRID = np.linspace(0.0, 1.0, 33)
_PASSES = 10
_BISECTIONS = 60
"""Halvings of an edge: enough for the last bit of a double."""


class Logistic(Loss):
    """``log(1 + exp(-u))``: ``LogisticRegression``."""

    name = "logistic"
    perspective_range = (1e-12, 1.0 - 1e-12)
    """0 and 1 are no values of ``-phi'``, and f has no tangent there."""

    def value(self, argument: ArrayLike) -> FloatArray:
        return np.logaddexp(0.0, -np.asarray(argument, dtype=np.float64))

    def derivative(self, argument: ArrayLike) -> FloatArray:
        return np.asarray(-expit(-np.asarray(argument, dtype=np.float64)))

    def curvature(self, argument: ArrayLike) -> FloatArray:
        u = np.asarray(argument, dtype=np.float64)
        return np.asarray(expit(u) * expit(-u))

    def lipschitz(self, reach: float) -> float:
        return 1.0

    def edge_maxima(self, edges: Edges, vertex: FloatArray, floor: float) -> Places:
        """Return brackets around the one maximum that an edge can have inside, narrowed together until the best is known.

        The derivative has the sign of ``h = (1 + e^u) - (rise / run) (1 + e^v)``. A falling or level u leaves it positive;
        else ``h' = rise (e^u - e^v)`` changes sign only where u meets v, so h falls through 0 at most once: before that
        place if u grows faster than v, after it if slower.
        """
        slack = edges.run * expit(-edges.v[:-1]) - edges.rise * expit(-edges.u[1:])
        edge = np.flatnonzero((edges.rise > 0.0) & (edges.rise != edges.run) & (vertex[:-1] + slack > floor))
        if not edge.size:
            return Places(edge, np.empty(0), np.empty(0), np.empty(0))
        u, v, p, q = edges.u[edge], edges.v[edge], edges.rise[edge], edges.run[edge]
        with np.errstate(over="ignore"):
            meeting = np.clip((v - u) / (p - q), 0.0, 1.0)
        low, high = np.where(p > q, 0.0, meeting), np.where(p > q, meeting, 1.0)
        turns = _ascends(u, v, p, q, low) & ~_ascends(u, v, p, q, high)
        return self._narrow(edges, edge[turns], low[turns], high[turns], floor)

    def _narrow(self, edges: Edges, edge: IntArray, low: FloatArray, high: FloatArray, floor: float) -> Places:
        """Divide brackets in which the difference first ascends and then falls until their upper bounds are tight."""
        places = self._bracketed(edges, edge, low, high)
        for _ in range(_PASSES):
            floor = max(floor, float(places.value.max(initial=-np.inf)))
            if places.upper.max(initial=-np.inf) - floor <= 1e-14 * max(1.0, abs(floor)):
                break
            keep = places.upper >= floor
            edge, low, high = places.edge[keep], places.fraction[keep], high[keep]
            grid = low[:, None] + (high - low)[:, None] * _GRID
            u, v, p, q = (part[edge, None] for part in edges)
            last = np.clip(_ascends(u, v, p, q, grid).sum(axis=1) - 1, 0, _GRID.size - 2)
            rows = np.arange(edge.size)
            high = grid[rows, last + 1]
            places = self._bracketed(edges, edge, grid[rows, last], high)
        return places

    def _bracketed(self, edges: Edges, edge: IntArray, low: FloatArray, high: FloatArray) -> Places:
        """Return the value at the lower end of brackets, and an upper bound over them.

        Both sigmoids fall along the edge, so ``run sigmoid(-v(low)) - rise sigmoid(-u(high))`` bounds the derivative over
        the bracket. Around a maximum that is itself of the order of the width, hence the bound is tight to second order.
        """
        value, width = edges.difference(self, edge, low), high - low
        fastest = edges.run[edge] * expit(-edges.v[edge] - low * edges.run[edge])
        slowest = edges.rise[edge] * expit(-edges.u[edge] - high * edges.rise[edge])
        return Places(edge, low, value, value + width * np.maximum(fastest - slowest, 0.0))

    def support_peak(self, u: FloatArray, v: FloatArray) -> EdgeMaximum:
        """Return the largest ``-sigmoid(-v) u``: along an edge only a falling u has a maximum inside, and only one.

        The derivative has the sign of ``run sigmoid(v) u - rise``. For a rising u it can only change from minus to plus; for
        a falling u it is positive while u is, and falls where u is negative.
        """
        run, rise = np.diff(v), np.diff(u)

        def ascends(edge: IntArray, fraction: FloatArray) -> np.ndarray:
            height = u[edge] + fraction * rise[edge]
            return np.asarray(run[edge] * expit(v[edge] + fraction * run[edge]) * height - rise[edge] > 0.0)

        edge = np.flatnonzero(rise < 0.0)
        edge = edge[ascends(edge, np.zeros(edge.size)) & ~ascends(edge, np.ones(edge.size))]
        low, high = np.zeros(edge.size), np.ones(edge.size)
        for _ in range(_BISECTIONS if edge.size else 0):
            middle = 0.5 * (low + high)
            up = ascends(edge, middle)
            low, high = np.where(up, middle, low), np.where(up, high, middle)
        inside = -expit(-(v[edge] + low * run[edge])) * (u[edge] + low * rise[edge])
        return best_of(-expit(-v) * u, inside, edge, low)

    def perspective(self, p: float) -> tuple[float, float]:
        margin = float(np.log1p(-p) - np.log(p))
        return p * margin, margin - 1.0 / (1.0 - p)

    def derivative_enclosure(self, u: Interval) -> Interval:
        return -sigmoid(-u)

    def steepness(self, u: Interval) -> Interval:
        return sigmoid(-u)

    def decay_rate(self, u: Interval) -> Interval:
        return sigmoid(u)

    def stationary_point(self, A: float, B: float) -> float:
        """Return the zero of the derivative: ``(A / B + u) sigmoid(u) = 1``.

        With ``c = 1 - A / B`` and ``t = u - c`` that is ``t exp(t) = exp(-c)``.
        """
        return 1.0 - A / B + float(wrightomega(A / B - 1.0))

    def value_enclosure(self, u: Interval) -> Interval:
        low, high = (_softplus(-end) for end in (u.upper, u.lower))
        return Interval(np.maximum(low.lower, 0.0), high.upper)

    def support_line(self, slope: Number) -> Number:
        return entropy(slope) + entropy(1.0 - slope)

    def difference_height(self, p: float, q: float) -> Interval | None:
        """Return 0 for p = q = 1: ``phi(u) + u`` grows with u."""
        return Interval.of(0.0) if p == q == 1.0 else None

    def difference_lines(self, shares: FloatArray) -> list[tuple[float, float]]:
        return [(1.0, 1.0)]

    def slack(self, u: Interval, eps: float) -> FloatArray:
        """Return ``log(e^eps + (e^eps - 1) e^u)``, the better of two ways to write it."""
        top, e = Interval.of(u.upper), Interval.of(eps)
        share = _complement(e)
        # eps + log(1 + share e^u), and for large u: eps + u + log(share) + log(1 + e^-u / share), by log(1 + t) <= t.
        near = e + log(1.0 + share * exp(top))
        far = top + e + log(share) + exp(-top) / share
        return np.asarray(np.fmin(near.upper, np.where(np.isnan(far.upper), np.inf, far.upper)))

    def steepening(self, eps: float) -> Interval | None:
        """Return ``1 - exp(-eps)``: ``|phi'(u - slack)| = exp(-eps) |phi'(u)| + 1 - exp(-eps)``."""
        return _complement(Interval.of(eps))


def _ascends(u: FloatArray, v: FloatArray, p: FloatArray, q: FloatArray, fraction: FloatArray) -> NDArray[np.bool_]:
    """Return the sign of the derivative, as ``log(q sigmoid(-v)) > log(p sigmoid(-u))``: no overflow, no underflow."""
    return np.asarray(np.log(q) + np.logaddexp(0.0, u + fraction * p) > np.log(p) + np.logaddexp(0.0, v + fraction * q))


def _softplus(x: FloatArray) -> Interval:
    """Enclose ``log(1 + exp(x))`` of numbers."""
    return Interval.of(x).at_least(0.0) + log(1.0 + exp(Interval.of(-np.abs(x))))


def _complement(eps: Interval) -> Interval:
    """Enclose ``1 - exp(-eps)``, which is between ``eps - eps^2 / 2`` and eps."""
    direct = 1.0 - exp(-eps)
    low = np.maximum(direct.lower, (eps - 0.5 * (eps * eps)).lower)
    return Interval(np.maximum(low, 0.0), np.minimum(direct.upper, eps.upper))
