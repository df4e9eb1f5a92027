"""The task of a command as objects of the library: data, victim, and target or goal."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import click

from convexpoison.cli.objects import is_object, load_target
from convexpoison.cli.rows import read_rows
from convexpoison.learners.victim import Victim
from convexpoison.spaces.space import Space

DEFAULT_C_R = 0.09
"""The value of Suya et al. (2021) for MNIST and Adult."""
GOALS = ("goal_error", "goal_flip_row", "goal_misclassify")
"""Options that define a goal instead of a target model."""


@dataclass(frozen=True, eq=False)
class Task:
    """A target or goal, and the data.

    Attributes
    ----------
    target : anything that ``convexpoison.attack`` takes as a target
        A model to induce, or a goal to reach.
    train : pair (X, y)
    test : pair (X, y) or None
    victim : Victim or None
        None: read from the target.
    space : Space or None
        None: inferred from the data.
    facts : dict
        For the report: the origin and error of the target, or a description of the goal.
    aim : {"target", "goal"}
    source : dict
        The origin of the training rows: ``dataset``, or ``data`` and ``label``; and their ``image_shape``.
    """

    target: Any
    train: tuple[Any, Any]
    test: tuple[Any, Any] | None
    victim: Victim | None
    space: Space | None
    facts: dict[str, Any]
    aim: Literal["target", "goal"] = "target"
    source: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows that the options name; the attributes are those of :class:`Task`."""

    train: tuple[Any, Any]
    test: tuple[Any, Any] | None
    space: Space | None
    source: dict[str, Any]


def load_task(
    *,
    dataset: str | None = None,
    data: Path | None = None,
    label: str | None = None,
    test_data: Path | None = None,
    target: str | None = None,
    target_error: float | None = None,
    flip_test: bool = False,
    loss: str | None = None,
    C: float | None = None,
    C_R: float | None = None,
    intercept: Any = None,
    seed: int = 0,
    **goals: Any,
) -> Task:
    """Read the data, build the victim, and load or make the target or the goal (:func:`load_goal`).

    Raises
    ------
    click.UsageError
        If options are missing or exclude one another.
    ValueError, FileNotFoundError, MissingDependencyError
        If a file cannot be read; the message names the requirement.
    """
    goals = {name: value for name, value in goals.items() if name in GOALS}
    exactly_one(target=target, target_error=target_error, **goals)
    if flip_test and target_error is None:
        raise click.UsageError("--flip-test requires --target-error")
    rows = load_rows(dataset, data, label, test_data)
    train, test, space, source = rows.train, rows.test, rows.space, rows.source
    has_no_loss = target is None or (target.endswith(".npz") and not is_object(target))  # unlike an estimator
    victim = None
    if has_no_loss or any(option is not None for option in (loss, C, C_R, intercept)):
        victim = make_victim(loss, C, C_R, intercept)
    if target is not None:
        return Task(load_target(target), train, test, victim, space, {"from": target}, source=source)
    if flip_test and test is None:
        raise click.UsageError("--flip-test needs test rows: --dataset, or --test-data")
    if target_error is None:
        goal, facts = load_goal(test, label, **goals)
        return Task(goal, train, test, victim, space, facts, "goal", source)
    from convexpoison import targets

    assert victim is not None
    candidate = targets.label_flip(
        victim, train, error=target_error, flip=test if flip_test else None, evaluate=test, random_state=seed
    )
    facts = {"from": "label flips", "error": candidate.error, "n_flipped": candidate.n_flipped}
    return Task(candidate.model, train, test, victim, space, facts, source=source)


def load_goal(
    test: tuple[Any, Any] | None,
    label: str | None,
    *,
    goal_error: float | None = None,
    goal_flip_row: int | None = None,
    goal_misclassify: Path | None = None,
) -> tuple[Any, dict[str, Any]]:
    """Return a goal of :mod:`convexpoison.goals` and its description, in words and numbers.

    Raises
    ------
    click.UsageError
        If there are no test rows where they are needed.
    ValueError, FileNotFoundError, MissingDependencyError
        If rows do not exist or cannot be read.
    """
    from convexpoison.goals import ErrorRate, Flip, Misclassify

    if goal_misclassify is not None:
        rows = read_rows(goal_misclassify, label)
        return Misclassify(*rows), {"kind": "misclassify", "rows": str(goal_misclassify), "n_rows": len(rows[1])}
    if test is None:
        name = "--goal-error" if goal_error is not None else "--goal-flip-row"
        raise click.UsageError(f"{name} needs test rows: --dataset, or --test-data")
    X, y = test
    if goal_error is not None:
        return ErrorRate(goal_error, X, y), {"kind": "error rate", "rate": goal_error, "n_rows": len(y)}
    assert goal_flip_row is not None
    if goal_flip_row >= len(y):
        raise ValueError(f"--goal-flip-row {goal_flip_row}: there are {len(y)} test rows, numbered 0 to {len(y) - 1}")
    rows = X.iloc if hasattr(X, "iloc") else X
    return Flip(rows[[goal_flip_row]]), {"kind": "flip", "row": goal_flip_row}


def make_victim(loss: str | None, C: float | None, C_R: float | None, intercept: Any) -> Victim:
    """Build the victim that the options describe, with the defaults of the command line."""
    C_R = DEFAULT_C_R if C is None and C_R is None else C_R
    return Victim(loss or "hinge", C=C, C_R=C_R, intercept=intercept or "regularized")


def exactly_one(**options: Any) -> None:
    """Raise UsageError unless exactly one option is given."""
    given = [name for name, value in options.items() if value is not None]
    if len(given) != 1:
        *names, last = ["--" + name.replace("_", "-") for name in options]
        raise click.UsageError(f"give exactly one of {', '.join(names)} and {last}")


def load_rows(dataset: str | None, data: Path | None, label: str | None, test_data: Path | None) -> Rows:
    """Load the rows of a data set of the library, or of files."""
    exactly_one(dataset=dataset, data=data)
    if data is not None:
        test = None if test_data is None else read_rows(test_data, label)
        return Rows(read_rows(data, label), test, None, {"data": str(data), "label": label})
    if label is not None or test_data is not None:
        raise click.UsageError("--label and --test-data require --data; a --dataset has its own labels and test rows")
    from convexpoison.datasets import load

    assert dataset is not None
    loaded = load(dataset)
    image = {} if loaded.image_shape is None else {"image_shape": list(loaded.image_shape)}
    return Rows(loaded.train, loaded.test, loaded.space, {"dataset": dataset, **image})
