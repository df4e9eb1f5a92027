"""What every attack has in common: the setting, the record of a run, and the bounds at its end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.bounds.bound import Bound
from convexpoison.bounds.target import target_bound
from convexpoison.bounds.theorem2 import quotient, theorem_2_bound, z
from convexpoison.data.training_data import TrainingData
from convexpoison.goals import Goal
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.trainers import Trainer
from convexpoison.loss_difference.query import Difference, Question
from convexpoison.loss_difference.solve import answer
from convexpoison.problem import Problem
from convexpoison.results.attack_result import Reproduction

HISTORY = ("n_points", "max_loss_difference", "distance", "lower_bound", "accuracy", "seconds")
_BOUND_S = 60.0
"""Seconds for each of the two bounds at the end."""
_WITNESSES = 256
"""How many of the models on the way are kept for the bound on the induced model, evenly over the run."""


@dataclass(frozen=True, eq=False)
class Stop:
    """When to end; what is None does not end it.

    Attributes
    ----------
    eps : float or None
        Maximum loss difference to the target at which the model counts as close (in units of the loss).
    max_points : int or None
    goal : callable or None
        ``goal(model) -> bool``.
    time_limit_s : float or None
    """

    eps: float | None = None
    max_points: int | None = None
    goal: Goal | None = None
    time_limit_s: float | None = None


def check_stop(stop: Stop, copies: int) -> None:
    """Refuse limits that make no sense."""
    if stop.eps is not None and not stop.eps >= 0:
        raise ValueError(f"eps must not be negative; got {stop.eps}")
    for name, value in (("max_points", stop.max_points), ("copies", copies)):
        if value is not None and (value != int(value) or value < 1):
            raise ValueError(f"{name} must be a positive whole number; got {value}")
    if stop.goal is not None and not callable(stop.goal):
        raise TypeError(f"goal must be a callable goal(model) -> bool; got {type(stop.goal).__name__}")
    if stop.time_limit_s is not None and not stop.time_limit_s > 0:
        raise ValueError(f"time_limit_s must be positive; got {stop.time_limit_s}")


@dataclass(frozen=True, eq=False)
class Setting:
    """The problem: who is attacked, with what, towards what.

    Attributes
    ----------
    problem : Problem
        With a target.
    stop : Stop
    solver : str
        Backend of the maximum loss difference.
    copies : int
        Copies of each point added per step (MTP, Section 4.1).
    test : TrainingData or None
        Rows on which the accuracy of each model is recorded.
    progress : bool or None
        Progress bar on stderr; None: on a terminal only.
    bound_time_limit_s : float
        Seconds for each of the two bounds at the end; 0: only what the models on the way prove.
    """

    problem: Problem
    stop: Stop
    solver: str = "auto"
    copies: int = 1
    test: TrainingData | None = None
    progress: bool | None = None
    bound_time_limit_s: float = _BOUND_S


def bound_time_limit(time_limit_s: float | None, asked: float | None = None) -> float:
    """Seconds for each of the two bounds at the end of an attack with that limit: what was asked for, where it was.

    Raises
    ------
    ValueError
        If that is negative or NaN.
    """
    if asked is not None:
        if not asked >= 0:
            raise ValueError(f"bound_time_limit_s is {asked}; give seconds, or 0 for the attack without tight bounds")
        return asked
    return _BOUND_S if time_limit_s is None else min(_BOUND_S, time_limit_s)


@dataclass(eq=False)
class Run:
    """What has happened so far; one entry of ``history`` for each model, the clean one first.

    ``models`` keeps some of the models with their ``F`` on the clean rows. ``best`` is the number of points after which the
    model was closest to the target. ``reason`` is why it ended: "close", "goal", "budget", "time limit", "interrupted",
    "unattainable"; for points that were given (:func:`replay`), what the giver says.
    """

    points: list[FloatArray] = field(default_factory=list)
    labels: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    history: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in HISTORY})
    models: list[tuple[LinearModel, float]] = field(default_factory=list)
    reason: str = ""
    difference: Difference | None = None
    witness: LinearModel | None = None
    best: int = 0

    @property
    def n_points(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True, eq=False)
class Outcome:
    """The end of a run: the points that are kept, the model that they induce, and the two bounds; what the points leave of
    the target, where they are to reproduce it."""

    run: Run
    n_steps: int
    model: LinearModel
    clean: LinearModel
    gap: float
    bound: Bound
    induced_bound: Bound
    seconds: float
    reproduction: Reproduction | None = None


class Recorder:
    """A victim to which points are added, and the record of where that leads."""

    def __init__(self, setting: Setting) -> None:
        self.started = perf_counter()
        self.setting, self.problem, self.run = setting, setting.problem, Run()
        self.trainer: Trainer = self.problem.victim.trainer(self.problem.data)
        self.clean = self.trainer.model
        self.best_bound, self.best_difference = 0.0, np.inf
        self._stride = 1

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return perf_counter() - self.started

    def look(self) -> Difference:
        """Ask where the model differs most from the target, and write down where it stands."""
        problem, run, model = self.problem, self.run, self.trainer.model
        victim, target = problem.victim, problem.target
        difference = answer(Question(victim.loss, model, target, problem.space), solver=self.setting.solver)
        objective = self.trainer.clean_loss() + victim.rho(problem.data.n_rows) * victim.penalty(model)
        z = quotient(victim, model, target, objective, problem.target_objective, difference.upper)
        run.difference = difference
        if z > self.best_bound:
            self.best_bound, run.witness = z, model
        if difference.value < self.best_difference:
            self.best_difference, run.best = difference.value, len(run.points)
        row = {
            "n_points": run.n_points,
            "max_loss_difference": difference.value,
            "distance": model.distance(target),
            "lower_bound": self.best_bound,
            "accuracy": self._accuracy(model),
            "seconds": self.seconds,
        }
        for name, value in row.items():
            run.history[name].append(value)
        self._keep_model(model, objective)
        return difference

    def add(self, x: FloatArray, y: float, count: int) -> None:
        """Add a point and retrain."""
        self.trainer.add(x, y, count)
        self.run.points.append(x)
        self.run.labels.append(y)
        self.run.counts.append(count)

    def finish(self, known: Bound | None = None) -> Outcome:
        """Drop what does not count and prove the bounds; that of the target may be known already."""
        run, problem = self.run, self.problem
        n_steps, model, gap = len(run.points), self.trainer.model, self.trainer.gap
        if known is None and run.reason in ("time limit", "interrupted") and run.best < n_steps:
            n_steps, model, gap = run.best, *self._retrain(run.best)
        limit = self.setting.bound_time_limit_s
        induced = problem.towards(model)
        induced_bound = target_bound(induced, [], limit, solver=self.setting.solver)
        if induced_bound.value == 0.0 and n_steps:  # no tight bound, or none in the time that there was
            models = _best_witnesses(induced, run.models, self.setting.solver)
            induced_bound = theorem_2_bound(induced, models, solver=self.setting.solver)
        if model.distance(problem.target) == 0.0:  # an attack on a goal: its target is what the points induce
            known = known or induced_bound
        models = [run.witness] if run.witness is not None else []
        bound = known or target_bound(problem, models, limit, solver=self.setting.solver)
        return Outcome(run, n_steps, model, self.clean, gap, bound, induced_bound, self.seconds)

    def _accuracy(self, model: LinearModel) -> float:
        test = self.setting.test
        if test is None:
            return float("nan")
        return float(np.mean((model.decision_function(test.X) > 0) == (test.y > 0)))

    def _keep_model(self, model: LinearModel, objective: float) -> None:
        """Every ``stride``-th model, thinned by half whenever there are too many."""
        if len(self.run.points) % self._stride == 0:
            self.run.models.append((model, objective))
        if len(self.run.models) > 2 * _WITNESSES:
            self.run.models = self.run.models[::2]
            self._stride *= 2

    def _retrain(self, n_steps: int) -> tuple[LinearModel, float]:
        """The model after the first steps, trained afresh."""
        trainer = self.problem.victim.trainer(self.problem.data)
        for x, y, count in zip(self.run.points[:n_steps], self.run.labels, self.run.counts, strict=False):
            trainer.add(x, y, count)
        return trainer.model, trainer.gap


def replay(
    setting: Setting, poison: Iterable[tuple[FloatArray, float, int]], reason: str, known: Bound | None = None
) -> Outcome:
    """What given points (point, label, count) do, in that order; ``known`` is the target's bound."""
    recorder = Recorder(setting)
    recorder.look()
    for x, y, count in poison:
        recorder.add(x, y, count)
        recorder.look()
    recorder.run.reason = reason
    return recorder.finish(known)


def _best_witnesses(
    problem: Problem, models: list[tuple[LinearModel, float]], solver: str, most: int = 3
) -> list[LinearModel]:
    """The models with the largest z for the induced model."""
    values = [(z(problem, model, objective, solver=solver), k) for k, (model, objective) in enumerate(models)]
    return [models[k][0] for value, k in sorted(values, reverse=True)[:most] if value > 0 and np.isfinite(value)]
