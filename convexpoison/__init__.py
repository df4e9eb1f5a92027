"""How many poisoned rows does it take? Attacks on convex models with certified lower bounds."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from convexpoison._utils.moved_finder import install

if TYPE_CHECKING:
    from convexpoison import datasets, defenses, goals, sweeps, targets
    from convexpoison.api import attack, lower_bound, max_loss_difference
    from convexpoison.bounds.bound import Bound
    from convexpoison.bounds.goal import certified_robustness
    from convexpoison.bounds.robustness import robustness_curve
    from convexpoison.certificates import Certificate, certify
    from convexpoison.errors import (
        GoalNotReachedError,
        MissingDependencyError,
        SolverError,
        SolverTimeoutError,
        UnattainableTargetError,
    )
    from convexpoison.learners.linear_model import LinearModel
    from convexpoison.learners.victim import Victim
    from convexpoison.loss_difference.query import Difference
    from convexpoison.reports.write import report
    from convexpoison.results.attack_result import AttackResult
    from convexpoison.sklearn import PoisoningAudit
    from convexpoison.spaces.space import Space
    from convexpoison.sweeps.run import sweep

__version__ = "0.1.0"

# Public name -> module that holds it (None: the name is a module). Loaded on first use, so that the import is quick.
_HOMES: dict[str, str | None] = {
    "attack": "api",
    "PoisoningAudit": "sklearn",
    "lower_bound": "api",
    "max_loss_difference": "api",
    "AttackResult": "results.attack_result",
    "Bound": "bounds.bound",
    "Certificate": "certificates",
    "certify": "certificates",
    "certified_robustness": "bounds.goal",
    "robustness_curve": "bounds.robustness",
    "Difference": "loss_difference.query",
    "LinearModel": "learners.linear_model",
    "Space": "spaces.space",
    "Victim": "learners.victim",
    "report": "reports.write",
    "sweep": "sweeps.run",
    "MissingDependencyError": "errors",
    "GoalNotReachedError": "errors",
    "SolverError": "errors",
    "SolverTimeoutError": "errors",
    "UnattainableTargetError": "errors",
    "datasets": None,
    "defenses": None,
    "goals": None,
    "sweeps": None,
    "targets": None,
}

__all__ = [
    "AttackResult",
    "Bound",
    "Certificate",
    "Difference",
    "GoalNotReachedError",
    "LinearModel",
    "MissingDependencyError",
    "PoisoningAudit",
    "SolverError",
    "SolverTimeoutError",
    "Space",
    "UnattainableTargetError",
    "Victim",
    "attack",
    "certified_robustness",
    "certify",
    "datasets",
    "defenses",
    "goals",
    "lower_bound",
    "max_loss_difference",
    "report",
    "robustness_curve",
    "sweep",
    "sweeps",
    "targets",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'convexpoison' has no attribute {name!r}")
    home = _HOMES[name]
    module = import_module(f"convexpoison.{home or name}")
    return getattr(module, name) if home else module


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


install()
