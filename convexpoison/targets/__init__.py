"""How targets are made: models that misbehave as the attacker wants and that the victim could have learned.

- :func:`label_flip`: train on rows with wrong labels, as MTP does, in its original and its improved way;
- :func:`subpopulations`, :func:`subpopulation`: whom to attack; :func:`subpopulation_target`: the label flip for one of them;
- :func:`label_flips` and :func:`cheapest`: all targets that a label flip chooses from, and the one that costs least;
- :func:`least_mass`: the model that reaches a goal with the fewest points that a search finds.
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
    from convexpoison.attacks.fewest_points_result import LeastMassTarget, least_mass

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
"""Names of the search, which stands on this package: imported on first use."""


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module("convexpoison.attacks.fewest_points_result"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
