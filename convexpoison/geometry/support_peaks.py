"""The dearest place along a chain, for each loss: where ``<a(z), v>`` without its constant part is largest.

At vertex ``k`` of a chain (:mod:`~convexpoison.geometry.lower_hull`) ``u[k]`` is the product with the direction and ``v[k]`` the
loss's argument under the target, both for a label of +1 (signs and intercepts are in them already). A point there pulls
with ``weight(v) * (-u)``, where ``weight = -phi'`` is not negative for margins. Along an edge both are linear, so each
maximum is known in closed form or, for the logistic loss, bracketed. Where arguments lie on a curve, as for a chain,
``u`` is convex and ``v`` ascends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from convexpoison._utils.types import FloatArray, IntArray

_BISECTIONS = 60
"""Halvings of an edge: enough for the last bit of a double."""


class Peak(NamedTuple):
    """The largest value, and where it is; ``-inf`` where no point of the chain has a gradient."""

    value: float
    edge: int
    fraction: float


def hinge(u: FloatArray, v: FloatArray) -> Peak:
    """The largest ``-u`` where the margin v is at most 1."""
    inside = v <= 1.0
    if not inside[0]:
        return Peak(-np.inf, 0, 0.0)
    last = int(np.count_nonzero(inside)) - 1
    k = int(u[: last + 1].argmin())
    best = Peak(float(-u[k]), k, 0.0)
    if last + 1 < v.size:
        fraction = (1.0 - v[last]) / (v[last + 1] - v[last])
        best = max(best, Peak(float(-u[last] - fraction * (u[last + 1] - u[last])), last, float(fraction)))
    return best


def logistic(u: FloatArray, v: FloatArray) -> Peak:
    """The largest ``-sigmoid(-v) u``: along an edge only a falling u leaves a maximum inside, and only one.

    The derivative has the sign of ``run sigmoid(v) u - rise``. For a rising u it can only change from minus to plus; for
    a falling u it is positive while u is, and falls where u is negative.
    """
    run, rise = np.diff(v), np.diff(u)

    def climbs(edge: IntArray, fraction: FloatArray) -> np.ndarray:
        height = u[edge] + fraction * rise[edge]
        return np.asarray(run[edge] * expit(v[edge] + fraction * run[edge]) * height - rise[edge] > 0.0)

    edge = np.flatnonzero(rise < 0.0)
    edge = edge[climbs(edge, np.zeros(edge.size)) & ~climbs(edge, np.ones(edge.size))]
    low, high = np.zeros(edge.size), np.ones(edge.size)
    for _ in range(_BISECTIONS if edge.size else 0):
        middle = 0.5 * (low + high)
        up = climbs(edge, middle)
        low, high = np.where(up, middle, low), np.where(up, high, middle)
    inside = -expit(-(v[edge] + low * run[edge])) * (u[edge] + low * rise[edge])
    return _with_vertices(-expit(-v) * u, inside, edge, low)


def squared(u: FloatArray, v: FloatArray) -> Peak:
    """The largest ``2 v u``: on edges where the two run against each other it is concave."""
    run, rise = np.diff(v), np.diff(u)
    edge = np.flatnonzero(run * rise < 0.0)
    fraction = np.clip(-0.5 * (v[edge] / run[edge] + u[edge] / rise[edge]), 0.0, 1.0)
    inside = 2.0 * (v[edge] + fraction * run[edge]) * (u[edge] + fraction * rise[edge])
    return _with_vertices(2.0 * v * u, inside, edge, fraction)


def squared_hinge(u: FloatArray, v: FloatArray) -> Peak:
    """The largest ``2 (v - 1) u`` where the margin v is below 1, and 0 elsewhere."""
    active = v < 1.0
    if not active.any():
        return Peak(0.0, 0, 0.0)
    last = int(np.count_nonzero(active)) - 1
    if last + 1 == v.size:
        return squared(u, v - 1.0)
    # Cut the edge that crosses margin 1.
    cut = float((1.0 - v[last]) / (v[last + 1] - v[last]))
    u, v = np.append(u[: last + 1], u[last] + cut * (u[last + 1] - u[last])), np.append(v[: last + 1] - 1.0, 0.0)
    value, edge, fraction = squared(u, v)
    if edge > last:
        return Peak(value, last, cut)
    return Peak(value, edge, fraction * cut if edge == last else fraction)


def _with_vertices(at_vertices: FloatArray, inside: FloatArray, edge: IntArray, fraction: FloatArray) -> Peak:
    k = int(at_vertices.argmax())
    best = Peak(float(at_vertices[k]), k, 0.0)
    if inside.size:
        i = int(inside.argmax())
        best = max(best, Peak(float(inside[i]), int(edge[i]), float(fraction[i])))
    return best


PEAKS: dict[str, Callable[[FloatArray, FloatArray], Peak]] = {
    "hinge": hinge,
    "logistic": logistic,
    "squared_hinge": squared_hinge,
    "squared": squared,
}
