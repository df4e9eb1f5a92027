"""The contract of attacks, and the registry of methods.

An attack is a function ``run(problem, budget, *, option=...) -> Poison``. It returns poison and nothing else;
:mod:`convexpoison.attacks.evaluate` judges all of them alike. ``attack(method=...)`` takes a name of ``METHODS``, a name of the
entry-point group ``convexpoison.attacks``, or such a function itself.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Literal

from convexpoison.data.training_data import TrainingData
from convexpoison.goals import Goal
from convexpoison.poison import Poison

BOUND_S = 60.0
"""Seconds for each of the two bounds at the end."""
GROUP = "convexpoison.attacks"
"""Entry points of other packages: a name, and the function."""


@dataclass(frozen=True, eq=False)
class Budget:
    """What an attack may spend, when it ends, and what is recorded on the way.

    Attributes
    ----------
    max_points : int or None
        Copies counted.
    eps : float or None
        Maximum loss difference to the target at which a model counts as close (in units of the loss).
    goal : callable or None
        On the way to a target: end when ``goal(model)`` is true.
    copies : int
        Copies of each point added per step (MTP, Section 4.1).
    rows : TrainingData or None
        Rows on which the attacker wants errors, with their right labels: those of the goal, or validation rows.
    time_limit_s : float or None
        The best points so far are returned when the time is up.
    bound_time_limit_s : float
        Seconds for each of the two bounds at the end; 0: only what the models on the way prove.
    random_state : int or None
    progress : bool or None
        Progress bar on stderr; None: on a terminal only.
    solver : str
        Backend of the maximum loss difference.
    test : TrainingData or None
        Rows on which the accuracy of each model is recorded.
    """

    max_points: int | None = None
    eps: float | None = None
    goal: Goal | None = None
    copies: int = 1
    rows: TrainingData | None = None
    time_limit_s: float | None = None
    bound_time_limit_s: float = BOUND_S
    random_state: int | None = 0
    progress: bool | None = None
    solver: str = "auto"
    test: TrainingData | None = None

    def __post_init__(self) -> None:
        if self.eps is not None and not self.eps >= 0:
            raise ValueError(f"eps must not be negative; got {self.eps}")
        for name, value in (("max_points", self.max_points), ("copies", self.copies)):
            if value is not None and (value != int(value) or value < 1):
                raise ValueError(f"{name} must be a positive integer; got {value}")
        if self.goal is not None and not callable(self.goal):
            raise TypeError(f"goal must be a callable goal(model) -> bool; got {type(self.goal).__name__}")
        if self.time_limit_s is not None and not self.time_limit_s > 0:
            raise ValueError(f"time_limit_s must be positive; got {self.time_limit_s}")

    @property
    def n_points(self) -> int:
        """The number of points, where a method needs one."""
        if self.max_points is None:
            raise ValueError("this method has a budget; pass max_points")
        return self.max_points

    @property
    def hidden(self) -> bool | None:
        """``disable`` of a progress bar."""
        return None if self.progress is None else not self.progress


def bound_time_limit(time_limit_s: float | None, given: float | None = None) -> float:
    """Return the seconds for each of the two bounds at the end: those given, else those of the attack, 60 at most.

    Raises
    ------
    ValueError
        If they are negative or NaN.
    """
    if given is not None:
        if not given >= 0:
            raise ValueError(f"bound_time_limit_s is {given}; give seconds, or 0 for the attack without tight bounds")
        return given
    return BOUND_S if time_limit_s is None else min(BOUND_S, time_limit_s)


@dataclass(frozen=True)
class Method:
    """An attack, and what it takes.

    Attributes
    ----------
    home : str or callable
        "module.function" in :mod:`convexpoison.attacks`, or the function itself.
    aims_at : {"target", "goal", "either"}
    needs_budget : bool
        Whether ``max_points`` has to be given; else it is the number of clean rows.
    takes : tuple of str
        Which of max_points, eps, goal and copies apply.
    """

    home: str | Callable[..., Poison]
    aims_at: Literal["target", "goal", "either"] = "either"
    needs_budget: bool = True
    takes: tuple[str, ...] = ("max_points",)

    def load(self) -> Callable[..., Poison]:
        """Return the function, imported on first use."""
        if callable(self.home):
            return self.home
        module, name = self.home.rsplit(".", 1)
        found: Callable[..., Poison] = getattr(import_module(f"convexpoison.attacks.{module}"), name)
        return found

    @property
    def options(self) -> list[str]:
        """Names of the keyword arguments of the function."""
        parameters = inspect.signature(self.load()).parameters.values()
        return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


METHODS: dict[str, Method] = {
    "follow_the_leader": Method(
        "follow_the_leader.follow_the_leader",
        "target",
        needs_budget=False,
        takes=("max_points", "eps", "goal", "copies"),
    ),
    "optimal": Method("optimal.run", "target", needs_budget=False, takes=()),
    "nearest": Method("nearest.run", "target", needs_budget=False, takes=("max_points", "eps")),
    "fewest_points": Method("fewest_points.fewest_points", "goal", needs_budget=False),
    "kkt": Method("kkt.kkt", "target"),
    "label_flip": Method("label_flip.label_flip", "goal"),
    "min_max": Method("min_max.min_max", "goal"),
    "gradient": Method("gradient.gradient", "goal"),
    "influence": Method("influence.influence", "goal"),
    "minimax": Method("minimax.minimax", "goal"),
}
RENAMED = {"least_mass": "fewest_points"}
"""Old names of methods, for one release."""
DEFAULTS = {"target": "follow_the_leader", "goal": "fewest_points"}
"""The method where none is named."""


def find_method(method: str | Callable[..., Poison] | None, has_target: bool) -> tuple[str, Method]:
    """Return the name of a method and the method.

    Raises
    ------
    ValueError
        If the name is neither one of ``METHODS`` nor an entry point.
    """
    if method is None:
        method = DEFAULTS["target" if has_target else "goal"]
    if callable(method):
        return getattr(method, "__name__", type(method).__name__), Method(method, takes=("max_points", "eps", "goal"))
    if method in RENAMED:
        warnings.warn(f"method={method!r} is {RENAMED[method]!r} now", DeprecationWarning, stacklevel=3)
        method = RENAMED[method]
    if method in METHODS:
        return method, METHODS[method]
    for point in entry_points(group=GROUP, name=method):
        return method, Method(point.load(), takes=("max_points", "eps", "goal"))
    raise ValueError(f"unknown method {method!r}; choose one of {', '.join(METHODS)}")


def check_arguments(
    name: str, method: Method, has_target: bool, given: dict[str, Any], options: dict[str, Any], validation: bool
) -> None:
    """Refuse what a method does not take, by what it declares.

    Parameters
    ----------
    given : dict
        max_points, eps, goal and copies; None where not given.
    validation : bool
        Whether validation rows are given.

    Raises
    ------
    ValueError, TypeError
    """
    if method.aims_at == "target" and not has_target:
        goals = [other for other, known in METHODS.items() if known.aims_at == "goal"]
        raise ValueError(
            f"method={name!r} aims at a model, and a goal was given: it needs a model as target; methods for goals: {goals}"
        )
    if method.aims_at == "goal" and has_target:
        raise ValueError(
            f"method={name!r} needs a goal, for example convexpoison.goals.ErrorRate(0.2, X, y), as its first argument"
        )
    if extra := [key for key, value in given.items() if value is not None and key not in method.takes]:
        takes = ", ".join(method.takes) or "none of max_points, eps, goal and copies"
        raise ValueError(f"method={name!r} takes {takes}; {', '.join(extra)} do not apply")
    if validation and method.aims_at == "target":
        raise TypeError(f"method={name!r} does not take validation: it aims at a model")
    check_options(name, method, options)
    if method.needs_budget and given["max_points"] is None:
        raise ValueError(f"method={name!r} has a budget; pass max_points")


def check_options(name: str, method: Method, options: dict[str, Any]) -> None:
    """Refuse options that the method does not have.

    Raises
    ------
    TypeError
        With the options that it has.
    """
    known = method.options
    if strange := sorted(set(options) - set(known)):
        raise TypeError(
            f"method={name!r} does not take {', '.join(strange)}; it has {', '.join(known) or 'no options'}"
        )
