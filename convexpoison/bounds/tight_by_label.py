"""The least mass that reproduces a target where each label has a space of its own.

The program is that of :mod:`convexpoison.bounds.tight_program`, with the points of a slice in the space of its label.
Whatever direction
a solver proposes, what it proves is evaluated by the library: its price is the largest over the labels, each over its own space.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.bounds.tight_program import RELATIVE_GAP, Slice, TightProgram
from convexpoison.errors import SolverError, optional_import
from convexpoison.geometry.support_function import Price, has_point_without_loss, prices, score_range
from convexpoison.learners.dual_vector import DualVector
from convexpoison.problem import Problem
from convexpoison.solvers.linear_program import LinearProgram
from convexpoison.spaces.space import Space

_MOST_ROUNDS = 60
_STALLED = 6
_FIRST = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Scores of the first slices of a smooth loss, between the least and the largest in the space of the label."""
_NEAR = (-0.01, 0.0, 0.01)
"""Around a dear score, as shares of the range, where further slices are laid in the first round; later ones lie ever nearer."""
_PENALTY = 1e3
"""What an unbalanced unit of stationarity costs, in masses, where the program has no solution: the direction then nearly proves
that there is none."""
_NO_MASS = 1e-6
"""Shares of the mass below this are dropped: interior points give a little to every slice."""


@dataclass(frozen=True, eq=False)
class Point:
    """``mass`` copies of a point."""

    label: float
    point: FloatArray
    mass: float


@dataclass(frozen=True, eq=False)
class LeastMass:
    """What was found.

    Attributes
    ----------
    bound : float
        Certified lower bound on the mass.
    mass : float
        Of the fractional attack; ``inf`` if there is none.
    direction : DualVector or None
        What proves the bound.
    attack : tuple of Point
    """

    bound: float
    mass: float
    direction: DualVector | None = None
    attack: tuple[Point, ...] = ()


def least_mass_by_label(problem: Problem, spaces: dict[float, Space]) -> LeastMass:
    """The least mass with points of label y in ``spaces[y]``.

    Parameters
    ----------
    problem : Problem
        A classifier's; its space holds all the others: the same box and one-hot hulls, which they cut by balls and slabs.
    spaces : dict of Space
        For -1.0, +1.0 or both.

    Raises
    ------
    ValueError
        If a space is unbounded.
    SolverError
        If the solver fails before there is a bound.
    """
    search = _Search(problem, spaces)
    best, slices = LeastMass(0.0, np.inf), search.first_slices()
    stalled = 0
    for k in range(_MOST_ROUNDS):
        try:
            mass, attack, v = search.solve(slices)
        except SolverError:
            if best.direction is None:
                raise
            break
        found = search.prices(v)
        bound = search.program.quotient(v, max(price.upper for price in found))
        stalled = 0 if bound > best.bound or mass < best.mass else stalled + 1
        if bound > best.bound:
            best = replace(best, bound=bound, direction=v)
        if mass < best.mass:
            best = replace(best, mass=mass, attack=attack)
        closed = best.mass - best.bound <= RELATIVE_GAP * max(1.0, best.bound)
        if closed or not problem.victim.loss.smooth or stalled >= _STALLED:
            break
        slices = search.more_slices(slices, found, 0.5**k)
    return best


