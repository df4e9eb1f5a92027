"""cvxpy, for spaces with balls and constraints of the user's own.

The programs are linear in one explicit vector of variables. cvxpy 1.9.0 to 1.9.3 get problems wrong that hold
``multiply(y, X @ w + b)`` with a free ``w`` (a rule about bounds turns ``0 * inf`` into 0), so nothing of that form is
built here; and whatever comes back is evaluated again by :mod:`convexpoison.loss_difference.query`.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp

from convexpoison.errors import SolverError, optional_import
from convexpoison.solvers.base import Solver
from convexpoison.solvers.linear_program import LinearProgram, Solution, Status, empty
from convexpoison.spaces.space import Space

# In the order in which they are tried: exact vertices for linear programs, then interior points, then first order.
_LINEAR, _CONIC = ("HIGHS", "CLARABEL", "SCS"), ("CLARABEL", "SCS")
_CLARABEL_TOLERANCES = ("tol_gap_abs", "tol_gap_rel", "tol_feas")


def solve(program: LinearProgram, time_limit_s: float | None = None, *, space: Space | None = None) -> Solution:
    """Solve a linear program whose leading columns lie in the balls and constraints of a space.

    Tries HiGHS (linear only), Clarabel and SCS in this order, and goes on to the next one only if a solver fails or
    calls its answer inaccurate; the best answer is kept. There are no row prices.

    Parameters
    ----------
    program : LinearProgram
        Without integer columns.
    time_limit_s : float, optional
        For each solver that is tried.
    space : Space, optional

    Raises
    ------
    ValueError
        If the program has integer columns, or the constraints are not convex.
    SolverError
        If every solver fails.
    """
    cp = optional_import("cvxpy", "all", "the cvxpy solver")
    if program.integer.any():
        raise ValueError("cvxpy takes no integer columns here; use the solver highs, or space.relax()")
    problem, x, linear = _model(cp, program, space)
    inaccurate: Solution | None = None
    failures: list[str] = []
    for name in _LINEAR if linear else _CONIC:
        try:
            _run(problem, name, time_limit_s)
        except cp.error.SolverError as exc:
            failures.append(f"{name}: {str(exc).splitlines()[0]}")
            continue
        found = _read(cp, problem, x, program, name)
        if found.status in ("optimal", "infeasible", "unbounded"):
            return found
        failures.append(f"{name}: {found.detail}")
        if inaccurate is None or (found.has_point and not inaccurate.has_point):
            inaccurate = found
    if inaccurate is not None:
        return inaccurate
    raise SolverError(
        f"cvxpy has no answer: {'; '.join(failures)}. Rescale the features to about [0, 1], or choose another solver"
    )


def _model(cp: Any, program: LinearProgram, space: Space | None) -> tuple[Any, Any, bool]:
    """The problem, its variable, and whether all of it is linear."""
    x = cp.Variable(program.n_columns)
    conditions = []
    # Infinite bounds are left out: 0 * inf is what misleads the bounds rule.
    columns = sp.identity(program.n_columns, format="csr")
    for rows, low, high in ((columns, program.lower, program.upper), (program.A, program.row_lower, program.row_upper)):
        above, below = np.flatnonzero(np.isfinite(low)), np.flatnonzero(np.isfinite(high))
        if above.size:
            conditions.append(rows[above] @ x >= low[above])
        if below.size:
            conditions.append(rows[below] @ x <= high[below])
    linear = space is None or not (space.balls or space.constraints)
    if space is not None:
        point = x[: space.n_features]
        conditions += [cp.norm(point - ball.center, 2) <= ball.radius for ball in space.balls]
        if space.constraints is not None:
            conditions += _own_constraints(cp, space, point)
    objective = (cp.Maximize if program.maximize else cp.Minimize)(program.cost @ x)
    return cp.Problem(objective, conditions), x, linear


def _own_constraints(cp: Any, space: Space, point: Any) -> list[Any]:
    """The user's constraints on a variable of their own, tied to the program's."""
    assert space.constraints is not None
    own = cp.Variable(space.n_features)
    constraints = list(space.constraints(own))
    problem = cp.Problem(cp.Minimize(0), constraints)
    if not problem.is_dcp():
        wrong = next(str(constraint) for constraint in constraints if not constraint.is_dcp())
        raise ValueError(
            f"the constraint {wrong} of the space is not convex by cvxpy's rules (convex expression <= concave one, "
            "or equalities of affine ones); write it so that constraint.is_dcp() is True"
        )
    if problem.is_mixed_integer():
        raise ValueError("the constraints of the space hold integer variables; use space.with_integer instead")
    return [own == point, *constraints]


def _run(problem: Any, name: str, time_limit_s: float | None) -> None:
    options: dict[str, Any] = {"solver": name}
    if name == "HIGHS":
        options |= {"threads": 1, "primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9}
        limit = "time_limit"
    elif name == "CLARABEL":
        options |= dict.fromkeys(_CLARABEL_TOLERANCES, 1e-10) | {"max_threads": 1}
        limit = "time_limit"
    else:
        options |= {"eps_abs": 1e-9, "eps_rel": 1e-9, "max_iters": 100_000}
        limit = "time_limit_secs"
    if time_limit_s is not None:
        options[limit] = float(time_limit_s)
    with warnings.catch_warnings():
        # "Solution may be inaccurate": the status says it too, and it is acted on.
        warnings.simplefilter("ignore", UserWarning)
        problem.solve(**options)


def _read(cp: Any, problem: Any, x: Any, program: LinearProgram, name: str) -> Solution:
    word = str(problem.status)
    known: dict[str, Status] = {
        cp.OPTIMAL: "optimal",
        cp.INFEASIBLE: "infeasible",
        cp.UNBOUNDED: "unbounded",
        cp.settings.USER_LIMIT: "time_limit",
    }
    status, detail = known.get(word, "failed"), f"{word} ({name})"
    if status in ("infeasible", "unbounded") or x.value is None or not np.isfinite(x.value).all():
        return empty(program, status if status != "optimal" else "failed", "cvxpy", detail)
    point = np.array(x.value, dtype=np.float64)
    objective = float(program.cost @ point)
    bound = objective if status == "optimal" else np.nan
    nothing = np.full(program.n_rows, np.nan)
    return Solution(point, objective, status, "cvxpy", nothing, bound, nothing, detail)


def _solve_in(program: LinearProgram, time_limit_s: float | None, space: Space) -> Solution:
    return solve(program, time_limit_s, space=space)


SOLVER = Solver(
    name="cvxpy",
    package="cvxpy",
    parts=frozenset({"box", "one_hot", "slab", "ball", "constraints"}),
    solve=_solve_in,
)
