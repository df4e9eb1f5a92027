"""Construction of targets: models that misbehave as the attacker intends and that the victim could have learned.

- :func:`label_flip`: train on rows with wrong labels, as MTP does, in its original and its improved way;
- :func:`subpopulations`, :func:`subpopulation`: groups of rows to attack; :func:`subpopulation_target`: the label flip for one;
- :func:`label_flips` and :func:`cheapest`: all candidates of a label flip, and the one that takes the fewest points;
- :func:`least_mass`: deprecated, the attack ``fewest_points`` on a goal.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from convexpoison.targets.cheapest import cheapest
from convexpoison.targets.label_flip import COPIES, QUANTILES, Candidate, label_flip, label_flips
from convexpoison.targets.subpopulations import (
    Subpopulation,
    best_classified,
    subpopulation,
    subpopulation_target,
    subpopulations,
)

if TYPE_CHECKING:
    from convexpoison.attacks.least_mass import LeastMassTarget, least_mass

__all__ = [
    "COPIES",
    "QUANTILES",
    "Candidate",
    "LeastMassTarget",
    "Subpopulation",
    "best_classified",
    "cheapest",
    "label_flip",
    "label_flips",
    "least_mass",
    "subpopulation",
    "subpopulation_target",
    "subpopulations",
]

_LATER = ("LeastMassTarget", "least_mass")
"""Deprecated names; the attack imports this package, so they are imported on first use."""


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module("convexpoison.attacks.least_mass"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
