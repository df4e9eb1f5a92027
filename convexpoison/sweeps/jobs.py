"""Jobs for the points of a grid: an attack, a lower bound, or a function of the user."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from convexpoison import api
from convexpoison.attacks.base import check_options, find_method
from convexpoison.results.attack_result import AttackResult
from convexpoison.sweeps.grid import Params, Task
from convexpoison.sweeps.recipes import VICTIM, check_recipe, make, makes_goal, rows_of, space_of, target_of, victim_of

JobFunction = Callable[[Params, int], Any]


@dataclass(frozen=True, eq=False)
class Job:
    """A function of parameters and a seed, its name in a store, and a check that runs before any task.

    ``nameless`` is the reason why the name does not identify the function; empty if the name does.
    """

    name: str
    function: JobFunction
    check: Callable[[Params], None] | None = None
    nameless: str = ""

    def check_all(self, tasks: Iterable[Task]) -> None:
        """Check that the function can use the parameters of every task.

        Raises
        ------
        ValueError, TypeError, FileNotFoundError
        """
        if self.check is None:
            return
        for task in tasks:
            try:
                self.check(task.params)
            except (ValueError, TypeError) as error:
                raise type(error)(f"{error} (in the task {task.told})") from error


def find_job(task: str | Callable[..., Any]) -> Job:
    """Return the job "attack" or "lower_bound", or that of a callable or of its name as "module:function".

    Raises
    ------
    ValueError, TypeError
        If there is no such function.
    """
    if callable(task):
        return _user_job(task)
    if not isinstance(task, str):
        raise TypeError(f"task must be a name or a callable task(params, random_state); got {type(task).__name__}")
    if task in _BUILT_IN:
        return _BUILT_IN[task]
    module, _, name = task.partition(":")
    if not module or not name:
        raise ValueError(
            f"unknown task {task!r}; choose one of {', '.join(_BUILT_IN)}, or name a function as 'module:function'"
        )
    try:
        found = import_module(module)
    except ImportError as error:
        raise ValueError(f"task {task!r}: the module {module!r} cannot be imported ({error})") from error
    function = getattr(found, name, None)
    if not callable(function):
        raise ValueError(f"task {task!r}: {module} has no function {name!r}")
    return _user_job(function)


def _user_job(function: Callable[..., Any]) -> Job:
    name = getattr(function, "__qualname__", None)
    if name is None:
        return Job(type(function).__name__, function, nameless="it is an object, not a function")
    try:
        inspect.signature(function).bind({}, 0)
    except TypeError as error:
        raise TypeError(
            f"a task is called as task(params, random_state); {name} does not accept this: {error}"
        ) from error
    except ValueError:  # written in C: it has no signature
        pass
    nameless = ""
    if "<lambda>" in name:
        nameless = "it is a lambda"
    elif getattr(function, "__closure__", None):
        nameless = "it is a closure over variables of another function"
    return Job(f"{function.__module__}:{name}", function, nameless=nameless)


# -------------------------------------------------------------------- jobs of the library


def _attack(params: Params, random_state: int) -> AttackResult:
    rows, victim = rows_of(params), victim_of(params)
    arguments = _passed_on(params)
    if victim is None or victim.loss.classification:  # a regression has no accuracy
        arguments.setdefault("test_data", rows.test)
    if "goal" in arguments:
        arguments["goal"] = make(arguments["goal"], rows, victim, random_state)
    return api.attack(
        target_of(params, rows, victim, random_state),
        rows.train,
        victim=victim,
        space=space_of(params, rows),
        random_state=random_state,
        progress=False,
        **arguments,
    )


def _lower_bound(params: Params, random_state: int) -> dict[str, Any]:
    rows, victim = rows_of(params), victim_of(params)
    bound = api.lower_bound(
        target_of(params, rows, victim, random_state),
        rows.train,
        victim=victim,
        space=space_of(params, rows),
        progress=False,
        **_passed_on(params),
    )
    return bound.to_dict()


_OURS = ("dataset", "target", "victim", "space", *VICTIM, "seed")
"""Parameters that :mod:`convexpoison.sweeps.recipes` reads; the others are passed to the function unchanged."""
_NOT_SWEPT = ("data", "random_state", "progress", "options")


def _passed_on(params: Params) -> Params:
    return {name: value for name, value in params.items() if name not in _OURS}


def _check(params: Params, function: Callable[..., Any]) -> None:
    known = [name for name in inspect.signature(function).parameters if name not in (*_OURS, *_NOT_SWEPT)]
    strange = {name: value for name, value in params.items() if name not in (*_OURS, *known)}
    if function is api.attack:
        name, method = find_method(params.get("method"), not makes_goal(params.get("target")))
        if method.options:
            check_options(name, method, strange)
            strange = {}
    if strange:
        raise ValueError(f"unknown parameter {', '.join(strange)}; there are {', '.join((*_OURS, *known))}")
    rows, victim = rows_of(params), victim_of(params)
    if params.get("target") is None:
        raise ValueError("the grid needs 'target': recipes such as {'label_flip': {'error': 0.1}}, models, or goals")
    for what in ("target", "goal"):
        check_recipe(what, params.get(what), rows, victim)
    space_of(params, rows)


def _check_attack(params: Params) -> None:
    _check(params, api.attack)


def _check_lower_bound(params: Params) -> None:
    _check(params, api.lower_bound)


_BUILT_IN = {
    "attack": Job("attack", _attack, _check_attack),
    "lower_bound": Job("lower_bound", _lower_bound, _check_lower_bound),
}
