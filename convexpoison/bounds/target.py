"""The bound for a target: the tight one where it can be had, else what comparison models prove."""

from __future__ import annotations

from collections.abc import Iterable

from convexpoison.bounds.bound import Bound, TheTarget
from convexpoison.bounds.theorem2 import certified_bound, theorem_2_bound
from convexpoison.bounds.tight import tight_bound
from convexpoison.bounds.tight_program import TightBound
from convexpoison.certificates.clean_gradient import has_proofs
from convexpoison.learners.linear_model import LinearModel
from convexpoison.problem import Problem


def has_tight_bound(problem: Problem) -> bool:
    """Return whether the tight bound exists: no constraints of the user's own, and a loss with proofs."""
    return problem.space.constraints is None and has_proofs(problem.victim.loss)


def tight_target_bound(problem: Problem, time_limit_s: float | None = None) -> Bound:
    """Return the certified tight bound (:mod:`convexpoison.bounds.tight`), or the best found within the time limit."""
    return certify_tight(problem, tight_bound(problem, time_limit_s=time_limit_s))


def certify_tight(problem: Problem, found: TightBound) -> Bound:
    """Return the certified bound that the dual vector of a tight bound proves."""
    if found.direction is None:
        return Bound(0.0, TheTarget(problem.target), None, "tight", found.mass, "highs")
    return certified_bound(problem, found.direction, found.mass, "tight", "highs")


def target_bound(
    problem: Problem, models: Iterable[LinearModel] = (), time_limit_s: float | None = None, *, solver: str = "auto"
) -> Bound:
    """Return the better of the tight bound, where it exists, and what comparison models prove.

    ``time_limit_s = 0`` asks for the comparison models alone.
    """
    found = [theorem_2_bound(problem, models, solver=solver)]
    if has_tight_bound(problem) and time_limit_s != 0 and found[0].attainable:
        found.append(tight_target_bound(problem, time_limit_s))
    return max(found, key=lambda bound: bound.value)
