"""The maximum of a linear function over a space: the linear maximisation oracle of searches."""

from __future__ import annotations

import numpy as np

from convexpoison._utils.deadline import Clock
from convexpoison._utils.types import FloatArray
from convexpoison.errors import SolverError
from convexpoison.solvers.base import SolveIn
from convexpoison.solvers.counts import program_in_counts
from convexpoison.solvers.linear_program import LinearProgram, integer_columns, space_rows
from convexpoison.spaces.space import Space

_OUTSIDE = 1e-6


def support(space: Space, c: FloatArray, solve: SolveIn, clock: Clock) -> tuple[FloatArray, bool]:
    """The point of the space with the largest ``c @ x``, and whether the solver called it optimal."""
    A, row_lower, row_upper = space_rows(space)
    # Solvers take small costs for zero.
    c = c / max(float(np.abs(c).max()), 1e-300)
    program = LinearProgram(c, space.lower, space.upper, A, row_lower, row_upper, integer_columns(space), maximize=True)
    solution = solve(program_in_counts(program, space), clock.left(), space)
    x = space.values(solution.checked("a direction of the space", clock.limit_s).x)
    return settle(space, x, clock.solver), solution.optimal


def settle(space: Space, x: FloatArray, solver: str) -> FloatArray:
    """The point with the solver's rounding taken out: whole numbers where they belong, inside the box.

    Raises
    ------
    SolverError
        If it is then still outside the space by more than 1e-6.
    """
    x = x[: space.n_features]
    whole = space.values(np.round(space.counts(x)))
    point = np.clip(np.where(integer_columns(space), whole, x), space.lower, space.upper)
    violation = float(space.violation(point[None, :])[0])
    if violation > _OUTSIDE:
        raise SolverError(
            f"{solver} returned a point outside the space by {violation:.3g} (at most {_OUTSIDE:g} is rounding): "
            "the space may be empty; if not, rescale the features to about [0, 1] or choose another solver"
        )
    return np.asarray(point, dtype=np.float64)
