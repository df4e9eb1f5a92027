"""The loss-difference question for any solver of linear programs: its pieces, and the check of what comes back.

For the hinge loss with ``a = 1 - y (w @ x + b)`` under the model and ``a'`` under the reference, the difference
``max(a, 0) - max(a', 0)`` is the larger of two concave functions of x, ``a - max(a', 0)`` and ``-max(a', 0)``. With a
variable ``e >= max(a', 0)`` each is a linear program per label. (MTP, Appendix D.2, solves one program for each linear
segment of the difference; these two hold all of its segments.) Curved losses go to
:mod:`convexpoison.solvers.sandwich`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

import numpy as np
import scipy.sparse as sp

from convexpoison.clock import Clock
from convexpoison.difference import Proposal, Question
from convexpoison.errors import SolverError
from convexpoison.losses import FloatArray, Hinge
from convexpoison.solvers.base import Capabilities
from convexpoison.solvers.grids import program_in_counts
from convexpoison.solvers.linear_program import LinearProgram, Solution, integer_columns, space_rows, timeout
from convexpoison.solvers.sandwich import sandwich
from convexpoison.spaces import Space

SolveIn = Callable[[LinearProgram, float | None, Space], Solution]
"""Solves a program whose leading columns are a point of the space. The program has the space's linear rows; the solver
adds what is not linear (balls, constraints)."""

_OUTSIDE = 1e-6
_PURPOSE = "the largest loss difference"


@dataclass(frozen=True)
class ConvexCapabilities(Capabilities):
    """Curved losses only over convex spaces: the mean of two points must be a point."""

    def missing(self, question: Question) -> list[str]:
        """As in :class:`~convexpoison.solvers.base.Capabilities`, and curved losses over integers."""
        lacks = super().missing(question)
        if not isinstance(question.loss, Hinge) and "integer" in question.space.parts & self.parts:
            lacks.append(f"{question.loss.name} loss over integer spaces")
        return lacks


@dataclass(frozen=True)
class LinearBackend:
    """A backend made of a solver of linear programs."""

    name: str
    package: str
    capabilities: Capabilities
    solve: SolveIn

    def available(self) -> bool:
        """Whether its package can be imported; takes no licence."""
        try:
            import_module(self.package)
        except ImportError:
            return False
        return True

    def propose(self, question: Question, time_limit_s: float | None) -> Proposal:
        """The best point that the solver finds.

        Raises
        ------
        SolverError, SolverTimeoutError
            If it has none.
        """
        clock = Clock(self.name, time_limit_s)
        if isinstance(question.loss, Hinge):
            return _hinge(question, self.solve, clock)
        return sandwich(question, lambda c: support(question.space, c, self.solve, clock), clock)


def hinge_piece(question: Question, label: float, active: bool) -> LinearProgram:
    """``max a - e`` (active) or ``max -e`` with ``e >= max(a', 0)`` over the space; columns ``(x, e)``.

    ``a - 1 + y b`` replaces ``a``: the constant does not matter for the maximiser.
    """
    space, model, reference = question.space, question.model, question.reference
    A, row_lower, row_upper = space_rows(space, 1)
    margin = sp.csr_matrix(np.append(label * reference.coef, 1.0))
    return LinearProgram(
        cost=np.append(-label * model.coef if active else np.zeros(space.n_features), -1.0),
        lower=np.append(space.lower, 0.0),
        upper=np.append(space.upper, np.inf),
        A=sp.vstack([A, margin]),
        row_lower=np.append(row_lower, 1.0 - label * reference.intercept),
        row_upper=np.append(row_upper, np.inf),
        integer=np.append(integer_columns(space), False),
        maximize=True,
    )


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


def _hinge(question: Question, solve: SolveIn, clock: Clock) -> Proposal:
    """The best of the pieces: two for each label."""
    best: tuple[float, FloatArray, float] | None = None
    words: list[str] = []
    for label in question.responses:
        for active in (True, False):
            if clock.over:
                words.append("time_limit")
                break
            solution = solve(hinge_piece(question, label, active), clock.left(), question.space)
            words.append(solution.status)
            if solution.status == "time_limit" and not solution.has_point:
                continue
            x = solution.checked(_PURPOSE, clock.limit_s).x
            point = settle(question.space, x, clock.solver)
            value = question.value_at(point, label)
            if best is None or value > best[0]:
                best = value, point, label
    if best is None:
        raise timeout(clock.solver, _PURPOSE, clock.limit_s)
    return Proposal(best[1], best[2], None, _summary(words))


def _summary(words: list[str]) -> str:
    """One word where all programs ended alike, else each word once."""
    return ", ".join(dict.fromkeys(words))
