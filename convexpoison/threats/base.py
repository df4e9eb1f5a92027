"""What a threat is: edits of the training data, their atoms and capacities, and what a number of them can do.

An edit e has an *atom* ``a(e)``, its change of the gradient of the victim's objective at the target, and a capacity
``u(e)``. The target is reproduced if and only if

    0 in G + sum m_e a(e),    0 <= m_e <= u(e),

with G the subdifferential of the clean objective (:mod:`convexpoison.learners.subdifferential`). For a dual vector v let
``r(v) = min over g in G of -<g, v>``. With m edits ``sum m_e <a(e), v>`` is at most ``gain(v, m)``, so m edits are too few
wherever ``gain(v, m) < r(v)``: one certificate, a dual vector, for every threat.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from convexpoison.learners.dual_vector import DualVector

if TYPE_CHECKING:
    from convexpoison.geometry.support_function import Price
    from convexpoison.learners.trainers import Trainer
    from convexpoison.numerics.intervals import Interval
    from convexpoison.poison import Poison
    from convexpoison.problem import Problem


class Threat(ABC):
    """A kind of edits of the training data."""

    name: ClassVar[str]
    """The word for it in arguments and files."""

    @abstractmethod
    def support(self, problem: Problem, v: DualVector) -> list[Price]:
        """Return the edits of each kind with the largest ``<a(e), v>``: the oracle of searches.

        Their ``upper`` is evaluated by the library, rounding included; the largest of them bounds ``<a(e), v>`` for every edit.
        """

    @abstractmethod
    def gain(self, problem: Problem, v: DualVector, n_edits: float = 1.0) -> float:
        """Return a rigorous upper bound on ``sum m_e <a(e), v>`` over n_edits edits: the proof.

        Outward rounded, not negative, and not decreasing in ``n_edits``.
        """

    @abstractmethod
    def fewest(self, problem: Problem, v: DualVector, deficit: Interval) -> Interval:
        """Enclose the least number of edits whose gain reaches a positive deficit; ``inf`` if no number does."""

    @abstractmethod
    def apply(self, trainer: Trainer, poison: Poison) -> None:
        """Carry the edits out on a trained victim, and refit it."""
