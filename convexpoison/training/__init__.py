"""Exact training, warm when rows are added: an active set for hinge, Newton's method for smooth losses."""

from convexpoison.data import TrainingData
from convexpoison.losses import Hinge
from convexpoison.training.base import Trainer
from convexpoison.victim import Victim

__all__ = ["Trainer", "make_trainer"]


def make_trainer(victim: Victim, data: TrainingData) -> Trainer:
    """The trainer for the victim's loss, fitted on the data.

    Raises
    ------
    ValueError
        If the loss has kinks and is not the hinge.
    """
    if victim.loss.smooth:
        from convexpoison.training.newton import NewtonTrainer

        return NewtonTrainer(victim, data)
    if victim.loss != Hinge():
        raise ValueError(
            f"the loss {victim.loss.name!r} has kinks; of such losses the hinge alone can be trained exactly: round them off"
        )
    from convexpoison.training.active_set import ActiveSetTrainer

    return ActiveSetTrainer(victim, data)
