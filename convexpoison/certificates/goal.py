"""Certificates of goals: with fewer points no optimum of the victim reaches the goal, checked without a solver.

A certificate is a chain of barriers (:mod:`convexpoison.certificates.goal_dual_function`), each of which excludes all
numbers of points from
its ``first`` to its ``last``; together they exclude every number from 0 to the value. The check evaluates both ends of every
section in interval arithmetic (:mod:`convexpoison.certificates.goal_check`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from convexpoison._utils.files import Arrays
from convexpoison._utils.types import FloatArray
from convexpoison.certificates.base import LEFT_OUT, Certificate, vector
from convexpoison.certificates.file_format import classes_of
from convexpoison.certificates.goal_check import Proof
from convexpoison.certificates.goal_dual_function import Barrier, Ground
from convexpoison.data.training_data import Classes, TrainingData
from convexpoison.learners.victim import Victim
from convexpoison.numerics.interval_matrix import Matrix
from convexpoison.numerics.intervals import Interval
from convexpoison.spaces.space import Space

_SHORTER = (0.0, 1e-9, 1e-6, 1e-3, 1e-2)
"""By how much a section's end is drawn back, relatively, where rounding leaves nothing of its excess."""


@dataclass(frozen=True, eq=False)
class Section:
    """The numbers of points from ``first`` to ``last``, both included, and what excludes them.

    Attributes
    ----------
    reference : array of shape (n_parameters,)
        The reference model.
    slopes : array of shape (n_samples,)
        Slopes of lines below the clean rows' losses.
    multipliers : array of shape (n_goal_rows,)
    first, last : float
    """

    reference: FloatArray
    slopes: FloatArray
    multipliers: FloatArray
    first: float
    last: float


