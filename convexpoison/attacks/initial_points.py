"""Where poison points start: validation rows with their labels flipped."""

from __future__ import annotations

import warnings

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.attacks.base import Budget
from convexpoison.attacks.projection import Projection, roundings
from convexpoison.problem import Problem


class Clones:
    """Validation rows, drawn without duplicates as long as there are any left (RMD, Appendix C), labels flipped.

    In regression the response becomes the end of its range that is farther away. Rows outside the space are moved to its
    nearest point.

    Parameters
    ----------
    problem : Problem
    budget : Budget
        With validation rows.
    project : Projection
    rng : numpy.random.Generator

    Raises
    ------
    ValueError
        If no row gets a label that the space allows.
    """

    def __init__(self, problem: Problem, budget: Budget, project: Projection, rng: np.random.Generator) -> None:
        assert budget.rows is not None
        self._space, self._project, self._rng = problem.space, project, rng
        self._rows, y = budget.rows.rows, budget.rows.y
        self._flipped = -y if problem.victim.loss.classification else _far_end(problem, budget, y)
        self._eligible = np.arange(y.size)
        if problem.victim.loss.classification:
            self._eligible = np.flatnonzero(np.isin(self._flipped, problem.space.labels))
        if not self._eligible.size:
            raise ValueError(
                f"no validation row gets one of the labels {problem.space.labels} of the space when flipped"
            )
        self._left: list[int] = []
        outside = int((~problem.space.relax().contains(budget.rows.X[self._eligible])).sum())
        if outside:
            warnings.warn(
                f"{outside} of the {self._eligible.size} validation rows that poison is cloned from lie outside the space; "
                "their clones start at its nearest point",
                stacklevel=4,
            )

    def draw(self, n: int) -> tuple[FloatArray, FloatArray]:
        """Points of shape (n, n_features) and labels of shape (n,)."""
        while len(self._left) < n:
            self._left += self._rng.permutation(self._eligible).tolist()
        chosen, self._left = self._left[:n], self._left[n:]
        return self._project(self._rows.take(np.array(chosen))), np.array(self._flipped[chosen], dtype=np.float64)

    def whole(self, points: FloatArray, starts: FloatArray) -> FloatArray:
        """The points with whole numbers where the space wants them.

        Raises
        ------
        ValueError
            If rounding leads out of the space, for a point and for the clone that it started from.
        """
        rounded = next(roundings(self._space, points, 0, self._rng))
        rounded = np.where(
            self._space.contains(rounded)[:, None], rounded, next(roundings(self._space, starts, 0, self._rng))
        )
        if not self._space.contains(rounded).all():
            raise ValueError(
                "no whole numbers were found near the poison that satisfy the space's balls, slabs or constraints; widen them"
            )
        return rounded


def _far_end(problem: Problem, budget: Budget, y: FloatArray) -> FloatArray:
    low, high = problem.space.response or (float(problem.data.y.min()), float(problem.data.y.max()))
    return np.where(y - low > high - y, low, high)
