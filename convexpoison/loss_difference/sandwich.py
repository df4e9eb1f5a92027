"""Curved losses over any convex space, from nothing but maxima of linear functions.

The loss difference sees ``x`` only through the two scores ``s = reference.coef @ x`` and ``t = model.coef @ x``, and
the image of a convex space in the ``(s, t)`` plane is convex. The point with the largest ``p s + q t`` is a point of
the image, and the value there a half-plane that holds it. Points span an inner polygon, half-planes cut an outer one.

For fixed ``s`` the difference is convex in ``t`` (a convex loss of a linear argument, less a constant), so over any
convex set its maximum lies on the boundary: the largest difference on the edges of the outer polygon is an upper
bound, and the largest one on the edges of the inner polygon belongs to a point of the space. Where the upper bound is
attained, the next direction points away from the inner polygon, until the two bounds meet. (This is the sandwich
scheme for convex bodies: Rote, "The convergence rate of the sandwich algorithm", Computing 48, 1992.)

The upper bound that is returned uses half-planes proven by :func:`convexpoison.geometry.weak_duality.linear_upper_bound`, not the
solver's word.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from convexpoison._utils.deadline import Clock
from convexpoison._utils.types import FloatArray
from convexpoison.errors import SolverTimeoutError
from convexpoison.geometry.weak_duality import bounded_box, linear_upper_bound
from convexpoison.learners.losses.base import Loss
from convexpoison.loss_difference.query import Proposal, Question

Support = Callable[[FloatArray], tuple[FloatArray, bool]]
"""The point with the largest ``c @ x``, and whether the solver called it optimal."""

_TOLERANCE = 1e-7
_MOST_CALLS = 200
_MOST_PIECES, _MOST_PASSES = 20_000, 60
_EPS = float(np.finfo(np.float64).eps)


def sandwich(question: Question, support: Support, clock: Clock) -> Proposal:
    """The largest loss difference, with an upper bound of its own.

    Raises
    ------
    SolverError, SolverTimeoutError
        If the support function fails in the four directions of the axes; later on the best point so far is returned.
    """
    picture = _Picture(question, support)
    for normal in ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)):
        picture.look(np.array(normal))
    corners = _rectangle(picture.offsets)
    best, status = _Find(-np.inf, picture.xs[0], question.responses[0]), "optimal"
    for y in question.responses:
        try:
            best, finished = _refine(picture, corners, y, best, clock)
            status = status if finished else "stopped early"
        except SolverTimeoutError:
            status = "time_limit"
            break
    upper = _proven(picture, best.value)
    return Proposal(best.x, best.y, upper, f"{status}, {len(picture.xs)} directions")


class _Find(NamedTuple):
    """A point of the space and the difference there."""

    value: float
    x: FloatArray
    y: float


@dataclass(eq=False)
class _Picture:
    """What is known of the image of the space: points, and half-planes ``normal @ point <= offset``.

    A point of the plane is ``(s, r)`` with ``t = share * s + r``: the models of an attack are nearly parallel, and in
    ``(s, t)`` their image would be a sliver.
    """

    question: Question
    support: Support
    xs: list[FloatArray] = field(default_factory=list)
    points: list[FloatArray] = field(default_factory=list)
    normals: list[FloatArray] = field(default_factory=list)
    share: float = field(init=False)
    rest: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        model, reference = self.question.model.coef, self.question.reference.coef
        share = float(model @ reference) / max(float(reference @ reference), 1e-300)
        if np.linalg.norm(model - reference) <= 0.1 * np.linalg.norm(reference):
            share = 1.0  # their difference is then free of rounding
        self.share = share if abs(share) <= 10.0 else 0.0
        self.rest = model - self.share * reference

    def look(self, normal: FloatArray) -> None:
        """Ask for the point that lies farthest in a direction of the plane."""
        x, _ = self.support(self.direction(normal))
        self.xs.append(x)
        self.points.append(np.array([self.question.reference.coef @ x, self.rest @ x]))
        self.normals.append(normal)

    def direction(self, normal: FloatArray) -> FloatArray:
        """The direction of the space that a direction of the plane stands for."""
        return np.asarray(normal[0] * self.question.reference.coef + normal[1] * self.rest)

    def peak(self, y: float, corners: FloatArray, floor: float = -np.inf) -> _Peak:
        """The largest difference on the edges of a polygon."""
        reference = corners[:, 0] + self.question.reference.intercept
        model = self.share * corners[:, 0] + corners[:, 1] + self.question.model.intercept
        loss = self.question.loss
        return _peak(loss, loss.argument(model, y), loss.argument(reference, y), floor)

    @property
    def rounding(self) -> float:
        """How far rounding can move a score of a point."""
        sizes = np.abs(self.question.model.coef) + (1.0 + abs(self.share)) * np.abs(self.question.reference.coef)
        reach = np.max(np.abs(bounded_box(self.question.space)), axis=0)
        return 8.0 * _EPS * float(sizes[sizes > 0] @ reach[sizes > 0])

    @property
    def offsets(self) -> FloatArray:
        """Half-planes as the points suggest them (a guide, not a proof)."""
        return np.asarray((np.array(self.normals) @ np.array(self.points).T).max(axis=1))

    @property
    def around(self) -> list[int]:
        """The points in order around the image: sorted by the directions in which they are extreme."""
        return [int(k) for k in np.argsort([np.arctan2(*normal) for normal in self.normals])]


def _refine(picture: _Picture, corners: FloatArray, y: float, best: _Find, clock: Clock) -> tuple[_Find, bool]:
    """Look in new directions until the bounds for one response meet; the best point, and whether they did."""
    while True:
        best = max(best, _inside(picture, y), key=lambda find: find.value)
        outer = _cut(corners, picture.normals[4:], picture.offsets[4:])
        peak = picture.peak(y, outer, best.value)
        if peak.upper - best.value <= 0.5 * _TOLERANCE * max(1.0, abs(best.value)):
            return best, True
        start, end = outer[peak.edge], outer[(peak.edge + 1) % len(outer)]
        normal = _away(picture, start + peak.fraction * (end - start))
        if normal is None or len(picture.xs) >= _MOST_CALLS:
            return best, False
        if clock.over:
            raise SolverTimeoutError("no time for another direction")
        picture.look(normal)


def _inside(picture: _Picture, y: float) -> _Find:
    """The best place on the edges of the inner polygon: a mean of two points of the space."""
    order = picture.around
    peak = picture.peak(y, np.array(picture.points)[order])
    first, second = picture.xs[order[peak.edge]], picture.xs[order[(peak.edge + 1) % len(order)]]
    x = (1.0 - peak.fraction) * first + peak.fraction * second
    return _Find(picture.question.value_at(x, y), x, y)


def _away(picture: _Picture, place: FloatArray) -> FloatArray | None:
    """The direction from the inner polygon to a place outside; None if the place is on it."""
    points = np.array(picture.points)
    spans = np.ptp(points, axis=0)
    spans = np.where(spans > 0, spans, 1.0)
    start = points[picture.around] / spans
    step = np.roll(start, -1, axis=0) - start
    lengths = np.maximum((step**2).sum(axis=1), 1e-300)
    fraction = np.clip(((place / spans - start) * step).sum(axis=1) / lengths, 0.0, 1.0)
    gaps = place / spans - start - fraction[:, None] * step
    distances = np.linalg.norm(gaps, axis=1)
    nearest = int(np.argmin(distances))
    if distances[nearest] <= 1e-11:
        return None
    normal = gaps[nearest] / spans
    return np.asarray(normal / np.linalg.norm(normal))


def _proven(picture: _Picture, value: float) -> float:
    """Upper bound over the polygon of half-planes that need no trust in the solver."""
    question = picture.question
    offsets = np.array([linear_upper_bound(question.space, picture.direction(normal)) for normal in picture.normals])
    if not np.isfinite(offsets[:4]).all():
        return np.inf
    # The bounds on c @ x do not know of the rounding in c itself and in the cutting.
    offsets += picture.rounding
    outer = _cut(_rectangle(offsets), picture.normals[4:], offsets[4:])
    return max(picture.peak(y, outer, value).upper for y in question.responses)


# -------------------------------------------------------------------- the plane


def _rectangle(offsets: FloatArray) -> FloatArray:
    """Corners, counter-clockwise, from the offsets of the four axis directions."""
    right, top, left, bottom = offsets[0], offsets[1], -offsets[2], -offsets[3]
    return np.array([[left, bottom], [right, bottom], [right, top], [left, top]])


def _cut(corners: FloatArray, normals: list[FloatArray], offsets: FloatArray) -> FloatArray:
    """The part of a convex polygon inside half-planes; a half-plane that would leave nothing (rounding) is left out."""
    for normal, offset in zip(normals, offsets, strict=True):
        excess = corners @ normal - offset
        inside = excess <= 0.0
        if inside.all() or not inside.any():
            continue
        following, beyond = np.roll(corners, -1, axis=0), np.roll(excess, -1)
        crosses = inside != np.roll(inside, -1)
        share = excess[crosses] / (excess[crosses] - beyond[crosses])
        crossings = np.full_like(corners, np.nan)
        crossings[crosses] = corners[crosses] + share[:, None] * (following[crosses] - corners[crosses])
        # Each corner that stays, then the crossing on the edge that begins at it.
        both = np.stack([corners, crossings], axis=1).reshape(-1, 2)
        corners = both[np.stack([inside, crosses], axis=1).ravel()]
    return corners


class _Peak(NamedTuple):
    """Upper bound over all edges, and where the best value was seen."""

    upper: float
    edge: int
    fraction: float


def _peak(loss: Loss, model: FloatArray, reference: FloatArray, floor: float) -> _Peak:
    """The largest difference on the edges of a polygon with these arguments at its corners, by dividing the edges.

    Pieces whose bound exceeds neither ``floor`` nor the best value seen by more than rounding are done with.
    """
    slopes = np.roll(model, -1) - model, np.roll(reference, -1) - reference
    edge, low, width = np.arange(model.size), np.zeros(model.size), 1.0
    best, bound = _Peak(-np.inf, 0, 0.0), -np.inf
    for _ in range(_MOST_PASSES):
        places = low + np.array([[0.0], [0.5 * width], [width]])
        first = model[edge] + places * slopes[0][edge], slopes[0][edge] * width
        second = reference[edge] + places * slopes[1][edge], slopes[1][edge] * width
        uppers, values = _pieces(loss, first, second)
        row, k = np.unravel_index(int(np.argmax(values)), values.shape)
        if values[row, k] > best.upper:
            best = _Peak(float(values[row, k]), int(edge[k]), float(places[row, k]))
        level = max(best.upper, floor)
        open_ = uppers > level + 1e-10 * max(1.0, abs(level))
        bound = max(bound, float(uppers[~open_].max(initial=-np.inf)))
        if not open_.any() or open_.sum() > _MOST_PIECES:
            break
        width *= 0.5
        edge, low = np.repeat(edge[open_], 2), np.stack([low[open_], low[open_] + width]).T.ravel()
    return best._replace(upper=max(best.upper, bound, float(uppers[open_].max(initial=-np.inf))))


def _pieces(
    loss: Loss, model: tuple[FloatArray, FloatArray], reference: tuple[FloatArray, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Bounds on the difference over pieces, and its values at (low end, middle, high end).

    ``model`` and ``reference`` hold the arguments at these three places and their growth over a piece. The bound is
    Taylor's of second order in the middle, with the largest second derivative that the piece can have.
    """
    (u, p), (v, q) = model, reference
    above, below = loss.value(u), loss.value(v)
    first, second = loss.derivative(u[1]) * p, loss.derivative(v[1]) * q
    growth = np.abs(first - second)
    (_, most), (least, _) = (loss.curvature_range(np.minimum(a[0], a[2]), np.maximum(a[0], a[2])) for a in (u, v))
    bend = most * p**2 - least * q**2
    # With h in [0, 1/2] from the middle, growth * h + bend / 2 * h^2 is largest at the end or, bent down, before it.
    h = np.where(bend < 0.0, np.minimum(0.5, growth / np.where(bend < 0.0, -bend, 1.0)), 0.5)
    rounding = 8.0 * _EPS * (above[1] + below[1] + np.abs(first) + np.abs(second) + np.abs(u[1] * p) + np.abs(v[1] * q))
    return above[1] - below[1] + growth * h + 0.5 * bend * h**2 + rounding, above - below
