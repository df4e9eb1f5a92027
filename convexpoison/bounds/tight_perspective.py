"""The tight bound for smooth losses as one convex program of about ``4 d`` columns, by tangents.

Points of one label with masses ``m_i`` and pulls ``p_i = -phi'(u_i)`` (u the margin; for the squared loss minus the size of
the residual) meet stationarity (:mod:`convexpoison.learners.subdifferential`) only through ``m = sum m_i``, ``a = sum
m_i p_i`` and
``U = sum m_i p_i x_i``, in all of which it is linear. ``U / a`` lies in the space, and by Jensen's inequality

    a u(U / a) <= m f(a / m),    f(p) = p times the margin at which the pull is p,

because f is concave for the logistic, squared hinge and squared losses. Both sides are homogeneous, the left one is linear
in (U, a), and the right one is jointly concave: a tangent of f at any p is a linear row in (U, a, m). A linear program with
rows for the tangents at its own last solutions converges to the least mass in a dozen steps, where column
generation (:mod:`convexpoison.bounds.tight`) takes more and larger programs. Where the condition holds with
equality, as it does unless points
of the least possible pull are wanted, one point of each label with mass m is the attack.

The bound is evaluated from the dual direction at every step and does not rest on any of this.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np
import scipy.sparse as sp

from convexpoison._utils.types import FloatArray
from convexpoison.bounds.tight_program import Mass, TightBound, TightProgram
from convexpoison.problem import Problem
from convexpoison.solvers import highs
from convexpoison.solvers.linear_program import LinearProgram, Rows, homogeneous_rows

_ROUNDS = 60
_TOUCHING = 1e-8
"""The condition counts as an equality when its sides agree to this times the mass."""
_FIRST_TANGENTS = 5
_DEAR = 10.0
"""What exceeding a tangent costs, compared with staying below it."""


@dataclass(frozen=True)
class Kind:
    """Points that pull in one direction: of one label, or of one response with the model above (below) it.

    The margin is ``sign * (coef @ x + shift)``, the pull on the model ``-sign * p * (x, 1)``.
    """

    label: float
    sign: float
    shift: float


def kinds_of(problem: Problem) -> list[Kind]:
    """All kinds of points that the space holds."""
    b, space = problem.target.intercept, problem.space
    if problem.victim.loss.classification:
        return [Kind(float(y), float(y), b) for y in space.labels]
    assert space.response is not None
    return [Kind(y, sign, b - y) for y in dict.fromkeys(space.response) for sign in (1.0, -1.0)]


@dataclass(frozen=True, eq=False)
class Totals:
    """One entry a group of points: U (n_groups, d), a and m (n_groups,)."""

    U: FloatArray
    a: FloatArray
    m: FloatArray

    @property
    def pulls(self) -> FloatArray:
        """The mean pull of a point; NaN where there is none."""
        return np.where(self.m > 0.0, self.a / np.where(self.m > 0.0, self.m, 1.0), np.nan)


class Relaxation:
    """Linear programs over ``(U, a, m)`` of each group, with the tangents so far.

    Parameters
    ----------
    problem : Problem
        Smooth loss; a space of box, one-hot hulls and slabs.
    kinds : list of Kind
        One entry a group; a kind may come twice.
    inside : Rows, optional
        ``homogeneous_rows(problem.space)`` where they are known.
    """

    def __init__(self, problem: Problem, kinds: list[Kind], inside: Rows | None = None) -> None:
        space, target, victim = problem.space, problem.target, problem.victim
        self._problem, self._curve = problem, victim.loss.perspective
        self.d, self.k = space.n_features, len(kinds)
        self.w = target.coef
        self.sign = np.array([kind.sign for kind in kinds])
        self.shift = np.array([kind.shift for kind in kinds])
        self.least, self.most = self._pull_range()
        self._inside = homogeneous_rows(space) if inside is None else inside
        self._static = self._rows()
        self._tangents: list[tuple[int, FloatArray]] = []

    def _pull_range(self) -> tuple[FloatArray, FloatArray]:
        """Between which pulls the points of each group lie; pulls fall as margins grow."""
        space, loss = self._problem.space, self._problem.victim.loss
        ends = np.sort([self.w * space.lower, self.w * space.upper], axis=0).sum(axis=1)
        margins = np.sort(self.sign[:, None] * (ends + self.shift[:, None]), axis=1)
        pulls = -np.asarray(loss.derivative(margins))
        least, most = loss.perspective_range
        return np.clip(pulls[:, 1], least, most), np.clip(pulls[:, 0], least, most)

    def _rows(self) -> tuple[sp.csr_matrix, FloatArray, FloatArray]:
        """Balance first, then the range of pulls and the space for every group."""
        problem, victim, d, k = self._problem, self._problem.victim, self.d, self.k
        penalty_w, penalty_b = victim.penalty_gradient(problem.target)
        starts = np.arange(k)[:, None] * (d + 2)
        # Entry by entry: stacking many small blocks would take longer than solving the program.
        parts = [
            (np.repeat(-self.sign, d), np.tile(np.arange(d), k), (starts + np.arange(d)).ravel()),
            (np.tile(victim.kappa * penalty_w, k), np.tile(np.arange(d), k), np.repeat(starts.ravel() + d + 1, d)),
        ]
        values = [-problem.subdifferential.g.w]
        if victim.intercept != "none":
            parts.append((-self.sign, np.full(k, d), starts.ravel() + d))
            parts.append((np.full(k, victim.kappa * penalty_b), np.full(k, d), starts.ravel() + d + 1))
            values.append(np.array([-problem.subdifferential.g.b]))
        n_balance = d + len(values) - 1
        for i, pull in enumerate((self.least, self.most)):
            at = n_balance + i * k + np.arange(k)
            parts += [(np.ones(k), at, starts.ravel() + d), (-pull, at, starts.ravel() + d + 1)]
        A, low, high = self._inside
        inside = sp.coo_matrix(A)
        for i in range(k):
            at = n_balance + 2 * k + i * inside.shape[0]
            parts.append((inside.data, at + inside.row, i * (d + 2) + inside.col))
        data, rows, columns = (np.concatenate(pieces) for pieces in zip(*parts, strict=True))
        shape = n_balance + (2 + inside.shape[0]) * k, k * (d + 3)
        return (
            sp.csr_matrix((data, (rows, columns)), shape=shape),
            np.concatenate([*values, np.zeros(k), np.full(k, -np.inf), np.tile(low, k)]),
            np.concatenate([*values, np.full(k, np.inf), np.zeros(k), np.tile(high, k)]),
        )

    def add_tangents(self, pulls: FloatArray) -> None:
        """One for each group, at the pull of one of its points; NaN adds none."""
        for i, p in enumerate(np.clip(pulls, self.least, self.most)):
            if not np.isnan(p):
                value, slope = self._curve(float(p))
                ends = [self.sign[i] * self.shift[i] - slope, slope * p - value]
                self._tangents.append((i, np.append(self.sign[i] * self.w, ends)))

    def least_mass(self) -> LinearProgram:
        """Minimise the mass."""
        cost = np.tile(np.append(np.zeros(self.d + 1), 1.0), self.k)
        return self._program(cost, np.zeros(self.k), np.full(self.k, np.inf), 0.0)

    def on_tangents(self, counts: FloatArray) -> LinearProgram:
        """With these masses, come as close to the last tangents as possible: a step of Newton's method for equality."""
        last = np.zeros((self.k, self.d + 2))
        for i, line in self._tangents:
            last[i] = line
        return self._program(-last.ravel(), counts, counts, np.inf)

    def _program(self, cost: FloatArray, least: FloatArray, most: FloatArray, beyond: float) -> LinearProgram:
        """Columns: (U, a, m) of every group, then by how much each group exceeds its tangents, at most ``beyond`` (dear, but
        a point of the program may need a rounding error of it)."""
        A, low, high = self._static
        n, width = len(self._tangents), self.d + 2
        owner = np.array([i for i, _ in self._tangents], dtype=np.intp)
        values = np.column_stack([np.array([line for _, line in self._tangents]), -np.ones(n)])
        places = np.column_stack([owner[:, None] * width + np.arange(width), self.k * width + owner])
        tangents = sp.csr_matrix((values.ravel(), places.ravel(), np.arange(n + 1) * (width + 1)), (n, A.shape[1]))
        lower, upper = np.zeros((self.k, width)), np.full((self.k, width), np.inf)
        lower[:, : self.d] = np.where(self._problem.space.lower >= 0.0, 0.0, -np.inf)
        lower[:, -1], upper[:, -1] = least, most
        dear = _DEAR * max(1.0, float(np.abs(cost).max()))
        return LinearProgram(
            np.append(cost, np.full(self.k, dear)),
            lower=np.append(lower, np.zeros(self.k)),
            upper=np.append(upper, np.full(self.k, beyond)),
            A=sp.vstack([A, tangents], format="csr"),
            row_lower=np.append(low, np.full(n, -np.inf)),
            row_upper=np.append(high, np.zeros(n)),
        )

    def read(self, x: FloatArray) -> Totals:
        """The totals in a solution."""
        columns = x[: -self.k].reshape(self.k, self.d + 2)
        return Totals(columns[:, : self.d], columns[:, self.d], columns[:, self.d + 1])

    def exceeded(self, x: FloatArray) -> float:
        """By how much a solution of :meth:`on_tangents` had to exceed its tangents."""
        return float(x[-self.k :].max())

    def excess(self, totals: Totals) -> FloatArray:
        """``a u - m f(a / m)`` of every group: 0 on the curve, negative where a mixture of points is meant."""
        pulls = np.clip(totals.pulls, self.least, self.most)
        curve = [0.0 if np.isnan(p) else m * self._curve(float(p))[0] for m, p in zip(totals.m, pulls, strict=True)]
        return np.asarray(self.sign * (totals.U @ self.w + self.shift * totals.a) - curve)


