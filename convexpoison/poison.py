"""Poison: edits of the training data in order of priority, the only thing that an attack returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.learners.victim import Victim

if TYPE_CHECKING:
    from convexpoison.attacks.evaluate import Recorder
    from convexpoison.bounds.bound import Bound
    from convexpoison.results.attack_result import Reproduction

Status = Literal["budget", "goal", "close", "time limit", "interrupted", "unattainable", "exact", "approximate"]


@dataclass(frozen=True, eq=False)
class Poison:
    """Points in order of priority.

    Attributes
    ----------
    points : array of shape (n_distinct, n_features)
    labels : array of shape (n_distinct,)
        -1 and +1, or the response.
    counts : int array of shape (n_distinct,)
        Copies of each; their sum is at most the budget.
    status : str
        Reason for the end: "budget", "goal", "close", "time limit", "interrupted", "unattainable"; of ``optimal`` "exact" or
        "approximate".
    victim : Victim or None
        What the victim has become, where the attack reckons with one that tunes itself; the task's own where None.
    note : str
        What the reader of the result must know.
    info : dict
        What the method has to tell besides: plain numbers and short lists, for example a certified upper bound.
    trace : Recorder or None
        The record of an attack that has retrained the victim after every point; others are replayed.
    bound : Bound or None
        The bound of the target, if the method has it.
    kkt : Reproduction or None
        How well the points reproduce the target, if the method has checked it.
    """

    points: FloatArray
    labels: FloatArray
    counts: np.ndarray
    status: Status = "budget"
    victim: Victim | None = None
    note: str = ""
    info: dict[str, Any] = field(default_factory=dict)
    trace: Recorder | None = None
    bound: Bound | None = None
    kkt: Reproduction | None = None

    @property
    def n_points(self) -> int:
        """Points, copies counted."""
        return int(self.counts.sum())
