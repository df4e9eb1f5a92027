"""Linear and mixed-integer programs as arrays, and what every solver of them returns.

The conventions, written once:

- a program is ``min`` or ``max`` of ``cost @ x`` subject to ``row_lower <= A x <= row_upper``, ``lower <= x <=
  upper`` and whole numbers where ``integer`` says so; infinite bounds mean no bound;
- ``Solution.row_duals`` are shadow prices, the change of the objective per unit of a row's active bound, in the
  program's own sense (a maximum that grows when an upper bound is raised has a positive price there);
- a solver that finds no point says so in ``Solution.status`` and leaves NaN in ``Solution.x``; :meth:`Solution.checked`
  turns that into an exception with a cure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from convexpoison._utils.types import FloatArray
from convexpoison.errors import SolverError, SolverTimeoutError
from convexpoison.spaces.space import Space

Status = Literal["optimal", "infeasible", "unbounded", "time_limit", "interrupted", "failed"]
BoolArray = NDArray[np.bool_]
Rows = tuple[sp.csr_matrix, FloatArray, FloatArray]
"""A, row_lower, row_upper."""


@dataclass(frozen=True, eq=False)
class LinearProgram:
    """``min`` or ``max`` of ``cost @ x`` over rows, bounds and integer columns.

    Parameters
    ----------
    cost : array of shape (n_columns,)
    lower, upper : arrays of shape (n_columns,)
        Bounds of the columns, infinite where there is none; 0 and infinity by default. One number serves all columns.
    A : array or scipy sparse matrix of shape (n_rows, n_columns), optional
        Kept as CSR. None: no rows.
    row_lower, row_upper : arrays of shape (n_rows,)
        Infinite by default.
    integer : bool array of shape (n_columns,), optional
        Columns that hold whole numbers; none by default.
    maximize : bool

    Raises
    ------
    ValueError
        Shapes that do not match, NaN, or an infinite cost or entry of A.
    """

    cost: FloatArray
    lower: FloatArray = field(default_factory=lambda: np.array(0.0))
    upper: FloatArray = field(default_factory=lambda: np.array(np.inf))
    A: Any = None
    row_lower: FloatArray = field(default_factory=lambda: np.array(-np.inf))
    row_upper: FloatArray = field(default_factory=lambda: np.array(np.inf))
    integer: BoolArray = field(default_factory=lambda: np.array(False))
    maximize: bool = False

    def __post_init__(self) -> None:
        cost = np.asarray(self.cost, dtype=np.float64).reshape(-1)
        rows = sp.csr_matrix((0, cost.size)) if self.A is None else sp.csr_matrix(self.A, dtype=np.float64, copy=True)
        if rows.shape[1] != cost.size:
            raise ValueError(f"A has {rows.shape[1]} columns and cost has {cost.size}; they must agree")
        if not (np.isfinite(cost).all() and np.isfinite(rows.data).all()):
            raise ValueError("cost and A must be finite; use infinite bounds where a row or column has no bound")
        rows.sum_duplicates()
        settled = {"cost": cost, "A": rows}
        for name in ("lower", "upper", "integer"):
            settled[name] = _repeated(getattr(self, name), cost.size, name)
        for name in ("row_lower", "row_upper"):
            settled[name] = _repeated(getattr(self, name), rows.shape[0], name)
        for name, value in settled.items():
            object.__setattr__(self, name, value)

    @property
    def n_columns(self) -> int:
        return self.cost.size

    @property
    def n_rows(self) -> int:
        return int(self.A.shape[0])

    def farkas_gap(self, ray: FloatArray) -> float:
        """How far a ray proves that no point exists; positive means proven (up to rounding).

        ``ray @ A x`` is at least ``min ray @ r`` over ``row_lower <= r <= row_upper`` on any feasible point and at
        most its maximum over the columns' bounds; the gap is the former less the latter."""
        direction = np.asarray(self.A.T @ ray).ravel()
        return -_box_maximum(-ray, self.row_lower, self.row_upper) - _box_maximum(direction, self.lower, self.upper)


@dataclass(frozen=True, eq=False)
class Solution:
    """What a solver found.

    Attributes
    ----------
    x : array of shape (n_columns,)
        The best point; NaN where there is none.
    objective : float
        ``cost @ x``; NaN without a point.
    status : {"optimal", "infeasible", "unbounded", "time_limit", "interrupted", "failed"}
        "time_limit" and "interrupted" may come with a point: the best found so far.
    solver : str
    row_duals : array of shape (n_rows,)
        Shadow prices of an optimal linear program; NaN for integer programs and wherever there are none.
    bound : float
        The solver's own bound on the optimal objective (its word, not a proof).
    ray : array of shape (n_rows,)
        Proof that the program has no point (see :meth:`LinearProgram.farkas_gap`); NaN where there is none.
    detail : str
        The solver's own words.
    """

    x: FloatArray
    objective: float
    status: Status
    solver: str
    row_duals: FloatArray = field(default_factory=lambda: np.zeros(0))
    bound: float = np.nan
    ray: FloatArray = field(default_factory=lambda: np.zeros(0))
    detail: str = ""

    @property
    def optimal(self) -> bool:
        return self.status == "optimal"

    @property
    def has_point(self) -> bool:
        return bool(np.isfinite(self.x).all())

    def checked(self, purpose: str, time_limit_s: float | None = None) -> Solution:
        """This solution if it has a point.

        Raises
        ------
        SolverError, SolverTimeoutError
            If not; the message says who failed at what, why, and what to try.
        """
        if self.has_point and self.status not in ("infeasible", "unbounded"):
            return self
        if self.status == "time_limit":
            raise timeout(self.solver, purpose, time_limit_s)
        said = f" (it said: {self.detail})" if self.detail else ""
        raise SolverError(f"{self.solver} has no answer for {purpose}: {_CURES[self.status]}{said}")


