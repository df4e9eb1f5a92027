"""Which of several targets costs the fewest points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from convexpoison._utils.deadline import Clock
from convexpoison.adapters.read import read_scenario
from convexpoison.bounds.tight import tight_bound
from convexpoison.errors import SolverError
from convexpoison.learners.victim import Victim
from convexpoison.problem import Problem
from convexpoison.spaces.space import Space
from convexpoison.targets.label_flip import Candidate

AnyTarget = TypeVar("AnyTarget")


def cheapest(
    candidates: Sequence[AnyTarget],
    data: Any,
    *,
    victim: Victim,
    space: Space | None = None,
    time_limit_s: float | None = None,
) -> AnyTarget:
    """The candidate of least mass (:func:`convexpoison.bounds.tight.tight_bound`): what it costs, and not its clean loss.

    Parameters
    ----------
    candidates : sequence of Candidate, LinearModel or whatever :func:`convexpoison.lower_bound` takes
        For example those of :func:`label_flips`.
    data : pair (X, y) or TrainingData
    victim : Victim
    space : Space, optional
        Inferred from the data where not given.
    time_limit_s : float, optional
        Candidates that are not evaluated by then do not count.

    Raises
    ------
    ValueError
        If there are no candidates, or no attack was found on any.
    """
    clock = Clock("cheapest target", time_limit_s)
    masses = []
    for candidate in candidates:
        model = candidate.model if isinstance(candidate, Candidate) else candidate
        scenario = read_scenario(model, data, victim, space, "auto", None)
        if scenario.target is None:
            raise TypeError("candidates must be models; got a goal")
        masses.append(_mass(scenario.problem, clock))
    if not np.isfinite(masses).any():
        raise ValueError(
            f"no attack was found on any of {len(masses)} candidates; give others, or allow more time or a larger space"
        )
    return candidates[int(np.argmin(masses))]


def _mass(problem: Problem, clock: Clock) -> float:
    try:
        return np.inf if clock.over else tight_bound(problem, time_limit_s=clock.left()).mass
    except SolverError:
        return np.inf