def perspective_bound(program: TightProgram, *, time_limit_s: float | None = None) -> TightBound:
    """The best bound for a smooth loss; ``mass`` is infinite where one point of each kind is not an attack.

    Parameters
    ----------
    program : TightProgram
        Smooth loss; a space of box, one-hot hulls and slabs.
    time_limit_s : float, optional

    Returns
    -------
    TightBound
        ``attack`` holds one point of every kind that is used, whether or not they are an attack.
    """
    start, problem = perf_counter(), program.problem
    kinds = kinds_of(problem)
    relaxation = Relaxation(problem, kinds)
    for fraction in (np.arange(_FIRST_TANGENTS) + 0.5) / _FIRST_TANGENTS:
        relaxation.add_tangents(relaxation.least + fraction * (relaxation.most - relaxation.least))
    best, programs = TightBound(0.0, np.inf, None), highs.Growing()
    for rounds in range(1, _ROUNDS + 1):
        left = None if time_limit_s is None else max(0.0, time_limit_s - (perf_counter() - start))
        solution = programs.solve(relaxation.least_mass(), left)
        proof = solution.row_duals if solution.optimal else solution.ray
        if not np.isfinite(proof).all():
            break
        direction = program.direction(proof)
        value = program.ratio(direction)[0]
        if value > best.value:
            best = TightBound(value, np.inf, direction, best.attack)
        seconds = perf_counter() - start
        if not solution.optimal:
            return TightBound(best.value, np.inf, best.direction, (), rounds, seconds)
        totals = relaxation.read(solution.x)
        excess = relaxation.excess(totals)
        scale = _TOUCHING * max(1.0, solution.objective)
        mass = solution.objective if (np.abs(excess) <= scale).all() else np.inf
        attack = _points(problem, kinds, totals)
        best = TightBound(best.value, mass, best.direction, attack, rounds, seconds)
        if (excess <= scale).all() or (time_limit_s is not None and seconds >= time_limit_s):
            break
        relaxation.add_tangents(totals.pulls)
    return best


def _points(problem: Problem, kinds: list[Kind], totals: Totals) -> tuple[Mass, ...]:
    space, least = problem.space, 1e-9 * min(1.0, float(totals.m.sum()))
    return tuple(
        Mass(kind.label, np.clip(U / a, space.lower, space.upper), float(m))
        for kind, U, a, m in zip(kinds, totals.U, totals.a, totals.m, strict=True)
        if m > least and a > 1e-12 * m
    )
