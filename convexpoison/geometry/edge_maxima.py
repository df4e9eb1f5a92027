"""The largest loss difference along a :class:`~convexpoison.geometry.lower_hull.Chain`, in closed form or bracketed.

On edge ``k`` the two arguments are ``u + rise * tau`` and ``v + run * tau`` with ``0 <= tau <= 1`` and ``run > 0``.
For each loss there is one function that returns the only places inside edges where the difference can have its
maximum; the vertices are tried in any case.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from convexpoison._utils.types import FloatArray, IntArray
from convexpoison.learners.losses.base import Loss

_GRID = np.linspace(0.0, 1.0, 33)
_PASSES = 10


class Line(NamedTuple):
    """Arguments under the model (u) and the reference (v) at the vertices, and their growth along the edges."""

    u: FloatArray
    v: FloatArray
    rise: FloatArray
    run: FloatArray

    def difference(self, loss: Loss, edge: IntArray, fraction: FloatArray) -> FloatArray:
        """Loss under the model less loss under the reference."""
        u, v = self.u[edge] + fraction * self.rise[edge], self.v[edge] + fraction * self.run[edge]
        return loss.value(u) - loss.value(v)


class Places(NamedTuple):
    """Places inside edges, with the difference there and an upper bound on it over the edge."""

    edge: IntArray
    fraction: FloatArray
    value: FloatArray
    upper: FloatArray


class Peak(NamedTuple):
    """A place on the chain and the difference there; a vertex is fraction 0 of the edge that it begins."""

    value: float
    edge: int
    fraction: float


class Summit(NamedTuple):
    """What a chain has to offer.

    Attributes
    ----------
    upper : float
        Upper bound on the chain, or the ``floor`` that was asked for if that is larger.
    best : Peak
        The highest place found.
    whole : Peak
        The highest place found that belongs to the space: a vertex, or inside an edge that is divisible.
    """

    upper: float
    best: Peak
    whole: Peak


def summit(loss: Loss, line: Line, divisible: NDArray[np.bool_] | None = None, floor: float = -np.inf) -> Summit:
    """The highest places of the loss difference.

    Parameters
    ----------
    loss : Loss
    line : Line
    divisible : bool array, one entry an edge, optional
        Whether places inside the edge belong to the space, or only its ends do. All do, if not given.
    floor : float
        Places lower than this need not be told apart.
    """
    vertex = loss.value(line.u) - loss.value(line.v)
    k = int(vertex.argmax())
    corner = Peak(float(vertex[k]), k, 0.0)
    floor = max(corner.value, floor)
    inside = _INSIDE[loss.name](loss, line, vertex, floor)
    if not inside.edge.size:
        return Summit(floor, corner, corner)
    best = whole = _highest(inside, corner)
    if divisible is not None and best.fraction > 0.0 and not divisible[best.edge]:
        allowed = divisible[inside.edge]
        whole = _highest(Places(*(part[allowed] for part in inside)), corner)  # type: ignore[arg-type]
    return Summit(max(floor, float(inside.upper.max())), best, whole)


def _highest(places: Places, peak: Peak) -> Peak:
    if not places.edge.size:
        return peak
    i = int(places.value.argmax())
    value = float(places.value[i])
    return Peak(value, int(places.edge[i]), float(places.fraction[i])) if value > peak.value else peak


def _exact(loss: Loss, line: Line, edge: IntArray, fraction: FloatArray) -> Places:
    value = line.difference(loss, edge, fraction)
    return Places(edge, fraction, value, value)


def _crossing(line: Line) -> tuple[IntArray, FloatArray]:
    """Where the reference's margin passes 1: at most one place, since v grows along the chain."""
    k = int(line.v.searchsorted(1.0, side="right")) - 1
    if k < 0 or k >= line.run.size:
        return np.empty(0, dtype=np.intp), np.empty(0)
    return np.array([k]), np.array([min((1.0 - float(line.v[k])) / float(line.run[k]), 1.0)])


def _stationary_squares(line: Line, shift: float) -> tuple[IntArray, FloatArray]:
    """Where ``(u - shift)**2 - (v - shift)**2`` has a maximum: on edges on which v changes faster than u.

    Ends that the clipping yields do no harm. Where rise and run nearly agree the place is uncertain, but the
    difference is then a straight line up to rounding and its better end is a vertex.
    """
    edge = np.flatnonzero(np.abs(line.rise) < line.run)
    p, q = line.rise[edge], line.run[edge]
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # where the curvature underflows to 0
        fraction = (p * (line.u[edge] - shift) - q * (line.v[edge] - shift)) / ((q - p) * (q + p))
    within = (fraction > 0.0) & (fraction < 1.0)
    return edge[within], fraction[within]


