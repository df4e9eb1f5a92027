"""The tight bound: the least mass of points that reproduces a target exactly, by linear programming.

- Hinge: one linear program of about ``2 d + 3`` columns is the whole problem (:mod:`convexpoison.bounds.tight_program`).
- Smooth losses: tangents of one curve (:mod:`~convexpoison.bounds.tight_perspective`) lead there in a dozen small programs,
  wherever one point of each label is enough. Where it is not, or over balls, columns of one label and one score are
  generated: the dual vector of each program prices new columns exactly (:mod:`convexpoison.geometry.support_function`), and
  is a certified bound at every step.

The bound is what the direction proves, evaluated by the library (:meth:`TightProgram.ratio`), and never a solver's objective.
It is the supremum of MTP's Theorem 2 (Suya et al., "Model-targeted poisoning attacks with provable convergence", ICML 2021)
over all models: see :mod:`convexpoison.learners.subdifferential`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from time import perf_counter

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.bounds.tight_perspective import perspective_bound
from convexpoison.bounds.tight_program import Slice, TightBound, TightProgram
from convexpoison.bounds.tight_solvers import least_mass, separation
from convexpoison.errors import SolverError
from convexpoison.geometry.support_function import Price, score_range
from convexpoison.learners.dual_vector import DualVector
from convexpoison.problem import Problem
from convexpoison.solvers.linear_program import Solution

_MOST_ROUNDS = 60
_STALLED = 6
"""Rounds without progress after which rounding is all that is left to improve."""
_FIRST_QUANTILES = (0.25, 0.5, 0.75)
_BRACKET = 0.25
"""Distance of a bracket's ends from its middle, as a fraction of how far the search is from agreeing on the best score."""
_NARROW, _SAME = 1e-5, 1e-9
"""Brackets are no narrower, and slices no closer, than this times the range of scores: programs would become singular."""
_USED = 1e-4
"""Slices with less than this share of the mass are dropped: interior points give a little to every slice."""


def tight_bound(problem: Problem, *, solver: str = "auto", time_limit_s: float | None = None) -> TightBound:
    """The best bound, and a fractional attack that meets it up to a relative gap of 1e-6.

    Parameters
    ----------
    problem : Problem
        Over any space of box, one-hot groups, integers (both relaxed), slabs and balls; the user's own constraints are
        left out of the problem (see there).
    solver : {"auto", "highs", "gurobi", "cvxpy"}
        Who solves the programs: "auto" is HiGHS, and cvxpy for spaces with balls.
    time_limit_s : float, optional
        The best bound so far is returned when the time is up.

    Raises
    ------
    ValueError
        If the solver is unknown or takes no such space.
    SolverError, MissingDependencyError
        If the solver fails before there is any bound.
    """
    last = TightBound(0.0, np.inf, None)
    for last in improve(problem, solver=solver, time_limit_s=time_limit_s):
        if time_limit_s is not None and last.seconds >= time_limit_s:
            break
    return last


def improve(problem: Problem, *, solver: str = "auto", time_limit_s: float | None = None) -> Iterator[TightBound]:
    """Bounds that never fall, each certified; ends when bound and mass agree, or when the target proves unattainable.

    Parameters are those of :func:`tight_bound`; the time limit holds for single programs.
    """
    start, stalled = perf_counter(), 0
    program = TightProgram(problem)
    best = _head_start(program, solver, time_limit_s)
    if best.rounds:
        yield best
        if best.closed:
            return
    slices = _first_slices(program, best)
    for _ in range(_MOST_ROUNDS):
        left = None if time_limit_s is None else max(0.0, time_limit_s - (perf_counter() - start))
        try:
            solution, proofs = _ask(program, slices, solver, left)
        except SolverError:
            if best.direction is None:
                raise
            return  # what has been proven stays proven
        priced = [(v, program.prices(v)) for v in proofs]
        values = [program.quotient(v, max(price.upper for price in found)) for v, found in priced]
        found, k = best, int(np.argmax([*values, -1.0]))
        if proofs and values[k] > best.value:
            found = replace(best, value=values[k], direction=proofs[k])
        if solution.optimal and solution.objective < found.mass:
            found = replace(found, mass=solution.objective, attack=program.read(slices, solution.x))
        stalled = 0 if found.value > best.value or found.mass < best.mass else stalled + 1
        best = replace(found, rounds=found.rounds + 1, seconds=perf_counter() - start)
        yield best
        if best.closed or not proofs or not problem.victim.loss.smooth or stalled >= _STALLED:
            return
        slices = _next_slices(program, slices, solution, priced[k][1])


