"""The boundary of a box with one-hot groups, seen through two linear scores.

A loss difference sees ``x`` only through the score of the model and that of the reference. The image of a box under two
scores is a zonogon, and a one-hot group adds its convex hull to that Minkowski sum; either way the edges of the
boundary are those of the summands in the order of slope. A :class:`Chain` is the lower part of the boundary, the least
model score for every reference score, with the way back from any place on it to an ``x``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import NamedTuple

import numpy as np

from convexpoison._utils.types import FloatArray, IntArray
from convexpoison.spaces.space import Space

Group = tuple[int, ...]
Cut = tuple[int, float, float]
"""Column, lower bound, upper bound."""


@dataclass(frozen=True, eq=False)
class Region:
    """A convex piece of a space: a box, and groups of columns of which one takes over from another.

    Attributes
    ----------
    lower, upper : arrays of shape (n_features,)
        0 and 0 for the columns of groups.
    groups : tuple of tuples of int
        Nonnegative columns that sum to 1. The column number ``n_features`` stands for "none of them": an imagined
        column without a coefficient, which makes "at most one" a case of "exactly one".
    """

    lower: FloatArray
    upper: FloatArray
    groups: tuple[Group, ...]

    @classmethod
    def of(cls, space: Space) -> Region:
        """The convex relaxation of a space of box, integer and one-hot parts."""
        lower, upper, groups = space.lower.copy(), space.upper.copy(), []
        for group in space.one_hot:
            members = list(group.columns)
            lower[members] = upper[members] = 0.0
            groups.append((*members, space.n_features) if group.at_most_one else tuple(members))
        return cls(lower, upper, tuple(groups))

    def cut(self, cuts: tuple[Cut, ...]) -> Region:
        """The same region with these column bounds; of several for one column the last counts."""
        lower, upper = self.lower.copy(), self.upper.copy()
        for column, low, high in cuts:
            lower[column], upper[column] = low, high
        return Region(lower, upper, self.groups)


class Edges(NamedTuple):
    """Edges of the boundary in ascending order of slope.

    Along an edge column ``enter`` goes to its far end while, in a group, column ``leave`` goes from 1 to 0. Edges of
    the box have ``leave = n_features + 1``, an imagined column that nobody reads.
    """

    slope: FloatArray
    run: FloatArray
    """Growth of the reference score, positive."""
    rise: FloatArray
    """Growth of the model score."""
    enter: IntArray
    leave: IntArray


class Hull(NamedTuple):
    """Lower hull of a group: the member that is 1 at its beginning, and its edges."""

    start: int
    edges: Edges


@dataclass(frozen=True, eq=False)
class Chain:
    """Lower boundary of the image: vertex ``k`` has model score ``u[k]`` and reference score ``v[k]``, both times the
    sign of the chain and without intercepts; edge ``k`` leads from vertex ``k`` to vertex ``k + 1``."""

    u: FloatArray
    v: FloatArray
    edges: Edges
    start: FloatArray
    far: FloatArray

    def point(self, edge: int, fraction: float) -> FloatArray:
        """The ``x`` at this fraction of this edge, shape (n_features,)."""
        x, e = np.append(self.start, [0.0, 0.0]), self.edges
        x[e.enter[:edge]] = self.far[e.enter[:edge]]
        x[e.leave[:edge]] = 0.0  # after the line above: within a group a column enters before it leaves
        if fraction > 0.0:
            enter, leave = e.enter[edge], e.leave[edge]
            x[enter] = between(x[enter], self.far[enter], fraction)
            x[leave] = 1.0 - fraction
        return np.asarray(x[:-2])

    def integers_around(self, edge: int, fraction: float) -> list[float]:
        """Fractions strictly inside an edge of the box at which its column holds the next integers below and above."""
        column = self.edges.enter[edge]
        if self.edges.leave[edge] <= self.start.size:
            return []
        near, far = float(self.start[column]), float(self.far[column])
        value = between(near, far, fraction)
        fractions = [(whole - near) / (far - near) for whole in (floor(value), ceil(value))]
        return [f for f in fractions if 0.0 < f < 1.0]


def between(near: float, far: float, fraction: float) -> float:
    """The value at this fraction of the way from near to far, never outside of them."""
    value = near + fraction * (far - near)
    return float(min(max(value, min(near, far)), max(near, far)))


class BoxChain(NamedTuple):
    """What a box adds to the chains of either sign: the same edges, walked from opposite corners."""

    edges: Edges
    corners: dict[int, FloatArray]
    path_u: FloatArray
    path_v: FloatArray


class Scores:
    """Two coefficient vectors under which regions are looked at; sorts the columns once for all of them.

    Parameters
    ----------
    model, reference : arrays of shape (n_features,)
    """

    def __init__(self, model: FloatArray, reference: FloatArray) -> None:
        self.model, self.reference = model, reference
        columns = np.flatnonzero(reference)
        # A slope that overflows belongs to an edge whose run is below every rounding error: where among such edges it
        # is sorted does not matter. The order is stable, so ties break alike on every machine.
        with np.errstate(over="ignore"):
            slope = model[columns] / reference[columns]
        order = np.argsort(slope, kind="stable")
        self._columns, self._slope = columns[order], slope[order]
        self._hulls: dict[tuple[Group, int], Hull] = {}

    def box_chain(self, region: Region) -> BoxChain:
        """The edges of the region's box, ``O(n_features)`` after the sort."""
        span = region.upper - region.lower
        run = np.abs(self.reference) * span
        # Columns that cannot move the reference score are set at once, to the end with the smaller model score.
        ascending = np.where(run > 0.0, self.reference, self.model) > 0.0
        low = np.where(ascending, region.lower, region.upper)
        high = np.where(ascending, region.upper, region.lower)
        moves = run[self._columns] > 0.0
        columns = self._columns[moves]
        rise = self.model[columns] * (high - low)[columns]
        nobody = np.full(columns.size, self.model.size + 1)
        edges = Edges(self._slope[moves], run[columns], rise, columns, nobody)
        return BoxChain(edges, {1: low, -1: high}, _path(edges.rise), _path(edges.run))

    def chain(self, box: BoxChain, groups: tuple[Group, ...], sign: int) -> Chain:
        """The lower boundary of the image under ``sign`` times the two scores."""
        start, far = box.corners[sign], box.corners[-sign]
        edges, path_u, path_v = box.edges, box.path_u, box.path_v
        if groups:
            hulls = [self._hull(group, sign) for group in groups]
            edges = _merge([edges, *(hull.edges for hull in hulls)])
            path_u, path_v = _path(edges.rise), _path(edges.run)
            start, far = np.append(start, 0.0), np.append(far, 0.0)
            start[[hull.start for hull in hulls]] = 1.0
            far[np.concatenate([hull.edges.enter for hull in hulls])] = 1.0
            start = start[:-1]  # "none of them" has no coefficient
        u, v = sign * (self.model @ start) + path_u, sign * (self.reference @ start) + path_v
        return Chain(u, v, edges, start, far)

    def _hull(self, group: Group, sign: int) -> Hull:
        """The lower hull of the group's points; the same group comes back in many regions."""
        if (group, sign) not in self._hulls:
            columns = np.array(group, dtype=np.intp)
            t, s = (sign * np.append(coef, 0.0)[columns] for coef in (self.model, self.reference))
            hull = _lower_hull(s, t)
            run, rise = np.diff(s[hull]), np.diff(t[hull])
            with np.errstate(over="ignore"):
                # Rounding may not turn the order around: a column has to enter before it leaves.
                slope = np.maximum.accumulate(rise / run)
            edges = Edges(slope, run, rise, columns[hull[1:]], columns[hull[:-1]])
            self._hulls[group, sign] = Hull(group[hull[0]], edges)
        return self._hulls[group, sign]


