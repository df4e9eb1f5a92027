"""Gurobi, through gurobipy; never chosen by ``solver="auto"``, since it may take a licence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np

from convexpoison.errors import MissingDependencyError, SolverError, optional_import
from convexpoison.solvers.base import Solver
from convexpoison.solvers.linear_program import LinearProgram, Solution, Status, empty, oriented
from convexpoison.spaces.parts import Ball
from convexpoison.spaces.space import Space

_PARAMETERS: dict[str, Any] = {
    "FeasibilityTol": 1e-9,
    "OptimalityTol": 1e-9,
    "IntFeasTol": 1e-9,
    "BarQCPConvTol": 1e-10,
    "MIPGap": 1e-9,
    "MIPGapAbs": 1e-9,
    # Tell infeasible from unbounded, and keep the proof of infeasibility.
    "DualReductions": 0,
    "InfUnbdInfo": 1,
}
_SMALL = "2,000 variables and 2,000 linear constraints (200 variables with a ball)"
_NO_LICENCE = 10009
_TOO_LARGE = 10010
# A Gurobi environment must not be used by two threads at once.
_ONE_AT_A_TIME = Lock()


@dataclass(frozen=True)
class LicenceStatus:
    """What this machine's Gurobi licence allows.

    Attributes
    ----------
    usable : bool
        Whether a tiny model can be solved.
    size_limited : bool
        Whether a model of 2,001 variables is refused, as by the licence that comes with the pip package.
    message : str
        The same in a sentence, with the cure.
    """

    usable: bool
    size_limited: bool
    message: str


def licence_status() -> LicenceStatus:
    """Try a tiny model and one of 2,001 variables. This may take a licence; ``available`` does not."""
    try:
        solve(LinearProgram(np.ones(1), upper=np.ones(1)))
    except (SolverError, MissingDependencyError) as exc:
        return LicenceStatus(False, False, str(exc))
    try:
        solve(LinearProgram(np.ones(2001), upper=np.ones(1)[0]))
    except SolverError as exc:
        return LicenceStatus(True, True, str(exc))
    return LicenceStatus(True, False, "the Gurobi licence takes models of any size")


def solve(program: LinearProgram, time_limit_s: float | None = None, *, balls: tuple[Ball, ...] = ()) -> Solution:
    """Solve a linear or mixed-integer program with Gurobi on one thread.

    Parameters
    ----------
    program : LinearProgram
    time_limit_s : float, optional
    balls : tuple of Ball
        Balls in which the leading columns must lie; the program is then a second-order cone program without row prices.

    Raises
    ------
    MissingDependencyError
        Without gurobipy.
    SolverError
        If the licence does not take the program, or Gurobi fails.
    """
    gurobipy = optional_import("gurobipy", "gurobi", "the Gurobi solver")
    with _ONE_AT_A_TIME:
        try:
            with gurobipy.Model(env=_environment()) as model:
                x = _load(gurobipy, model, program, time_limit_s, balls)
                model.optimize()
                return _read(gurobipy, model, x, program, priced=not (balls or program.integer.any()))
        except gurobipy.GurobiError as exc:
            raise SolverError(_sentence(exc, program, balls)) from exc


@lru_cache(maxsize=1)
def _environment() -> Any:
    """One environment for the process: starting one may take a licence from a server."""
    gurobipy = optional_import("gurobipy", "gurobi", "the Gurobi solver")
    return gurobipy.Env(params={"OutputFlag": 0, "Threads": 1})


def _load(
    gurobipy: Any, model: Any, program: LinearProgram, time_limit_s: float | None, balls: tuple[Ball, ...]
) -> Any:
    limit = {} if time_limit_s is None else {"TimeLimit": float(time_limit_s)}
    for name, value in (_PARAMETERS | limit).items():
        model.setParam(name, value)
    kinds = np.where(program.integer, gurobipy.GRB.INTEGER, gurobipy.GRB.CONTINUOUS)
    x = model.addMVar(program.n_columns, lb=program.lower, ub=program.upper, obj=program.cost, vtype=kinds)
    model.ModelSense = gurobipy.GRB.MAXIMIZE if program.maximize else gurobipy.GRB.MINIMIZE
    for sense, rows, side in _one_sided(program):
        model.addMConstr(program.A[rows], x, sense, side[rows])
    for ball in balls:
        point = x[: ball.center.size] - ball.center
        model.addConstr(point @ point <= ball.radius**2)
    return x


def _one_sided(program: LinearProgram) -> list[tuple[str, Any, Any]]:
    """Rows as equalities, lower and upper sides; a row with two sides is added twice."""
    equal = program.row_lower == program.row_upper
    above, below = np.isfinite(program.row_lower) & ~equal, np.isfinite(program.row_upper) & ~equal
    groups = (("=", equal, program.row_lower), (">", above, program.row_lower), ("<", below, program.row_upper))
    return [(sense, np.flatnonzero(rows), side) for sense, rows, side in groups if rows.any()]


def _per_row(model: Any, program: LinearProgram, attribute: str) -> Any:
    """An attribute of the constraints, added up over the two sides of each row."""
    values, total, start = np.array(model.getAttr(attribute)), np.zeros(program.n_rows), 0
    for _, rows, _ in _one_sided(program):
        total[rows] += values[start : start + rows.size]
        start += rows.size
    return total


def _read(gurobipy: Any, model: Any, x: Any, program: LinearProgram, priced: bool) -> Solution:
    codes = gurobipy.GRB
    known: dict[int, Status] = {
        codes.OPTIMAL: "optimal",
        codes.INFEASIBLE: "infeasible",
        codes.UNBOUNDED: "unbounded",
        codes.TIME_LIMIT: "time_limit",
        codes.INTERRUPTED: "interrupted",
    }
    status, detail = known.get(model.Status, "failed"), f"status {model.Status}"
    if status == "infeasible" and priced:
        return empty(program, status, "gurobi", detail, oriented(program, _per_row(model, program, "FarkasDual")))
    if status in ("infeasible", "unbounded") or model.SolCount == 0:
        return empty(program, status, "gurobi", detail)
    point = np.array(x.X, dtype=np.float64)
    nothing = np.full(program.n_rows, np.nan)
    duals = _per_row(model, program, "Pi") if priced and status == "optimal" else nothing
    objective = float(program.cost @ point)
    bound = float(model.ObjBound) if program.integer.any() else objective if status == "optimal" else np.nan
    return Solution(point, objective, status, "gurobi", duals, bound, nothing, detail)


def _sentence(exc: Any, program: LinearProgram, balls: tuple[Ball, ...]) -> str:
    kind = " with a ball" if balls else ""
    if exc.errno == _TOO_LARGE:
        return (
            f"the Gurobi licence on this machine is limited in size ({_SMALL} in the pip package), and the problem has "
            f"{program.n_columns:,} variables and {program.n_rows:,} rows{kind}; install a full licence (free for "
            f"academics: gurobi.com/academia) or choose {'cvxpy' if balls else 'highs or polygon'} as the solver"
        )
    if exc.errno == _NO_LICENCE:
        return f"Gurobi has no valid licence on this machine ({exc}); install one, or choose the solver highs or cvxpy"
    return f"gurobi failed on {program.n_columns:,} variables{kind}: {exc} (error {exc.errno}); choose highs or cvxpy"


def _solve_in(program: LinearProgram, time_limit_s: float | None, space: Space) -> Solution:
    return solve(program, time_limit_s, balls=space.balls)


SOLVER = Solver(
    name="gurobi",
    package="gurobipy",
    parts=frozenset({"box", "integer", "one_hot", "slab", "ball"}),
    solve=_solve_in,
    automatic=False,
    licensed=True,
)
