"""Evaluation of poison: the models of the retrained victim, and the bounds at the end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.attacks.base import Budget
from convexpoison.bounds.bound import Bound
from convexpoison.bounds.target import target_bound
from convexpoison.bounds.theorem2 import quotient, theorem_2_bound, z
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.trainers import Trainer
from convexpoison.loss_difference.query import Difference, Question
from convexpoison.loss_difference.solve import answer
from convexpoison.poison import KKTCheck, Poison, Status
from convexpoison.problem import Problem

HISTORY = ("n_points", "max_loss_difference", "distance", "lower_bound", "accuracy", "seconds")
_WITNESSES = 256
"""Number of models, evenly over the run, that are kept for the bound on the induced model."""
_NUMBERS_KEPT = 2**25
"""Largest total size of the models on the way to a goal; beyond it, the points are trained a second time."""


@dataclass(eq=False)
class Run:
    """The record of a run; one entry of ``history`` for each model, the clean one first.

    ``models`` keeps some of the models with their ``F`` on the clean rows. ``best`` is the number of points after which the
    model was closest to the target. ``reason`` is why it ended: "close", "goal", "budget", "time limit", "interrupted",
    "unattainable"; for points of an attack without a trace, its own status.
    """

    points: list[FloatArray] = field(default_factory=list)
    labels: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    history: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in HISTORY})
    models: list[tuple[LinearModel, float]] = field(default_factory=list)
    reason: Status | None = None
    difference: Difference | None = None
    witness: LinearModel | None = None
    best: int = 0

    @property
    def n_points(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True, eq=False)
class Outcome:
    """The end of a run: the points that are kept, the model that they induce, and the two bounds."""

    problem: Problem
    run: Run
    n_steps: int
    model: LinearModel
    clean: LinearModel
    gap: float
    bound: Bound
    induced_bound: Bound
    seconds: float
    kkt: KKTCheck | None = None


class Recorder:
    """A victim to which points are added, and the record of its models."""

    def __init__(self, problem: Problem, budget: Budget, trainer: Trainer | None = None) -> None:
        self.started = perf_counter()
        self.problem, self.budget, self.run = problem, budget, Run()
        self.trainer = problem.trainer() if trainer is None else trainer
        self.clean = problem.clean
        self.best_bound, self.best_difference = 0.0, np.inf
        self._stride = 1

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return perf_counter() - self.started

    def record(self) -> Difference:
        """Find the maximum loss difference of the current model to the target, and add a row to the history."""
        return self.record_model(self.trainer.model, self.trainer.clean_loss())

    def record_model(self, model: LinearModel, clean_loss: float) -> Difference:
        """Add the row of a model with that loss on the clean rows."""
        problem, run = self.problem, self.run
        victim, target = problem.victim, problem.target
        difference = answer(Question(victim.loss, model, target, problem.space), solver=self.budget.solver)
        objective = clean_loss + victim.rho(problem.data.n_rows) * victim.penalty(model)
        value = quotient(victim, model, target, objective, problem.target_objective, difference.upper)
        run.difference = difference
        if value > self.best_bound:
            self.best_bound, run.witness = value, model
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
        for name, entry in row.items():
            run.history[name].append(entry)
        self._keep_model(model, objective)
        return difference

    def add(self, x: FloatArray, y: float, count: int) -> None:
        """Add a point and retrain."""
        self.trainer.add(x, y, count)
        self.note(x, y, count)

    def note(self, x: FloatArray, y: float, count: int) -> None:
        """Add a point to the record alone."""
        self.run.points.append(x)
        self.run.labels.append(y)
        self.run.counts.append(count)

    def finish(self, known: Bound | None = None) -> Outcome:
        """Drop points after the best model if the run was cut short, and prove the bounds, unless the target's is known."""
        run, problem, solver = self.run, self.problem, self.budget.solver
        n_steps, model, gap = len(run.points), self.trainer.model, self.trainer.gap
        if known is None and run.reason in ("time limit", "interrupted") and run.best < n_steps:
            n_steps, model, gap = run.best, *self._retrain(run.best)
        limit = self.budget.bound_time_limit_s
        induced = problem.towards(model)
        induced_bound = target_bound(induced, [], limit, solver=solver)
        if induced_bound.value == 0.0 and n_steps:  # no tight bound, or none in the time that there was
            models = _best_witnesses(induced, run.models, solver)
            induced_bound = theorem_2_bound(induced, models, solver=solver)
        if model.distance(problem.target) == 0.0:  # an attack on a goal: its target is what the points induce
            known = known or induced_bound
        models = [run.witness] if run.witness is not None else []
        bound = known or target_bound(problem, models, limit, solver=solver)
        return Outcome(problem, run, n_steps, model, self.clean, gap, bound, induced_bound, self.seconds)

    def _accuracy(self, model: LinearModel) -> float:
        test = self.budget.test
        if test is None:
            return float("nan")
        return float(np.mean((model.decision_function(test.X) > 0) == (test.y > 0)))

    def _keep_model(self, model: LinearModel, objective: float) -> None:
        """Keep every ``stride``-th model; drop every second one whenever there are too many."""
        if len(self.run.points) % self._stride == 0:
            self.run.models.append((model, objective))
        if len(self.run.models) > 2 * _WITNESSES:
            self.run.models = self.run.models[::2]
            self._stride *= 2

    def _retrain(self, n_steps: int) -> tuple[LinearModel, float]:
        """Return the model after the first steps."""
        trainer, run = self.problem.trainer(), self.run
        edits = zip(run.points[:n_steps], run.labels[:n_steps], run.counts[:n_steps], strict=True)
        self.problem.threat.apply(trainer, Poison.of(edits, self.problem.data.n_features))
        return trainer.model, trainer.gap


