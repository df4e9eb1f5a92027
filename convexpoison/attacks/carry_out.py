"""From a poison to an outcome: what points that a method brought all at once do to the victim."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from convexpoison.attacks.base import METHODS, Task, check_options
from convexpoison.attacks.evaluate import Outcome, Setting, Stop, replay
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.linear_model import LinearModel
from convexpoison.poison import Poison
from convexpoison.problem import Problem
from convexpoison.threats import AddRows


def carry_out(
    method: str,
    task: Task,
    options: dict[str, Any],
    test: TrainingData | None,
    solver: str,
    bound_time_limit_s: float,
) -> tuple[Problem, Outcome, Poison]:
    """Run the method and replay its points, up to the one with which the goal is reached.

    Returns
    -------
    Problem
        Of the victim that the attack reckons with, towards the task's target; towards the model that the points induce, where
        the task has a goal and no target.
    Outcome
    Poison
        What the method answered.

    Raises
    ------
    TypeError, ValueError
        If the method has no such option, or cannot be used for this task.
    """
    function = METHODS[method].load()
    check_options(method, function, options)
    with threadpool_limits(1, user_api="blas"):  # the matrices are small: threads would only wait for each other
        poison = function(task, **options)
        _check(poison, task)
        task = replace(task, victim=poison.victim or task.victim)
        target = task.target
        if target is None:
            poison, target = _until_the_goal(poison, task)
        problem = Problem(task.victim, task.data, AddRows(task.space), target)
        stop = Stop(None, task.max_points, task.goal, task.time_limit_s)
        setting = Setting(problem, stop, solver, 1, test, task.progress, bound_time_limit_s)
        points = zip(poison.points, poison.labels.tolist(), poison.counts.tolist(), strict=True)
        return problem, replay(setting, points, poison.status), poison


def _until_the_goal(poison: Poison, task: Task) -> tuple[Poison, LinearModel]:
    """The first points that do it (all, if none do), and the model that they induce."""
    trainer = task.victim.trainer(task.data)
    for k in range(len(poison.counts) + 1):
        if k:
            trainer.add(poison.points[k - 1], float(poison.labels[k - 1]), int(poison.counts[k - 1]))
        if task.goal is not None and task.goal(trainer.model):
            first = {name: getattr(poison, name)[:k] for name in ("points", "labels", "counts")}
            return replace(poison, status="goal", **first), trainer.model
    return poison, trainer.model


def _check(poison: Poison, task: Task) -> None:
    """A method that breaks its contract is found out here and not by the user."""
    n, total = len(poison.counts), int(np.sum(poison.counts))
    if poison.points.shape != (n, task.data.n_features) or poison.labels.shape != (n,):
        raise AssertionError(f"{n} counts, but points {poison.points.shape} and labels {poison.labels.shape}")
    if not task.space.contains(poison.points, tol=1e-6).all():
        raise AssertionError("a point lies outside the space")
    if total > task.max_points:
        raise AssertionError(f"{total} points where the budget is {task.max_points}")
