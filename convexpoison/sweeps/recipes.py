"""Data, victim, and target or goal from the parameters of a task.

Nothing here is specific to a sweep of attacks; a user's task function can call it for its own parameters.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from convexpoison import datasets, goals, targets
from convexpoison.datasets import Dataset
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Victim
from convexpoison.spaces.space import Space
from convexpoison.sweeps.grid import Params

VICTIM = ("loss", "C", "C_R", "intercept", "intercept_scaling")
SPACES = ("own", "relaxed")


@dataclass(frozen=True, eq=False)
class Rows:
    """Training rows, optional test rows, and the space of poison (None: inferred from the rows)."""

    train: Any
    test: Any = None
    space: Space | None = None
    name: str | None = None


def rows_of(params: Params) -> Rows:
    """Return the rows of ``dataset``, which is a name, a Dataset or a pair.

    Raises
    ------
    ValueError, FileNotFoundError
        If there is no such data set, or its files are missing and cannot be downloaded.
    """
    given = params.get("dataset")
    if isinstance(given, str):
        data = _load(given)
        return Rows(data.train, data.test, data.space, given)
    if isinstance(given, Dataset):
        return Rows(given.train, given.test, given.space)
    if isinstance(given, (tuple, list)) and len(given) == 2:
        return Rows(tuple(given))
    raise ValueError(
        "the grid needs 'dataset': names of data sets such as 'digits_17', Datasets, or pairs (X, y); "
        f"got {'none' if given is None else type(given).__name__}"
    )


def victim_of(params: Params) -> Victim | None:
    """Return the victim that ``victim`` is or describes, or that loss, C, C_R, intercept and intercept_scaling describe."""
    settings = {name: params[name] for name in VICTIM if params.get(name) is not None}
    given = params.get("victim")
    if given is not None and settings:
        raise ValueError(f"give victim or {', '.join(settings)}, not both")
    if isinstance(given, Mapping):
        settings = dict(given)
    elif given is not None:
        if not isinstance(given, Victim):
            raise TypeError(f"victim must be a Victim or its parameters; got {type(given).__name__}")
        return given
    return Victim(**settings) if settings else None


def space_of(params: Params, rows: Rows) -> Space | None:
    """Return the space of poison: ``space`` is a Space, "own" (the data set's) or "relaxed" (integers become intervals)."""
    given = params.get("space", "own")
    if isinstance(given, str):
        if given not in SPACES:
            raise ValueError(f"unknown space {given!r}; choose one of {', '.join(SPACES)}, or give a Space")
        if given == "own":
            return rows.space
        return (rows.space or Space.infer(rows.train[0])).relax()
    return given  # type: ignore[no-any-return]


def target_of(params: Params, rows: Rows, victim: Victim | None, random_state: int) -> Any:
    """Return the target itself, or make it by its recipe."""
    return make(params.get("target"), rows, victim, random_state)


def make(recipe: Any, rows: Rows, victim: Victim | None, random_state: int) -> Any:
    """Make a model or goal by a recipe such as ``{"label_flip": {"error": 0.1}}``; return anything else unchanged."""
    if not isinstance(recipe, Mapping):
        return recipe
    (name, options), *_ = recipe.items()
    if name in MODELS and rows.name is not None:
        return _made_by_name(
            name, rows.name, victim, json.dumps(options, default=lambda value: value.tolist()), random_state
        )
    return (MODELS | GOALS)[name](rows, victim, random_state, **options)


def makes_goal(recipe: Any) -> bool:
    """Return whether a target is a goal, or a recipe for one, and not a model."""
    if isinstance(recipe, Mapping):
        return any(name in GOALS for name in recipe)
    return callable(recipe)


def check_recipe(what: str, recipe: Any, rows: Rows, victim: Victim | None) -> None:
    """Check that a recipe exists and accepts its options.

    Raises
    ------
    ValueError, TypeError
    """
    if not isinstance(recipe, Mapping):
        return
    recipes = MODELS | GOALS
    known = ", ".join(recipes)
    if len(recipe) != 1:
        raise ValueError(f"a recipe for {what} has one name, one of {known}; got {dict(recipe)}")
    ((name, options),) = recipe.items()
    if name not in recipes:
        raise ValueError(f"unknown recipe {name!r} for {what}; choose one of {known}")
    if not isinstance(options, Mapping):
        raise TypeError(f"the recipe {name!r} takes options, for example {{{name!r}: {{...}}}}; got {options!r}")
    if victim is None:
        raise ValueError(f"the recipe {name!r} needs a victim: give C or C_R (and loss), or victim")
    if rows.test is None and name in GOALS:
        raise ValueError(f"the recipe {name!r} needs test rows, which this dataset does not have; give a Dataset")
    signature = inspect.signature(recipes[name])
    try:
        signature.bind(rows, victim, 0, **options)
    except TypeError as error:
        has = ", ".join(list(signature.parameters)[3:])
        raise TypeError(f"the recipe {name!r}: {error}; its options are {has}") from error


def _label_flip(
    data: Rows,
    victim: Victim,
    random_state: int,
    *,
    error: float,
    flip: str = "held_out",
    evaluate: str | None = None,
    quantiles: Any = targets.QUANTILES,
    copies: Any = targets.COPIES,
    improved: bool = False,
) -> LinearModel:
    """Make a model by :func:`convexpoison.targets.label_flip` of a sixth of the training rows, or of the test rows as in MTP.

    The error is measured on the flipped rows, and on the test rows only if ``evaluate`` is "test".
    """
    for name, given, other in (("flip", flip, "held_out"), ("evaluate", evaluate, None)):
        if given not in (other, "test") or (given == "test" and data.test is None):
            raise ValueError(f"{name} must be {other!r}, or 'test' where there are test rows; got {given!r}")
    return targets.label_flip(
        victim,
        data.train,
        error=error,
        flip=data.test if flip == "test" else None,
        evaluate=data.test if evaluate == "test" else None,
        quantiles=quantiles,
        copies=copies,
        improved=improved,
        random_state=random_state,
        progress=False,
    ).model


def _subpopulation(
    data: Rows,
    victim: Victim,
    random_state: int,
    *,
    rank: int = 0,
    label: Any = None,
    n_clusters: int = 20,
    min_rows: int = 1,
    improved: bool = False,
) -> LinearModel:
    """Make a model that misclassifies the cluster with the ``rank``-th highest clean accuracy (0: the highest)."""
    groups = targets.subpopulations(
        *data.train, label=label, n_clusters=n_clusters, min_rows=min_rows, random_state=random_state
    )
    if not 0 <= rank < len(groups):
        raise ValueError(f"there are {len(groups)} subpopulations, and rank is {rank}")
    group = targets.best_classified(groups, victim.fit(*data.train), rank + 1)[rank]
    return targets.subpopulation_target(victim, data.train, group, improved=improved, progress=False).model


def _error_rate(data: Rows, victim: Victim, random_state: int, *, rate: float) -> goals.ErrorRate:
    return goals.ErrorRate(rate, *data.test)


def _flip(data: Rows, victim: Victim, random_state: int, *, row: int) -> goals.Flip:
    return goals.Flip(data.test[0][row])


def _misclassify(data: Rows, victim: Victim, random_state: int, *, rows: list[int]) -> goals.Misclassify:
    return goals.Misclassify(data.test[0][rows], data.test[1][rows])


MODELS: dict[str, Callable[..., LinearModel]] = {"label_flip": _label_flip, "subpopulation": _subpopulation}
"""Name -> function(rows, victim, random_state, *, options): makes a model from the training rows, which takes time."""
GOALS: dict[str, Callable[..., goals.Goal]] = {"error_rate": _error_rate, "flip": _flip, "misclassify": _misclassify}
"""The same for goals, which concern test rows."""


@lru_cache(maxsize=2)
def _load(name: str) -> Dataset:
    """Load a data set; cached, because most tasks of a worker use the same data."""
    return datasets.load(name)


@lru_cache(maxsize=8)
def _made_by_name(recipe: str, dataset: str, victim: Victim, options: str, random_state: int) -> LinearModel:
    """Make a model by name; cached, because tasks that differ only in eps or method have the same target."""
    rows = rows_of({"dataset": dataset})
    return MODELS[recipe](rows, victim, random_state, **json.loads(options))
