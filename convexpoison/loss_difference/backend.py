"""What a backend is, and what it can do, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from convexpoison.learners.losses.hinge import Hinge
from convexpoison.loss_difference.query import Proposal, Question


@dataclass(frozen=True)
class Capabilities:
    """What a backend can answer.

    Attributes
    ----------
    losses : names of losses, or None
        None: every loss that is continuously differentiable, and the hinge.
    parts : parts of a :class:`~convexpoison.spaces.space.Space` that it understands
    formulas : what a loss must define, where losses are named
    automatic : whether ``solver="auto"`` may choose it
    licensed : whether it needs a licence of its maker
    """

    losses: frozenset[str] | None
    parts: frozenset[str]
    formulas: tuple[str, ...] = ()
    automatic: bool = True
    licensed: bool = False

    @property
    def loss_names(self) -> list[str]:
        """The losses in words."""
        return ["hinge", "every smooth loss"] if self.losses is None else sorted(self.losses)

    def missing(self, question: Question) -> list[str]:
        """What the question has that the backend cannot take, in words; empty if it can answer."""
        loss = question.loss
        takes = loss.smooth or loss == Hinge() if self.losses is None else not loss.missing(*self.formulas)
        lacks = [] if takes else [f"{loss.name} loss"]
        return lacks + [f"{part} spaces" for part in sorted(question.space.parts - self.parts)]


class Backend(Protocol):
    """One way to answer :class:`~convexpoison.loss_difference.query.Question`."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

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
