"""Rows added to the training data, each in a space, with no limit but their number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from convexpoison.learners.dual_vector import DualVector
from convexpoison.numerics.intervals import Interval
from convexpoison.spaces.space import Space
from convexpoison.threats.base import Threat
from convexpoison.threats.support_bound import price

if TYPE_CHECKING:
    from convexpoison.geometry.support_function import Price
    from convexpoison.learners.trainers import Trainer
    from convexpoison.poison import Poison
    from convexpoison.problem import Problem


@dataclass(frozen=True, eq=False)
class AddRows(Threat):
    """Add rows that lie in a space: ``a(z) = dl(theta_p; z) + kappa grad R(theta_p)``, without a capacity.

    Parameters
    ----------
    space : Space
        Where an added row may lie, and which labels (responses) it may carry.
    """

    space: Space
    name: ClassVar[str] = "add"

    def support(self, problem: Problem, v: DualVector) -> list[Price]:
        from convexpoison.geometry.support_function import prices  # only searches ask, and it knows solvers

        return prices(problem.victim, problem.target, self.space, v)

    def gain(self, problem: Problem, v: DualVector, n_edits: float = 1.0) -> float:
        """Return ``n_edits * max(0, h(v))``, h the support function of the atoms."""
        highest = max(0.0, price(problem.victim, problem.target, self.space, v))
        return float((Interval.of(highest) * n_edits).upper)

    def fewest(self, problem: Problem, v: DualVector, deficit: Interval) -> Interval:
        """Enclose ``deficit / h(v)``: the gain is proportional to the number of rows."""
        highest = self.gain(problem, v)
        return deficit / highest if highest > 0.0 else Interval.of(np.inf)

    def apply(self, trainer: Trainer, poison: Poison) -> None:
        for x, y, count in poison.edits:
            trainer.add(x, y, count)