_CURES: dict[str, str] = {
    "infeasible": "no point satisfies all conditions; widen the space or drop a constraint",
    "unbounded": "the objective grows without end; give every column of the space finite bounds",
    "interrupted": "it was interrupted before it had a point; run it again",
    "failed": "it stopped without a point; rescale the features to about [0, 1] or choose another solver",
    "optimal": "it called a point with NaN in it optimal; choose another solver",
}


def timeout(solver: str, purpose: str, time_limit_s: float | None) -> SolverTimeoutError:
    """The error for a solver that reached its limit empty-handed."""
    limit = "its time limit" if time_limit_s is None else f"the time limit of {time_limit_s:g} s"
    return SolverTimeoutError(
        f"{solver} reached {limit} for {purpose} before it had a point; give it more with time_limit_s, relax the "
        "integer columns with space.relax(), or choose another solver"
    )


def empty(
    program: LinearProgram, status: Status, solver: str, detail: str = "", ray: FloatArray | None = None
) -> Solution:
    """A solution without a point."""
    nothing = np.full(program.n_rows, np.nan)
    x = np.full(program.n_columns, np.nan)
    return Solution(x, np.nan, status, solver, nothing, np.nan, nothing if ray is None else ray, detail)


def oriented(program: LinearProgram, ray: FloatArray) -> FloatArray:
    """The ray with the sign that proves infeasibility (solvers differ in theirs)."""
    return -ray if program.farkas_gap(-ray) > program.farkas_gap(ray) else ray


# -------------------------------------------------------------------- spaces


def space_rows(space: Space, n_extra_columns: int = 0) -> Rows:
    """The linear rows of a space over columns ``(x, extra)``: one-hot groups first, then slabs.

    Integrality is not a row: see :func:`integer_columns`. Balls and constraints are not linear and are left out.
    """
    width = space.n_features + n_extra_columns
    normals = np.array([slab.direction for slab in space.slabs]).reshape(-1, space.n_features)
    rows = [_group_rows(space), sp.csr_matrix(normals)]
    lower = [*(0.0 if group.at_most_one else 1.0 for group in space.one_hot), *(slab.lower for slab in space.slabs)]
    upper = [*(1.0 for _ in space.one_hot), *(slab.upper for slab in space.slabs)]
    A = sp.csr_matrix(sp.vstack(rows, format="csr"))
    A.resize(A.shape[0], width)
    return A, np.array(lower, dtype=np.float64), np.array(upper, dtype=np.float64)


def homogeneous_rows(space: Space) -> Rows:
    """Rows over ``(U, m)`` that say ``U in m * X`` for a mass ``m >= 0``: box, one-hot hulls and slabs of X.

    Each bound ``g @ x <= r`` becomes ``g @ U - r m <= 0``; rows that bound nothing are left out.
    """
    A, lower, upper = space_rows(space)
    eye = sp.identity(space.n_features, format="csr")
    stacked = sp.csr_matrix(sp.vstack([eye, A]))
    low, high = np.concatenate([space.lower, lower]), np.concatenate([space.upper, upper])
    above, below, equal = np.isfinite(high) & (low < high), np.isfinite(low) & (low < high), low == high
    sides = ((above, high), (below, low), (equal, low))
    blocks = [sp.hstack([stacked[rows], sp.csr_matrix(-side[rows][:, None])]) for rows, side in sides]
    row_lower = np.concatenate([np.full(above.sum(), -np.inf), np.zeros(below.sum() + equal.sum())])
    row_upper = np.concatenate([np.zeros(above.sum()), np.full(below.sum(), np.inf), np.zeros(equal.sum())])
    return sp.csr_matrix(sp.vstack(blocks)), row_lower, row_upper


def integer_columns(space: Space) -> BoolArray:
    """Columns that hold whole numbers: the space's integer columns and its one-hot groups that are not relaxed."""
    integer = np.array(space.integer, dtype=bool)
    for group in space.one_hot:
        if not group.relaxed:
            integer[list(group.columns)] = True
    return integer


def _group_rows(space: Space) -> sp.csr_matrix:
    rows = [k for k, group in enumerate(space.one_hot) for _ in group.columns]
    columns = [j for group in space.one_hot for j in group.columns]
    return sp.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(space.one_hot), space.n_features))


def _repeated(values: Any, size: int, name: str) -> NDArray[Any]:
    values = np.asarray(values, dtype=bool if name == "integer" else np.float64)
    if values.shape not in ((), (size,)):
        raise ValueError(f"{name} has shape {values.shape}; ({size},) is needed")
    if np.isnan(values).any():
        raise ValueError(f"{name} holds NaN; use an infinite bound where there is none")
    return np.array(np.broadcast_to(values, (size,)))


def _box_maximum(c: FloatArray, lower: FloatArray, upper: FloatArray) -> float:
    """``max c @ x`` over a box whose bounds may be infinite; ``0 * inf`` counts as 0."""
    used = c != 0
    ends = np.where(c > 0, upper, lower)[used]
    return float(c[used] @ ends)
