"""Directions that prove a bound for a whole neighbourhood, and the linear program that proposes them.

For every v (:mod:`~convexpoison.bounds.uncertainty_set`)

    m >= [min over N of -<dL(theta'; D_c) + rho grad R(theta'), v>] / [max over N and z of <a'(z), v>],

the numerator bounded below and the denominator above. The program is the tight bound's
(:mod:`convexpoison.bounds.tight`) with more
boundary rows, wider slices of points, and the movement of the regulariser's gradient, ``(rho + kappa m) J Delta``, as a variable:
any mixture of the moves Delta found so far. Each direction that it proposes brings the move that is worst for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from time import perf_counter

import numpy as np
import scipy.sparse as sp

from convexpoison._utils.types import FloatArray
from convexpoison.bounds.tight_program import Slice, TightBound, TightProgram
from convexpoison.bounds.uncertainty_set import Neighbourhood, second_derivative
from convexpoison.geometry.support_function import Price
from convexpoison.learners.dual_vector import BOUNDARY, DualVector
from convexpoison.learners.subdifferential import Subdifferential
from convexpoison.numerics.intervals import Interval
from convexpoison.solvers import highs
from convexpoison.solvers.linear_program import LinearProgram

_ROUNDS = 30
_CLOSED = 1e-7
"""Relative gap at which no better direction is looked for."""
_PROGRESS, _IDLE = 1e-4, 3
"""Relative progress that is worth a round, and rounds without it after which the search for smooth losses ends: they propose
with slightly other atoms than they prove."""
ROUNDING = 1e-12
"""Allowance for rounding, relative to the size of the sums: subtracted from numerators, added to denominators."""


@dataclass(frozen=True, eq=False)
class RobustProgram(TightProgram):
    """The mass problem of a whole neighbourhood: with more boundary rows, wider slices, and Delta as a variable."""

    hood: Neighbourhood

    @cached_property
    def subdifferential(self) -> Subdifferential:
        """That of the clean objective, with every row in the boundary whose margin may be 1 in the neighbourhood."""
        if self.victim.loss.smooth:
            return self.problem.subdifferential
        low, high = self.row_slopes
        return Subdifferential.of(self.victim, self.data, self.target, boundary=low != high)

    @cached_property
    def row_slopes(self) -> tuple[FloatArray, FloatArray]:
        """Least and largest ``phi'`` of every clean row in the neighbourhood."""
        loss, data, target = self.victim.loss, self.data, self.target
        scores = target.decision_function(data.X)
        fall, rise = self.hood.score_moves()
        size = abs(data.X) @ np.abs(target.coef) + abs(target.intercept) + np.abs(data.y) + 1.0
        allowance = BOUNDARY * np.asarray(size).ravel()
        ends = np.sort([loss.argument(scores - fall, data.y), loss.argument(scores + rise, data.y)], axis=0)
        low, high = ends[0] - allowance, ends[1] + allowance
        if loss.smooth:
            return loss.derivative(low), loss.derivative(high)
        slopes = loss.derivative_enclosure(Interval(low, high))
        return slopes.lower, slopes.upper

    def program(self, slices: list[Slice], moves: tuple[DualVector, ...] = ()) -> LinearProgram:
        """As in the base class; further columns mix the moves, in rho J Delta (shares of 1) and kappa J Delta (of the mass)."""
        program = super().program(slices)
        if not moves:
            return program
        k = len(moves)
        J = [second_derivative(self.problem, move) for move in moves]
        along = np.array([np.append(j.w, j.b) for j in J]).T
        along = along if self.victim.intercept != "none" else along[:-1]
        pushed = np.vstack([along, np.zeros((program.n_rows - len(along), k))])
        rho, kappa = self.victim.rho(self.data.n_rows), self.victim.kappa
        shares = np.kron(np.eye(2), np.ones(k))
        mass = sp.csr_matrix(np.vstack([np.zeros_like(program.cost), -program.cost]))
        return LinearProgram(
            cost=np.append(program.cost, np.zeros(2 * k)),
            lower=np.append(program.lower, np.zeros(2 * k)),
            upper=np.append(program.upper, np.full(2 * k, np.inf)),
            A=sp.bmat([[program.A, sp.csr_matrix(np.hstack([rho * pushed, kappa * pushed]))], [mass, shares]]),
            row_lower=np.append(program.row_lower, [-np.inf, -np.inf]),
            row_upper=np.append(program.row_upper, [1.0, 0.0]),
        )

    def prove(self, v: DualVector) -> tuple[float, DualVector, DualVector | None, Price]:
        """What a direction proves, the direction next to it that does, its worst move, and its dearest point."""
        victim, data = self.victim, self.data
        rho = victim.rho(data.n_rows)
        sway = self.hood.sway(v) if self.regularised else None
        v, swing = (v, 0.0) if sway is None else (sway.v, sway.value)
        price = self.hood.dearest(v)
        pull = data.sample_weight * victim.loss.slope(data.y) * (data.rows.dot(v.w) + v.b)
        low, high = self.row_slopes
        used = pull != 0.0  # a slope may be infinite
        pull, low, high = pull[used], low[used], high[used]
        gradient_w, gradient_b = victim.penalty_gradient(self.target)
        growth = float(gradient_w @ v.w + gradient_b * v.b)
        sizes = float(np.abs(gradient_w) @ np.abs(v.w) + abs(gradient_b * v.b)) + swing
        worst = np.maximum(low * pull, high * pull)
        loss_size = float(np.maximum(np.abs(low), np.abs(high)) @ np.abs(pull))
        numerator = -float(worst.sum()) - rho * (growth + swing) - ROUNDING * (loss_size + rho * sizes)
        denominator = price.upper + victim.kappa * (growth + swing) + ROUNDING * victim.kappa * sizes
        move = None if sway is None else sway.move
        if not numerator > 0.0 or not np.isfinite(swing):
            return 0.0, v, move, price
        return (numerator / denominator if denominator > 0.0 else np.inf), v, move, price

    @property
    def regularised(self) -> bool:
        """Whether the regulariser has any weight, or gets some from added points."""
        return self.victim.rho(self.data.n_rows) > 0.0 or self.victim.kappa > 0.0

    def _pull(self, s: Slice) -> float:
        if s.score is None:
            return super()._pull(s)
        loss = self.victim.loss
        argument = float(loss.argument(s.score + self.target.intercept, s.label))
        # A residual grows away from 0, a margin falls.
        sign = 1 if loss.classification or argument < 0 else -1
        label = int(s.label) if loss.classification else sign
        margin = argument if loss.classification else label * (s.score + self.target.intercept)
        argument -= sign * self.hood.steepening(label, margin)
        return float(loss.derivative(argument) * loss.slope(s.label))

    def _inside(self, s: Slice) -> tuple[sp.csr_matrix, float, float]:
        row, low, high = super()._inside(s)
        if s.score is not None:
            return row, low, high
        wider = np.append(np.zeros(self.space.n_features), -self.hood.shift(int(s.label)))
        return row + sp.csr_matrix(wider), low, high

    def _lossless(self) -> int:
        return int(not self.victim.loss.smooth and self.victim.kappa > 0.0)


