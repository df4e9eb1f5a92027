"""A grid of parameters as a list of tasks, each with a seed and with a key that identifies it in a store."""

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
        Hash of the job, the parameters and the seed.
    params : dict
        As given in the grid.
    told : dict
        The same as plain numbers and strings: objects in memory are represented by type and hash.
    random_state : int
    """

    key: str
    params: Params
    told: Params
    random_state: int


@dataclass(frozen=True)
class Plan:
    """A grid, and the other entries of a YAML file."""

    grid: Any
    task: str | None = None
    random_state: int | None = None


def read_plan(grid: Any) -> Plan:
    """Return the grid itself, or read it from a YAML file (a Path, or a text that ends in .yaml or .yml) or YAML text.

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
            f"{name} must contain parameters with a list of values each, or such a grid under 'grid:'; it contains {found!r}"
        )
    if not isinstance(found, dict) or "grid" not in found:
        return Plan(found)
    strange = sorted(map(str, set(found) - set(_AROUND_A_GRID)))
    if strange:
        raise ValueError(f"{name} has {', '.join(strange)} beside 'grid'; only {', '.join(_AROUND_A_GRID)} are allowed")
    return Plan(**found)


def make_tasks(grid: Any, job: str, random_state: int) -> list[Task]:
    """Return the tasks in the order of scikit-learn's ParameterGrid, without duplicates.

    Parameters
    ----------
    grid : dict of lists, or list of such dicts
    job : str
        Name of the job.
    random_state : int

    Raises
    ------
    ValueError, TypeError
        If there is no task, or a value has no hash.
    """
    from sklearn.model_selection import ParameterGrid  # imports pandas, if it is installed

    if isinstance(random_state, bool) or not isinstance(random_state, (int, np.integer)) or random_state < 0:
        raise ValueError(
            f"random_state must be a non-negative integer, so that a run can be resumed; got {random_state!r}"
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
        # A child of the seed like those of SeedSequence.spawn, but keyed by its parameters and not by its position, so
        # that tasks keep their seeds when a grid grows.
        words = np.frombuffer(hashlib.sha256(_canonical([job, told])).digest(), dtype="<u4")
        child = np.random.SeedSequence(random_state, spawn_key=tuple(int(word) for word in words))
        seed = int(child.generate_state(1)[0])
    elif isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be an integer from 0 to 2**32 - 1; got {params['seed']!r}")
    key = hashlib.sha256(_canonical([job, told, seed])).hexdigest()[:32]
    return Task(key, params, told, seed)


def _canonical(value: Any) -> bytes:
    return json.dumps(_with_integers(value), sort_keys=True, separators=(",", ":")).encode()


def _with_integers(value: Any) -> Any:
    """Replace 2.0 by 2: the parameter is the same, whether from a YAML file or from numpy.logspace."""
    if isinstance(value, dict):
        return {name: _with_integers(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_with_integers(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def plain(value: Any, other: Callable[[Any, str], Any], name: str) -> Any:
    """Return the value in JSON types; values of other types are converted by ``other(value, name)``."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        strange = [key for key in value if not isinstance(key, str)]
        if strange:
            raise TypeError(f"{name}: keys must be strings; got {strange[0]!r}")
        return {key: plain(entry, other, f"{name}.{key}") for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry, other, name) for entry in value]
    return other(value, name)


def _label(value: Any, name: str) -> str:
    """Return the label of an object in memory: its type and a hash of its content."""
    if isinstance(value, Path):
        return str(value)
    try:
        return f"{type(value).__name__}:{joblib.hash(value)[:16]}"
    except (PicklingError, TypeError, AttributeError, ValueError) as error:
        raise TypeError(
            f"the value {value!r} of {name!r} has no hash to identify the task ({error}); give numbers, strings, arrays, or "
            "objects that can be pickled"
        ) from error


def _read_yaml(text: str, name: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """A loader that reads 1e-3 as a number; in YAML 1.1 it is text, because it has no decimal point."""

    number = re.compile(r"^[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789"))
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"{name} is not YAML: {error}") from error
