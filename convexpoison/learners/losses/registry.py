"""The losses that have a name, for files, command lines and ``Victim("hinge")``."""

from __future__ import annotations

from convexpoison.learners.losses.base import Loss
from convexpoison.learners.losses.hinge import Hinge
from convexpoison.learners.losses.logistic import Logistic
from convexpoison.learners.losses.squared import Squared
from convexpoison.learners.losses.squared_hinge import SquaredHinge

LOSSES: dict[str, Loss] = {loss.name: loss for loss in (Hinge(), SquaredHinge(), Logistic(), Squared())}


def file_name(loss: Loss) -> str:
    """Return the name by which a file mentions a loss.

    Raises
    ------
    ValueError
        If whoever reads the file would take it for another loss.
    """
    if LOSSES.get(loss.name, loss) != loss:
        raise ValueError(f"{loss!r} has the name of another loss, {loss.name!r}; a file needs a name of its own")
    return loss.name


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