def search(
    problem: RobustProgram, tight: TightBound, known: float, start: float, time_limit_s: float | None
) -> tuple[float, DualVector | None]:
    """Directions of the robust program, with a new move (and slice) each round, until proof and program agree."""
    coef, smooth = problem.target.coef, problem.victim.loss.smooth
    slices = [Slice(float(y)) for y in problem.space.labels]
    if smooth:
        slices = [Slice(m.label, float(coef @ m.point)) for m in tight.attack if m.point is not None]
    moves: tuple[DualVector, ...] = ()
    best, v_best, idle = 0.0, None, 0
    # No neighbourhood costs more than the target itself.
    nothing_to_gain = known >= (1.0 - _PROGRESS * smooth - _CLOSED) * tight.value
    for _ in range(0 if nothing_to_gain or not slices else _ROUNDS):
        solution = highs.solve(problem.program(slices, moves))
        duals = solution.row_duals if solution.optimal else solution.ray
        if not np.isfinite(duals).all() or not duals.size:
            break
        value, v, move, price = problem.prove(problem.direction(duals))
        idle = 0 if value > best * (1.0 + (_PROGRESS if smooth else _CLOSED)) else idle + 1
        if value > best:
            best, v_best = value, v
        over = time_limit_s is not None and perf_counter() - start >= time_limit_s
        closed = solution.optimal and not smooth and solution.objective - best <= _CLOSED * max(1.0, best)
        hopeless = solution.optimal and not smooth and solution.objective <= known
        if over or closed or hopeless or idle >= _IDLE or not np.isfinite(best):
            break
        moves = (*moves, move) if move is not None else moves
        if smooth and price.point is not None:
            slices.append(Slice(price.label, price.score))
    return best, v_best