def _ask(
    problem: TightProgram, slices: list[Slice], solver: str, time_limit_s: float | None
) -> tuple[Solution, list[DualVector]]:
    """The program over these slices, and the directions that its answer suggests."""
    solution = least_mass(problem, slices, solver, time_limit_s)
    if solution.optimal:
        return solution, [problem.direction(solution.row_duals)]
    if solution.status == "time_limit":
        return solution, []
    apart = separation(problem, slices, solver, time_limit_s)
    suggested = [problem.direction(found) for found in (apart.row_duals, solution.ray) if np.isfinite(found).any()]
    if not suggested:
        raise SolverError(
            f"{solution.solver} stopped without an answer to the program of the tight bound ({solution.detail}); rescale the "
            "features to about [0, 1], or choose another solver"
        )
    return solution, suggested


# -------------------------------------------------------------------- slices of smooth losses


def _head_start(problem: TightProgram, solver: str, time_limit_s: float | None) -> TightBound:
    """What tangents find, for smooth losses; its fractional attack counts only if it is one."""
    space = problem.space
    bounded = np.isfinite(space.lower).all() and np.isfinite(space.upper).all()
    if not problem.victim.loss.smooth or solver not in ("auto", "highs") or space.balls or not bounded:
        return TightBound(0.0, np.inf, None)
    return perspective_bound(problem, time_limit_s=time_limit_s)


def _first_slices(problem: TightProgram, known: TightBound) -> list[Slice]:
    """Hinge: one slice a label. Smooth: some scores between the least and the largest for each label (response), and those
    of points that are known to be worth a try."""
    space, target = problem.space, problem.target
    if not problem.victim.loss.smooth:
        return [Slice(float(y)) for y in space.labels]
    low, high = score_range(target, space)
    ends = {y: (low, high) for y in space.response or ()}
    if problem.victim.loss.classification:
        # Beyond a margin of 1 there is little loss; what is worth having there is found later.
        end_0, end_1 = (float(np.clip(y - target.intercept, low, high)) for y in (-1.0, 1.0))
        ends = {float(y): ((low, end_1) if y == 1 else (end_0, high)) for y in space.labels}
    slices = [Slice(y, (1.0 - q) * ends[y][0] + q * ends[y][1]) for y in ends for q in _FIRST_QUANTILES]
    slices += [Slice(part.label, float(target.coef @ part.point)) for part in known.attack if part.point is not None]
    return _distinct(slices, _SAME * (high - low))


def _next_slices(problem: TightProgram, slices: list[Slice], solution: Solution, found: list[Price]) -> list[Slice]:
    """The slices in use, the dearest ones for the direction, and brackets around where the mass of each side lies.

    Dearest slices alone halve the distance to the best score each time. The mean score of the mass lies nearer, and slices
    close to it on either side leave the next direction little room to be dearer elsewhere.
    """
    low, high = score_range(problem.target, problem.space)
    dear = [Slice(price.label, price.score) for price in found if price.value != 0.0]  # no loss, no pull
    kept, brackets = slices, []
    if solution.optimal:
        masses = problem.masses(slices, solution.x)
        used = masses > _USED * masses.sum()
        kept, masses = [s for s, u in zip(slices, used, strict=True) if u], masses[used]
        for s in dear:
            beside = np.array([_side(problem, other) == _side(problem, s) for other in kept], dtype=bool)
            scores, weights = _scores(kept)[beside], masses[beside]
            if scores.size:
                mean = float(weights @ scores / weights.sum())
                step = _BRACKET * max(abs(float(_scores([s])[0]) - mean), float(np.ptp(scores)), _NARROW * (high - low))
                brackets += [Slice(s.label, mean + move) for move in (-step, 0.0, step)]
    return _distinct([*kept, *dear, *brackets], _SAME * (high - low))


def _side(problem: TightProgram, s: Slice) -> tuple[float, bool]:
    """Label (response), and in a regression whether the points lie below or above the model."""
    loss, score = problem.victim.loss, _scores([s])[0] + problem.target.intercept
    return s.label, loss.classification or bool(loss.argument(score, s.label) > 0.0)


def _scores(slices: list[Slice]) -> FloatArray:
    return np.array([s.score for s in slices], dtype=np.float64)


def _distinct(slices: list[Slice], tol: float) -> list[Slice]:
    """Without those whose score an earlier one of that label has already."""
    out: list[Slice] = []
    for s in slices:
        same = [other for other in out if other.label == s.label]
        if not (np.abs(_scores(same) - _scores([s])) <= tol).any():
            out.append(s)
    return out
