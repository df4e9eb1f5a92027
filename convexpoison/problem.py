"""The problem: who learns, on which rows, what an attacker may do to them, and towards what."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from convexpoison.data.training_data import TrainingData
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Victim
from convexpoison.threats import AddRows

if TYPE_CHECKING:
    from convexpoison.goals import Goal
    from convexpoison.learners.subdifferential import Subdifferential
    from convexpoison.learners.trainers import Trainer
    from convexpoison.spaces.space import Space


@dataclass(frozen=True, eq=False)
class Problem:
    """Victim, clean rows, threat, and the target or the goal: a record, which every attack and every bound takes.

    Attributes
    ----------
    victim : Victim
    data : TrainingData
        The clean rows.
    threat : AddRows
    aim : LinearModel, callable or None
        The model to induce, or the outcome to reach, ``goal(model) -> bool``; None for attacks that only do damage.
    """

    victim: Victim
    data: TrainingData
    threat: AddRows
    aim: LinearModel | Goal | None = None

    @property
    def space(self) -> Space:
        """Where added rows may lie."""
        return self.threat.space

    @property
    def has_target(self) -> bool:
        """Whether the aim is a model."""
        return isinstance(self.aim, LinearModel)

    @property
    def target(self) -> LinearModel:
        """The model to induce.

        Raises
        ------
        ValueError
            If the aim is a goal.
        """
        if not isinstance(self.aim, LinearModel):
            raise ValueError("this needs a target model, and the problem has a goal")
        return self.aim

    @property
    def goal(self) -> Goal | None:
        """The outcome to reach; None where the aim is a model."""
        return None if isinstance(self.aim, LinearModel) else self.aim

    def towards(self, target: LinearModel) -> Problem:
        """Return the same problem with this target; the fit of the clean rows is shared."""
        return self._with(target)

    def reaching(self, goal: Goal) -> Problem:
        """Return the same problem with this goal; the fit of the clean rows is shared."""
        return self._with(goal)

    def _with(self, aim: LinearModel | Goal) -> Problem:
        found = replace(self, aim=aim)
        if "_fitted" in self.__dict__:
            found.__dict__["_fitted"] = self._fitted
        return found

    def trainer(self) -> Trainer:
        """Return a trainer on the clean rows, fitted once for all who ask: each gets a copy of its own."""
        return deepcopy(self._fitted)

    @property
    def clean(self) -> LinearModel:
        """What the victim learns from the clean rows."""
        return self._fitted.model

    @cached_property
    def _fitted(self) -> Trainer:
        return self.victim.trainer(self.data)

    @cached_property
    def subdifferential(self) -> Subdifferential:
        """That of the clean objective at the target."""
        from convexpoison.learners.subdifferential import Subdifferential  # a checker evaluates its own, in intervals

        return Subdifferential.of(self.victim, self.data, self.target)

    @cached_property
    def target_objective(self) -> float:
        """``F(theta_p)`` on the clean rows."""
        return self.victim.objective(self.target, self.data)
