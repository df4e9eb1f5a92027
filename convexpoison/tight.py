"""The tight bound: the least mass of points that reproduces a target exactly, by linear programming.

Minimise ``sum m_k`` subject to ``0 in G + sum m_k a(z_k)`` (:mod:`convexpoison.stationarity`). For a fixed label and a fixed
score under the target the atoms ``a(z)`` form a convex set (a *slice*), so one point a slice is enough:

- hinge: all points with margin at most 1 form one slice a label, and points without loss add regularisation alone, so
  one linear program of about ``2 d + 3`` columns is the whole problem;
- smooth losses: slices are generated. The dual direction of each program prices new slices exactly
  (:mod:`convexpoison.pricing`), and is a certified bound at every step.

The dual direction, not the solver's objective, is what the bound is evaluated from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import scipy.sparse as sp

from convexpoison.data import TrainingData
from convexpoison.errors import SolverError
from convexpoison.losses import FloatArray
from convexpoison.model import LinearModel
from convexpoison.pricing import Price, dearest
from convexpoison.solvers import highs
from convexpoison.solvers.linear_program import LinearProgram, Solution, homogeneous_rows
from convexpoison.spaces import Space
from convexpoison.stationarity import Direction, Stationarity
from convexpoison.victim import Victim

RELATIVE_GAP = 1e-6
"""Slice generation ends when bound and mass agree to this."""


@dataclass(frozen=True, eq=False)
class Slice:
    """Points of one label (response) and, for smooth losses, one score under the target.

    ``score`` is None for the hinge: all points whose margin is at most 1.
    """

    label: float
    score: float | None = None


@dataclass(frozen=True, eq=False)
class Mass:
    """A fractional attack: ``weight`` copies of ``point``; ``point`` is None for points without loss."""

    label: float
    point: FloatArray | None
    weight: float


@dataclass(frozen=True, eq=False)
class TightBound:
    """What linear programming found.

    Attributes
    ----------
    value : float
        Certified lower bound on the mass, evaluated from ``direction`` by the library; ``inf`` if no mass reproduces the
        target.
    mass : float
        Mass of the fractional attack found (``inf`` if none): the bound cannot be better than this.
    direction : Direction or None
        What proves the bound; None for the trivial bound 0.
    attack : tuple of Mass
    rounds : int
        Linear programs solved.
    seconds : float
    """

    value: float
    mass: float
    direction: Direction | None
    attack: tuple[Mass, ...] = ()
    rounds: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class MassProblem:
    """Victim, clean rows, target and space, with G evaluated once."""

    victim: Victim
    data: TrainingData
    target: LinearModel
    space: Space
    clean: Stationarity = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "clean", Stationarity.of(self.victim, self.data, self.target))

    def ratio(self, v: Direction) -> tuple[float, Price]:
        """The bound that a direction proves, and its dearest point."""
        price = dearest(self.victim, self.target, self.space, v)
        resistance = self.clean.resistance(v)
        size = float(np.abs(self.clean.g.w) @ np.abs(v.w) + abs(self.clean.g.b * v.b))
        resistance -= 1e-12 * size  # rounding of G and of the product with v
        if resistance <= 0.0:
            return 0.0, price
        return (resistance / price.upper if price.upper > 0.0 else np.inf), price

    # ---------------------------------------------------------------- the linear program

    def program(self, slices: list[Slice]) -> LinearProgram:
        """Columns: U and mass of every slice, then (hinge) the mass without loss, then the boundary rows' shares."""
        d, k, n_boundary = self.space.n_features, len(slices), self.clean.pull_b.size
        lossless = self._lossless()
        n_columns = k * (d + 1) + lossless + n_boundary
        A, row_lower, row_upper = homogeneous_rows(self.space)
        penalty_w, penalty_b = self.victim.penalty_gradient(self.target)
        kappa = self.victim.kappa
        balance = [
            sp.hstack([pull * sp.identity(d), sp.csr_matrix((pull_w + kappa * penalty_w)[:, None])])
            for pull, pull_w in ((p, np.zeros(d)) for p in map(self._pull, slices))
        ]
        tail = [sp.csr_matrix(kappa * penalty_w[:, None])] if lossless else []
        rows = [sp.hstack([*balance, *tail, sp.csr_matrix(self.clean.pull_w.T)])]
        lower, upper = [-self.clean.g.w], [-self.clean.g.w]
        if self.victim.intercept != "none":
            line = [np.append(np.zeros(d), self._pull(s) + kappa * penalty_b) for s in slices]
            line += [np.array([kappa * penalty_b])] if lossless else []
            rows.append(sp.csr_matrix(np.concatenate([*line, self.clean.pull_b])))
            lower.append(np.array([-self.clean.g.b]))
            upper.append(np.array([-self.clean.g.b]))
        for i, s in enumerate(slices):
            inside, low, high = self._inside(s)
            block = sp.vstack([A, inside])
            left = sp.csr_matrix((block.shape[0], i * (d + 1)))
            right = sp.csr_matrix((block.shape[0], n_columns - (i + 1) * (d + 1)))
            rows.append(sp.hstack([left, block, right]))
            lower += [row_lower, np.array([low])]
            upper += [row_upper, np.array([high])]
        cost = np.zeros(n_columns)
        cost[d : k * (d + 1) : d + 1] = 1.0
        cost[k * (d + 1) : k * (d + 1) + lossless] = 1.0
        low_x = np.append(np.where(self.space.lower >= 0, 0.0, -np.inf), 0.0)
        return LinearProgram(
            cost,
            lower=np.concatenate([np.tile(low_x, k), np.zeros(lossless + n_boundary)]),
            upper=np.concatenate([np.full(k * (d + 1) + lossless, np.inf), np.ones(n_boundary)]),
            A=sp.vstack(rows),
            row_lower=np.concatenate(lower),
            row_upper=np.concatenate(upper),
        )

    def _pull(self, s: Slice) -> float:
        """``phi'(argument) * slope``: a(z) is this times (x, 1), plus kappa grad R."""
        loss = self.victim.loss
        if s.score is None:
            return -s.label
        argument = loss.argument(s.score + self.target.intercept, s.label)
        return float(loss.derivative(argument) * loss.slope(s.label))

    def _inside(self, s: Slice) -> tuple[sp.csr_matrix, float, float]:
        """The row that keeps ``(U, m)`` in the slice."""
        w, b = self.target.coef, self.target.intercept
        if s.score is None:
            return sp.csr_matrix(np.append(s.label * w, s.label * b - 1.0)), -np.inf, 0.0
        return sp.csr_matrix(np.append(w, -s.score)), 0.0, 0.0

    def _lossless(self) -> int:
        """1 if points without loss are worth a column of their own: they add regularisation, in the mean convention."""
        if self.victim.loss.smooth or self.victim.kappa == 0.0:
            return 0
        w, b = self.target.coef, self.target.intercept
        ends = np.array(
            [
                np.maximum(w * self.space.lower, w * self.space.upper).sum() + b,
                -(np.minimum(w * self.space.lower, w * self.space.upper).sum() + b),
            ]
        )
        return int(any(ends[0 if y == 1 else 1] >= 1.0 for y in self.space.labels))

    def read(self, slices: list[Slice], x: FloatArray) -> tuple[Mass, ...]:
        """The fractional attack in a solution."""
        d, out = self.space.n_features, []
        for i, s in enumerate(slices):
            block = x[i * (d + 1) : (i + 1) * (d + 1)]
            if block[d] > 1e-9:
                point = np.clip(block[:d] / block[d], self.space.lower, self.space.upper)
                out.append(Mass(s.label, point, float(block[d])))
        if self._lossless() and x[len(slices) * (d + 1)] > 1e-9:
            out.append(Mass(0.0, None, float(x[len(slices) * (d + 1)])))
        return tuple(out)

    def direction(self, duals: FloatArray) -> Direction:
        """The direction that the balance rows' shadow prices point in."""
        d = self.space.n_features
        return Direction(duals[:d].copy(), float(duals[d]) if self.victim.intercept != "none" else 0.0)


