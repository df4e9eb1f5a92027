"""The hypergradient at the exact optimum of training, by the implicit function theorem.

See :mod:`convexpoison.learners.implicit.adjoint` for the theorem. The hypergradient is the limit of reverse-mode differentiation
as T grows, and costs one linear system. For victims that have been trained already, with kinks too, see
:mod:`convexpoison.learners.implicit.at_optimum`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.errors import SolverError
from convexpoison.learners.implicit.problem import Hypergradient, InnerProblem, OuterLoss, State
from convexpoison.learners.trainers.hessian import HessianSolver, Step
from convexpoison.learners.trainers.row_system import RowSolver

_MAX_STEPS = 100
_REFINEMENTS = 8
_PATIENCE = 25
"""Conjugate-gradient steps after which Newton's method goes on with what it has: a descent direction in any case."""


class ImplicitGradient:
    """Trains exactly and differentiates, warm from one call to the next while points and lambda move a little.

    Newton's method and the linear system both use conjugate gradients, preconditioned with an earlier Hessian's inverse:
    in as many unknowns as there are rows or parameters, whichever are fewer. (Only where there are more than 5,000 of both
    is it the Hessian's diagonal.)

    Parameters
    ----------
    problem : InnerProblem
    outer : OuterLoss
    precision : float
        Relative error of theta, in the energy norm, and residual of the linear system, relative to its right side.
    """

    def __init__(self, problem: InnerProblem, outer: OuterLoss, *, precision: float = 1e-4) -> None:
        if not 0 < precision < 1:
            raise ValueError(f"precision must lie between 0 and 1; got {precision}")
        self.problem, self.outer, self.precision = problem, outer, precision
        self.theta = np.zeros(problem.rows.n_parameters)
        self._hessian = RowSolver(problem.rows)
        self._last: FloatArray | None = None

    def fit(self, lam: FloatArray) -> State:
        """The minimiser of the inner problem, from the last one.

        Raises
        ------
        SolverError
            If Newton's method does not converge.
        """
        state = _newton(self.problem, self._hessian, self.theta, lam, self.precision)
        self.theta = state.theta
        return state

    def value(self, lam: FloatArray) -> float:
        """The outer loss after training, without derivatives."""
        return self.outer.value(self.fit(lam).theta)

    def __call__(self, lam: FloatArray) -> Hypergradient:
        """The outer loss after training and its derivatives.

        Raises
        ------
        SolverError
            If Newton's method or the linear system does not converge.
        """
        state = self.fit(lam)
        value, pull = self.outer.derivatives(state.theta)
        v, moved = self._adjoint(state, pull)
        points, by_lam = self.problem.mixed_products(state, v, moved)
        return Hypergradient(value, -points, -by_lam, state.theta)

    def _adjoint(self, state: State, pull: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``v = H^-1 pull`` and ``x~_i @ v``, the system solved again for what rounding or an old factor leaves."""
        goal = max(self.precision, 1e-13) * float(np.linalg.norm(pull))
        v = np.zeros_like(pull) if self._last is None else self._last
        moved = self.problem.rows.dot(v)
        left = pull - self.problem.hessian_product(state, v, moved)
        for _ in range(_REFINEMENTS):
            if np.linalg.norm(left) <= goal:
                break
            step = self._hessian.solve(-left, state.curvatures, state.ridge, _by_residual(goal))
            v, moved = v + step.theta, moved + step.scores
            left = pull - self.problem.hessian_product(state, v, moved)
        if np.linalg.norm(left) > 1e-2 * np.linalg.norm(pull):
            raise SolverError(
                "the linear system of the implicit hypergradient could not be solved "
                f"(residual {np.linalg.norm(left) / np.linalg.norm(pull):.1e}); raise the lower end of the lambda range"
            )
        self._last = v
        return v, moved


def _by_residual(goal: float) -> Callable[[FloatArray, float, float], bool]:
    return lambda residual, size, first: float(np.linalg.norm(residual)) <= goal


def _by_share(share: float) -> Callable[[FloatArray, float, float], bool]:
    """Stop at that share of the first size, or when the factor has proved too old: a new one is cheaper then."""
    iterations = count(1)
    return lambda _, size, first: size <= share * first or next(iterations) >= _PATIENCE


def solve_inner(
    problem: InnerProblem, lam: FloatArray, theta: FloatArray | None = None, *, precision: float = 1e-10
) -> State:
    """The minimiser of the inner problem, by Newton's method from theta (zero where not given).

    Raises
    ------
    SolverError
        If Newton's method does not converge.
    """
    start = np.zeros(problem.rows.n_parameters) if theta is None else theta
    return _newton(problem, RowSolver(problem.rows), start, lam, precision)


def _newton(
    problem: InnerProblem, hessian: HessianSolver, theta: FloatArray, lam: FloatArray, precision: float
) -> State:
    """Damped Newton until a full step's decrement is the square of the precision, relative to the penalty."""
    state, previous = problem.at(theta, lam), np.inf
    for _ in range(_MAX_STEPS):
        if not state.gradient.any():
            return state
        share = 1e-2 if previous > 1e-4 * state.value else min(1e-6, precision)
        step = hessian.solve(state.gradient, state.curvatures, state.ridge, _by_share(share))
        penalty = max(0.5 * float(state.theta @ (state.ridge * state.theta)), 1e-12 * state.value)
        length = _length(problem, state, step, lam)
        if length == 0.0:  # only rounding errors are left
            if step.decrement <= 1e-9 * max(state.value, penalty):
                return state
            break
        state = problem.at(state.theta + length * step.theta, lam)
        if length == 1.0 and step.decrement <= precision**2 * penalty:
            return state
        if step.decrement <= 1e-15 * state.value and step.decrement > 0.25 * previous:
            return state
        previous = step.decrement
    raise SolverError(
        f"Newton's method did not reach the minimum of the inner problem in {_MAX_STEPS} steps (objective "
        f"{state.value:.3g}, lambda from {float(np.min(lam)):.3g}); raise the lower end of the lambda range or scale the features"
    )


def _length(problem: InnerProblem, state: State, step: Step, lam: FloatArray) -> float:
    """The first of 1, 1/2, 1/4, ... at which F falls by a tenth of what the model promises; 0 where none does."""
    length, rounding = 1.0, 1e-14 * abs(state.value)
    for _ in range(40):
        after = problem.value(state.theta + length * step.theta, state.scores + length * step.scores, lam)
        if after <= state.value - 0.2 * length * step.decrement + (rounding if length == 1.0 else 0.0):
            return length
        length *= 0.5
    return 0.0
