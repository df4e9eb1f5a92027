"""What the optimal attacks share: points with whole numbers of copies, and what they do to the victim."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import lsq_linear

from convexpoison._utils.deadline import Clock
from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.subdifferential import Subdifferential
from convexpoison.problem import Problem
from convexpoison.solvers import highs
from convexpoison.solvers.linear_maximum import support
from convexpoison.spaces.space import Space


@dataclass(frozen=True, eq=False)
class Copies:
    """``count`` copies of ``point``; the label is -1 or +1, or the response."""

    label: float
    point: FloatArray
    count: int


def poisoned(data: TrainingData, poison: tuple[Copies, ...]) -> TrainingData:
    """The clean rows with the poison appended, copies as weights."""
    if not poison:
        return data
    columns = ([part.point for part in poison], [part.label for part in poison], [float(part.count) for part in poison])
    return data.with_rows(*map(np.array, columns))


def residual(problem: Problem, poison: tuple[Copies, ...]) -> float:
    """The distance of 0 from the subdifferential of the poisoned objective at the target (Koh et al., 2022, call it the
    KKT condition), evaluated afresh from the rows."""
    left = Subdifferential.of(problem.victim, poisoned(problem.data, poison), problem.target)
    g, pulls = np.append(left.g.w, left.g.b), np.column_stack([left.pull_w, left.pull_b])
    used = pulls.any(axis=1)
    if not used.any():
        return float(np.linalg.norm(g))
    # Columns of one size, since a row may stand for thousands of copies; shares are then in [0, size].
    size = np.linalg.norm(pulls[used], axis=1)
    answer = lsq_linear((pulls[used] / size[:, None]).T, -g, (np.zeros(size.size), size), method="bvls", tol=1e-15)
    return float(np.linalg.norm(answer.fun))


def far_point(space: Space, target: LinearModel, label: float, clock: Clock) -> FloatArray:
    """The point of the space with the largest margin under the target: one without loss if there is any."""
    return support(space, label * target.coef, highs.SOLVER.solve, clock)[0]
