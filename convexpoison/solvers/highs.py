"""HiGHS, through highspy's own interface."""

from __future__ import annotations

from threading import current_thread, main_thread
from typing import Any

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.errors import SolverError, optional_import
from convexpoison.solvers.base import Solver
from convexpoison.solvers.linear_program import LinearProgram, Solution, Status, empty, oriented
from convexpoison.spaces.space import Space

_OPTIONS: dict[str, Any] = {
    "output_flag": False,
    # More threads would make results depend on the machine, and joblib already uses the cores.
    "threads": 1,
    "primal_feasibility_tolerance": 1e-9,
    "dual_feasibility_tolerance": 1e-9,
    "mip_feasibility_tolerance": 1e-9,
    # The default of 1e-4 would leave answers that cannot be certified.
    "mip_rel_gap": 1e-9,
    "mip_abs_gap": 1e-9,
}


_INTERIOR: dict[str, Any] = {"solver": "ipm", "run_crossover": "off"}


def solve(program: LinearProgram, time_limit_s: float | None = None, *, interior: bool = False) -> Solution:
    """Solve a linear or mixed-integer program with HiGHS on one thread.

    An integer program that is interrupted with Ctrl-C returns its best point with status "interrupted".

    Parameters
    ----------
    program : LinearProgram
    time_limit_s : float, optional
    interior : bool
        Find a point and prices that are optimal to about 1e-8 with the interior-point method, and no vertex: several times
        faster for linear programs of many thousand columns.

    Raises
    ------
    SolverError
        If HiGHS refuses the model or an option.
    """
    highspy = optional_import("highspy", "all", "the HiGHS solver")
    model = _load(highspy, program, time_limit_s, _INTERIOR if interior else {})
    return _solved(highspy, model, program)


class Growing:
    """A linear program that is solved again and again with more rows, each time from the last basis."""

    def __init__(self) -> None:
        self._model: Any = None
        self._n_rows = 0

    def solve(self, program: LinearProgram, time_limit_s: float | None = None) -> Solution:
        """Solve the program of the last call with further rows at its end; otherwise as :func:`solve`."""
        highspy = optional_import("highspy", "all", "the HiGHS solver")
        if self._model is None:
            self._model = _load(highspy, program, time_limit_s, {})
        else:
            new = program.A[self._n_rows :]
            low, high = program.row_lower[self._n_rows :], program.row_upper[self._n_rows :]
            added = self._model.addRows(new.shape[0], low, high, new.nnz, new.indptr[:-1], new.indices, new.data)
            _check(highspy, added, "more rows", warning_is_fine=True)
            if time_limit_s is not None:  # its clock runs on from solve to solve
                limit = self._model.getRunTime() + time_limit_s
                _check(highspy, self._model.setOptionValue("time_limit", limit), "the option time_limit")
        self._n_rows = program.n_rows
        return _solved(highspy, self._model, program)


def _solved(highspy: Any, model: Any, program: LinearProgram) -> Solution:
    interrupted = _run(highspy, model, bool(program.integer.any()))
    status = model.getModelStatus()
    if status in (highspy.HighsModelStatus.kUnboundedOrInfeasible, highspy.HighsModelStatus.kInfeasible):
        # Presolve stops at the first sign of trouble; without it the simplex method tells which, and finds the ray.
        _check(highspy, model.setOptionValue("presolve", "off"), "the option presolve")
        interrupted = interrupted or _run(highspy, model, bool(program.integer.any()))
        status = model.getModelStatus()
    return _read(highspy, model, program, _status(highspy, status, interrupted))


def _load(highspy: Any, program: LinearProgram, time_limit_s: float | None, method: dict[str, Any]) -> Any:
    model = highspy.Highs()
    limit = {} if time_limit_s is None else {"time_limit": float(time_limit_s)}
    for name, value in (_OPTIONS | limit | method).items():
        _check(highspy, model.setOptionValue(name, value), f"the option {name}={value}")
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = program.n_columns, program.n_rows
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = program.cost, program.lower, program.upper
    lp.row_lower_, lp.row_upper_ = program.row_lower, program.row_upper
    lp.sense_ = highspy.ObjSense.kMaximize if program.maximize else highspy.ObjSense.kMinimize
    matrix = lp.a_matrix_
    matrix.format_ = highspy.MatrixFormat.kRowwise
    matrix.num_col_, matrix.num_row_ = program.n_columns, program.n_rows
    matrix.start_, matrix.index_, matrix.value_ = program.A.indptr, program.A.indices, program.A.data
    if program.integer.any():
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        lp.integrality_ = [kinds[int(whole)] for whole in program.integer]
    # A row or column that is empty by its bounds is a warning here, and "infeasible" when solved; so are tiny entries.
    _check(highspy, model.passModel(lp), "the model", warning_is_fine=True)
    return model


