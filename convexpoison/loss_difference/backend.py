"""What a backend is, and what it can do, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from convexpoison.learners.losses import LOSSES, Hinge, Loss
from convexpoison.loss_difference.query import Proposal, Question

SANDWICH = ("bends_most_at",)
"""The formulas that a smooth loss must define for solvers of programs (:mod:`convexpoison.loss_difference.sandwich`)."""


@dataclass(frozen=True)
class Capabilities:
    """What a backend can answer.

    Attributes
    ----------
    formulas : names of formulas that a loss must define, or None
        None: the hinge, and every continuously differentiable loss that defines ``bends_most_at``.
    parts : parts of a :class:`~convexpoison.spaces.space.Space` that it understands
    automatic : whether ``solver="auto"`` may choose it
    licensed : whether it needs a licence of its maker
    """

    formulas: tuple[str, ...] | None
    parts: frozenset[str]
    automatic: bool = True
    licensed: bool = False

    @property
    def loss_names(self) -> list[str]:
        """The losses in words."""
        if self.formulas is None:
            return ["hinge", "every smooth loss"]
        return sorted(name for name, loss in LOSSES.items() if self.takes(loss))

    def takes(self, loss: Loss) -> bool:
        """Return whether the backend can answer for this loss over some space."""
        if self.formulas is None:
            return loss == Hinge() or (loss.smooth and not loss.missing(*SANDWICH))
        return not loss.missing(*self.formulas)

    def missing(self, question: Question) -> list[str]:
        """Return the parts of the question that the backend cannot take, in words; empty if it can answer."""
        loss = question.loss
        undefined = loss.missing(*(SANDWICH if self.formulas is None else self.formulas))
        defines = f" (it must define {', '.join(undefined)})" if loss.smooth and undefined else ""
        lacks = [] if self.takes(loss) else [f"{loss.name} loss{defines}"]
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
