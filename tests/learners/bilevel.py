"""A small bilevel problem for the tests of hypergradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from convexpoison import Victim
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.implicit import InnerProblem, OuterLoss, SmoothHinge
from convexpoison.learners.losses import get_loss

LOSSES = ("logistic", "squared_hinge", SmoothHinge(0.3), "squared")
TUNES = ("l2", "per_class", "per_feature")
CASES = [(loss, tune) for loss in LOSSES for tune in TUNES if (loss, tune) != ("squared", "per_class")]
"""Every supported loss with everything that can be tuned."""


@dataclass
class Bilevel:
    """Three points of poison (some with a loss) among 40 rows of 5 features, 20 rows held out."""

    victim: Victim
    data: TrainingData
    problem: InnerProblem
    outer: OuterLoss
    lam: np.ndarray
    points: np.ndarray


def bilevel(
    loss: object, tune: str = "l2", intercept: str = "regularized", n_rows: int = 40, n_features: int = 5
) -> Bilevel:
    rng = np.random.default_rng(3)
    regression = not get_loss(loss).classification

    def rows(n: int) -> TrainingData:
        X = rng.normal(size=(n, n_features))
        y = np.sign(X[:, 0] + 0.5 * rng.normal(size=n))
        return TrainingData.from_user((X, y), regression=regression, sample_weight=rng.uniform(0.5, 2.0, n))

    victim = Victim(loss, C=1.0, intercept=intercept)
    data, held_out = rows(n_rows), rows(20)
    # Labels against the sign of the first feature, so that every loss pulls on every point.
    points = rng.normal(size=(3, n_features))
    problem = InnerProblem(victim, data, -np.sign(points[:, 0]), tune)
    problem.place(points)
    lam = problem.tuning.initial() + 0.3 * rng.normal(size=problem.tuning.size)
    return Bilevel(victim, data, problem, OuterLoss(victim, held_out), lam, points)


def central(value: Callable[[np.ndarray], float], at: np.ndarray, h: float = 1e-4) -> np.ndarray:
    """Central finite differences of a function of an array."""
    out = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        ends = []
        for sign in (1.0, -1.0):
            moved = at.copy()
            moved[index] += sign * h
            ends.append(value(moved))
        out[index] = (ends[0] - ends[1]) / (2 * h)
    return out


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, relative to the largest entry."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())
