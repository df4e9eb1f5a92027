"""What attacks that bring their points all at once are asked, and what they answer.

Follow-the-leader asks a target model at every step (:mod:`convexpoison.attacks.evaluate`). The others get a :class:`Task` with a
budget and answer with a :class:`Poison`, which is then replayed, so that every attack has the same result. To add one: a file
with a function ``method(task, *, option=...) -> Poison``, and one line in ``METHODS``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from convexpoison.data.training_data import TrainingData
from convexpoison.goals import Goal
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Victim
from convexpoison.poison import Poison
from convexpoison.spaces.space import Space


@dataclass(frozen=True, eq=False)
class Task:
    """Who is attacked, where poison may lie, how much of it, and what for.

    Attributes
    ----------
    victim : Victim
    data : TrainingData
        The clean rows.
    space : Space
    max_points : int
        Budget, copies counted.
    target : LinearModel or None
        The model to induce, for attacks that aim at one.
    goal : callable or None
        The outcome to reach, for attacks that aim at one.
    rows : TrainingData or None
        Rows on which the attacker wants errors, with their right labels: those of the goal, or the caller's validation rows.
    random_state : int or None
    time_limit_s : float or None
        The best points so far are returned when the time is up.
    progress : bool or None
        Progress bar on stderr; None: on a terminal only.
    """

    victim: Victim
    data: TrainingData
    space: Space
    max_points: int
    target: LinearModel | None = None
    goal: Goal | None = None
    rows: TrainingData | None = None
    random_state: int | None = 0
    time_limit_s: float | None = None
    progress: bool | None = None


@dataclass(frozen=True)
class Method:
    """Where an attack lives and what it aims at: a model ("target") or an outcome ("goal").

    Most spend a budget that the caller has to name; one that looks for the fewest points (``frugal``) does not need it.
    """

    home: str
    aims_at: Literal["target", "goal"]
    frugal: bool = False

    def load(self) -> Callable[..., Poison]:
        """The function, imported on first use."""
        module, name = self.home.rsplit(".", 1)
        found: Callable[..., Poison] = getattr(import_module(f"convexpoison.attacks.{module}"), name)
        return found


USUAL_FOR_GOALS = "least_mass"
"""The method where a goal is given and none is named."""

METHODS: dict[str, Method] = {
    "least_mass": Method("fewest_points.least_mass", "goal", frugal=True),
    "kkt": Method("kkt.kkt", "target"),
    "label_flip": Method("label_flip.label_flip", "goal"),
    "min_max": Method("min_max.min_max", "goal"),
    "gradient": Method("gradient.gradient", "goal"),
    "influence": Method("influence.influence", "goal"),
    "minimax": Method("minimax.minimax", "goal"),
}


def takes(method: str, option: str) -> bool:
    """Whether the method has an option of that name."""
    return option in _options(METHODS[method].load())


def _options(function: Callable[..., Poison]) -> list[str]:
    return [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]


def check_options(method: str, function: Callable[..., Poison], options: dict[str, Any]) -> None:
    """Refuse options that the method does not have.

    Raises
    ------
    TypeError
        With the options that it has.
    """
    known = _options(function)
    strange = sorted(set(options) - set(known))
    if strange:
        raise TypeError(f"method={method!r} has no option {', '.join(strange)}; it has {', '.join(known) or 'none'}")
