"""The backends that answer a maximum-loss-difference query, and how one is chosen by its declared capabilities."""

from __future__ import annotations

from convexpoison.loss_difference.backend import SANDWICH, Backend
from convexpoison.loss_difference.linear_backend import LinearBackend
from convexpoison.loss_difference.polygon import BACKEND
from convexpoison.loss_difference.query import Question
from convexpoison.solvers.base import NAMES, get_solver

_NAMES = ("polygon", *NAMES)
"""In the order in which ``solver="auto"`` prefers them."""


def backend(name: str) -> Backend:
    """Return the backend of that name.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name not in _NAMES:
        raise ValueError(f"unknown solver {name!r}; choose 'auto' or one of {list(_NAMES)}")
    return BACKEND if name == "polygon" else LinearBackend(get_solver(name))


def names() -> tuple[str, ...]:
    """Return the names of all backends, installed or not, in order of preference."""
    return _NAMES


def choose(question: Question, solver: str = "auto") -> Backend:
    """The named backend, or the first that is automatic, available and capable.

    Raises
    ------
    ValueError
        If the named backend, or every backend, lacks something that the question has; the message says what.
    """
    if solver != "auto":
        chosen = backend(solver)
        lacks = chosen.capabilities.missing(question)
        if lacks:
            raise ValueError(
                f"solver {solver!r} cannot take {', '.join(lacks)}; use solver='auto' or {_capable(question)}"
            )
        return chosen
    for name in _NAMES:
        candidate = backend(name)
        able = candidate.capabilities
        if able.automatic and not able.missing(question) and candidate.available():
            return candidate
    if question.loss.smooth:
        question.loss.need("max_loss_difference", *SANDWICH)
    raise ValueError(
        f"no installed solver takes {question.loss.name} loss over a space of {', '.join(sorted(question.space.parts))}; "
        f"capable: {_capable(question)}"
    )


def _capable(question: Question) -> str:
    able = [name for name in _NAMES if not backend(name).capabilities.missing(question)]
    return " or ".join(map(repr, able)) or "none (simplify the space, for example space.relax())"
