"""The lower boundary of the image of a convex space under two linear scores, enclosed where it matters.

Where no sort gives the boundary (slabs, balls), it lies above its tangents and below the chords of the points where they
touch. Where the tangents' peak is, the next one is drawn, parallel to the chord below, until the two agree. (The sandwich
scheme for convex curves: Rote, "The convergence rate of the sandwich algorithm", Computing 48, 1992.)

Solvers find the points where tangents touch. The tangents that are returned are proven afterwards, by weak duality
(:func:`convexpoison.geometry.weak_duality.linear_upper_bound`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from convexpoison._utils.deadline import Clock
from convexpoison._utils.types import FloatArray
from convexpoison.geometry.weak_duality import bounded_box, linear_upper_bound
from convexpoison.learners.losses.edges import EdgeMaximum
from convexpoison.solvers.base import get_solver
from convexpoison.solvers.linear_maximum import support
from convexpoison.spaces.space import Space

_GAP = 1e-10
_MOST_TANGENTS = 60
_TILT = 1e-7
_EPS = float(np.finfo(np.float64).eps)


class Sketch(NamedTuple):
    """A chain that lies nowhere above the boundary, and the best point found.

    Attributes
    ----------
    u, v : arrays of shape (n_vertices,)
        Products and arguments, shifts included.
    value : float
        The peak among points of the space.
    point : array of shape (n_features,)
    """

    u: FloatArray
    v: FloatArray
    value: float
    point: FloatArray


def sketch(
    space: Space,
    model: FloatArray,
    reference: FloatArray,
    peak: Callable[[FloatArray, FloatArray], EdgeMaximum],
    shift: tuple[float, float],
) -> Sketch:
    """Enclose the least ``model @ x`` for each ``reference @ x`` around its peak.

    Parameters
    ----------
    space : Space
        Integers are relaxed and the user's constraints left out.
    model, reference : arrays of shape (n_features,)
    peak : callable
        ``support_peak`` of a loss.
    shift : pair of floats
        What is added to the products with model and reference.

    Raises
    ------
    SolverError
        If the space is empty or unbounded.
    """
    size = max(float(np.abs(model).max()), 1e-300)

    def top(u: FloatArray, v: FloatArray) -> EdgeMaximum:
        return peak(size * u + shift[0], v + shift[1])

    drawing = _Drawing(replace(space.relax(), constraints=None), model / size, reference)
    while True:
        outside, (points, *inside) = drawing.outside(), drawing.inside()
        above, below = top(*outside), top(*inside)
        if above.value in (below.value, -np.inf) or above.value - below.value <= _GAP * max(size, abs(above.value)):
            break
        if not drawing.refine(_place(outside.v, above), *inside):
            break
    u, v = drawing.proven(top)
    near, far = points[below.edge], points[min(below.edge + 1, len(points) - 1)]
    return Sketch(size * u + shift[0], v + shift[1], below.value, near + below.fraction * (far - near))


class _Chain(NamedTuple):
    u: FloatArray
    v: FloatArray


def _place(v: FloatArray, peak: EdgeMaximum) -> float:
    """Where on a chain a peak is."""
    return float(v[peak.edge] + peak.fraction * (v[min(peak.edge + 1, v.size - 1)] - v[peak.edge]))


def _envelope(slopes: FloatArray, offsets: FloatArray, ends: tuple[float, float]) -> _Chain:
    """The chain made of the highest of the lines ``slope * v - offset`` between two ends."""
    lines: list[tuple[float, float]] = []
    starts: list[float] = []
    for slope, offset in sorted(zip(slopes.tolist(), offsets.tolist(), strict=True)):
        if lines and lines[-1][0] == slope:
            continue  # the first of those with this slope is the highest
        start = -np.inf
        while lines:
            start = (offset - lines[-1][1]) / (slope - lines[-1][0])
            if start > starts[-1]:
                break
            lines.pop()
            starts.pop()
            start = -np.inf
        lines.append((slope, offset))
        starts.append(start)
    between = [start for start in starts if ends[0] < start < ends[1]]
    v = np.array([ends[0], *between, ends[1]] if ends[1] > ends[0] else [ends[0]])
    return _Chain(_height(np.array(lines)[:, 0], np.array(lines)[:, 1], v), v)


def _height(slopes: FloatArray, offsets: FloatArray, v: FloatArray) -> FloatArray:
    return np.asarray((np.outer(v, slopes) - offsets).max(axis=1))


@dataclass(eq=False)
class _Drawing:
    """Tangents ``u >= slope * v - offset`` and the points where they touch."""

    space: Space
    model: FloatArray
    reference: FloatArray
    slopes: list[float] = field(default_factory=list)
    points: list[FloatArray] = field(default_factory=list)

    def __post_init__(self) -> None:
        solver = get_solver("cvxpy" if self.space.balls else "highs")
        self._solve, self._clock = solver.solve, Clock(solver.name, None)
        length = float(np.abs(self.reference).max())
        self.draw(0.0)
        for end in (-1.0, 1.0) if length > 0.0 else ():
            # Of the points above an end of the boundary the lowest.
            self.look(end / length * self.reference - _TILT * self.model)

    def draw(self, slope: float) -> None:
        """Add the tangent of this slope."""
        self.slopes.append(slope)
        self.look(slope * self.reference - self.model)

    def look(self, direction: FloatArray) -> None:
        """Add the point that lies farthest in a direction."""
        self.points.append(support(self.space, direction, self._solve, self._clock)[0])

    @property
    def offsets(self) -> FloatArray:
        """As the points suggest them: a guide, not a proof."""
        X = np.array(self.points)
        return np.asarray((np.outer(self.slopes, X @ self.reference) - X @ self.model).max(axis=1))

    def outside(self) -> _Chain:
        """The tangents as the points suggest them: a guide, not a proof."""
        along = np.array(self.points) @ self.reference
        return _envelope(np.array(self.slopes), self.offsets, (float(along.min()), float(along.max())))

    def proven(self, top: Callable[[FloatArray, FloatArray], EdgeMaximum]) -> _Chain:
        """As many of the tangents as it takes to bound the peak, with offsets and ends that need no trust in a solver."""
        slopes, guess = np.array(self.slopes), self.offsets
        ends = -self._bound(-self.reference), self._bound(self.reference)
        chosen, offsets = [0], [self._offset(0)]
        while True:
            chain = _envelope(slopes[chosen], np.array(offsets), ends)
            place = _place(chain.v, top(*chain))
            heights = slopes * place - guess
            heights[chosen] = -np.inf
            k = int(heights.argmax())
            least = _height(slopes[chosen], np.array(offsets), np.array([place]))[0]
            if not heights[k] > least + _GAP * max(1.0, abs(least)):
                return chain
            chosen.append(k)
            offsets.append(self._offset(k))

    def _offset(self, k: int) -> float:
        """An upper bound on ``slope * v - u`` over the space."""
        extent = np.max(np.abs(bounded_box(self.space)), axis=0)
        # The bound knows nothing of the rounding in its coefficients, nor of that where tangents cross.
        parts = (np.abs(self.slopes[k] * self.reference) + np.abs(self.model), extent)
        used = parts[0] != 0.0
        rounding = 8.0 * _EPS * float(parts[0][used] @ parts[1][used])
        return self._bound(self.slopes[k] * self.reference - self.model) + rounding

    def _bound(self, c: FloatArray) -> float:
        return linear_upper_bound(self.space, c)

    def inside(self) -> tuple[list[FloatArray], FloatArray, FloatArray]:
        """The touching points in order: the boundary lies below their chords."""
        X = np.array(self.points)
        u, v = X @ self.model, X @ self.reference
        order = np.lexsort((u, v))
        order = order[np.append(True, np.diff(v[order]) > 0.0)]
        return [self.points[k] for k in order], u[order], v[order]

    def refine(self, place: float, u: FloatArray, v: FloatArray) -> bool:
        """Draw the tangent parallel to the chord below a place; False if there is nothing new to draw."""
        if v.size < 2 or len(self.slopes) >= _MOST_TANGENTS:
            return False
        k = int(np.clip(np.searchsorted(v, place), 1, v.size - 1))
        slope = float((u[k] - u[k - 1]) / (v[k] - v[k - 1]))
        if np.isclose(slope, self.slopes, rtol=1e-12, atol=0.0).any():
            return False
        self.draw(slope)
        return True
