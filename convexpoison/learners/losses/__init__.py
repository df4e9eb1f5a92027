"""Losses, a file each: every formula of a loss is in its file."""

from convexpoison.learners.losses.base import Loss
from convexpoison.learners.losses.hinge import Hinge
from convexpoison.learners.losses.logistic import Logistic
from convexpoison.learners.losses.registry import LOSSES, get_loss
from convexpoison.learners.losses.rounded_hinge import RoundedHinge
from convexpoison.learners.losses.smooth_hinge import SmoothHinge
from convexpoison.learners.losses.squared import Squared
from convexpoison.learners.losses.squared_hinge import SquaredHinge

__all__ = [
    "LOSSES",
    "Hinge",
    "Logistic",
    "Loss",
    "RoundedHinge",
    "SmoothHinge",
    "Squared",
    "SquaredHinge",
    "get_loss",
]
