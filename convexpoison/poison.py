"""Poison: edits of the training data in order of priority, the only thing that an attack returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.learners.victim import Victim

Status = Literal["budget", "goal", "time limit", "interrupted"]


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
    status : {"budget", "goal", "time limit", "interrupted"}
        Why it ended.
    victim : Victim or None
        What the victim has become, where the attack reckons with one that tunes itself; the task's own where None.
    note : str
        What the reader of the result must know.
    info : dict
        What the method has to tell besides: plain numbers and short lists, for example a certified upper bound.
    """

    points: FloatArray
    labels: FloatArray
    counts: np.ndarray
    status: Status = "budget"
    victim: Victim | None = None
    note: str = ""
    info: dict[str, Any] = field(default_factory=dict)