def _hinge(loss: Loss, line: Line, vertex: FloatArray, floor: float) -> Places:
    """Piecewise linear: of the two kinks only the reference's can be a maximum."""
    return _exact(loss, line, *_crossing(line))


def _squared_hinge(loss: Loss, line: Line, vertex: FloatArray, floor: float) -> Places:
    """Both losses active: a quadratic. The model's alone is convex, the reference's alone ascends to 0, and the
    difference has no kinks, so that no other maximum can lie where these pieces meet."""
    return _exact(loss, line, *_stationary_squares(line, 1.0))


def _squared(loss: Loss, line: Line, vertex: FloatArray, floor: float) -> Places:
    return _exact(loss, line, *_stationary_squares(line, 0.0))


def _logistic(loss: Loss, line: Line, vertex: FloatArray, floor: float) -> Places:
    """Brackets around the one maximum that an edge can have inside, narrowed together until the best is known.

    The derivative has the sign of ``h = (1 + e^u) - (rise / run) (1 + e^v)``. A falling or level u leaves it positive;
    else ``h' = rise (e^u - e^v)`` changes sign only where u meets v, so h falls through 0 at most once: before that
    place if u grows faster than v, after it if slower.
    """
    slack = line.run * expit(-line.v[:-1]) - line.rise * expit(-line.u[1:])
    edge = np.flatnonzero((line.rise > 0.0) & (line.rise != line.run) & (vertex[:-1] + slack > floor))
    if not edge.size:
        return Places(edge, np.empty(0), np.empty(0), np.empty(0))
    u, v, p, q = line.u[edge], line.v[edge], line.rise[edge], line.run[edge]
    with np.errstate(over="ignore"):
        meeting = np.clip((v - u) / (p - q), 0.0, 1.0)
    low, high = np.where(p > q, 0.0, meeting), np.where(p > q, meeting, 1.0)
    turns = _climbs(u, v, p, q, low) & ~_climbs(u, v, p, q, high)
    return _narrow(loss, line, edge[turns], low[turns], high[turns], floor)


def _narrow(loss: Loss, line: Line, edge: IntArray, low: FloatArray, high: FloatArray, floor: float) -> Places:
    """Divide brackets in which the difference first climbs and then falls until their upper bounds are tight."""
    places = _bound(loss, line, edge, low, high)
    for _ in range(_PASSES):
        floor = max(floor, float(places.value.max(initial=-np.inf)))
        if places.upper.max(initial=-np.inf) - floor <= 1e-14 * max(1.0, abs(floor)):
            break
        keep = places.upper >= floor
        edge, low, high = places.edge[keep], places.fraction[keep], high[keep]
        grid = low[:, None] + (high - low)[:, None] * _GRID
        u, v, p, q = (part[edge, None] for part in line)
        last = np.clip(_climbs(u, v, p, q, grid).sum(axis=1) - 1, 0, _GRID.size - 2)
        rows = np.arange(edge.size)
        high = grid[rows, last + 1]
        places = _bound(loss, line, edge, grid[rows, last], high)
    return places


def _climbs(u: FloatArray, v: FloatArray, p: FloatArray, q: FloatArray, fraction: FloatArray) -> NDArray[np.bool_]:
    """Sign of the derivative, as ``log(q sigmoid(-v)) > log(p sigmoid(-u))``: no overflow, no underflow."""
    return np.asarray(np.log(q) + np.logaddexp(0.0, u + fraction * p) > np.log(p) + np.logaddexp(0.0, v + fraction * q))


def _bound(loss: Loss, line: Line, edge: IntArray, low: FloatArray, high: FloatArray) -> Places:
    """Value at the lower end of brackets, and an upper bound over them.

    Both sigmoids fall along the edge, so ``run sigmoid(-v(low)) - rise sigmoid(-u(high))`` bounds the derivative over
    the bracket. Around a maximum that is itself of the order of the width, hence the bound is tight to second order.
    """
    value, width = line.difference(loss, edge, low), high - low
    fastest = line.run[edge] * expit(-line.v[edge] - low * line.run[edge])
    slowest = line.rise[edge] * expit(-line.u[edge] - high * line.rise[edge])
    return Places(edge, low, value, value + width * np.maximum(fastest - slowest, 0.0))


_INSIDE: dict[str, Callable[[Loss, Line, FloatArray, float], Places]] = {
    "hinge": _hinge,
    "squared_hinge": _squared_hinge,
    "logistic": _logistic,
    "squared": _squared,
}
