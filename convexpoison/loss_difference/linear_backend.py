"""The loss-difference question for any solver of linear programs: its pieces, and the check of what comes back.

For the hinge loss with ``a = 1 - y (w @ x + b)`` under the model and ``a'`` under the reference, the difference
``max(a, 0) - max(a', 0)`` is the larger of two concave functions of x, ``a - max(a', 0)`` and ``-max(a', 0)``. With a
variable ``e >= max(a', 0)`` each is a linear program per label. (MTP, Appendix D.2, solves one program for each linear
segment of the difference; these two hold all of its segments.) Curved losses go to
:mod:`convexpoison.loss_difference.sandwich`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from convexpoison._utils.deadline import Clock
from convexpoison._utils.types import FloatArray
from convexpoison.learners.losses.hinge import Hinge
from convexpoison.loss_difference.backend import Capabilities
from convexpoison.loss_difference.query import Proposal, Question
from convexpoison.loss_difference.sandwich import sandwich
from convexpoison.solvers.base import SolveIn, Solver
from convexpoison.solvers.linear_maximum import settle, support
from convexpoison.solvers.linear_program import LinearProgram, integer_columns, space_rows, timeout

_PURPOSE = "the largest loss difference"


@dataclass(frozen=True)
class ConvexCapabilities(Capabilities):
    """Curved losses only over convex spaces: the mean of two points must be a point."""

    def missing(self, question: Question) -> list[str]:
        """As in :class:`~convexpoison.loss_difference.backend.Capabilities`, and curved losses over integers."""
        lacks = super().missing(question)
        if question.loss != Hinge() and "integer" in question.space.parts & self.parts:
            lacks.append(f"{question.loss.name} loss over integer spaces")
        return lacks


@dataclass(frozen=True)
class LinearBackend:
    """A backend made of a solver of programs: the hinge and every smooth loss, over the parts that the solver takes."""

    solver: Solver

    @property
    def name(self) -> str:
        """That of the solver."""
        return self.solver.name

    @property
    def capabilities(self) -> Capabilities:
        """Those of the solver; every loss that is smooth, and the hinge."""
        solver = self.solver
        return ConvexCapabilities(None, solver.parts, automatic=solver.automatic, licensed=solver.licensed)

    def available(self) -> bool:
        """Return whether the solver's package can be imported; takes no licence."""
        return self.solver.available()

    def propose(self, question: Question, time_limit_s: float | None) -> Proposal:
        """The best point that the solver finds.

        Raises
        ------
        SolverError, SolverTimeoutError
            If it has none.
        """
        clock = Clock(self.name, time_limit_s)
        if question.loss == Hinge():
            return _hinge(question, self.solver.solve, clock)
        return sandwich(question, lambda c: support(question.space, c, self.solver.solve, clock), clock)


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
