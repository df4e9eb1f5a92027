"""The two players of the minimax attack: points go up, lambda goes down (RMD, Eq. 2)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convexpoison._utils.deadline import Clock
from convexpoison._utils.types import FloatArray
from convexpoison.attacks.base import Budget
from convexpoison.attacks.projection import Projection
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.implicit.implicit_gradient import ImplicitGradient
from convexpoison.learners.implicit.problem import Hypergradient, InnerProblem, OuterLoss
from convexpoison.learners.implicit.reverse_mode import reverse_mode
from convexpoison.problem import Problem

_PRECISION = 1e-3
"""Of the implicit hypergradient: its steps are far longer than that."""
_SPREAD = 0.5
"""How far around the learned lambda a restart begins (RMD, footnote 4)."""
_EXTREME = 300.0
"""Largest size of a lambda: the square of ``exp(lambda)`` is still a number."""


@dataclass(frozen=True)
class Pace:
    """How many steps, and how long; see :func:`convexpoison.attacks.minimax.minimax`."""

    iterations: int
    clean_iterations: int
    point_rate: float
    lambda_rate: float
    step: str

    def __post_init__(self) -> None:
        for name, least in (("iterations", 1), ("clean_iterations", 0)):
            value = getattr(self, name)
            if value != int(value) or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}; got {value}")
        for name in ("point_rate", "lambda_rate"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} must be positive and finite; got {getattr(self, name)}")
        if self.step not in ("scaled", "gradient"):
            raise ValueError(f"step must be 'scaled' or 'gradient'; got {self.step!r}")

    def move(self, slope: FloatArray, rate: float, left: float) -> FloatArray:
        """The step along a slope, row by row where it has two dimensions; ``left`` is the share of the batch to come."""
        if self.step == "gradient":
            return rate * slope
        largest = np.abs(slope).max(axis=-1, keepdims=True)
        return np.asarray(rate * left * np.divide(slope, largest, out=np.zeros_like(slope), where=largest > 0))


@dataclass(frozen=True, eq=False)
class Batch:
    """Points that were moved together, and what they do."""

    points: FloatArray
    labels: FloatArray
    lam: FloatArray
    objective: float


class Game:
    """What is settled so far, and the play of the next batch.

    Attributes
    ----------
    points, labels : arrays of shape (n_points, n_features) and (n_points,)
        Settled poison.
    lam, lambda_clean : arrays of shape (n_hyperparameters,)
        Now, and after the steps on the clean rows.
    objectives, lambda_trace : lists of float
    batches : list of dict
    """

    def __init__(
        self,
        problem: Problem,
        budget: Budget,
        pace: Pace,
        *,
        tune: str | None,
        lambda_range: tuple[float, float],
        initial_lambda: ArrayLike | None,
        reverse: tuple[int, float] | None,
    ) -> None:
        self.problem, self.budget, self.pace, self.fixed = problem, budget, pace, tune is None
        self._tune, self._reverse = tune or "l2", reverse
        self._outer = OuterLoss(problem.victim, _validation(problem, budget))
        self._width = _width(problem, budget)
        self._range = (-np.inf, np.inf) if self.fixed else _range(lambda_range)
        self.project = Projection(problem.space)
        self.rng = np.random.default_rng(budget.random_state)
        self.clock = Clock("attack", budget.time_limit_s)
        self.points, self.labels = np.empty((0, problem.data.n_features)), np.empty(0)
        self.lam = self.lambda_clean = self._start(initial_lambda)
        self.objectives: list[float] = []
        self.lambda_trace: list[float] = []
        self.batches: list[dict[str, Any]] = []

    # ---------------------------------------------------------------- the defender alone

    def tune_on_clean_rows(self, restarts: int) -> None:
        """Learn lambda without poison; the best of several starts."""
        if self.fixed or not self.pace.clean_iterations:
            return
        gradient = self._gradient(self._problem(self.labels))
        ends = [self._descend(gradient, self.lam)]
        for _ in range(restarts):
            jump = self.rng.uniform(-_SPREAD, _SPREAD, self.lam.size)
            ends.append(self._descend(gradient, np.clip(ends[-1][1] + jump, *self._range)))
        self.lam = self.lambda_clean = min(ends, key=lambda end: end[0])[1]

    def _descend(self, gradient: Callable[[FloatArray], Hypergradient], lam: FloatArray) -> tuple[float, FloatArray]:
        best = (np.inf, lam)
        for k in range(self.pace.clean_iterations):
            found = gradient(lam)
            best = min(best, (found.value, lam), key=lambda end: end[0])
            if self.clock.over:
                break
            lam = self._lower(lam, found.lam, 1.0 - k / self.pace.clean_iterations)
        return min(best, (gradient(lam).value, lam), key=lambda end: end[0])

    def _lower(self, lam: FloatArray, slope: FloatArray, left: float) -> FloatArray:
        """A step of the defender (Eq. 2, right)."""
        return np.asarray(np.clip(lam - self.pace.move(slope, self.pace.lambda_rate, left), *self._range))

    # ---------------------------------------------------------------- both

    def play(self, points: FloatArray, labels: FloatArray) -> Batch:
        """Move these points, and lambda with them: the last of both; the best points where lambda is fixed."""
        problem = self._problem(np.concatenate([self.labels, labels]))
        gradient, lam, n = self._gradient(problem), self.lam, len(points)
        best = Batch(points, labels, lam, -np.inf)
        for k in range(self.pace.iterations):
            problem.points[-n:] = points
            found = gradient(lam)
            self._record(found.value, lam)
            best = self._better(best, Batch(points, labels, lam, found.value))
            if self.clock.over:
                return best
            left = 1.0 - k / self.pace.iterations
            points = self._raise(points, found.points[-n:], left)
            problem.points[-n:] = points
            if not self.fixed:
                lam = self._lower(lam, gradient(lam).lam, left)
        return self._better(best, Batch(points, labels, lam, gradient(lam).value))

    def settle(self, batch: Batch) -> None:
        """Keep the batch."""
        self.points = np.concatenate([self.points, batch.points])
        self.labels = np.concatenate([self.labels, batch.labels])
        self.lam = batch.lam
        self.batches.append({"n_points": len(self.labels), "lambda": batch.lam.tolist(), "objective": batch.objective})

    def _better(self, best: Batch, now: Batch) -> Batch:
        """With lambda fixed the attacker keeps what did most; else both players stand where they stand."""
        return best if self.fixed and best.objective >= now.objective else now

    def _raise(self, points: FloatArray, slope: FloatArray, left: float) -> FloatArray:
        """A step of the attacker (Eq. 2, left)."""
        if self.pace.step == "gradient":
            return self.project(points + self.pace.move(slope, self.pace.point_rate, left))
        return self.project(points + self._width * self.pace.move(self._width * slope, self.pace.point_rate, left))

    def _record(self, objective: float, lam: FloatArray) -> None:
        self.objectives.append(objective)
        self.lambda_trace.append(float(lam.mean()))

    # ---------------------------------------------------------------- the pieces

    def _problem(self, labels: FloatArray) -> InnerProblem:
        problem = InnerProblem(self.problem.victim, self.problem.data, labels, self._tune)
        problem.points[: len(self.points)] = self.points
        return problem

    def _gradient(self, problem: InnerProblem) -> Callable[[FloatArray], Hypergradient]:
        if self._reverse is None:
            return ImplicitGradient(problem, self._outer, precision=_PRECISION)
        steps, rate = self._reverse
        return lambda lam: reverse_mode(problem, self._outer, lam, steps=steps, rate=rate)

    def _start(self, initial: ArrayLike | None) -> FloatArray:
        tuning = self._problem(self.labels).tuning
        lam = tuning.initial() if initial is None else np.asarray(initial, dtype=np.float64)
        if lam.shape not in ((), (1,), (tuning.size,)) or np.isnan(lam).any():
            raise ValueError(f"initial_lambda must be one number or {tuning.size}; got shape {lam.shape}")
        lam = np.broadcast_to(lam, (tuning.size,)).astype(np.float64)
        inside = np.clip(lam, *self._range)
        if (inside != lam).any():
            warnings.warn(
                f"lambda starts at {lam.min():.3g} to {lam.max():.3g}, outside lambda_range {self._range}; it is moved inside",
                stacklevel=5,
            )
        if np.isfinite(inside).all() and np.abs(inside).max() > _EXTREME:
            raise ValueError(
                f"lambda must lie between {-_EXTREME:g} and {_EXTREME:g}; it starts at {inside[np.argmax(np.abs(inside))]:g}"
            )
        if not np.isfinite(inside).all():
            raise ValueError(
                "the victim has no regularisation, so that lambda is minus infinity; give it a finite C, pass "
                "initial_lambda, or let the defender tune it"
            )
        return inside


def _validation(problem: Problem, budget: Budget) -> TrainingData:
    if budget.rows is None:
        raise ValueError("the defender tunes lambda on validation rows: pass validation=(X, y)")
    y = budget.rows.y[budget.rows.sample_weight > 0]
    if problem.victim.loss.classification and np.unique(y).size < 2:
        raise ValueError(
            f"the {y.size} validation rows are all of one class; lambda cannot be tuned on them, and their flipped clones "
            "would all be of the other: give rows of both"
        )
    return budget.rows


def _width(problem: Problem, budget: Budget) -> FloatArray:
    width = problem.space.upper - problem.space.lower
    if not np.isfinite(width).all():
        j = int(np.argmax(~np.isfinite(width)))
        raise ValueError(
            f"the minimax attack needs a bounded box; column {j} has none: give finite lower and upper bounds"
        )
    return np.asarray(width)


def _range(given: tuple[float, float]) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in given)
    except (TypeError, ValueError) as exc:
        raise ValueError(f"lambda_range must be a pair (low, high); got {given!r}") from exc
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"lambda_range must hold finite numbers low < high; got ({low:g}, {high:g}), which is empty")
    if max(-low, high) > _EXTREME:
        raise ValueError(
            f"lambda_range must lie between {-_EXTREME:g} and {_EXTREME:g}, lambda being a logarithm; got ({low:g}, {high:g})"
        )
    return low, high