def _run(highspy: Any, model: Any, stoppable: bool) -> bool:
    """Run HiGHS; True if Ctrl-C stopped it."""
    # Only the main thread hears Ctrl-C, and highspy's stoppable run allows one at a time in a process.
    main = current_thread() is main_thread()
    run = _run_stoppable if stoppable and main else _run_here
    interrupted = run(model)
    if model.getModelStatus() == highspy.HighsModelStatus.kNotset and not interrupted:
        # Its thread pool belongs to the process, and another user of highspy in it has chosen another number.
        highspy.Highs.resetGlobalScheduler(True)
        interrupted = run(model)
    return interrupted


def _run_here(model: Any) -> bool:
    model.run()  # what became of it is told by the model's status
    return False


def _run_stoppable(model: Any) -> bool:
    """Run in HiGHS's own thread, so that this one can hear Ctrl-C."""
    model.HandleUserInterrupt = True
    model.startSolve()
    interrupted = False
    while True:
        try:
            if model.wait(0.1)[0]:
                return interrupted
        except KeyboardInterrupt:
            interrupted = True
            model.cancelSolve()


def _status(highspy: Any, status: Any, interrupted: bool) -> Status:
    kinds = highspy.HighsModelStatus
    known: dict[Any, Status] = {
        kinds.kOptimal: "optimal",
        kinds.kModelEmpty: "optimal",
        kinds.kInfeasible: "infeasible",
        kinds.kUnbounded: "unbounded",
        kinds.kTimeLimit: "time_limit",
        kinds.kInterrupt: "interrupted",
    }
    return "interrupted" if interrupted and status != kinds.kOptimal else known.get(status, "failed")


def _read(highspy: Any, model: Any, program: LinearProgram, status: Status) -> Solution:
    detail = model.modelStatusToString(model.getModelStatus())
    info = model.getInfo()
    if status == "infeasible":
        return empty(program, status, "highs", detail, _ray(highspy, model, program))
    feasible = info.primal_solution_status == int(highspy.SolutionStatus.kSolutionStatusFeasible)
    if status == "unbounded" or not (feasible or status == "optimal"):
        return empty(program, status, "highs", detail)
    solution = model.getSolution()
    x = np.array(solution.col_value, dtype=np.float64)
    whole = program.integer.any()
    priced = status == "optimal" and not whole
    duals = np.array(solution.row_dual, dtype=np.float64) if priced else np.full(program.n_rows, np.nan)
    objective = float(program.cost @ x)
    bound = float(info.mip_dual_bound) if whole else objective if status == "optimal" else np.nan
    return Solution(x, objective, status, "highs", duals, bound, np.full(program.n_rows, np.nan), detail)


def _ray(highspy: Any, model: Any, program: LinearProgram) -> FloatArray | None:
    if program.integer.any():
        return None
    said, found, ray = model.getDualRay()
    if said != highspy.HighsStatus.kOk or not found:
        return None
    return oriented(program, np.array(ray, dtype=np.float64))


def _check(highspy: Any, status: Any, what: str, warning_is_fine: bool = False) -> None:
    if status == highspy.HighsStatus.kOk or (warning_is_fine and status == highspy.HighsStatus.kWarning):
        return
    raise SolverError(f"highs did not take {what} ({status}); check it for extreme numbers, or choose another solver")


def _solve_in(program: LinearProgram, time_limit_s: float | None, space: Space) -> Solution:
    return solve(program, time_limit_s)  # all parts that HiGHS can take are rows already


SOLVER = Solver(
    name="highs",
    package="highspy",
    parts=frozenset({"box", "integer", "one_hot", "slab"}),
    solve=_solve_in,
)