def _merge(parts: list[Edges]) -> Edges:
    """All edges in one order; the sort is stable and so keeps the order within a group."""
    slope, run, rise = (np.concatenate([part[k] for part in parts]) for k in range(3))
    enter, leave = (np.concatenate([part[k] for part in parts]).astype(np.intp, copy=False) for k in (3, 4))
    order = np.argsort(slope, kind="stable")
    return Edges(slope[order], run[order], rise[order], enter[order], leave[order])


def _path(steps: FloatArray) -> FloatArray:
    path = np.zeros(steps.size + 1)
    steps.cumsum(out=path[1:])
    return path


def _lower_hull(s: FloatArray, t: FloatArray) -> list[int]:
    """Indices of the lower convex hull of points (s, t), in the order of s (Andrew's monotone chain)."""
    hull: list[int] = []
    for i in np.lexsort((t, s)).tolist():
        if hull and s[i] == s[hull[-1]]:
            continue  # the first of those with this s has the least t
        while len(hull) > 1 and _above(s, t, hull[-2], hull[-1], i):
            hull.pop()
        hull.append(i)
    return hull


def _above(s: FloatArray, t: FloatArray, a: int, b: int, c: int) -> bool:
    """Whether point b lies on or above the line from a to c."""
    return bool((t[b] - t[a]) * (s[c] - s[b]) >= (t[c] - t[b]) * (s[b] - s[a]))
