"""Exact training, warm when rows are added: an active set for hinge, Newton's method for smooth losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convexpoison.data.training_data import TrainingData
from convexpoison.learners.losses.hinge import Hinge
from convexpoison.learners.trainers.base import Trainer

if TYPE_CHECKING:
    from convexpoison.learners.victim import Victim

__all__ = ["Trainer", "make_trainer"]


def make_trainer(victim: Victim, data: TrainingData) -> Trainer:
    """The trainer for the victim's loss, fitted on the data.

    Raises
    ------
    ValueError
        If the loss has kinks and is not the hinge.
    """
    if victim.loss.smooth:
        from convexpoison.learners.trainers.newton import NewtonTrainer

        return NewtonTrainer(victim, data)
    if victim.loss != Hinge():
        raise ValueError(
            f"the loss {victim.loss.name!r} has kinks; of such losses the hinge alone can be trained exactly: round them off"
        )
    from convexpoison.learners.trainers.active_set import ActiveSetTrainer

    return ActiveSetTrainer(victim, data)