@dataclass(frozen=True, eq=False)
class GoalCertificate(Certificate):
    """With fewer than ``value`` points in ``space`` no optimum of ``victim`` reaches the goal.

    Attributes
    ----------
    victim : Victim
    space : Space
    rows : array of shape (n_goal_rows, n_features)
    labels : array of shape (n_goal_rows,)
        -1 or +1: the goal is reached only where ``labels * scores <= 0`` in all rows.
    classes : pair of labels
        What -1 and +1 stand for.
    sections : tuple of Section
    value : float
    note : str

    Raises
    ------
    ValueError
        If sizes do not match, or slopes or multipliers are not in their range.

    Notes
    -----
    The slopes belong to the clean rows one by one, so the check wants these in the same order.
    """

    victim: Victim
    space: Space
    rows: FloatArray
    labels: FloatArray
    classes: Classes
    sections: tuple[Section, ...]
    value: float
    note: str = ""
    kind: ClassVar[str] = "goal certificate"

    def __post_init__(self) -> None:
        self._check_value()
        if not self.victim.loss.classification:
            raise ValueError("goals are about predicted classes; this victim is a regression")
        self.victim.loss.need("a certificate for a goal", "value_enclosure", "support_line", "lipschitz")
        k, p = self.labels.size, self.space.n_features + (self.victim.intercept != "none")
        if self.rows.shape != (k, self.space.n_features) or not np.isin(self.labels, (-1.0, 1.0)).all():
            raise ValueError(
                f"a goal of shape {self.rows.shape} with {k} labels does not fit the space, or one is not -1 or +1"
            )
        steepest = self.victim.loss.lipschitz(np.inf)
        for s in self.sections:
            if (
                s.reference.shape != (p,)
                or s.multipliers.shape != (k,)
                or s.slopes.shape != self.sections[0].slopes.shape
            ):
                raise ValueError("a section's reference, slopes or multipliers have the wrong shape")
            if not all(np.isfinite(part).all() for part in (self.rows, s.reference, s.slopes, s.multipliers)):
                raise ValueError("the certificate holds NaN or infinity")
            if (s.slopes < 0.0).any() or (s.slopes > steepest).any() or (s.multipliers < 0.0).any():
                raise ValueError("a section's slopes or multipliers are out of range")
            if not 0.0 <= s.first <= s.last < np.inf:
                raise ValueError(f"a section runs from {s.first} to {s.last} points")

    # ---------------------------------------------------------------- the check

    def _rows(self, data: Any, sample_weight: Any) -> TrainingData:
        rows = super()._rows(data, sample_weight)
        if self.sections and self.sections[0].slopes.size != rows.n_samples:
            raise ValueError(
                f"the certificate was made for {self.sections[0].slopes.size} clean rows; the data have {rows.n_samples}"
            )
        return rows

    def _proven(self, rows: TrainingData) -> float:
        """How far the sections reach without a gap, at most to the value."""
        reach, ground, matrix = 0.0, Ground(self.victim, rows, self.space), Matrix(rows.X)
        for section in self.sections:
            proof = Proof(_barrier(ground, (self.rows, self.labels), section), matrix)
            ends = (section.first, section.last)
            if section.first > reach or not all(float(proof.excess(m).lower) > 0.0 for m in ends):
                break
            reach = max(reach, section.last)
        return reach

    # ---------------------------------------------------------------- words and files

    @property
    def _classes(self) -> Classes:
        return self.classes

    @property
    def _purpose(self) -> str:
        return "to reach the goal"

    @property
    def _subject(self) -> str:
        k = self.labels.size
        wrong = [self.classes[int(label > 0)] for label in self.labels[:6]]
        told = ", ".join(map(repr, wrong)) + (", ..." if k > 6 else "")
        return f"goal: {k} row{'s' if k > 1 else ''} no longer predicted as {told}"

    def _arrays(self) -> Arrays:
        parts: dict[str, list[Any]] = {
            "reference": [s.reference for s in self.sections],
            "slopes": [s.slopes for s in self.sections],
            "multipliers": [s.multipliers for s in self.sections],
            "ends": [(s.first, s.last) for s in self.sections],
        }
        return {"goal_rows": self.rows, "goal_labels": self.labels, **{k: np.array(v) for k, v in parts.items()}}

    @classmethod
    def _fields(cls, arrays: Arrays, words: dict[str, Any]) -> dict[str, Any]:
        names = ("reference", "slopes", "multipliers", "ends")
        parts = zip(*(vector(arrays[name]) for name in names), strict=True)
        return {
            "rows": vector(arrays["goal_rows"]),
            "labels": vector(arrays["goal_labels"]),
            "classes": classes_of(words),
            "sections": tuple(
                Section(reference, slopes, multipliers, float(first), float(last))
                for reference, slopes, multipliers, (first, last) in parts
            ),
        }


def certify_goal(barriers: Sequence[tuple[Barrier, float, float]]) -> GoalCertificate | None:
    """The certificate that barriers make, each for the numbers of points from one to another.

    What it claims is what the check proves, with something to spare for a machine that adds up in another order; None where it
    proves nothing.
    """
    if not barriers:
        return None
    ground, half_spaces = barriers[0][0].ground, barriers[0][0].half_spaces
    matrix = Matrix(ground.data.X)
    sections: list[Section] = []
    for barrier, first, last in barriers:
        proof = Proof(barrier, matrix)
        reach = next((end for cut in _SHORTER if _holds(proof, end := last * (1.0 - cut))), 0.0)
        if first > (sections[-1].last if sections else 0.0) or reach <= first or not _holds(proof, first):
            break
        sections.append(Section(barrier.theta, barrier.slopes, barrier.multipliers, first, reach))
        if reach < last:
            break
    if not sections:
        return None
    assert ground.data.classes is not None
    note = "" if ground.space.constraints is None else LEFT_OUT
    rows, labels = half_spaces
    return GoalCertificate(
        ground.victim, ground.space, rows, labels, ground.data.classes, tuple(sections), sections[-1].last, note
    )


def _holds(proof: Proof, m: float) -> bool:
    excess: Interval = proof.excess(m)
    return bool(excess.lower > 2.0 * (excess.upper - excess.lower))


def _barrier(ground: Ground, half_spaces: tuple[FloatArray, FloatArray], section: Section) -> Barrier:
    return Barrier(ground, half_spaces, section.reference, section.slopes, section.multipliers)
