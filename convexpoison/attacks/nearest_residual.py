"""Points of a given number that leave the least of the clean rows' gradient: a conic program, slices, rounding, polishing."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.optimize import minimize

from convexpoison._utils.types import FloatArray, IntArray
from convexpoison.bounds.tight_program import Slice, TightProgram
from convexpoison.errors import SolverError, optional_import
from convexpoison.geometry.lower_hull import Region, Scores
from convexpoison.geometry.support_function import dearest
from convexpoison.learners.dual_vector import DualVector
from convexpoison.problem import Problem
from convexpoison.solvers import highs
from convexpoison.solvers.linear_program import LinearProgram

_SLICES = 12
"""Slices of a smooth loss that are generated at most."""
_ENOUGH = 1e-6
"""Slice generation ends when the dearest slice is no better than those in use by more than this (relative)."""
_EXACT = 1e-9
"""A residual below this, relative to the gradient of the clean rows, counts as 0."""

Attack = tuple[FloatArray, FloatArray, IntArray]
"""Points, labels, counts."""


@dataclass(frozen=True, eq=False)
class LeastResidual:
    """``min |balance|_R*`` over the constraints of the tight bound's program, with a given total mass."""

    problem: Problem
    n_points: int

    def fractional(self) -> tuple[list[Slice], LinearProgram, FloatArray]:
        """Slices, their program, and the best masses where these need not be whole."""
        problem = self.problem
        if not problem.victim.loss.smooth:
            slices = [Slice(float(y)) for y in problem.space.labels]
            program = TightProgram(problem).program(slices)
            return slices, program, self.solve(program)[program.cost > 0]
        g = problem.subdifferential.g
        new = self._dearest(np.append(g.w, g.b))[1]
        slices = []
        while True:
            slices.append(new)
            program = TightProgram(problem).program(slices)
            x = self.solve(program)
            r = self._metric**2 * self._balance(program, x)
            price, new = self._dearest(r)
            spent = -float(r @ (program.A[: r.size] @ x)) / self.n_points
            done = price - spent <= _ENOUGH * (abs(price) + abs(spent)) or len(slices) >= _SLICES
            if done or self.residual(program, x) <= _EXACT * self._size:
                return slices, program, x[program.cost > 0]

    def roundings(self, masses: FloatArray) -> list[FloatArray]:
        """Whole masses near the fractional ones that sum to the budget.

        For two masses of a given sum the least residual is a convex function of one of them, so that a neighbour of its
        minimiser is the best whole number. Of more than three the largest remainders are rounded up.
        """
        low = np.floor(masses + 1e-9)
        missing = round(self.n_points - float(low.sum()))
        if masses.size <= 3:
            return [low + np.array(step) for step in product((0.0, 1.0), repeat=masses.size) if sum(step) == missing]
        order = np.argsort(low - masses, kind="stable")
        low[order[:missing]] += 1.0
        return [low]

    def with_counts(self, slices: list[Slice], program: LinearProgram, counts: FloatArray) -> tuple[float, Attack]:
        """The best points for these whole masses, and the residual that they leave."""
        lower, upper = program.lower.copy(), program.upper.copy()
        lower[program.cost > 0] = upper[program.cost > 0] = counts
        program = replace(program, lower=lower, upper=upper)
        # A vertex is exact where the target can be reproduced.
        exact = highs.solve(program)
        x = exact.x if exact.optimal else self.solve(program)
        attack = _read(self.problem, slices, x)
        if self.problem.victim.loss.smooth and self.problem.space.parts == {"box"}:
            return self.polished(attack)
        return self.residual(program, x), attack

    def polished(self, attack: Attack) -> tuple[float, Attack]:
        """The attack with its points moved within the box, across slices, to a least residual nearby.

        Whole masses on slices that were chosen for fractional ones leave a residual; the points are many and the balance is
        a smooth function of them, so it can mostly be taken away. L-BFGS-B on half its square.
        """
        problem, (points, labels, counts) = self.problem, attack
        victim, target, space, loss = problem.victim, problem.target, problem.space, problem.victim.loss
        slope, metric = loss.slope(labels), np.resize(self._metric, space.n_features + 1) ** 2
        metric[-1] = self._metric[-1] ** 2 if victim.intercept != "none" else 0.0
        gradient_w, gradient_b = victim.penalty_gradient(target)
        start = np.append(problem.subdifferential.g.w, problem.subdifferential.g.b)
        start = start + victim.kappa * self.n_points * np.append(gradient_w, gradient_b)

        def half_square(flat: FloatArray) -> tuple[float, FloatArray]:
            x = flat.reshape(points.shape)
            argument = loss.argument(x @ target.coef + target.intercept, labels)
            weight = counts * slope * loss.derivative(argument)
            r = start + np.append(weight @ x, weight.sum())
            pull = metric * r
            turn = counts * slope**2 * loss.curvature(argument) * (x @ pull[:-1] + pull[-1])
            jacobian = weight[:, None] * pull[:-1] + turn[:, None] * target.coef
            return 0.5 * float(pull @ r) / self._size**2, jacobian.ravel() / self._size**2

        bounds = list(zip(np.tile(space.lower, len(points)), np.tile(space.upper, len(points)), strict=True))
        options = {"maxiter": 2000, "maxfun": 4000, "ftol": 1e-22, "gtol": 1e-13}
        found = minimize(half_square, points.ravel(), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        moved = np.clip(found.x.reshape(points.shape), space.lower, space.upper)
        return self._size * float(np.sqrt(2.0 * half_square(moved.ravel())[0])), (moved, labels, counts)

    def residual(self, program: LinearProgram, x: FloatArray) -> float:
        """``|balance|_R*``."""
        return float(np.linalg.norm(self._metric * self._balance(program, x)))

    def solve(self, program: LinearProgram) -> FloatArray:
        """Least residual over the program's constraints with the given total mass, by Clarabel through cvxpy."""
        cp = optional_import("cvxpy", "all", "the nearest model")
        k, x = self._metric.size, cp.Variable(program.n_columns)
        conditions = [program.cost @ x == self.n_points]
        conditions += _conditions(program.A[k:], program.row_lower[k:], program.row_upper[k:], x)
        conditions += _conditions(sp.identity(x.size, format="csr"), program.lower, program.upper, x)
        scale = sp.diags(self._metric / self._size)
        balance = (scale @ program.A[:k]) @ x - scale @ program.row_lower[:k]
        task = cp.Problem(cp.Minimize(cp.norm(balance, 2)), conditions)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # "may be inaccurate": the residual is evaluated anew
                task.solve(solver="CLARABEL", tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10, max_threads=1)
        except cp.error.SolverError as exc:
            raise SolverError(
                f"Clarabel failed at the least residual ({exc}); rescale the features to about [0, 1]"
            ) from exc
        if x.value is None:
            raise SolverError(f"Clarabel has no answer for the least residual: {task.status}; the space may be empty")
        return np.array(x.value, dtype=np.float64)

    def _balance(self, program: LinearProgram, x: FloatArray) -> FloatArray:
        k = self._metric.size
        return np.asarray(program.A[:k] @ x - program.row_lower[:k])

    def _dearest(self, r: FloatArray) -> tuple[float, Slice]:
        """The slice whose atoms go farthest against r."""
        problem, d = self.problem, self.problem.space.n_features
        v = DualVector(-r[:d], -float(r[d]) if self._metric.size > d else 0.0)
        price = dearest(problem.victim, problem.target, problem.space, v)
        return price.value, Slice(price.label, price.score)

    @cached_property
    def _metric(self) -> FloatArray:
        """Square root of the metric of ``|r|_R*``, one entry for each balance row."""
        victim, d = self.problem.victim, self.problem.space.n_features
        scale = victim.intercept_scaling if victim.intercept == "regularized" else 1.0
        return np.append(np.ones(d), scale) if victim.intercept != "none" else np.ones(d)

    @cached_property
    def _size(self) -> float:
        """What residuals are small compared with."""
        return max(float(np.linalg.norm(self.problem.subdifferential.g.w)), 1.0)


def _conditions(A: sp.csr_matrix, low: FloatArray, high: FloatArray, x: Any) -> list[Any]:
    """``low <= A x <= high`` without infinite sides."""
    equal = low == high
    above, below = np.isfinite(low) & ~equal, np.isfinite(high) & ~equal
    return (
        ([A[equal] @ x == low[equal]] if equal.any() else [])
        + ([A[above] @ x >= low[above]] if above.any() else [])
        + ([A[below] @ x <= high[below]] if below.any() else [])
    )


def _read(problem: Problem, slices: list[Slice], x: FloatArray) -> Attack:
    points, labels, counts = [], [], []
    for mass in TightProgram(problem).read(slices, x):
        point, label = (mass.point, mass.label) if mass.point is not None else _lossless_point(problem)
        points.append(point)
        labels.append(label)
        counts.append(round(mass.weight))
    return np.array(points), np.array(labels), np.array(counts, dtype=np.int64)


def _lossless_point(problem: Problem) -> tuple[FloatArray, float]:
    """The point of largest margin under the target."""
    space, target = problem.space, problem.target
    scores = Scores(-target.coef, target.coef)  # along the chain the score only grows
    chain = scores.chain(scores.box_chain(Region.of(space)), Region.of(space).groups, 1)
    corners = {-1: chain.point(0, 0.0), 1: chain.point(chain.edges.run.size, 0.0)}
    label = max(space.labels, key=lambda y: y * float(target.decision_function(corners[y][None, :])[0]))
    return corners[label], float(label)
