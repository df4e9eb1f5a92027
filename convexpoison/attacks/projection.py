"""Projection onto a space, and rounding of its integer columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.errors import optional_import
from convexpoison.solvers.linear_program import space_rows
from convexpoison.spaces.parts import Ball, OneHot, Slab
from convexpoison.spaces.space import Space

_CYCLES = 2000
_STILL = 1e-13
"""Movement within one cycle, relative to the point, at which Dykstra's method ends."""


class Projection:
    """Euclidean projection onto a relaxed space (:meth:`Space.relax`).

    Box and one-hot groups in closed form; balls and slabs besides by Dykstra's method (Boyle and Dykstra, 1986); constraints of
    the user's own by cvxpy. Rounding errors may leave a point slightly outside: check with ``inside``.
    """

    def __init__(self, space: Space) -> None:
        self.space = space.relax()
        self._parts: list[Callable[[FloatArray], FloatArray]] = [self._domain]
        self._parts += [lambda x, ball=ball: _onto_ball(x, ball) for ball in space.balls]  # type: ignore[misc]
        self._parts += [lambda x, slab=slab: _onto_slab(x, slab) for slab in space.slabs]  # type: ignore[misc]

    def __call__(self, points: FloatArray) -> FloatArray:
        """Project the points, row by row; shape (n_points, n_features)."""
        return np.array([self._one(x) for x in points]).reshape(points.shape)

    def inside(self, points: FloatArray) -> bool:
        """Return whether all rows lie in the relaxed space (tolerance of :meth:`Space.contains`)."""
        return bool(self.space.contains(points).all())

    def _one(self, x: FloatArray) -> FloatArray:
        if self.space.constraints is not None:
            return self._by_cvxpy(x)
        if len(self._parts) == 1:
            return self._domain(x)
        corrections = [np.zeros_like(x) for _ in self._parts]
        for _ in range(_CYCLES):
            moved = 0.0
            for k, part in enumerate(self._parts):
                before, wanted = x, x + corrections[k]
                x = part(wanted)
                corrections[k] = wanted - x
                moved += float(np.linalg.norm(x - before))
            if moved <= _STILL * (1.0 + np.linalg.norm(x)):  # by all parts: the method may stand still between cycles
                break
        return self._domain(x)

    def _domain(self, x: FloatArray) -> FloatArray:
        point = np.clip(x, self.space.lower, self.space.upper)
        for group in self.space.one_hot:
            point[list(group.columns)] = _onto_simplex(x[list(group.columns)], group)
        return np.asarray(point)

    def _by_cvxpy(self, x: FloatArray) -> FloatArray:
        wanted, point, problem = self._program
        wanted.value = x
        problem.solve(solver="CLARABEL")
        return x if point.value is None else self._domain(np.asarray(point.value))

    @cached_property
    def _program(self) -> tuple[Any, Any, Any]:
        """The parameter to project, the projection, and their problem: built once, solved often."""
        cp, space = optional_import("cvxpy", "all", "a space with constraints of its own"), self.space
        wanted, point = cp.Parameter(space.n_features), cp.Variable(space.n_features)
        A, low, high = space_rows(space)
        limits = [(point, space.lower, space.upper), *([(A @ point, low, high)] if low.size else [])]
        conditions = [cp.norm(point - ball.center) <= ball.radius for ball in space.balls]
        for values, lower, upper in limits:
            above, below = np.isfinite(lower), np.isfinite(upper)
            conditions += [values[above] >= lower[above]] if above.any() else []
            conditions += [values[below] <= upper[below]] if below.any() else []
        assert space.constraints is not None
        nearest = cp.Minimize(cp.sum_squares(point - wanted))
        return wanted, point, cp.Problem(nearest, conditions + space.constraints(point))


def _onto_ball(x: FloatArray, ball: Ball) -> FloatArray:
    away = x - ball.center
    length = float(np.linalg.norm(away))
    return x if length <= ball.radius else np.asarray(ball.center + ball.radius / length * away)


def _onto_slab(x: FloatArray, slab: Slab) -> FloatArray:
    along, square = float(slab.direction @ x), float(slab.direction @ slab.direction)
    excess = along - min(max(along, slab.lower), slab.upper)
    return x if excess == 0.0 else np.asarray(x - excess / square * slab.direction)


def _onto_simplex(x: FloatArray, group: OneHot) -> FloatArray:
    """Project onto the values of at least 0 that sum to 1, or to at most 1 (Held, Wolfe and Crowder, 1974)."""
    positive = np.maximum(x, 0.0)
    if group.at_most_one and positive.sum() <= 1.0:
        return positive
    falling = np.sort(x)[::-1]
    excess = (np.cumsum(falling) - 1.0) / np.arange(1, x.size + 1)
    return np.asarray(np.maximum(x - excess[np.flatnonzero(falling > excess)[-1]], 0.0))


def roundings(space: Space, points: FloatArray, n_draws: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Yield the points with their integer columns rounded: to the nearest integers, then at random.

    A random rounding goes up with the probability that keeps the mean (randomised rounding, as in Koh, Steinhardt and Liang,
    2022). Balls, slabs and constraints are ignored.
    """
    for draw in range(1 + n_draws):
        yield np.array([_rounded(space, x, rng if draw else None) for x in points]).reshape(points.shape)


def _rounded(space: Space, x: FloatArray, rng: np.random.Generator | None) -> FloatArray:
    counts, threshold = space.counts(x), np.full(x.size, 0.5)
    if rng is not None:
        threshold[space.integer] = rng.random(int(space.integer.sum()))
    rounded = space.values(np.floor(counts) + (counts - np.floor(counts) > threshold))
    whole = np.where(space.integer, rounded, x)
    for group in space.one_hot:
        if not group.relaxed:
            shares = np.append(np.maximum(x[list(group.columns)], 0.0), 0.0)
            shares[-1] = max(0.0, 1.0 - shares.sum()) if group.at_most_one else 0.0
            chosen = int(np.argmax(shares)) if rng is None else int(rng.choice(shares.size, p=shares / shares.sum()))
            whole[list(group.columns)] = np.arange(len(group.columns)) == chosen
    return whole