class _Search:
    def __init__(self, problem: Problem, spaces: dict[float, Space]) -> None:
        self.problem, self.program, self.spaces = problem, TightProgram(problem), spaces
        self.ranges = {y: score_range(problem.target, space) for y, space in spaces.items()}

    def prices(self, v: DualVector) -> list[Price]:
        """The dearest point of each label in its own space."""
        victim, target = self.problem.victim, self.problem.target
        return [price for space in self.spaces.values() for price in prices(victim, target, space, v)]

    # ---------------------------------------------------------------- slices

    def first_slices(self) -> list[Slice]:
        if not self.problem.victim.loss.smooth:
            return [Slice(y) for y in self.spaces]
        return [Slice(y, (1 - q) * low + q * high) for y, (low, high) in self.ranges.items() for q in _FIRST]

    def more_slices(self, slices: list[Slice], found: list[Price], scale: float) -> list[Slice]:
        """Further slices at and beside the dearest scores."""
        out = list(slices)
        for price in found:
            if price.point is None or price.value <= 0.0:
                continue
            low, high = self.ranges[float(price.label)]
            for move in _NEAR:
                score = float(np.clip(price.score + scale * move * (high - low), low, high))
                known = [s.score for s in out if s.label == price.label and s.score is not None]
                if not known or min(abs(score - other) for other in known) > 1e-9 * (high - low):
                    out.append(Slice(float(price.label), score))
        return out

    # ---------------------------------------------------------------- the program

    def solve(self, slices: list[Slice]) -> tuple[float, tuple[Point, ...], DualVector]:
        """Mass, fractional attack and direction; the mass is infinite where the program has no solution."""
        program = self._scaled(slices)
        x, duals = self._conic(program, slices, elastic=False)
        if x is None:
            _, duals = self._conic(program, slices, elastic=True)
            if duals is None:
                raise SolverError(
                    "the program of the least mass by label has no usable answer; rescale the features to about [0, 1]"
                )
            return np.inf, (), self.program.direction(duals)
        assert duals is not None
        x = self.program.unit * x
        mass = float(program.cost @ x)
        return mass, self._read(slices, x, mass), self.program.direction(duals)

    def _scaled(self, slices: list[Slice]) -> LinearProgram:
        """The program over the box, masses in the problem's unit; points without loss only if a space has some."""
        program, unit, k = self.program.program(slices), self.program.unit, len(slices)
        upper = program.upper / unit
        idle = [has_point_without_loss(self.problem.target, space) for space in self.spaces.values()]
        if not any(idle):
            start = k * (self.problem.space.n_features + 1)
            upper[start : program.n_columns - self.problem.subdifferential.pull_b.size] = 0.0
        return replace(program, upper=upper, row_lower=program.row_lower / unit, row_upper=program.row_upper / unit)

    def _conic(
        self, program: LinearProgram, slices: list[Slice], *, elastic: bool
    ) -> tuple[FloatArray | None, FloatArray | None]:
        """Solution and prices of the balance; with ``elastic`` the balance may be missed, at a price."""
        cp = optional_import("cvxpy", "all", "the least mass by label")
        x, d, n = cp.Variable(program.n_columns), self.problem.space.n_features, self.program.n_balance
        cost, left = program.cost @ x, program.A[:n] @ x - program.row_lower[:n]
        if elastic:
            missed = cp.Variable(n)
            cost, left = cost + _PENALTY * cp.norm(missed, 1), left - missed
        balance = left == 0
        conditions = [balance, *_sides(x, program.lower, program.upper)]
        conditions += _sides(program.A[n:] @ x, program.row_lower[n:], program.row_upper[n:])
        for i, s in enumerate(slices):
            U, m = x[i * (d + 1) : i * (d + 1) + d], x[i * (d + 1) + d]
            space = self.spaces[s.label]
            conditions += [cp.norm(U - m * ball.center, 2) <= ball.radius * m for ball in space.balls]
            for slab in space.slabs:
                along = slab.direction @ U
                conditions += [along >= m * slab.lower] if np.isfinite(slab.lower) else []
                conditions += [along <= m * slab.upper] if np.isfinite(slab.upper) else []
        question = cp.Problem(cp.Minimize(cost), conditions)
        with warnings.catch_warnings():
            # "Solution may be inaccurate": what counts is the bound that is evaluated from it.
            warnings.simplefilter("ignore", UserWarning)
            try:
                question.solve(solver="CLARABEL", tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10, max_threads=1)
            except cp.error.SolverError as exc:
                raise SolverError(f"cvxpy has no answer to the program of the least mass by label: {exc}") from exc
        if x.value is None or balance.dual_value is None or question.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
            return None, None
        return np.asarray(x.value, dtype=np.float64), -np.asarray(balance.dual_value, dtype=np.float64)

    # ---------------------------------------------------------------- the attack

    def _read(self, slices: list[Slice], x: FloatArray, mass: float) -> tuple[Point, ...]:
        d, space, out = self.problem.space.n_features, self.problem.space, []
        least = _NO_MASS * mass
        for i, s in enumerate(slices):
            U, m = x[i * (d + 1) : i * (d + 1) + d], float(x[i * (d + 1) + d])
            if m > least:
                out.append(Point(s.label, np.clip(U / m, space.lower, space.upper), m))
        start = len(slices) * (d + 1)
        idle = float(x[start : x.size - self.problem.subdifferential.pull_b.size].sum())
        if idle > least:
            label, point = self._without_loss()
            out.append(Point(label, point, idle))
        return tuple(out)

    def _without_loss(self) -> tuple[float, FloatArray]:
        """The point of the largest margin."""
        cp = optional_import("cvxpy", "all", "the least mass by label")
        target, best = self.problem.target, []
        for y, space in self.spaces.items():
            x = cp.Variable(space.n_features)
            conditions = _sides(x, space.lower, space.upper)
            conditions += [cp.norm(x - ball.center, 2) <= ball.radius for ball in space.balls]
            for slab in space.slabs:
                along = cp.hstack([slab.direction @ x])
                conditions += _sides(along, np.array([slab.lower]), np.array([slab.upper]))
            question = cp.Problem(cp.Maximize(y * (target.coef @ x)), conditions)
            question.solve(solver="CLARABEL")
            if x.value is not None:
                best.append(
                    (float(question.value) + y * target.intercept, y, np.clip(x.value, space.lower, space.upper))
                )
        _, label, point = max(best, key=lambda entry: entry[0])
        return label, point


def _sides(x: Any, lower: FloatArray, upper: FloatArray) -> list[Any]:
    """Bounds on every entry of an expression; infinite ones are left out, equal ones are equations."""
    equal = lower == upper
    low, high = np.flatnonzero(np.isfinite(lower) & ~equal), np.flatnonzero(np.isfinite(upper) & ~equal)
    same = np.flatnonzero(equal)
    out = [x[low] >= lower[low]] if low.size else []
    out += [x[high] <= upper[high]] if high.size else []
    return out + ([x[same] == lower[same]] if same.size else [])
