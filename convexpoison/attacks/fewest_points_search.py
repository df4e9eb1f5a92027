"""The search for the fewest poison points that reach a goal: up until it is reached, then down as far as it goes."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from convexpoison._utils.deadline import Clock
from convexpoison._utils.integers import whole_points
from convexpoison.adapters.read import read_scenario
from convexpoison.attacks.base import Budget
from convexpoison.attacks.fewest_points_ascent import Climber, Place
from convexpoison.attacks.goal_surrogate import Aim
from convexpoison.bounds.tight import tight_bound
from convexpoison.bounds.tight_program import TightBound
from convexpoison.data.training_data import TrainingData
from convexpoison.errors import GoalNotReachedError, SolverError
from convexpoison.goals import ErrorRate, Flip, Misclassify
from convexpoison.learners.linear_model import LinearModel
from convexpoison.problem import Problem
from convexpoison.spaces.space import Space
from convexpoison.targets.cheapest import cheapest
from convexpoison.targets.label_flip import label_flips
from convexpoison.targets.rows import appended, error_rate

_FIRST = 0.01
"""Points to begin with, as a share of the clean rows."""
_GROWTH, _SHRINKAGE = 1.5, 0.9
_FAILURES = 5
"""Numbers of points that fail one after another, each half as far from the last success, before the search ends."""


@dataclass(frozen=True, eq=False)
class Found:
    """Poison that reaches the goal, checked with the exact victim."""

    n: int
    place: Place
    model: LinearModel


class Search:
    """The search on a problem with a goal."""

    def __init__(self, problem: Problem, budget: Budget, flip: Any, max_iter: int) -> None:
        self.started = perf_counter()
        goal = problem.goal
        if not isinstance(goal, (ErrorRate, Misclassify, Flip)):
            raise TypeError(f"goal must be an ErrorRate, Misclassify or Flip; got {type(goal).__name__}")
        if not problem.victim.loss.classification:
            raise ValueError("these goals are about predicted classes; this victim is a regression")
        self.problem, self.victim, self.data, self.space = problem, problem.victim, problem.data, problem.space
        _check_space(self.space)
        self.goal = goal.bind(problem.clean) if isinstance(goal, Flip) else goal
        if self.goal(problem.clean):
            raise ValueError("the clean model reaches this goal without any poison; ask for more")
        steer = self.data
        if flip is not None:
            if not isinstance(goal, ErrorRate):
                raise ValueError("flip names the rows to steer by for an error rate; this goal has rows of its own")
            steer = TrainingData.from_user(flip, classes=self.data.classes, both_classes=False)
        aim = Aim.of(self.goal, problem.clean, self.data, steer)
        self.flip, self.max_iter = flip, max_iter
        self.clock = Clock("fewest points", budget.time_limit_s)
        self.max_points = budget.max_points if budget.max_points is not None else self.data.n_samples
        self.climber = Climber(self.victim, self.data, self.space, aim, self.goal, self.clock)
        self.history: dict[str, list[float]] = {name: [] for name in ("n_points", "reached", "error", "seconds")}
        self.bar: Any = None

    # ---------------------------------------------------------------- reaching the goal

    def grow(self, n_starts: int) -> Found:
        """Follow the best starts with ever more copies until one of them reaches the goal."""
        n = min(self.max_points, max(2, round(_FIRST * self.data.n_rows)))
        brief = max(1, self.max_iter // 4)
        tried = [self.climber.climb(place, n, "share_wrong", brief)[0] for place in self.climber.starts()]
        places = sorted(tried, key=lambda place: -place.height)[:n_starts]
        while True:
            places = [self.climber.climb(place, n, "share_wrong", self.max_iter)[0] for place in places]
            reached = [found for place in places if (found := self.attempt(place, n)[0]) is not None]
            if reached:
                return reached[0]
            if n >= self.max_points or self.clock.over:
                raise GoalNotReachedError(
                    f"no attack with up to {n} points was found that reaches the goal; allow more points or time, or ask for less"
                )
            n = min(self.max_points, round(_GROWTH * n))

    def from_target(self, start: Any) -> Found:
        """The least-mass attack of a given target, or of the cheapest label flip."""
        named = isinstance(start, str) and start == "label_flip"
        bound = self.bound(self._label_flip() if named else self._read(start))
        place = self._place_of(bound)
        if place is None or not np.isfinite(bound.mass):
            raise ValueError("no attack on the target to start from was found; leave start out, or give another target")
        n = min(self.max_points, max(1, int(whole_points(bound.mass))))
        while True:
            found, place = self.attempt(place, n)
            if found is not None:
                return found
            if n >= self.max_points or self.clock.over:
                raise ValueError(f"the target to start from leads to no attack with up to {n} points; leave start out")
            n = min(self.max_points, max(n + 1, round(1.1 * n)))

    def _read(self, start: Any) -> LinearModel:
        """The model to start from, checked against victim and data."""
        scenario = read_scenario(start, self.data, self.victim, self.space, "auto", None)
        if scenario.target is None:
            raise TypeError("start must be a model; got a goal")
        if scenario.steps is not None:
            raise ValueError("start is a Pipeline; pass its last step, and the data as that step sees them")
        return scenario.target

    def _label_flip(self) -> LinearModel:
        """The cheapest of the label flips that reach an error rate."""
        if not isinstance(self.goal, ErrorRate):
            raise ValueError("start='label_flip' is for an error rate; leave start out, or give a model")
        rows = (self.goal.X, self.goal.y)
        hidden = self.bar is None or self.bar.disable
        found = label_flips(
            self.victim,
            self.data,
            error=self.goal.rate,
            flip=self.flip,
            evaluate=rows,
            progress=False if hidden else None,
        )
        return cheapest(found, self.data, victim=self.victim, space=self.space, time_limit_s=self.clock.left()).model

    def attempt(self, place: Place, n: int) -> tuple[Found | None, Place]:
        """An ascent with n copies: what it found if the exact victim reaches the goal, and where it ended in any case."""
        model: LinearModel | None = None

        def accept(here: Place) -> bool:
            nonlocal model
            model = self.retrained(here, n)
            return self.goal(model)

        end, accepted = self.climber.climb(place, n, "nearest_wrong", self.max_iter, accept)
        found = Found(n, end, model) if accepted and model is not None else None
        self._note(n, found)
        return found, end

    def retrained(self, place: Place, n: int) -> LinearModel:
        """The exact victim on the clean rows and n poison points."""
        counts = place.counts(n)
        return self.victim.trainer(appended(self.data, place.points, self.climber.labels, counts)).model

    # ---------------------------------------------------------------- fewer points

    def shrink(self, found: Found) -> Found:
        """Ever fewer copies; and where the model's own least-mass attack has fewer yet, the same again from there."""
        found = self._fewer(found)
        while not self.clock.over:
            bound = self.bound(found.model)
            n = int(whole_points(bound.mass)) if np.isfinite(bound.mass) else found.n
            place = self._place_of(bound)
            better = self.attempt(place, n)[0] if place is not None and 0 < n < found.n else None
            if better is None:
                break
            found = self._fewer(better)
        return found

    def _fewer(self, found: Found) -> Found:
        """Ever fewer copies, each ascent from where the last one ended: what has failed with fewer is better with more."""
        place, factor, failures = found.place, _SHRINKAGE, 0
        while failures < _FAILURES and not self.clock.over:
            n = min(found.n - 1, round(factor * found.n))
            if n < 1:
                break
            better, place = self.attempt(place, n)
            if better is None:
                factor, failures = 0.5 * (1.0 + factor), failures + 1
            else:
                found, failures = better, 0
        return found

    def bound(self, model: LinearModel) -> TightBound:
        """What is known of a model's least mass in the time that is left; nothing if the solver fails."""
        try:
            return tight_bound(self.problem.towards(model), time_limit_s=self.clock.left())
        except SolverError:
            return TightBound(0.0, np.inf, None)

    def _place_of(self, bound: TightBound) -> Place | None:
        """The fractional attack with one point a label."""
        labels = self.climber.labels
        masses, points = np.zeros(labels.size), np.tile(0.5 * (self.space.lower + self.space.upper), (labels.size, 1))
        for k, y in enumerate(labels.tolist()):
            parts = [part for part in bound.attack if part.label == y and part.point is not None]
            masses[k] = sum(part.weight for part in parts)
            if masses[k] > 0.0:
                points[k] = sum(part.weight / masses[k] * np.asarray(part.point) for part in parts)
        return Place(points, masses / masses.sum()) if masses.sum() > 0.0 else None

    # ---------------------------------------------------------------- the record

    def _note(self, n: int, found: Found | None) -> None:
        error = float("nan") if found is None else self.error(found.model)
        row = (float(n), float(found is not None), error, perf_counter() - self.started)
        for name, value in zip(self.history, row, strict=True):
            self.history[name].append(value)
        if self.bar is not None:
            self.bar.update()
            self.bar.set_postfix_str(f"{n} points {'reach' if found else 'do not reach'} the goal")

    def error(self, model: LinearModel) -> float:
        """Share of the goal's rows that the model has wrong."""
        if isinstance(self.goal, Flip):
            return float(self.goal(model))
        classes = self.data.classes
        return error_rate(
            model, TrainingData.from_user((self.goal.X, self.goal.y), classes=classes, both_classes=False)
        )


def _check_space(space: Space) -> None:
    if space.parts != {"box"}:
        raise ValueError(
            f"the search moves points in a box, and this space has {sorted(space.parts - {'box'})} besides; pass space.relax() "
            "for integer columns, and the box alone for the others: the points found need not lie in the smaller space then"
        )
    if not (np.isfinite(space.lower).all() and np.isfinite(space.upper).all()):
        raise ValueError("the search needs a bounded box; give every column a finite lower and upper bound")
