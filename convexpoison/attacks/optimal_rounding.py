"""Integer numbers of given points with the least KKT residual.

The real columns of a point may still move where the loss is the hinge: all points of one label with a margin of at most 1
have the same derivative, so a point times its number enters a linear program.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np
import scipy.sparse as sp

from convexpoison._utils.types import FloatArray
from convexpoison.attacks.optimal_columns import Master
from convexpoison.bounds.tight_program import TightBound
from convexpoison.poison import Edit, Poison
from convexpoison.solvers import highs
from convexpoison.solvers.linear_program import LinearProgram, Solution, integer_columns

_CARRIES = 1e-9
"""The least mass of a point that enters the rounding."""


class Rounding:
    """Integers for the points with mass in a solution of the master program.

    Columns: integers, idle points, shares, residual above and below, then (hinge) the real columns of every point times
    its number.
    """

    def __init__(self, master: Master, solution: Solution, bound: TightBound) -> None:
        self.master, self.problem = master, master.problem
        used = [k for k in range(len(master.columns)) if solution.x[k] > _CARRIES]
        used = used or list(range(len(master.columns)))
        self.columns = [master.columns[k] for k in used]
        n = len(master.columns)
        self.masses = np.append(solution.x[used], solution.x[n : n + master.idle])
        self.real = np.flatnonzero(~integer_columns(self.problem.space))
        if self.problem.victim.loss.smooth:
            self.real = self.real[:0]
        least = ceil(max(bound.value, float(self.masses.sum()) - 0.5, 1.0))
        self.program = self._program(least, least + max(2, ceil(0.001 * least)))
        self.least = least

    def _program(self, least: int, most: int) -> LinearProgram:
        """Build the program: minimise the residual over integers with a sum between these."""
        part = Master(self.problem)
        for column in self.columns:
            part.add(column)
        base = part.program(1.0)
        k, extra = self.masses.size, len(self.columns) * self.real.size
        A, rows = self._moving(base)
        total = np.append(np.ones(k), np.zeros(A.shape[1] - k))
        return LinearProgram(
            np.concatenate([np.zeros(k), base.cost[k:], np.zeros(extra)]),
            lower=np.append(base.lower, np.full(extra, -np.inf)),
            upper=np.concatenate([np.full(k, float(most)), base.upper[k:], np.full(extra, np.inf)]),
            A=sp.vstack([A, rows, sp.csr_matrix(total)]),
            row_lower=np.concatenate([base.row_lower, np.full(rows.shape[0], -np.inf), [float(least)]]),
            row_upper=np.concatenate([base.row_upper, np.zeros(rows.shape[0]), [float(most)]]),
            integer=total > 0.0,
        )

    def _moving(self, base: LinearProgram) -> tuple[sp.lil_matrix, sp.lil_matrix]:
        """Build the balance with the real columns of every point free, and the rows that keep them in the space and below
        margin 1."""
        target, space, real = self.problem.target, self.problem.space, self.real
        r, A = real.size, sp.lil_matrix(base.A)
        A.resize(base.n_rows, base.n_columns + len(self.columns) * r)
        rows = sp.lil_matrix(((2 * r + 1) * len(self.columns) if r else 0, A.shape[1]))
        for i, column in enumerate(self.columns if r else []):
            place = base.n_columns + i * r + np.arange(r)
            above, below = i * (2 * r + 1) + np.arange(r), i * (2 * r + 1) + r + np.arange(r)
            A[real, i], A[real, place] = self.master.growth[real][:, None], self.master.pull(column)
            rows[above, place], rows[above, i] = 1.0, -space.upper[real][:, None]
            rows[below, place], rows[below, i] = -1.0, space.lower[real][:, None]
            fixed = float(np.delete(column.point * target.coef, real).sum()) + target.intercept
            rows[below[-1] + 1, place] = column.label * target.coef[real]
            rows[below[-1] + 1, i] = column.label * fixed - 1.0
        return A, rows

    def solve(self, limit_s: float) -> Poison:
        """Return the better of the rounded masses and the solution that the solver finds in its time."""
        counts = [_rounded(self.masses, self.least)]
        found = highs.solve(self.program, limit_s)
        if found.has_point:
            counts.append(np.round(found.x[: self.masses.size]))
        settled = [(highs.solve(self._fixed(some)), some) for some in counts]
        best, whole = min(settled, key=lambda pair: pair[0].objective if pair[0].optimal else np.inf)
        return self._read(best.x, whole)

    def _fixed(self, counts: FloatArray) -> LinearProgram:
        lower, upper = self.program.lower.copy(), self.program.upper.copy()
        lower[: counts.size] = upper[: counts.size] = counts
        return replace(self.program, lower=lower, upper=upper, integer=np.array(False))

    def _read(self, x: FloatArray, counts: FloatArray) -> Poison:
        space, r = self.problem.space, self.real.size
        edits: list[Edit] = []
        first = x.size - len(self.columns) * r
        for i, column in enumerate(self.columns):
            count = int(counts[i])
            if count:
                point = column.point.copy()
                point[self.real] = x[first + i * r : first + (i + 1) * r] / count if r else point[self.real]
                edits.append((np.clip(point, space.lower, space.upper), column.label, count))
        idle = self.master.idle_point()
        if self.master.idle and counts[-1] and idle is not None:
            edits.append((idle.point, idle.label, int(counts[-1])))
        return Poison.of(edits, space.n_features)


def _rounded(masses: FloatArray, total: int) -> FloatArray:
    """Return integers with that sum, by largest remainders."""
    counts = np.floor(masses)
    short = int(total - counts.sum())
    order = np.argsort(counts - masses, kind="stable")
    for i in range(max(short, 0)):
        counts[order[i % counts.size]] += 1
    return counts
