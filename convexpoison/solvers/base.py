"""What a backend is, what it can do (as data), and how one is chosen."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from convexpoison.difference import Proposal, Question
from convexpoison.losses import Hinge


@dataclass(frozen=True)
class Capabilities:
    """What a backend can answer.

    Attributes
    ----------
    losses : names of losses, or None
        None: every loss that is continuously differentiable, and the hinge.
    parts : parts of a :class:`~convexpoison.spaces.Space` that it understands
    automatic : whether ``solver="auto"`` may choose it
    licensed : whether it needs a licence of its maker
    """

    losses: frozenset[str] | None
    parts: frozenset[str]
    automatic: bool = True
    licensed: bool = False

    @property
    def loss_names(self) -> list[str]:
        """The losses in words."""
        return ["hinge", "every smooth loss"] if self.losses is None else sorted(self.losses)

    def missing(self, question: Question) -> list[str]:
        """What the question has that the backend cannot take, in words; empty if it can answer."""
        loss = question.loss
        takes = loss.smooth or isinstance(loss, Hinge) if self.losses is None else loss.name in self.losses
        lacks = [] if takes else [f"{loss.name} loss"]
        return lacks + [f"{part} spaces" for part in sorted(question.space.parts - self.parts)]


class Backend(Protocol):
    """One way to answer :class:`~convexpoison.difference.Question`."""

    name: str
    capabilities: Capabilities

    def available(self) -> bool:
        """Whether it can be imported; takes no licence."""
        ...

    def propose(self, question: Question, time_limit_s: float | None) -> Proposal:
        """The best point that it finds.

        Raises
        ------
        SolverError, SolverTimeoutError
            If it has none.
        """
        ...


_MODULES = ("polygon", "highs", "gurobi", "cvxpy")
"""In the order in which ``solver="auto"`` prefers them; each module holds one backend in ``BACKEND``."""


def backend(name: str) -> Backend:
    """The backend of that name.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name not in _MODULES:
        raise ValueError(f"unknown solver {name!r}; choose 'auto' or one of {list(_MODULES)}")
    found: Backend = import_module(f"convexpoison.solvers.{name}").BACKEND
    return found


def names() -> tuple[str, ...]:
    """The names of all backends, installed or not, in order of preference."""
    return _MODULES


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
    for name in _MODULES:
        candidate = backend(name)
        able = candidate.capabilities
        if able.automatic and not able.missing(question) and candidate.available():
            return candidate
    raise ValueError(
        f"no installed solver takes {question.loss.name} loss over a space of {', '.join(sorted(question.space.parts))}; "
        f"capable: {_capable(question)}"
    )


def _capable(question: Question) -> str:
    able = [name for name in _MODULES if not backend(name).capabilities.missing(question)]
    return " or ".join(map(repr, able)) or "none (simplify the space, for example space.relax())"