def evaluate(problem: Problem, poison: Poison, budget: Budget) -> Outcome:
    """Train the victim on poison, up to the point that reaches the problem's goal, and prove the bounds.

    For a goal, the outcome's problem has the model that the points induce as its target. The clean rows are fitted once, and
    every point is trained once.

    Raises
    ------
    AssertionError
        If the poison breaks the contract: a point outside the space, more points than the budget.
    """
    _check(poison, problem, budget)
    if poison.victim is not None and poison.victim != problem.victim:
        problem = replace(problem, victim=poison.victim)
    recorder = poison.trace
    if recorder is None:
        recorder = (
            _towards_target(problem, poison, budget) if problem.has_target else _towards_goal(problem, poison, budget)
        )
        recorder.run.reason = recorder.run.reason or poison.status
    return replace(recorder.finish(poison.bound), kkt=poison.kkt)


def _towards_target(problem: Problem, poison: Poison, budget: Budget) -> Recorder:
    recorder = Recorder(problem, budget)
    recorder.record()
    for x, y, count in poison.edits:
        recorder.add(x, y, count)
        recorder.record()
    return recorder


def _towards_goal(problem: Problem, poison: Poison, budget: Budget) -> Recorder:
    """Train the points until one reaches the goal (all, if none does); the last model is the target of the record."""
    trainer, goal, used = problem.trainer(), problem.goal, 0
    small = len(poison.counts) * problem.data.n_features <= _NUMBERS_KEPT
    models = [(trainer.model, trainer.clean_loss())]
    reached = goal is not None and goal(trainer.model)
    for x, y, count in [] if reached else poison.edits:
        trainer.add(x, y, count)
        used += 1
        if small:
            models.append((trainer.model, trainer.clean_loss()))
        reached = goal is not None and goal(trainer.model)
        if reached:
            break
    towards = problem.towards(trainer.model)
    first = replace(poison, **{name: getattr(poison, name)[:used] for name in ("points", "labels", "counts")})
    if not small:
        recorder = _towards_target(towards, first, budget)
    else:
        recorder = Recorder(towards, budget, trainer)
        recorder.record_model(*models[0])
        for edit, found in zip(first.edits, models[1:], strict=True):
            recorder.note(*edit)
            recorder.record_model(*found)
    recorder.run.reason = "goal" if reached else None
    return recorder


def _check(poison: Poison, problem: Problem, budget: Budget) -> None:
    """Check that the poison keeps the contract of attacks."""
    n, total = len(poison.counts), int(np.sum(poison.counts))
    if poison.points.shape != (n, problem.data.n_features) or poison.labels.shape != (n,):
        raise AssertionError(f"{n} counts, but points {poison.points.shape} and labels {poison.labels.shape}")
    if n and not problem.space.contains(poison.points, tol=1e-6).all():
        raise AssertionError("a point lies outside the space")
    if budget.max_points is not None and total > budget.max_points:
        raise AssertionError(f"{total} points where the budget is {budget.max_points}")


def _best_witnesses(
    problem: Problem, models: list[tuple[LinearModel, float]], solver: str, most: int = 3
) -> list[LinearModel]:
    """Return the models with the largest z for the induced model."""
    values = [(z(problem, model, objective, solver=solver), k) for k, (model, objective) in enumerate(models)]
    return [models[k][0] for value, k in sorted(values, reverse=True)[:most] if value > 0 and np.isfinite(value)]
