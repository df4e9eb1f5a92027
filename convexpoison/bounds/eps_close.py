"""All models that are eps-close to a target (MTP, Definition 1), described exactly and bounded in closed form.

``D(theta', theta_p) <= eps`` says ``phi(u') <= phi(u) + eps`` for every point of the space, where u and u' are its margins
under target and model. phi falls, so that is ``u' >= u - d(u)`` with ``d(u) = u - phi^-1(phi(u) + eps)``:

    hinge            d(u) = eps + max(0, u - 1)
    squared hinge    d(u) = u - 1 + sqrt((1 - u)_+^2 + eps)
    logistic         d(u) = log(e^eps + (e^eps - 1) e^u)

which is convex and grows with u. In terms of ``Delta = theta' - theta_p``

    N = {Delta : -y <x~, Delta> <= d_y(y s(x)) for all x of the space and both labels},    s(x) the score under the target:

**closeness is an inequality on a support function**, for these losses without anything lost. Squared loss with responses
in [lo, hi]: ``t (t + 2 (s - y)) <= eps`` for the movement t of a score is worst at y = lo for t > 0 and y = hi for t < 0, so
the same holds with ``d_y(u) = u - k_y + sqrt((u - k_y)^2 + eps)``, ``k_1 = hi``, ``k_-1 = -lo``.

*How far one score falls.* Besides ``d_y(u)`` itself, take a point x_b of the space with margin u_b < u and the point x_0 of
the segment to x with margin u_0 in (u_b, u]: ``x~ = tau x~_0 - (tau - 1) x~_b``, ``tau = (u - u_b) / (u_0 - u_b)``, so

    -y <x~, Delta> <= A(u) = tau d_y(u_0) + (tau - 1) d_-y(-u_b),

affine in u. For the hinge with u_0 = 1 and u_b = -1 that is ``eps * u``: at most ``k * eps`` with k the largest score, and
eps for ``|u| <= 1``. This is what MTP's Corollary 3 says with ``k = r q``; its Theorem 4, however, needs a space that holds
all points with entries ``+-1 / r`` (the box [0, 1]^d does not) and an l1 norm at most r of the unknown model as well. Where
it applies, ``max(1, largest score) <= r q``: it bounds ``|<x, theta>|`` by ``|x|_inf |theta|_1``.

*How far a sum of scores moves.* By duality ``max over N of <q, Delta>`` is the least ``sum lambda_k d(u_k)`` over all ways to
write ``q = sum lambda_k (-y_k x~_k)``. A linear program (d taken as piecewise linear, one point a label) proposes one; the
direction is then *defined* by the combination and its cost evaluated with d itself, so nothing rests on the solver.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from convexpoison._utils.types import FloatArray
from convexpoison.bounds.uncertainty_set import Neighbourhood, Sway, second_derivative
from convexpoison.certificates.near_target_sets import Combination
from convexpoison.geometry.support_function import Price, score_range
from convexpoison.learners.dual_vector import DualVector
from convexpoison.learners.linear_model import LinearModel
from convexpoison.numerics.intervals import Interval
from convexpoison.solvers import highs
from convexpoison.solvers.linear_program import LinearProgram, homogeneous_rows
from convexpoison.spaces.space import Space

_GRID = np.linspace(-2.0, 2.0, 17)
"""Margins u_0 and u_b that are tried; -1 and 1, which the hinge wants, are among them."""
_SAFETY = 1.0 + 1e-9
"""On closed forms: far more than rounding adds to them."""


@dataclass(frozen=True, eq=False)
class Close(Neighbourhood):
    """All models whose loss exceeds the target's by at most eps everywhere in a space of box and one-hot hulls."""

    eps: float

    @property
    def reach(self) -> float:
        return self.eps

    # ---------------------------------------------------------------- one score

    def slack(self, label: int, margin: FloatArray) -> FloatArray:
        """``d_y(u)``; infinite for a label that the space has not."""
        loss, space, u = self.problem.victim.loss, self.problem.space, np.asarray(margin, dtype=np.float64)
        if not loss.classification:
            assert space.response is not None
            u = u - (space.response[1] if label > 0 else -space.response[0])
        elif label not in space.labels:
            return np.full_like(u, np.inf)
        return loss.slack(Interval.of(u), self.eps)

    def steepening(self, label: int, margin: float) -> float:
        return float(self.slack(label, np.array(margin)))

    def fall(self, label: int, margin: FloatArray) -> FloatArray:
        """By how much a margin may fall: the best of ``d_y(u)`` and ``A(u)`` over the grid."""
        best = self.slack(label, margin)
        for low, high, base, slope in self._lines[label]:
            line = base + slope * (margin - low)
            best = np.where(margin >= high, np.minimum(best, line), best)
        return best * _SAFETY

    def score_moves(self) -> tuple[FloatArray, FloatArray]:
        problem = self.problem
        scores = problem.target.decision_function(problem.data.X)
        inside = problem.space.contains(problem.data.X, tol=1e-12)
        return tuple(np.where(inside, self.fall(y, y * scores), np.inf) for y in (1, -1))  # type: ignore[return-value]

    def largest_fall(self, label: int) -> float:
        """The most that any margin of this label may fall in the space."""
        return self._most(label, np.inf)

    def shift(self, label: int) -> float:
        # Only arguments count that can fall to where the loss has a slope.
        return self._most(label, self.problem.victim.loss.active_range[1])

    def _most(self, label: int, ceiling: float) -> float:
        """The largest fall among points whose margin may come to be at most the ceiling.

        On a line, ``u - A(u) <= ceiling`` up to some T, and below u_0 falls are at most ``d(u_0) = A(u_0)``.
        """
        most = max(label * score for score in self._scores)
        best = float(self.slack(label, np.array(most)))
        for low, high, base, slope in self._lines[label]:
            if high > min(ceiling, most):
                continue
            top = (ceiling + base - slope * low) / (1.0 - slope) if slope < 1.0 else np.inf
            best = min(best, base + slope * (min(top, most) - low))
        return best * _SAFETY

    @cached_property
    def _scores(self) -> tuple[float, float]:
        target = self.problem.target
        low, high = score_range(target, self.problem.space)
        return low + target.intercept, high + target.intercept

    @cached_property
    def _lines(self) -> dict[int, list[tuple[float, float, float, float]]]:
        """``u_b, u_0, base, slope`` of ``A(u) = base + slope (u - u_b)`` for each label."""
        return {label: self._lines_of(label) for label in (-1, 1)}

    def _lines_of(self, label: int) -> list[tuple[float, float, float, float]]:
        grid = self._grid(label)
        near, far = self.slack(label, grid), self.slack(-label, -grid)
        lines = []
        for b in range(grid.size):
            for top in range(b + 1, grid.size):
                slope = float((near[top] + far[b]) / (grid[top] - grid[b]))
                if np.isfinite(slope):
                    lines.append((float(grid[b]), float(grid[top]), -float(far[b]), slope))
        return lines

    def _grid(self, label: int) -> FloatArray:
        """Margins of this label that points of the space have."""
        response = self.problem.space.response
        if self.problem.victim.loss.classification:
            scores = label * _GRID
        else:
            assert response is not None
            scores = np.linspace(*response, _GRID.size)
        return np.unique(label * np.clip(scores, *self._scores))

    # ---------------------------------------------------------------- prices

    def dearest(self, v: DualVector) -> Price:
        """As in the base class; where the loss knows by how much it steepens, that is more exact."""
        steepening = self.problem.victim.loss.steepening(self.eps)
        if steepening is None:
            return super().dearest(v)
        price, rise = self._dearest(v, {-1: 0.0, 1: 0.0}), float(steepening.upper)
        space = self.problem.space
        low, high = score_range(LinearModel(v.w), space)
        steepest = max(max(-y * (low + v.b), -y * (high + v.b)) for y in space.labels)
        upper = (1.0 - rise) * price.upper + rise * max(steepest, 0.0) * _SAFETY
        return Price(price.value, float(upper), price.point, price.label, price.score)

    # ---------------------------------------------------------------- sums of scores

    def sway(self, v: DualVector) -> Sway:
        victim, space = self.problem.victim, self.problem.space
        # Closeness says nothing of columns that no point can change; v is better off without them.
        v = DualVector(np.where(space.lower < space.upper, v.w, 0.0), v.b)
        q = second_derivative(self.problem, v)
        size = float(np.abs(q.w).max(initial=abs(q.b)))
        if size == 0.0:
            return Sway(v, 0.0, None)
        program = self._program(DualVector(q.w / size, q.b / size))
        solution = highs.solve(program)
        if not solution.optimal:
            return Sway(v, np.inf, None)
        made = self._combination(solution.x)
        w, b, value = self._sum(made)
        made = replace(made, masses=size * made.masses)
        weight = victim.intercept_weight
        settled = DualVector(size * w, size * b / weight if weight else v.b)
        duals, d = solution.row_duals, space.n_features
        return Sway(
            settled, size * value, DualVector(duals[:d], 0.0 if victim.intercept == "none" else float(duals[d])), made
        )

    def _program(self, q: DualVector) -> LinearProgram:
        """Least cost of ``q = sum of -y U_y, -y m_y``; columns U, m and cost of label 1, then of label -1."""
        space, target, d = self.problem.space, self.problem.target, self.problem.space.n_features
        A, row_lower, row_upper = homogeneous_rows(space)
        balance, inside, costs = [], [], []
        for y in (1, -1):
            balance.append(sp.diags_array(np.append(np.full(d + 1, -float(y)), 0.0), format="csr")[: d + 1])
            inside.append(sp.hstack([A, sp.csr_matrix((A.shape[0], 1))]))
            costs.append(self._cost_rows(y, target.coef, target.intercept))
        rows = sp.vstack([sp.hstack(balance), sp.block_diag(inside), sp.block_diag(costs)], format="csr")
        n_costs = sum(c.shape[0] for c in costs)
        sides = np.append(q.w, q.b)
        if self.problem.victim.intercept == "none":
            rows, sides = sp.vstack([rows[:d], rows[d + 1 :]]), q.w
        low = np.concatenate([np.where(space.lower >= 0, 0.0, -np.inf), [0.0, 0.0]])
        allowed = [float(np.isfinite(self.slack(y, np.zeros(1))[0])) for y in (1, -1)]
        high = np.concatenate([np.append(np.full(d, np.inf), [np.inf if a else 0.0, np.inf]) for a in allowed])
        return LinearProgram(
            cost=np.tile(np.append(np.zeros(d + 1), 1.0), 2),
            lower=np.tile(low, 2),
            upper=high,
            A=rows,
            row_lower=np.concatenate([sides, row_lower, row_lower, np.zeros(n_costs)]),
            row_upper=np.concatenate([sides, row_upper, row_upper, np.full(n_costs, np.inf)]),
        )

    def _cost_rows(self, y: int, w: FloatArray, b: float) -> sp.csr_matrix:
        """``cost >= m * (secant of d_y at the margin of U / m)``, one row for each two neighbours on the grid."""
        grid = np.unique(np.append(self._grid(y), [y * score for score in self._scores]))
        values = self.slack(y, grid)
        if grid.size < 2 or not np.isfinite(values).all():
            slopes, heights = np.zeros(1), np.where(np.isfinite(values[:1]), values[:1], 0.0)
        else:
            slopes = np.diff(values) / np.diff(grid)
            heights = values[:-1] - slopes * grid[:-1]
        slopes = slopes[:, None]
        return sp.csr_matrix(np.hstack([-slopes * (y * w), -(heights[:, None] + slopes * y * b), np.ones_like(slopes)]))

    def _combination(self, x: FloatArray) -> Combination:
        """The points and masses of a solution; the points lie in the space, whatever the solver says."""
        space, d = self.problem.space, self.problem.space.n_features
        masses, points = np.zeros(2), np.zeros((2, d))
        for k in range(2):
            block = x[k * (d + 2) : (k + 1) * (d + 2)]
            masses[k] = max(float(block[d]), 0.0)
            points[k] = _settle(space, block[:d] / block[d] if block[d] > 0 else block[:d])
        if self.problem.victim.intercept == "free":
            masses[:] = 0.5 * masses.sum()  # they have to cancel exactly
        return Combination(masses, points)

    def _sum(self, made: Combination) -> tuple[FloatArray, float, float]:
        """The sum of ``m (-y x~)``, and what it costs."""
        target = self.problem.target
        w, b, cost = np.zeros(target.n_features), 0.0, 0.0
        for y, mass, point in zip((1, -1), made.masses.tolist(), made.points, strict=True):
            if mass > 0.0:
                w, b = w - y * mass * point, b - y * mass
                cost += mass * float(self.slack(y, np.array(y * (point @ target.coef + target.intercept))))
        return w, b, cost * _SAFETY


def _settle(space: Space, x: FloatArray) -> FloatArray:
    """The point of the space that x is but for rounding."""
    point = np.clip(x, space.lower, space.upper)
    for group in space.one_hot:
        columns = list(group.columns)
        total = point[columns].sum()
        if total > 1.0 or not group.at_most_one:
            point[columns] = point[columns] / total if total > 0 else 1.0 / len(columns)
    return np.asarray(point)
