"""Attacks over integer and one-hot columns: generated points, with masses.

The points of such a space are no convex set, so they are columns of a linear program one by one. Its dual direction prices
all others: for the hinge loss by a mixed-integer program per label, for smooth losses by the corners of the relaxed space
(:mod:`convexpoison.geometry.lower_hull`), all of which are points of the space. Whole numbers of such points
(:mod:`convexpoison.attacks.optimal_rounding`) seldom reproduce a target to the last digit, and the residual says how
near they come.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil

import numpy as np
import scipy.sparse as sp

from convexpoison._utils.deadline import Clock
from convexpoison._utils.types import FloatArray
from convexpoison.attacks.kkt_check import far_point
from convexpoison.bounds.tight_program import TightBound
from convexpoison.geometry.lower_hull import Region, Scores
from convexpoison.geometry.support_function import dearest
from convexpoison.learners.dual_vector import DualVector
from convexpoison.problem import Problem
from convexpoison.solvers import highs
from convexpoison.solvers.counts import program_in_counts
from convexpoison.solvers.linear_maximum import settle
from convexpoison.solvers.linear_program import LinearProgram, Solution, integer_columns, space_rows

_PENALTIES = (1e1, 1e2, 1e3, 1e4)
"""Points that one unit of residual is worth while points are generated; more where it does not vanish."""
_ROUNDS = 400
_WORTH = 1e-6
"""A point whose price is above 1 by less does not enter."""
_AT_KINK = 1e-9
"""A margin above 1 by less is rounding."""
_LEFT = 1e-7
"""A sum of residuals below this, relative to the goal, is rounding."""


@dataclass(frozen=True, eq=False)
class Column:
    """One point of the space."""

    label: float
    point: FloatArray

    @property
    def key(self) -> bytes:
        return np.append(np.round(self.point, 9), self.label).tobytes()


def generate(problem: Problem, bound: TightBound, clock: Clock) -> tuple[Master, Solution]:
    """Points of the space, and masses for them that reproduce the target with the least mass found.

    Parameters
    ----------
    problem : Problem
        A space of box, integer columns, one-hot groups and slabs.
    bound : TightBound
        Its attack, over the relaxed space, gives the first points.
    clock : Clock
    """
    master = Master(problem)
    for part in bound.attack:
        if part.point is not None:
            for point in _corners(problem, part.point):
                master.add(Column(part.label, point))
    return master, master.generate(bound, clock)


def _corners(problem: Problem, x: FloatArray) -> list[FloatArray]:
    """Points of the space of which x is the mean (box and one-hot parts): thresholds run over all columns at once."""
    space = problem.space
    whole, x = integer_columns(space), space.counts(x)
    part = np.where(whole, x - np.floor(x), 0.0)
    ends = {0.0, *part[whole].tolist()}
    groups = [np.array(group.columns) for group in space.one_hot if not group.relaxed]
    for group in groups:
        ends |= set(np.clip(np.cumsum(x[group]), 0.0, 1.0).tolist())
    points = []
    levels = sorted(ends | {1.0})
    for level in (0.5 * (a + b) for a, b in pairwise(levels) if b - a > 1e-9):
        point = np.where(whole, np.floor(x) + (part > level), x)
        for group in groups:
            chosen = int(np.searchsorted(np.cumsum(x[group]), level))
            point[group] = 0.0
            if chosen < group.size:
                point[group[chosen]] = 1.0
        points.append(np.clip(space.values(point), space.lower, space.upper))
    return [point for point in points if space.contains(point[None, :])[0]]


@dataclass(eq=False)
class Master:
    """The linear program over the points so far: masses, idle mass, shares of boundary rows, and what is left."""

    problem: Problem
    columns: list[Column] = field(default_factory=list)
    known: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        problem, victim = self.problem, self.problem.victim
        self.intercept = victim.intercept != "none"
        penalty_w, penalty_b = victim.penalty_gradient(problem.target)
        self.growth = victim.kappa * self._rows(penalty_w, penalty_b)
        self.goal = -self._rows(problem.subdifferential.g.w, problem.subdifferential.g.b)
        shares = [
            self._rows(w, b)
            for w, b in zip(problem.subdifferential.pull_w, problem.subdifferential.pull_b, strict=True)
        ]
        self.shares = np.array(shares).reshape(-1, self.goal.size).T
        self.idle = int(not victim.loss.smooth and victim.kappa > 0.0 and self.idle_point() is not None)
        self.atoms: list[FloatArray] = []

    def _rows(self, w: FloatArray, b: float) -> FloatArray:
        return np.append(w, b) if self.intercept else np.asarray(w)

    def idle_point(self) -> Column | None:
        target, space = self.problem.target, self.problem.space
        for y in map(float, space.labels):
            point = far_point(space, target, y, Clock("highs", None))
            if y * (point @ target.coef + target.intercept) >= 1.0:
                return Column(y, point)
        return None

    def pull(self, column: Column) -> float:
        """What the score's derivative of the loss is at a point; 0 for hinge points beyond margin 1."""
        loss, target = self.problem.victim.loss, self.problem.target
        argument = float(loss.argument(column.point @ target.coef + target.intercept, column.label))
        if not loss.smooth:
            return -column.label if argument <= 1.0 + _AT_KINK else 0.0
        return float(loss.slope(column.label)) * float(loss.derivative(argument))

    def add(self, column: Column) -> bool:
        """Whether the point is new and pulls."""
        pull = self.pull(column)
        if column.key in self.known or pull == 0.0:
            return False
        self.known.add(column.key)
        self.columns.append(column)
        self.atoms.append(pull * self._rows(column.point, 1.0) + self.growth)
        return True

    def generate(self, bound: TightBound, clock: Clock) -> Solution:
        """Add points until none is worth its price, or until they need no more whole points than the bound."""
        for penalty in _PENALTIES:
            for _ in range(_ROUNDS):
                solution = highs.solve(self.program(penalty), None).checked("the masses of the points")
                left = float(solution.x[-2 * self.goal.size :].sum())
                exact = left <= _LEFT * (1.0 + float(np.abs(self.goal).sum()))
                if exact and ceil(solution.objective) <= ceil(bound.value):
                    return solution
                duals = solution.row_duals
                v = DualVector(duals[: self.problem.space.n_features], float(duals[-1]) if self.intercept else 0.0)
                if clock.over or not any([self.add(column) for column in self._priced(v, clock)]):
                    break
            if clock.over or exact:
                break
        return solution

    def program(self, penalty: float) -> LinearProgram:
        """Columns: masses, idle mass, shares, residual above and below."""
        atoms = np.array(self.atoms).reshape(-1, self.goal.size).T
        size, n = self.goal.size, atoms.shape[1] + self.idle
        idle = [self.growth[:, None]] * self.idle
        eye = np.eye(size)
        cost = np.concatenate([np.ones(n), np.zeros(self.shares.shape[1]), np.full(2 * size, penalty)])
        upper = np.concatenate([np.full(n, np.inf), np.ones(self.shares.shape[1]), np.full(2 * size, np.inf)])
        A = np.hstack([atoms, *idle, self.shares, eye, -eye])
        return LinearProgram(cost, upper=upper, A=A, row_lower=self.goal, row_upper=self.goal)

    def _priced(self, v: DualVector, clock: Clock) -> list[Column]:
        """The dearest points for a direction, if they are worth entering."""
        candidates = self._dearest_active(v, clock) if not self.problem.victim.loss.smooth else self._dearest_corners(v)
        direction = self._rows(v.w, v.b)
        growth = float(self.growth @ direction)
        return [
            column
            for column in candidates
            if self.pull(column) * float(self._rows(column.point, 1.0) @ direction) + growth > 1.0 + _WORTH
        ]

    def _dearest_active(self, v: DualVector, clock: Clock) -> list[Column]:
        """Hinge: ``max -y v @ x`` over the points with a margin of at most 1, one program for each label."""
        space, target, found = self.problem.space, self.problem.target, []
        A, low, high = space_rows(space)
        scale = max(float(np.abs(v.w).max()), 1e-300)  # solvers take small costs for zero
        for y in map(float, space.labels):
            program = LinearProgram(
                -y * v.w / scale,
                space.lower,
                space.upper,
                sp.vstack([A, sp.csr_matrix(y * target.coef)]),
                np.append(low, -np.inf),
                np.append(high, 1.0 - y * target.intercept),
                integer_columns(space),
                maximize=True,
            )
            solution = highs.solve(program_in_counts(program, space), clock.left())
            if solution.has_point:
                found.append(Column(y, settle(space, space.values(solution.x), "highs")))
        return found

    def _dearest_corners(self, v: DualVector) -> list[Column]:
        """Smooth losses: the dearest corner of the relaxed space for each label (response) and side."""
        problem, loss = self.problem, self.problem.victim.loss
        space, target = problem.space, problem.target
        region, scores = Region.of(space), Scores(v.w, target.coef)
        box, found = scores.box_chain(region), []
        labels = [float(y) for y in space.labels] if loss.classification else list(dict.fromkeys(space.response or ()))
        for y in labels:
            for sign in (1, -1):
                chain = scores.chain(box, region.groups, sign)
                argument = loss.argument(sign * chain.v + target.intercept, y)
                prices = loss.slope(y) * loss.derivative(argument) * (sign * chain.u + v.b)
                found.append(Column(y, chain.point(int(np.argmax(prices)), 0.0)))
        relaxed = dearest(problem.victim, target, space, v)
        if relaxed.point is not None:
            found += [Column(relaxed.label, x) for x in _corners(problem, relaxed.point)[:4]]
        return found
