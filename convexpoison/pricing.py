"""The dearest point for a direction: ``h(v) = max over z of <a(z), v>`` at a target, exactly, by one sort.

``<a(z), v> = phi'(argument) * slope * (v_w @ x + v_b) + kappa <grad R, v>`` sees x through its score under the target and its
product with v, so the maximum lies on the boundary of the image of the space under these two
(:mod:`~convexpoison.solvers.chain`); on each edge it is known in closed form, or bracketed for the logistic loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from convexpoison.losses import FloatArray
from convexpoison.model import LinearModel
from convexpoison.solvers.branch_and_bound import Side
from convexpoison.solvers.chain import Chain, Region, Scores
from convexpoison.spaces import Space
from convexpoison.stationarity import Direction
from convexpoison.victim import Victim

_BISECTIONS = 60
"""Halvings of an edge: enough for the last bit of a double."""


@dataclass(frozen=True, eq=False)
class Price:
    """The dearest point.

    Attributes
    ----------
    value : float
        ``<a(z), v>`` there; what a bound divides by is ``upper``.
    upper : float
        Upper bound on h(v), rounding included.
    point : array of shape (n_features,) or None
        None where nothing is dearer than a point without loss.
    label : float
        -1 or +1, or the response.
    score : float
        ``target.coef @ point``.
    """

    value: float
    upper: float
    point: FloatArray | None
    label: float
    score: float


def dearest(victim: Victim, target: LinearModel, space: Space, v: Direction) -> Price:
    """h(v) over a space of box, one-hot and integer parts, the last two relaxed to their hulls.

    Parameters
    ----------
    victim : Victim
    target : LinearModel
    space : Space
    v : Direction
    """
    region = Region.of(space)
    scores = Scores(v.w, target.coef)
    box = scores.box_chain(region)
    penalty_w, penalty_b = victim.penalty_gradient(target)
    growth = victim.kappa * float(penalty_w @ v.w + penalty_b * v.b)
    best: tuple[float, Chain, int, float, float] | None = None
    for side in _sides(victim, target, space, v):
        chain = scores.chain(box, region.groups, side.sign)
        value, edge, fraction = _PEAKS[victim.loss.name](chain.u + side.shift_u, chain.v + side.shift_v)
        if value > -np.inf and (best is None or value > best[0]):
            best = (value, chain, edge, fraction, side.response)
    slack = _rounding(victim, target, space, v)
    lossless = victim.loss.name == "hinge" and _has_lossless_point(target, space)
    if best is None or (lossless and best[0] <= 0.0):
        if not lossless:
            raise ValueError("no point of the space has a gradient at the target; the space is empty")
        return Price(growth, growth + slack, None, 0.0, 0.0)
    value, chain, edge, fraction, response = best
    point = chain.point(edge, fraction)
    return Price(value + growth, value + growth + slack, point, response, float(target.coef @ point))


def _sides(victim: Victim, target: LinearModel, space: Space, v: Direction) -> list[Side]:
    """The one-dimensional problems; on each the chain's u is the product with v and its v the target's argument."""
    if victim.loss.classification:
        return [Side(int(y), float(y), y * v.b, y * target.intercept) for y in space.labels]
    assert space.response is not None
    return [Side(s, y, s * v.b, s * (target.intercept - y)) for y in dict.fromkeys(space.response) for s in (1, -1)]


def _has_lossless_point(target: LinearModel, space: Space) -> bool:
    """Whether some point of the space may have a margin of 1 or more (the relaxation may say yes wrongly, which only
    makes h larger and the bound smaller)."""
    box = (
        np.maximum(target.coef * space.lower, target.coef * space.upper),
        np.minimum(target.coef * space.lower, target.coef * space.upper),
    )
    ends = {1: box[0].sum() + target.intercept, -1: -(box[1].sum() + target.intercept)}
    return any(ends[y] >= 1.0 - 1e-9 for y in space.labels)


def _rounding(victim: Victim, target: LinearModel, space: Space, v: Direction) -> float:
    """By how much floating-point arithmetic may have put h too low (see the polygon's own allowance)."""
    extent = np.maximum(np.abs(space.lower), np.abs(space.upper))
    reach_v = abs(v.b) + float(np.abs(v.w) @ extent)
    reach = 1.0 + abs(target.intercept) + float(np.abs(target.coef) @ extent)
    steep = {"hinge": 1.0, "logistic": 1.0}.get(victim.loss.name, 2.0 * (1.0 + reach))
    if space.response is not None:
        steep += 2.0 * max(map(abs, space.response))
    eps = float(np.finfo(np.float64).eps)
    return 4.0 * (space.n_features + 8) * eps * (steep * reach_v + reach_v * reach + victim.kappa * reach_v)


Peak = tuple[float, int, float]
"""Value, edge, fraction."""


def _best(values: FloatArray, fractions: FloatArray) -> Peak:
    k = int(values.argmax())
    return float(values[k]), k, float(fractions[k])


def _peak_hinge(u: FloatArray, v: FloatArray) -> Peak:
    """Maximise ``-u`` where the margin v is at most 1; u is convex along the chain, v grows."""
    inside = v <= 1.0
    if not inside[0]:
        return -np.inf, 0, 0.0
    values = np.where(inside, -u, -np.inf)
    k = int(values.argmax())
    best = float(values[k]), k, 0.0
    last = int(np.count_nonzero(inside)) - 1
    if last + 1 < v.size:
        fraction = float(np.clip((1.0 - v[last]) / (v[last + 1] - v[last]), 0.0, 1.0))
        crossing = float(-(u[last] + fraction * (u[last + 1] - u[last])))
        best = max(best, (crossing, last, fraction))
    return best


def _peak_logistic(u: FloatArray, v: FloatArray) -> Peak:
    """Maximise ``-sigmoid(-v) u``: along an edge only a falling u leaves a maximum inside, and only one.

    The derivative has the sign of ``run sigmoid(v) u - rise``. For a rising u it can only change from minus to plus; for
    a falling u it is positive while u is, and falls where u is negative.
    """
    run, rise = np.diff(v), np.diff(u)

    def climbs(edge: np.ndarray, fraction: FloatArray) -> np.ndarray:
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


def _peak_quadratic(u: FloatArray, v: FloatArray, factor: float) -> Peak:
    """Maximise ``factor * v * u`` along the chain: concave on edges where the two run against each other."""
    run, rise = np.diff(v), np.diff(u)
    edge = np.flatnonzero(factor * run * rise < 0.0)
    fraction = np.clip(-0.5 * (v[edge] / run[edge] + u[edge] / rise[edge]), 0.0, 1.0)
    inside = factor * (v[edge] + fraction * run[edge]) * (u[edge] + fraction * rise[edge])
    return _with_vertices(factor * v * u, inside, edge, fraction)


def _peak_squared_hinge(u: FloatArray, v: FloatArray) -> Peak:
    """``2 (v - 1) u`` where the margin v is below 1, else 0."""
    active = v < 1.0
    if not active.any():
        return 0.0, 0, 0.0
    last = int(np.count_nonzero(active)) - 1
    ends = slice(0, last + 1)
    if last + 1 < v.size:  # cut the edge that crosses margin 1
        fraction = float((1.0 - v[last]) / (v[last + 1] - v[last]))
        u_cut = np.append(u[ends], u[last] + fraction * (u[last + 1] - u[last]))
        value, edge, part = _peak_quadratic(u_cut, np.append(v[ends], 1.0) - 1.0, 2.0)
        if edge > last:
            return value, last, fraction
        return value, edge, part * fraction if edge == last else part
    return _peak_quadratic(u, v - 1.0, 2.0)


def _peak_squared(u: FloatArray, v: FloatArray) -> Peak:
    return _peak_quadratic(u, v, 2.0)


def _with_vertices(at_vertices: FloatArray, inside: FloatArray, edge: np.ndarray, fraction: FloatArray) -> Peak:
    k = int(at_vertices.argmax())
    best: Peak = (float(at_vertices[k]), k, 0.0)
    if inside.size:
        i = int(inside.argmax())
        best = max(best, (float(inside[i]), int(edge[i]), float(fraction[i])))
    return best


_PEAKS = {
    "hinge": _peak_hinge,
    "logistic": _peak_logistic,
    "squared_hinge": _peak_squared_hinge,
    "squared": _peak_squared,
}
