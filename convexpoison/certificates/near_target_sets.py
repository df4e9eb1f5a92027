"""Neighbourhoods in interval arithmetic: how far they let scores, points and the regulariser's gradient move.

The same formulas as in :mod:`~convexpoison.bounds.uncertainty_set` and :mod:`~convexpoison.bounds.eps_close`, where they
are derived; here every number is an upper bound.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import TrainingData
from convexpoison.geometry.weak_duality import bounded_box
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.losses.base import Loss
from convexpoison.learners.victim import Victim
from convexpoison.numerics.intervals import Interval, dot, product
from convexpoison.spaces.space import Space, dense_chunks

_GRID = np.linspace(-2.0, 2.0, 17)
"""Margins u_0 and u_b that are tried; any will do that points of the space have."""


class Slope(NamedTuple):
    """An enclosure of a direction ``(w, b)``."""

    w: Interval
    b: Interval


@dataclass(frozen=True, eq=False)
class Combination:
    """Points of a space, one a label, and their masses: how a sum of scores is written (label +1 first).

    Attributes
    ----------
    masses : array of shape (2,)
    points : array of shape (2, n_features)
    """

    masses: FloatArray
    points: FloatArray


@dataclass(frozen=True, eq=False)
class Surroundings(ABC):
    """A set N of models around a target.

    Attributes
    ----------
    radius : float
        What makes N.
    """

    victim: Victim
    target: LinearModel
    space: Space
    radius: float

    @abstractmethod
    def score_moves(self, data: TrainingData, scores: Interval) -> tuple[FloatArray, FloatArray]:
        """By how much the score of each clean row may fall and rise at most; may be infinite."""

    @abstractmethod
    def shift(self, label: int) -> float:
        """As in :meth:`~convexpoison.bounds.uncertainty_set.Neighbourhood.shift`."""

    def steepening(self) -> float:
        """e in ``|phi'| <= (1 - e) |phi' at the target| + e``, where that is what closeness says; else 0 and the shift counts."""
        return 0.0


class BallAround(Surroundings):
    """All models within a Euclidean distance of the target."""

    def score_moves(self, data: TrainingData, scores: Interval) -> tuple[FloatArray, FloatArray]:
        X = data.X
        squares = X.multiply(X).tocsr() if hasattr(X, "multiply") else X * X
        # Each square is rounded once, which the last factor pays for (and the constant for underflow).
        longest = product(squares, np.ones(data.n_features))[0] * (1.0 + 2.0**-51) + (self._constant + 1e-290)
        moves = (longest.sqrt() * self.radius).upper
        return moves, moves

    def shift(self, label: int) -> float:
        low, high = (Interval.of(side) for side in bounded_box(self.space))
        squares = np.maximum((low * low).upper, (high * high).upper)
        for group in self.space.one_hot:
            squares[list(group.columns)] = 0.0  # a hull's corners have length 1, or 0
        total = Interval.of(squares).sum() + (float(len(self.space.one_hot)) + self._constant)
        return float((total.sqrt() * self.radius).upper)

    def sway(self, along: Slope) -> float:
        """``radius |J v|``, ``along`` being J v."""
        return float((self.radius * (dot(along.w, along.w) + along.b * along.b).sqrt()).upper)

    @property
    def _constant(self) -> float:
        return 1.0 if self.victim.intercept != "none" else 0.0


class _Line(NamedTuple):
    """``A(u) <= base + slope (u - low)`` for margins of ``high`` or more."""

    low: float
    high: float
    base: float
    slope: float


class CloseTo(Surroundings):
    """All models whose loss exceeds the target's by at most ``radius`` everywhere in a space of box and one-hot hulls."""

    def slack(self, label: int, u: Interval) -> FloatArray:
        """An upper bound on ``d_y(u)``; infinite for a label that the space has not."""
        loss, space = self.victim.loss, self.space
        if not loss.classification:
            assert space.response is not None
            u = u - (space.response[1] if label > 0 else -space.response[0])
        elif label not in space.labels:
            return np.full_like(u.upper, np.inf)
        return loss.slack(u, self.radius)

    def score_moves(self, data: TrainingData, scores: Interval) -> tuple[FloatArray, FloatArray]:
        inside = surely_inside(self.space, data.X)
        down, up = (np.where(inside, self._fall(y, scores * float(y)), np.inf) for y in (1, -1))
        return down, up

    def shift(self, label: int) -> float:
        # Only arguments count that can fall to where the loss has a slope.
        ceiling = self.victim.loss.active_range[1]
        most = float(max((end * float(label)).upper for end in self._range))
        best = float(self.slack(label, Interval.of(most)))
        for line in self._lines[label]:
            if line.high > min(ceiling, most):
                continue
            top = (
                (Interval.of(ceiling) + line.base - Interval.of(line.slope) * line.low)
                / (1.0 - Interval.of(line.slope))
            ).upper
            reached = max(line.high, min(float(top) if line.slope < 1.0 else np.inf, most))
            best = min(best, float((Interval.of(line.slope) * (Interval.of(reached) - line.low) + line.base).upper))
        return best

    def steepening(self) -> float:
        share = self.victim.loss.steepening(self.radius)
        return 0.0 if share is None else float(share.upper)

    def sway(self, combination: Combination) -> float:
        """``sum lambda_k d(u_k)``: how far any closeness lets ``<J Delta, v>`` go, v being what the combination makes."""
        cost = Interval.of(0.0)
        for y, mass, point in zip((1, -1), combination.masses.tolist(), combination.points, strict=True):
            if mass > 0.0:
                margin = (dot(settled(self.space, point), self.target.coef) + self.target.intercept) * float(y)
                cost = cost + Interval.of(mass) * Interval.of(self.slack(y, margin))
        return float(cost.upper)

    def _fall(self, label: int, margin: Interval) -> FloatArray:
        best = self.slack(label, margin)
        for line in self._lines[label]:
            fall = Interval.of(line.slope) * (Interval.of(margin.upper) - line.low) + line.base
            best = np.where(margin.lower >= line.high, np.minimum(best, fall.upper), best)
        return best

    @cached_property
    def _range(self) -> tuple[Interval, Interval]:
        """Enclosures of the least and of the largest score in the space."""
        w = Interval.of(self.target.coef)
        return tuple(  # type: ignore[return-value]
            _highest(self.space, w * s) * s + self.target.intercept for s in (-1.0, 1.0)
        )

    @cached_property
    def _lines(self) -> dict[int, list[_Line]]:
        return {label: self._lines_of(label) for label in (-1, 1)}

    def _lines_of(self, label: int) -> list[_Line]:
        grid = self._grid(label)
        near, far = self.slack(label, Interval.of(grid)), self.slack(-label, Interval.of(-grid))
        lines = []
        for b in range(grid.size):
            for h in range(b + 1, grid.size):
                if np.isfinite([near[h], far[b]]).all():
                    rise = (Interval.of(near[h]) + far[b]) / (Interval.of(grid[h]) - grid[b])
                    lines.append(_Line(float(grid[b]), float(grid[h]), -float(far[b]), float(rise.upper)))
        return lines

    def _grid(self, label: int) -> FloatArray:
        """Margins of this label that points of the space have, for certain."""
        low, high = float(self._range[0].upper), float(self._range[1].lower)
        if low > high:
            return np.zeros(0)
        scores = label * _GRID if self.victim.loss.classification else np.linspace(*self._responses, _GRID.size)
        return np.unique(label * np.clip(scores, low, high))

    @property
    def _responses(self) -> tuple[float, float]:
        assert self.space.response is not None
        return self.space.response


