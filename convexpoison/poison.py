"""Poison: edits of the training data in order of priority, the only thing that an attack returns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.learners.victim import Victim

if TYPE_CHECKING:
    from convexpoison.attacks.evaluate import Recorder
    from convexpoison.bounds.bound import Bound

Edit = tuple[FloatArray, float, int]
"""A point of shape (n_features,), its label, and the number of its copies."""
Status = Literal["budget", "goal", "close", "time limit", "interrupted", "unattainable", "exact", "approximate"]


@dataclass(frozen=True)
class KKTCheck:
    """How far points are from reproducing a target: residual and retrained victim, both computed anew from all rows.

    Attributes
    ----------
    residual : float
        Distance of 0 from the subdifferential of the poisoned objective at the target (the KKT condition of Koh et al., 2022);
        0 up to rounding where the target is reproduced.
    difference : float
        Proven upper bound on the maximum loss difference of the retrained model to the target, in units of the loss.
    gap : float
        Duality gap to which that model is trained.
    proven_least : bool
        Whether the residual is no more than rounding and the bound allows no fewer points.
    """

    residual: float
    difference: float
    gap: float
    proven_least: bool


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
        The victim after it has tuned itself, for attacks that model this; None: the victim of the problem.
    note : str
        Caveats for the reader of the result.
    info : dict
        Further output of the method: plain numbers and short lists, for example a certified upper bound.
    trace : Recorder or None
        The record of an attack that has retrained the victim after every point; without it, evaluation trains the points.
    bound : Bound or None
        The bound of the target, if the method has it.
    kkt : KKTCheck or None
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
    kkt: KKTCheck | None = None

    @classmethod
    def of(cls, edits: Iterable[Edit], n_features: int) -> Poison:
        """Return the poison of these points, labels and counts."""
        points, labels, counts = zip(*edits, strict=True) if (edits := list(edits)) else ((), (), ())
        return cls(
            np.array(points, dtype=np.float64).reshape(-1, n_features),
            np.array(labels, dtype=np.float64),
            np.array(counts, dtype=np.int64),
        )

    @property
    def n_points(self) -> int:
        """Points, copies counted."""
        return int(self.counts.sum())

    @property
    def edits(self) -> list[Edit]:
        """Points, labels and counts, one after another."""
        return list(zip(self.points, self.labels.tolist(), self.counts.tolist(), strict=True))
