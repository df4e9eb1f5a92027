"""Integer numbers of points for smooth losses: counts for each label that reproduce a target, and the points.

With the masses m of :mod:`convexpoison.bounds.tight_perspective` fixed to integers, there remains one equation a point,
``a u = m f(a / m)``, in variables that are otherwise bound by linear conditions. Two things follow:

- tangents that leave no point prove that these counts, over however many points, do not reproduce the target;
- Newton's method for the equations is a linear program with the tangents at the last iterate, and all its iterates stay
  on one side of the curve.

Where one point a label is not enough, the copies of one label are divided over two points.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import ceil, comb

import numpy as np

from convexpoison._utils.deadline import Clock
from convexpoison._utils.types import FloatArray
from convexpoison.attacks.kkt_check import far_point, residual
from convexpoison.bounds.tight_perspective import Kind, Relaxation, Totals, kinds_of
from convexpoison.bounds.tight_program import TightBound
from convexpoison.poison import Poison
from convexpoison.problem import Problem
from convexpoison.solvers import highs
from convexpoison.solvers.linear_program import homogeneous_rows

_STEPS = 30
"""Linear programs for one division; Newton's method needs about five where it converges."""
_CLOSED = 1e-9
"""Stationarity counts as reached when its residual is below this times ``1 + |G|``."""
_FAINT = 10.0
"""A residual up to this factor larger ends the search once all divisions of a number have been tried: the target itself may
be no more accurate."""
_STARTS = (0.5, 2.0)
"""Factors of the pull from which Newton's method starts again."""
_SPREADS = (0.2, 0.8)
"""Relative differences in pull with which several points of one label start."""
_FEW = 6
"""Numbers of points up to which each of them is tried as a point of its own."""
_POSSIBLE = 1e-7
"""By how much a possible division may exceed its tangents, for each point: rounding."""
_SPLITS = 6
"""Divisions of one number of points over the labels that are tried first, or alone where there are many points."""
_ALL, _MANY = 20, 400
"""Up to how many points, and divisions of them, all divisions are tried: few integers may have to lie far from the
fractional masses."""


@dataclass(frozen=True)
class Group:
    """``count`` copies of one point; ``pull`` is that of one copy, where Newton's method starts."""

    kind: Kind
    count: int
    pull: float


@dataclass(frozen=True, eq=False)
class Found:
    """Points, their residual, and whether that counts as 0."""

    poison: Poison
    residual: float
    exact: bool


def search(problem: Problem, bound: TightBound, clock: Clock, extra: int) -> Found:
    """Return the least number of points found that reproduces the target, from the bound upwards; else the least residual.

    Parameters
    ----------
    problem : Problem
        Smooth loss; a space of box, one-hot hulls and slabs.
    bound : TightBound
        With a fractional attack, or what comes near one.
    clock : Clock
    extra : int
        How far above the bound to look.
    """
    newton = _Newton(problem, clock)
    kinds = kinds_of(problem)
    mass, pull = _fractional(problem, bound, kinds)
    first = ceil(bound.value)
    for n in range(first, first + extra + 1):
        possible = []
        for split in _splits(mass, n):
            groups = _groups(kinds, split, pull)
            if newton.solve(groups):
                possible.append(groups)
            if newton.done:
                return newton.best
        for groups in possible[:_SPLITS]:
            for finer in _refined(groups):
                newton.solve(finer)
                if newton.done:
                    return newton.best
        if newton.best.residual <= _FAINT * newton.tolerance:
            break
    return newton.best


# -------------------------------------------------------------------- what to try


def _fractional(problem: Problem, bound: TightBound, kinds: list[Kind]) -> tuple[FloatArray, FloatArray]:
    """Return the mass of every kind in the fractional attack, and the mean pull of one of its points."""
    loss = problem.victim.loss
    mass, total = np.zeros(len(kinds)), np.zeros(len(kinds))
    for part in bound.attack:
        assert part.point is not None
        score = float(problem.target.coef @ part.point)
        fits = [i for i, kind in enumerate(kinds) if kind.label == part.label]
        # A residual has one sign or the other: its kind is the one for which the margin is negative.
        k = min(fits, key=lambda i: kinds[i].sign * (score + kinds[i].shift))
        mass[k] += part.weight
        total[k] -= part.weight * float(loss.derivative(kinds[k].sign * (score + kinds[k].shift)))
    usual = total.sum() / max(mass.sum(), 1e-300)
    return mass, np.where(mass > 0.0, total / np.maximum(mass, 1e-300), usual)


