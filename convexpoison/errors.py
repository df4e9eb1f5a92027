"""The errors that are more specific than ``ValueError`` and ``TypeError``."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


class UnattainableTargetError(ValueError):
    """No number of added points can make the victim return the target; the message carries the proof's numbers."""


class GoalNotReachedError(ValueError):
    """A search found no poison within its budget that reaches the goal; that is no proof that there is none."""


class SolverError(RuntimeError):
    """A solver gave no usable answer; the message says which, why, and what to try."""


class SolverTimeoutError(SolverError):
    """A solver reached its time limit before it had any answer."""


class MissingDependencyError(ImportError):
    """An optional package is needed for what was asked."""


def optional_import(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional package, or say which extra brings it.

    Raises
    ------
    MissingDependencyError
        If the package cannot be imported.
    """
    try:
        return import_module(module)
    except ImportError as exc:
        package = module.split(".")[0]
        raise MissingDependencyError(
            f"{purpose} needs the package {package!r}, which cannot be imported ({exc}); "
            f"install it with: pip install 'convexpoison[{extra}]'"
        ) from exc
