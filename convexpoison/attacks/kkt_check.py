"""The KKT residual of poison at a target."""

from __future__ import annotations

import numpy as np
from scipy.optimize import lsq_linear

from convexpoison._utils.deadline import Clock
from convexpoison._utils.types import FloatArray
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.subdifferential import Subdifferential
from convexpoison.poison import Poison
from convexpoison.problem import Problem
from convexpoison.solvers import highs
from convexpoison.solvers.linear_maximum import support
from convexpoison.spaces.space import Space
from convexpoison.targets.rows import appended


def residual(problem: Problem, poison: Poison) -> float:
    """Return the distance of 0 from the subdifferential of the poisoned objective at the target, computed from the rows.

    That it is 0 is the KKT condition of Koh et al. (2022).
    """
    rows = appended(problem.data, poison.points, poison.labels, poison.counts)
    left = Subdifferential.of(problem.victim, rows, problem.target)
    g, pulls = np.append(left.g.w, left.g.b), np.column_stack([left.pull_w, left.pull_b])
    used = pulls.any(axis=1)
    if not used.any():
        return float(np.linalg.norm(g))
    # Columns of one size, since a row may stand for thousands of copies; shares are then in [0, size].
    size = np.linalg.norm(pulls[used], axis=1)
    answer = lsq_linear((pulls[used] / size[:, None]).T, -g, (np.zeros(size.size), size), method="bvls", tol=1e-15)
    return float(np.linalg.norm(answer.fun))


def far_point(space: Space, target: LinearModel, label: float, clock: Clock) -> FloatArray:
    """Return the point of the space with the largest margin under the target: one without loss if there is any."""
    return support(space, label * target.coef, highs.SOLVER.solve, clock)[0]
