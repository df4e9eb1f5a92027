"""Asks the maximum-loss-difference question, and checks the answer.

A backend of :mod:`convexpoison.solvers` proposes a point; the value is then evaluated here, at that point, and the upper bound
is proven here (:mod:`convexpoison.geometry.weak_duality`) unless the backend's method is itself the proof (the polygon's sort).
"""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

import numpy as np

from convexpoison.loss_difference.backend import Backend
from convexpoison.loss_difference.backends import choose
from convexpoison.loss_difference.grids import in_counts, rounding_of_counts
from convexpoison.loss_difference.query import Difference, Proposal, Question, tolerance
from convexpoison.loss_difference.upper_bound import upper_bound


def answer(question: Question, *, solver: str = "auto", time_limit_s: float | None = None) -> Difference:
    """Ask a backend and check what it says; the question is assumed to be well formed."""
    start = perf_counter()
    backend = choose(question, solver)
    proposal = _propose(backend, question, time_limit_s)
    value = question.value_at(proposal.point, proposal.label)
    upper = proposal.upper if proposal.upper is not None else upper_bound(question, proposal)
    return Difference(
        value=value,
        upper=max(value, upper),
        point=proposal.point,
        label=proposal.label,
        certified=bool(abs(upper - value) <= tolerance(value)),  # a value above a proven bound is as wrong as one below
        solver=backend.name,
        status=proposal.status,
        seconds=perf_counter() - start,
    )


def _propose(backend: Backend, question: Question, time_limit_s: float | None) -> Proposal:
    """Backends know integers only: over a grid, they are asked in its counts."""
    space = question.space
    if space.grid is None:
        return backend.propose(question, time_limit_s)
    found = backend.propose(in_counts(question), time_limit_s)
    upper = None if found.upper is None else found.upper + rounding_of_counts(question)
    return replace(found, point=np.clip(space.values(found.point), space.lower, space.upper), upper=upper)


def check(question: Question) -> None:
    """Refuse a query whose sizes differ or whose space is unbounded.

    Raises
    ------
    ValueError
    """
    sizes = {question.model.n_features, question.reference.n_features, question.space.n_features}
    if len(sizes) > 1:
        raise ValueError(
            f"the models have {question.model.n_features} and {question.reference.n_features} features and the space has "
            f"{question.space.n_features}; all three must agree"
        )
    if not question.loss.classification and question.space.response is None:
        raise ValueError("a regression loss needs the range of the response: space.with_response(lower, upper)")
    bounded = np.isfinite(question.space.lower) & np.isfinite(question.space.upper)
    if not bounded.all() and not (question.space.balls or question.space.constraints or question.space.slabs):
        j = int(np.argmin(bounded))
        raise ValueError(f"column {j} of the space is unbounded, and so is the loss difference; give it finite bounds")
