"""The least integer number of points for the hinge loss over a convex space: one mixed-integer program.

Points of one label with a margin of at most 1 form a convex set, so ``m`` of them pull like m copies of their mean. A point
whose margin is exactly 1 may pull with any share of [0, 1], and one with a margin of 1 or more need not pull at all. Several
points with shares can be exchanged for as many with share 1 or 0 and one that keeps the fraction, so the program with

- integer masses of full points, one point with a share for each label, and (if regularisation grows with the data) an
  integer mass of points without loss

is exact: no attack over the same space uses fewer points than its optimum, and that takes at most five different points.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import scipy.sparse as sp

from convexpoison._utils.deadline import Clock
from convexpoison._utils.types import FloatArray
from convexpoison.attacks.kkt_check import far_point
from convexpoison.bounds.tight_program import Slice, TightBound, TightProgram
from convexpoison.poison import Edit, Poison
from convexpoison.problem import Problem
from convexpoison.solvers import highs
from convexpoison.solvers.linear_program import LinearProgram

_NO_SHARE = 1e-9
"""A share below this counts as none: its point would consist of rounding errors."""


def least_copies(problem: Problem, bound: TightBound, clock: Clock, extra: int) -> Poison:
    """Return the least integer number of points that reproduces the target.

    Parameters
    ----------
    problem : Problem
        Hinge loss; a space of box, one-hot hulls and slabs.
    bound : TightBound
    clock : Clock
    extra : int
        Largest number of points above the bound.

    Returns
    -------
    Poison
        Empty if the solver finds none in its time, or none up to that number.
    """
    first = ceil(bound.value)
    program = MixedIntegerProgram(problem, first, first + extra)
    solution = highs.solve(program.program, clock.left())
    if not solution.has_point:
        return Poison.of((), problem.space.n_features)
    # Masses that are integer only up to a tolerance would leave an error of that size times a large number of copies.
    settled = highs.solve(program.settled(solution.x), clock.left())
    x = settled.x if settled.optimal else solution.x
    return program.read(x, clock)


@dataclass(frozen=True)
class _Place:
    """Where one block (U, mass) lies among the columns."""

    start: int
    mass: int


class MixedIntegerProgram:
    """The program of the tight bound, once for full points and once for points with a share, with integers.

    Added columns: for each label whether there is a point with a share, then the number of points without loss.
    """

    def __init__(self, problem: Problem, least: int, most: int) -> None:
        self.problem, d = problem, problem.space.n_features
        self.labels = [float(y) for y in problem.space.labels]
        k = len(self.labels)
        self.blocks = [_Place(i * (d + 1), i * (d + 1) + d) for i in range(2 * k)]
        base = TightProgram(problem).program([Slice(y) for y in self.labels] * 2)
        self.idle = (
            base.n_columns - 2 * k * (d + 1) - problem.subdifferential.pull_b.size
        )  # 1 if idle points count, else 0
        self.n_base, width = base.n_columns, base.n_columns + k + self.idle
        full = [block.mass for block in self.blocks[:k]]
        self.shared = [block.mass for block in self.blocks[k:]]
        self.counted = np.array([*full, *range(base.n_columns, width)])
        rows, low, high = self._extra_rows(width)
        A = base.A.copy()
        A.resize(A.shape[0], width)
        cost, integer = np.zeros(width), np.zeros(width, dtype=bool)
        cost[self.counted], integer[self.counted] = 1.0, True
        upper = np.append(base.upper, np.ones(k + self.idle))
        upper[full], upper[self.shared] = float(most), 1.0
        upper[base.n_columns + k :] = float(most)
        # The solver need not prove what the bound has proven.
        self.program = LinearProgram(
            cost,
            lower=np.append(base.lower, np.zeros(k + self.idle)),
            upper=upper,
            A=sp.vstack([A, rows, sp.csr_matrix(cost)]),
            row_lower=np.concatenate([base.row_lower, low, [float(least)]]),
            row_upper=np.concatenate([base.row_upper, high, [float(most)]]),
            integer=integer,
        )

    def _extra_rows(self, width: int) -> tuple[sp.csr_matrix, FloatArray, FloatArray]:
        """Build the rows for margins of exactly 1, for shares only with a point, and for the sum of the mass without loss."""
        k, w, b = len(self.labels), self.problem.target.coef, self.problem.target.intercept
        rows = np.zeros((2 * k + self.idle, width))
        for i, (y, block) in enumerate(zip(self.labels, self.blocks[k:], strict=True)):
            rows[i, block.start : block.mass] = y * w
            rows[i, block.mass] = y * b - 1.0
            rows[k + i, [block.mass, self.n_base + i]] = 1.0, -1.0
        if self.idle:
            rows[-1, [self.blocks[-1].mass + 1, *self.shared]] = 1.0
            rows[-1, self.n_base :] = -1.0
        low = np.concatenate([np.zeros(k), np.full(k, -np.inf), np.zeros(self.idle)])
        return sp.csr_matrix(rows), low, np.concatenate([np.full(k, np.inf), np.zeros(k + self.idle)])

    def settled(self, x: FloatArray) -> LinearProgram:
        """Return the linear program with the integers fixed."""
        lower, upper = self.program.lower.copy(), self.program.upper.copy()
        lower[self.counted] = upper[self.counted] = np.round(x[self.counted])
        return replace(self.program, lower=lower, upper=upper, integer=np.array(False))

    def read(self, x: FloatArray, clock: Clock) -> Poison:
        """Return the points and counts of a solution."""
        k, space, idle = len(self.labels), self.problem.space, 0
        edits: list[Edit] = []
        for i, block in enumerate(self.blocks):
            count = round(float(x[block.mass if i < k else self.n_base + i - k]))
            if count and x[block.mass] > _NO_SHARE:
                point = np.clip(x[block.start : block.mass] / x[block.mass], space.lower, space.upper)
                edits.append((point, self.labels[i % k], count))
            else:
                idle += count
        idle += round(float(x[self.n_base + k :].sum()))
        if idle:
            edits.append(self._idle_points(idle, clock))
        return Poison.of(edits, space.n_features)

    def _idle_points(self, count: int, clock: Clock) -> Edit:
        """Return copies of the point with the largest margin."""
        target = self.problem.target
        points = [(far_point(self.problem.space, target, y, clock), y, count) for y in self.labels]
        return max(points, key=lambda edit: edit[1] * (edit[0] @ target.coef + target.intercept))