def surely_inside(space: Space, X: Any) -> np.ndarray:
    """Which rows lie in the box and the one-hot hulls of a space for certain; groups of 0 and 1 alone count."""
    return np.concatenate([_surely_inside(space, rows) for _, rows in dense_chunks(X)])


def _surely_inside(space: Space, rows: FloatArray) -> np.ndarray:
    inside = (rows >= space.lower).all(axis=1) & (rows <= space.upper).all(axis=1)
    for group in space.one_hot:
        values = rows[:, list(group.columns)]
        ones = (values == 1.0).sum(axis=1)
        inside &= np.isin(values, (0.0, 1.0)).all(axis=1) & ((ones == 1) | (group.at_most_one & (ones == 0)))
    return np.asarray(inside)


def settled(space: Space, x: FloatArray) -> Interval:
    """An enclosure of a point of the space: x itself, but for the largest entry of groups, which makes up for the others.

    Raises
    ------
    ValueError
        If x is not such a point.
    """
    low, high = np.array(x), np.array(x)
    inside = bool((x >= space.lower).all() and (x <= space.upper).all())
    for group in space.one_hot:
        columns = np.array(group.columns)
        if group.at_most_one and Interval.of(x[columns]).sum().upper <= 1.0:
            continue
        k = columns[int(np.argmax(x[columns]))]
        rest = 1.0 - Interval.of(x[columns[columns != k]]).sum()
        inside &= bool(rest.lower >= 0.0 and rest.upper <= 1.0)
        low[k], high[k] = rest.lower, rest.upper
    if not inside:
        raise ValueError("a point of the combination lies outside the space")
    return Interval(low, high)


def _highest(space: Space, c: Interval) -> Interval:
    """An enclosure of the largest ``c @ x`` over the box and the one-hot hulls."""
    ends = [c * space.lower, c * space.upper]
    best = Interval(np.maximum(ends[0].lower, ends[1].lower), np.maximum(ends[0].upper, ends[1].upper))
    low, high = best.lower.copy(), best.upper.copy()
    for group in space.one_hot:
        columns = list(group.columns)
        floor = 0.0 if group.at_most_one else -np.inf
        top = max(c.lower[columns].max(), floor), max(c.upper[columns].max(), floor)
        low[columns], high[columns] = 0.0, 0.0
        low[columns[0]], high[columns[0]] = top
    return Interval(low, high).sum()


def derivative(loss: Loss, argument: Interval, near: FloatArray) -> Interval:
    """Enclose ``phi'`` over intervals of the argument, which ``near`` widens where the loss has a kink."""
    if not loss.smooth:
        argument = Interval(argument.lower - near, argument.upper + near)
    return loss.derivative_enclosure(argument)
