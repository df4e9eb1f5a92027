"""Solving the program of the tight bound: linear with HiGHS or Gurobi, with balls (second-order cones) through cvxpy.

Programs are scaled by a mass first (all their conditions but the balance are homogeneous), since solvers' tolerances are
absolute. What comes back is a proposal: the bound is evaluated from its direction (:meth:`TightProgram.ratio`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from convexpoison.bounds.tight_program import Slice, TightProgram
from convexpoison.errors import SolverError, optional_import
from convexpoison.solvers import gurobi, highs
from convexpoison.solvers.linear_program import LinearProgram, Solution, Status, empty

SOLVERS = ("auto", "highs", "gurobi", "cvxpy")
_LARGE = 2000
"""Columns from which interior points find a direction much faster than the simplex method does (where that will do)."""

Solve = Callable[[LinearProgram, int, float | None], Solution]
"""Solves a program whose leading columns are that number of blocks (U, m); prices for the balance rows at least."""


def least_mass(problem: TightProgram, slices: list[Slice], solver: str, time_limit_s: float | None = None) -> Solution:
    """The least mass over slices, and the balance rows' prices; "infeasible" where there is none."""
    program, unit = problem.program(slices), problem.unit
    scaled = replace(
        program,
        upper=program.upper / unit,
        row_lower=program.row_lower / unit,
        row_upper=program.row_upper / unit,
    )
    found = _solver(problem, solver)(scaled, len(slices), time_limit_s)
    return replace(found, x=unit * found.x, objective=unit * found.objective, bound=unit * found.bound)


def separation(problem: TightProgram, slices: list[Slice], solver: str, time_limit_s: float | None = None) -> Solution:
    """A direction in which all points of the slices pull backwards and the clean rows hold on, where there is one.

    A ray that a solver brings holds with equality for some points, and rounding then decides what it proves. This program
    looks for room on both sides: the least distance from the origin of the shares t of G and m of atoms, ``t + sum m = 1``.
    The balance rows' prices are a direction v with ``<a(z), v> <= -distance`` and ``dual_objective(v) >= distance`` (in units).
    """
    program, n, unit = problem.program(slices), problem.n_balance, problem.unit
    width, eye = program.n_columns, sp.identity(n)
    share = np.flatnonzero(np.isfinite(program.upper))
    picked = sp.csr_matrix((np.ones(share.size), (np.arange(share.size), share)), shape=(share.size, width))
    t, nothing = sp.csr_matrix(-program.row_lower[:n, None] / unit), sp.csr_matrix((program.n_rows - n, 1))
    rows = [
        [program.A[:n], t, eye, -eye],
        [program.A[n:], nothing, None, None],
        [picked, sp.csr_matrix(-np.ones((share.size, 1)) / unit), None, None],
        [sp.csr_matrix(program.cost), np.ones((1, 1)), None, None],
    ]
    phase = LinearProgram(
        np.concatenate([np.zeros(width + 1), np.ones(2 * n)]),
        lower=np.append(program.lower, np.zeros(1 + 2 * n)),
        A=sp.bmat(rows),
        row_lower=np.concatenate([np.zeros(n), program.row_lower[n:], np.full(share.size, -np.inf), [1.0]]),
        row_upper=np.concatenate([np.zeros(n), program.row_upper[n:], np.zeros(share.size), [1.0]]),
    )
    return _solver(problem, solver)(phase, len(slices), time_limit_s)


def _solver(problem: TightProgram, solver: str) -> Solve:
    if solver not in SOLVERS:
        raise ValueError(f"unknown solver {solver!r} for the tight bound; choose one of {list(SOLVERS)}")
    if "ball" in problem.space.parts:
        if solver not in ("auto", "cvxpy"):
            raise ValueError(
                f"solver {solver!r} takes no balls in the program of the tight bound; use solver='cvxpy' or 'auto'"
            )
        return lambda program, k, limit: _cones(problem, program, k, limit)
    if solver == "cvxpy":
        return lambda program, k, limit: _cones(problem, program, k, limit)
    if solver == "gurobi":
        return lambda program, k, limit: gurobi.solve(program, limit)
    return lambda program, k, limit: _highs(problem, program, limit)


