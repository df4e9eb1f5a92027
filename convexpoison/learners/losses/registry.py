"""The losses that have a name, for files, command lines and ``Victim("hinge")``."""

from __future__ import annotations

from convexpoison.learners.losses.base import Loss
from convexpoison.learners.losses.hinge import Hinge
from convexpoison.learners.losses.logistic import Logistic
from convexpoison.learners.losses.squared import Squared
from convexpoison.learners.losses.squared_hinge import SquaredHinge

LOSSES: dict[str, Loss] = {loss.name: loss for loss in (Hinge(), SquaredHinge(), Logistic(), Squared())}


def get_loss(loss: str | Loss) -> Loss:
    """Return the loss of that name (or the loss itself).

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if isinstance(loss, Loss):
        return loss
    if loss not in LOSSES:
        raise ValueError(f"unknown loss {loss!r}; choose one of {sorted(LOSSES)}")
    return LOSSES[loss]