# -------------------------------------------------------------------- solving


def tight_bound(problem: MassProblem, *, time_limit_s: float | None = None) -> TightBound:
    """The best bound, and a fractional attack that meets it up to ``RELATIVE_GAP``."""
    last = TightBound(0.0, np.inf, None)
    for last in improve(problem):
        if time_limit_s is not None and last.seconds >= time_limit_s:
            break
    return last


def improve(problem: MassProblem) -> Iterator[TightBound]:
    """Bounds that never fall, each certified; ends when bound and mass agree, or when the target proves unattainable."""
    start, best = perf_counter(), TightBound(0.0, np.inf, None)
    slices = _first_slices(problem)
    for rounds in range(1, 200):
        program = problem.program(slices)
        solution = highs.solve(program)
        v = _proof(problem, solution)
        value, price = problem.ratio(v)
        if value > best.value:
            best = TightBound(value, best.mass, v, best.attack)
        if solution.optimal and solution.objective < best.mass:
            best = TightBound(best.value, solution.objective, best.direction, problem.read(slices, solution.x))
        best = TightBound(best.value, best.mass, best.direction, best.attack, rounds, perf_counter() - start)
        yield best
        closed = np.isinf(best.value) or (
            np.isfinite(best.mass) and best.mass - best.value <= RELATIVE_GAP * max(1.0, best.mass)
        )
        if closed or not problem.victim.loss.smooth or price.point is None:
            return
        slices.append(Slice(price.label, price.score))


def _first_slices(problem: MassProblem) -> list[Slice]:
    """Hinge: one slice a label. Smooth: the dearest slice for the direction of G itself."""
    if not problem.victim.loss.smooth:
        return [Slice(float(y)) for y in problem.space.labels]
    g = problem.clean.g
    price = dearest(problem.victim, problem.target, problem.space, Direction(-g.w, -g.b))
    return [Slice(price.label, price.score)]


def _proof(problem: MassProblem, solution: Solution) -> Direction:
    if solution.optimal:
        return problem.direction(solution.row_duals)
    if solution.status == "infeasible" and np.isfinite(solution.ray).all():
        return problem.direction(solution.ray)
    raise SolverError(f"highs stopped without an answer to the program of the tight bound ({solution.detail})")
