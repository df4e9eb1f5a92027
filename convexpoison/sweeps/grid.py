"""A grid of parameters as a list of tasks, each with a seed and with a key by which a store knows it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import PicklingError
from typing import Any

import joblib
import numpy as np

Params = dict[str, Any]
_AROUND_A_GRID = ("grid", "task", "random_state")


@dataclass(frozen=True, eq=False)
class Task:
    """One point of the grid.

    Attributes
    ----------
    key : str
        Hash of what is to be done, the parameters and the seed.
    params : dict
        As the grid has them.
    told : dict
        The same as plain numbers and words: objects in memory are told by type and hash.
    random_state : int
    """

    key: str
    params: Params
    told: Params
    random_state: int


@dataclass(frozen=True)
class Plan:
    """A grid, and what a YAML file says besides."""

    grid: Any
    task: str | None = None
    random_state: int | None = None


def read_plan(grid: Any) -> Plan:
    """The grid itself, or that of a YAML file (a Path, or a text that ends in .yaml or .yml) or YAML text.

    Raises
    ------
    ValueError, FileNotFoundError
    """
    if not isinstance(grid, (str, Path)):
        return Plan(grid)
    is_file = isinstance(grid, Path) or grid.endswith((".yaml", ".yml"))
    if is_file and not Path(grid).is_file():
        raise FileNotFoundError(f"{grid} is not a file")
    name = str(grid) if is_file else "the YAML text"
    found = _read_yaml(Path(grid).read_text(encoding="utf-8") if is_file else str(grid), name)
    if not isinstance(found, (dict, list)):
        raise ValueError(
            f"{name} must hold parameters with a list of values each, or such a grid under 'grid:'; it holds {found!r}"
        )
    if not isinstance(found, dict) or "grid" not in found:
        return Plan(found)
    strange = sorted(map(str, set(found) - set(_AROUND_A_GRID)))
    if strange:
        raise ValueError(
            f"{name} has {', '.join(strange)} beside 'grid'; only {', '.join(_AROUND_A_GRID)} may stand there"
        )
    return Plan(**found)


def make_tasks(grid: Any, job: str, random_state: int) -> list[Task]:
    """The tasks in the order of scikit-learn's ParameterGrid; one that comes twice counts once.

    Parameters
    ----------
    grid : dict of lists, or list of such dicts
    job : str
        Name of what is done with the parameters.
    random_state : int

    Raises
    ------
    ValueError, TypeError
        If there is no task, or a value that cannot be told from another.
    """
    from sklearn.model_selection import ParameterGrid  # it loads pandas, where that is installed

    if isinstance(random_state, bool) or not isinstance(random_state, (int, np.integer)) or random_state < 0:
        raise ValueError(
            f"random_state must be a whole number, 0 or more, so that a run can be resumed; got {random_state!r}"
        )
    found: dict[str, Task] = {}
    for params in ParameterGrid(grid):
        task = _task(params, job, int(random_state))
        found.setdefault(task.key, task)
    if not found or not any(task.params for task in found.values()):
        raise ValueError(
            "the grid is empty; give at least one parameter with a list of values, for example {'C': [1, 10]}"
        )
    return list(found.values())


def _task(params: Params, job: str, random_state: int) -> Task:
    told = {name: plain(value, _label, name) for name, value in params.items()}
    seed = told.get("seed")
    if seed is None:
        # A child of the seed like those of SeedSequence.spawn, but named by its parameters and not by its place, so
        # that a grid may grow without a new seed for the tasks that were there before.
        words = np.frombuffer(hashlib.sha256(_canonical([job, told])).digest(), dtype="<u4")
        child = np.random.SeedSequence(random_state, spawn_key=tuple(int(word) for word in words))
        seed = int(child.generate_state(1)[0])
    elif isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be a whole number from 0 to 2**32 - 1; got {params['seed']!r}")
    key = hashlib.sha256(_canonical([job, told, seed])).hexdigest()[:32]
    return Task(key, params, told, seed)


def _canonical(value: Any) -> bytes:
    return json.dumps(_whole(value), sort_keys=True, separators=(",", ":")).encode()


def _whole(value: Any) -> Any:
    """2.0 as 2: the same parameter, whether a YAML file or numpy.logspace says it."""
    if isinstance(value, dict):
        return {name: _whole(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_whole(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def plain(value: Any, other: Callable[[Any, str], Any], name: str) -> Any:
    """The value as JSON can hold it; what JSON does not know is up to ``other(value, name)``."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        strange = [key for key in value if not isinstance(key, str)]
        if strange:
            raise TypeError(f"{name}: names must be text; got {strange[0]!r}")
        return {key: plain(entry, other, f"{name}.{key}") for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry, other, name) for entry in value]
    return other(value, name)


def _label(value: Any, name: str) -> str:
    """What an object in memory is known by: its type and a hash of its content."""
    if isinstance(value, Path):
        return str(value)
    try:
        return f"{type(value).__name__}:{joblib.hash(value)[:16]}"
    except (PicklingError, TypeError, AttributeError, ValueError) as error:
        raise TypeError(
            f"the value {value!r} of {name!r} has no hash by which the task could be known ({error}); give numbers, words, "
            "arrays, or objects that can be pickled"
        ) from error


def _read_yaml(text: str, name: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """Reads 1e-3 as a number, which YAML 1.1 takes for text because it has no point."""

    number = re.compile(r"^[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789"))
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"{name} is not YAML: {error}") from error