def _highs(problem: TightProgram, program: LinearProgram, time_limit_s: float | None) -> Solution:
    """A vertex for the hinge, whose program is small and whose masses are an attack; any direction for large programs."""
    if problem.victim.loss.smooth and program.n_columns > _LARGE:
        found = highs.solve(program, time_limit_s, interior=True)
        if found.optimal:
            return found
    return highs.solve(program, time_limit_s)


# -------------------------------------------------------------------- cones


def _cones(problem: TightProgram, program: LinearProgram, n_blocks: int, time_limit_s: float | None) -> Solution:
    """``|U - m center| <= m radius`` for every block and ball; the balance rows are priced."""
    cp = optional_import("cvxpy", "all", "the tight bound over balls")
    x, d, n = cp.Variable(program.n_columns), problem.space.n_features, problem.n_balance
    balance = program.A[:n] @ x == program.row_lower[:n]
    conditions = [balance, *_linear_rows(program, n, x)]
    for start in range(0, n_blocks * (d + 1), d + 1):
        U, m = x[start : start + d], x[start + d]
        conditions += [cp.norm(U - m * ball.center, 2) <= ball.radius * m for ball in problem.space.balls]
    question = cp.Problem(cp.Minimize(program.cost @ x), conditions)
    status = _run(cp, question, "CLARABEL" if problem.space.balls else "HIGHS", time_limit_s)
    if status != "optimal" or x.value is None:
        return empty(program, status if status != "optimal" else "failed", "cvxpy", str(question.status))
    duals = np.full(program.n_rows, np.nan)
    duals[:n] = -balance.dual_value
    point = np.array(x.value, dtype=np.float64)
    objective = float(program.cost @ point)
    return Solution(point, objective, "optimal", "cvxpy", duals, objective, np.full(program.n_rows, np.nan))


def _linear_rows(program: LinearProgram, first: int, x: Any) -> list[Any]:
    """Rows from ``first`` on and bounds of columns; infinite sides are left out."""
    conditions, columns = [], sp.identity(program.n_columns, format="csr")
    for rows, low, high in (
        (columns, program.lower, program.upper),
        (program.A[first:], program.row_lower[first:], program.row_upper[first:]),
    ):
        equal = low == high
        for chosen, sign, side in (
            (np.isfinite(low) & ~equal, 1.0, low),
            (np.isfinite(high) & ~equal, -1.0, high),
        ):
            if chosen.any():
                conditions.append(sign * rows[np.flatnonzero(chosen)] @ x >= sign * side[chosen])
        if equal.any():
            conditions.append(rows[np.flatnonzero(equal)] @ x == low[equal])
    return conditions


def _run(cp: Any, question: Any, name: str, time_limit_s: float | None) -> Status:
    options: dict[str, Any] = {} if time_limit_s is None else {"time_limit": float(time_limit_s)}
    if name == "CLARABEL":
        options |= dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-10) | {"max_threads": 1}
    else:
        options |= {"threads": 1, "primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9}
    with warnings.catch_warnings():
        # "Solution may be inaccurate": what counts is the bound that is evaluated from it.
        warnings.simplefilter("ignore", UserWarning)
        try:
            question.solve(solver=name, **options)
        except cp.error.SolverError as exc:
            raise SolverError(f"cvxpy with {name} has no answer to the program of the tight bound: {exc}") from exc
    known: dict[str, Status] = {
        cp.OPTIMAL: "optimal",
        cp.OPTIMAL_INACCURATE: "optimal",
        cp.INFEASIBLE: "infeasible",
        cp.INFEASIBLE_INACCURATE: "infeasible",
        cp.settings.USER_LIMIT: "time_limit",
    }
    return known.get(str(question.status), "failed")
