"""A problem and a budget for tests of single methods."""

from __future__ import annotations

from typing import Any, NamedTuple

import convexpoison as cp
from convexpoison.attacks.base import Budget
from convexpoison.data.training_data import TrainingData
from convexpoison.problem import Problem
from convexpoison.threats import AddRows


class Case(NamedTuple):
    """Problem and budget, to be unpacked into a method, with the parts that tests look at."""

    problem: Problem
    budget: Budget

    victim = property(lambda self: self.problem.victim)
    data = property(lambda self: self.problem.data)
    space = property(lambda self: self.problem.space)
    target = property(lambda self: self.problem.target)
    goal = property(lambda self: self.problem.goal)
    max_points = property(lambda self: self.budget.max_points)
    rows = property(lambda self: self.budget.rows)


def case(
    victim: cp.Victim,
    data: TrainingData,
    space: cp.Space,
    max_points: int,
    *,
    target: Any = None,
    goal: Any = None,
    **more: Any,
) -> Case:
    """Build them from their parts."""
    aim = target if target is not None else goal
    return Case(Problem(victim, data, AddRows(space), aim), Budget(max_points, **more))


def changed(old: Case, **changes: Any) -> Case:
    """Return the case with some parts changed."""
    parts = {name: getattr(old, name) for name in ("victim", "data", "space", "max_points")}
    aim = old.problem.aim
    parts |= {"target" if isinstance(aim, cp.LinearModel) else "goal": aim}
    budget = {name: getattr(old.budget, name) for name in ("rows", "random_state", "time_limit_s", "progress")}
    return case(**(parts | budget | changes))