def _splits(mass: FloatArray, n: int) -> list[tuple[int, ...]]:
    """Return the divisions of n over the kinds, nearest to the fractional masses first."""
    wanted = mass * (n / max(float(mass.sum()), 1e-300))
    every = n <= _ALL and comb(n + mass.size - 1, n) <= _MANY
    near = [range(n + 1) if every else range(max(0, int(m) - 2), min(n, int(m) + 3) + 1) for m in wanted]
    splits = [split for split in product(*near) if sum(split) == n]
    splits.sort(key=lambda split: float(np.abs(np.array(split) - wanted).sum()))
    return splits if every else splits[:_SPLITS]


def _groups(kinds: list[Kind], split: tuple[int, ...], pull: FloatArray) -> tuple[Group, ...]:
    return tuple(Group(kind, n, float(p)) for kind, n, p in zip(kinds, split, pull, strict=True) if n > 0)


def _refined(groups: tuple[Group, ...]) -> Iterator[tuple[Group, ...]]:
    """Yield other initial pulls; two points instead of one for one of the groups; every copy as a point of its own, if few."""
    for factor in _STARTS:
        yield tuple(replace(group, pull=factor * group.pull) for group in groups)
    for k, group in enumerate(groups):
        for part in dict.fromkeys((group.count // 2, 1)):
            if 0 < part < group.count:
                for spread in _SPREADS:
                    yield (*groups[:k], *_divided(group, (part, group.count - part), spread), *groups[k + 1 :])
    if max(group.count for group in groups) > 1 and sum(group.count for group in groups) <= _FEW:
        for spread in _SPREADS:
            yield tuple(part for group in groups for part in _divided(group, (1,) * group.count, spread))


def _divided(group: Group, counts: tuple[int, ...], spread: float) -> list[Group]:
    """Return several points with these counts instead of one, their pulls evenly spread."""
    factors = 1.0 + spread * np.linspace(-1.0, 1.0, len(counts)) if len(counts) > 1 else np.ones(1)
    return [Group(group.kind, n, group.pull * float(f)) for n, f in zip(counts, factors, strict=True)]


# -------------------------------------------------------------------- one division


class _Newton:
    """Points for given groups; keeps the best that it has found."""

    def __init__(self, problem: Problem, clock: Clock) -> None:
        self.problem, self.clock = problem, clock
        self.inside = homogeneous_rows(problem.space)
        g = problem.subdifferential.g
        self.tolerance = _CLOSED * (1.0 + float(np.hypot(np.linalg.norm(g.w), g.b)))
        self.best = Found(Poison.of((), problem.space.n_features), np.inf, False)

    @property
    def done(self) -> bool:
        return self.best.exact or self.clock.over

    def solve(self, groups: tuple[Group, ...]) -> bool:
        """Run Newton's method; return whether these counts are still possible."""
        relaxation = Relaxation(self.problem, [group.kind for group in groups], self.inside)
        counts = np.array([float(group.count) for group in groups])
        pulls = np.array([group.pull for group in groups])
        nearest, stalled = np.inf, 0
        for _ in range(_STEPS):
            relaxation.add_tangents(pulls)
            solution = highs.solve(relaxation.on_tangents(counts), self.clock.left())
            if not solution.optimal:
                return solution.status != "infeasible"
            totals = relaxation.read(solution.x)
            pulls = totals.pulls
            self._keep(groups, self._points(groups, totals))
            if relaxation.exceeded(solution.x) > _POSSIBLE * counts.sum():
                return False
            miss = float(np.abs(relaxation.excess(totals)).max())
            stalled = stalled + 1 if miss > 0.5 * nearest else 0
            if self.done or stalled >= 3:
                break
            nearest = min(nearest, miss)
        return True

    def _points(self, groups: tuple[Group, ...], totals: Totals) -> tuple[FloatArray, ...]:
        space, target = self.problem.space, self.problem.target
        return tuple(
            np.clip(U / a, space.lower, space.upper)
            if a > 1e-12 * group.count
            else far_point(space, target, group.kind.sign, self.clock)
            for group, U, a in zip(groups, totals.U, totals.a, strict=True)
        )

    def _keep(self, groups: tuple[Group, ...], points: tuple[FloatArray, ...]) -> None:
        edits = [(x, g.kind.label, g.count) for g, x in zip(groups, points, strict=True)]
        poison = Poison.of(edits, self.problem.space.n_features)
        left = residual(self.problem, poison)
        if left < self.best.residual:
            self.best = Found(poison, left, left <= self.tolerance)
