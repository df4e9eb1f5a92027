"""Targets of least mass: the model that reaches a goal with the fewest poison points that a search finds.

MTP picks, among label-flip models that reach the goal, the one of least clean loss. What a target costs is its least mass
(:mod:`convexpoison.mass`), and the attacker needs no model in particular: so the mass itself is brought down. For the hinge
over a convex space two distinct points, one of each label, are as good as any number of points inside the margin, since these
pull as their mean does. So places and shares of one point a label are moved by exact derivatives of the victim's optimum
(:mod:`convexpoison.targets.response`), with ever fewer copies, for as long as the retrained victim reaches the goal.

The number of points found is an upper bound on what the goal costs, and nothing proves that it is the least: the search is local.
The bound that comes with it is that of the model found. :func:`convexpoison.lower_bound` of a goal holds for every model.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from math import ceil
from time import perf_counter
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from convexpoison.data import TrainingData
from convexpoison.door import read_scenario
from convexpoison.errors import SolverError
from convexpoison.goals import ErrorRate, Flip, Misclassify
from convexpoison.losses import FloatArray
from convexpoison.mass.problem import MassProblem, TightBound
from convexpoison.mass.tight import tight_bound
from convexpoison.model import LinearModel
from convexpoison.solvers.linear_backend import Clock
from convexpoison.spaces import Space
from convexpoison.targets.aim import Aim, AnyGoal
from convexpoison.targets.climb import Climber, Place
from convexpoison.targets.rows import appended, error_rate
from convexpoison.victim import Victim

_FIRST = 0.01
"""Points to begin with, as a share of the clean rows."""
_GROWTH, _SHRINKAGE = 1.5, 0.9
_WHOLE = 1e-6
"""A mass that exceeds a whole number by less counts as that number."""
_FAILURES = 3
"""Numbers of points that fail one after another, each half as far from the last success, before the search ends."""


@dataclass(frozen=True, eq=False)
class LeastMassTarget:
    """A target, and poison that makes the victim learn it.

    Attributes
    ----------
    model : LinearModel
        What the victim learns from the clean rows and the poison, trained exactly.
    points : array of shape (n_distinct, n_features)
    labels : array of shape (n_distinct,)
        In the user's own terms.
    counts : int array of shape (n_distinct,)
        Copies of each point.
    bound : float
        Certified: no points with a smaller total reproduce ``model``. It says nothing about other models.
    mass : float
        Least mass found for ``model``, which the bound cannot exceed.
    error : float
        Share of the goal's rows that the model has wrong.
    clean_loss : float
        ``F(model)`` on the clean rows.
    history : dict of arrays
        One entry for each number of points that was tried: "n_points", "reached" (0 or 1), "error" (NaN where not reached),
        "seconds".
    seconds : float
    """

    model: LinearModel
    points: FloatArray
    labels: np.ndarray
    counts: np.ndarray
    bound: float
    mass: float
    error: float
    clean_loss: float
    history: dict[str, FloatArray]
    seconds: float

    @property
    def n_points(self) -> int:
        """Poison points, copies counted."""
        return int(self.counts.sum())


def least_mass(
    goal: AnyGoal,
    data: Any,
    *,
    victim: Victim,
    space: Space | None = None,
    flip: Any = None,
    start: LinearModel | None = None,
    n_starts: int = 2,
    max_iter: int = 60,
    max_points: int | None = None,
    time_limit_s: float | None = None,
    progress: bool | None = None,
) -> LeastMassTarget:
    """A target that reaches the goal at the least cost that a local search finds.

    Parameters
    ----------
    goal : ErrorRate, Misclassify or Flip
        What the retrained victim has to do: an error rate on given rows, a whole subpopulation wrong, one row flipped.
    data : pair (X, y) or TrainingData
        Clean training data.
    victim : Victim
        A classifier.
    space : Space, optional
        A bounded box, in one or both labels; inferred from the data where not given.
    flip : pair (X, y), optional
        For an error rate: rows that the attacker steers by. The clean training rows where not given, so that the rows of the
        goal only tell whether it is reached; MTP gives the attacker the test rows themselves.
    start : LinearModel, optional
        A target to start from, for example :func:`label_flip`'s: its own least-mass attack is shrunk.
    n_starts : int
        Without ``start``: how many of the starting points are followed to the goal.
    max_iter : int
        Steps of one ascent at most.
    max_points : int, optional
        Where the search gives up; as many as clean rows where not given.
    time_limit_s : float, optional
        After it the best target so far is returned, if there is one.
    progress : bool, optional
        Progress on stderr; on a terminal only, where not given.

    Returns
    -------
    LeastMassTarget

    Raises
    ------
    ValueError
        If an argument cannot be used, the clean model reaches the goal already, or no attack is found.
    """
    if not isinstance(goal, (ErrorRate, Misclassify, Flip)):
        raise TypeError(f"goal must be an ErrorRate, Misclassify or Flip; got {type(goal).__name__}")
    if not victim.loss.classification:
        raise ValueError("these goals are about predicted classes; this victim is a regression")
    for name, value in (("n_starts", n_starts), ("max_iter", max_iter), ("max_points", max_points)):
        if value is not None and (value != int(value) or value < 1):
            raise ValueError(f"{name} must be a positive whole number; got {value}")
    with threadpool_limits(1, user_api="blas"):  # the matrices are small: threads would only wait for each other
        search = _Search(goal, data, victim, space, flip, max_iter, max_points, Clock("least mass", time_limit_s))
        with tqdm(
            desc="least mass", unit=" tries", file=sys.stderr, disable=None if progress is None else not progress
        ) as bar:
            search.bar = bar
            found = search.grow(n_starts) if start is None else search.from_target(start)
            return search.finish(search.shrink(found))


@dataclass(frozen=True, eq=False)
class _Found:
    """Poison that reaches the goal, checked with the exact victim."""

    n: int
    place: Place
    model: LinearModel


class _Search:
    def __init__(
        self,
        goal: AnyGoal,
        data: Any,
        victim: Victim,
        space: Space | None,
        flip: Any,
        max_iter: int,
        max_points: int | None,
        clock: Clock,
    ) -> None:
        self.started = perf_counter()
        scenario = read_scenario(goal, data, victim, space, "auto", None)
        self.victim, self.data, self.space = victim, scenario.data, scenario.space
        _check_space(self.space)
        clean = victim.trainer(self.data).model
        self.goal = goal.bind(clean) if isinstance(goal, Flip) else goal
        if self.goal(clean):
            raise ValueError("the clean model reaches this goal without any poison; ask for more")
        steer = self.data
        if flip is not None:
            if not isinstance(goal, ErrorRate):
                raise ValueError("flip names the rows to steer by for an error rate; this goal has rows of its own")
            steer = TrainingData.from_user(flip, classes=self.data.classes, both_classes=False)
        aim = Aim.of(self.goal, clean, self.data, steer)
        self.clock, self.max_iter = clock, max_iter
        self.max_points = max_points if max_points is not None else self.data.n_samples
        self.climber = Climber(victim, self.data, self.space, aim, self.goal, clock)
        self.history: dict[str, list[float]] = {name: [] for name in ("n_points", "reached", "error", "seconds")}
        self.bar: Any = None

    # ---------------------------------------------------------------- reaching the goal

    def grow(self, n_starts: int) -> _Found:
        """Follow the best starts with ever more copies until one of them reaches the goal."""
        n = max(2, round(_FIRST * self.data.n_rows))
        brief = max(1, self.max_iter // 4)
        tried = [self.climber.climb(place, n, "share_wrong", brief)[0] for place in self.climber.starts()]
        places = sorted(tried, key=lambda place: -place.height)[:n_starts]
        while True:
            places = [self.climber.climb(place, n, "share_wrong", self.max_iter)[0] for place in places]
            reached = [found for place in places if (found := self.attempt(place, n)) is not None]
            if reached:
                return reached[0]
            if n >= self.max_points or self.clock.over:
                raise ValueError(
                    f"no attack with up to {n} points was found that reaches the goal; allow more points or time, or ask for less"
                )
            n = min(self.max_points, round(_GROWTH * n))

    def from_target(self, target: LinearModel) -> _Found:
        """The least-mass attack of a given target."""
        bound = self.bound(target)
        place, n = self._place_of(bound), ceil(bound.mass - _WHOLE) if np.isfinite(bound.mass) else 0
        if place is None:
            raise ValueError("no attack on the target to start from was found; leave start out, or give another target")
        while (found := self.attempt(place, n)) is None:
            if n >= self.max_points or self.clock.over:
                raise ValueError(f"the target to start from leads to no attack with up to {n} points; leave start out")
            n = min(self.max_points, max(n + 1, round(1.1 * n)))
        return found

    def attempt(self, place: Place, n: int) -> _Found | None:
        """An ascent with n copies; what it found if the exact victim reaches the goal."""
        model: LinearModel | None = None

        def accept(here: Place) -> bool:
            nonlocal model
            model = self.retrained(here, n)
            return self.goal(model)

        end, accepted = self.climber.climb(place, n, "nearest_wrong", self.max_iter, accept)
        found = _Found(n, end, model) if accepted and model is not None else None
        self._note(n, found)
        return found

    def retrained(self, place: Place, n: int) -> LinearModel:
        """The exact victim on the clean rows and n poison points."""
        counts = place.counts(n)
        return self.victim.trainer(appended(self.data, place.points, self.climber.labels, counts)).model

    # ---------------------------------------------------------------- fewer points

    def shrink(self, found: _Found) -> _Found:
        """Ever fewer copies; and where the model's own least-mass attack has fewer yet, the same again from there."""
        found = self._fewer(found)
        while not self.clock.over:
            bound = self.bound(found.model)
            n, place = ceil(bound.mass - _WHOLE) if np.isfinite(bound.mass) else found.n, self._place_of(bound)
            better = self.attempt(place, n) if place is not None and 0 < n < found.n else None
            if better is None:
                break
            found = self._fewer(better)
        return found

    def _fewer(self, found: _Found) -> _Found:
        factor, failures = _SHRINKAGE, 0
        while failures < _FAILURES and not self.clock.over:
            n = min(found.n - 1, round(factor * found.n))
            if n < 1:
                break
            better = self.attempt(found.place, n)
            if better is None:
                factor, failures = 0.5 * (1.0 + factor), failures + 1
            else:
                found, failures = better, 0
        return found

    def bound(self, model: LinearModel) -> TightBound:
        return tight_bound(MassProblem(self.victim, self.data, model, self.space))

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

    def _note(self, n: int, found: _Found | None) -> None:
        error = float("nan") if found is None else self._error(found.model)
        row = (float(n), float(found is not None), error, perf_counter() - self.started)
        for name, value in zip(self.history, row, strict=True):
            self.history[name].append(value)
        if self.bar is not None:
            self.bar.update()
            self.bar.set_postfix_str(f"{n} points {'reach' if found else 'do not reach'} the goal")

    def _error(self, model: LinearModel) -> float:
        if isinstance(self.goal, Flip):
            return float(self.goal(model))
        classes = self.data.classes
        return error_rate(
            model, TrainingData.from_user((self.goal.X, self.goal.y), classes=classes, both_classes=False)
        )

    def finish(self, found: _Found) -> LeastMassTarget:
        try:
            bound = self.bound(found.model)
        except SolverError:
            bound = TightBound(0.0, np.inf, None)
        counts, labels, classes = found.place.counts(found.n), self.climber.labels, self.data.classes
        used = counts > 0
        negative, positive = classes if classes is not None else (-1, 1)
        return LeastMassTarget(
            model=found.model,
            points=found.place.points[used],
            labels=np.where(labels[used] > 0, positive, negative),
            counts=counts[used],
            bound=bound.value,
            mass=bound.mass,
            error=self._error(found.model),
            clean_loss=self.victim.objective(found.model, self.data),
            history={name: np.array(values) for name, values in self.history.items()},
            seconds=perf_counter() - self.started,
        )


def _check_space(space: Space) -> None:
    if space.parts != {"box"}:
        raise ValueError(
            f"the search moves points in a box, and this space has {sorted(space.parts - {'box'})} besides; pass space.relax() "
            "for integer columns, and the box alone for the others: the points found need not lie in the smaller space then"
        )
    if not (np.isfinite(space.lower).all() and np.isfinite(space.upper).all()):
        raise ValueError("the search needs a bounded box; give every column a finite lower and upper bound")
