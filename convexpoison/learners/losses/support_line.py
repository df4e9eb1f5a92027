"""Lines below a loss: the conjugate, which is what duality needs of it."""

from __future__ import annotations

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.learners.losses.base import Hinge, Logistic, Loss


def support(loss: Loss, slopes: FloatArray) -> FloatArray:
    """``min over u of phi(u) + slope * u``: the height at 0 of the line of that slope that supports phi.

    The negative of the conjugate of phi at ``-slope``; slopes are in [0, 1] for the hinge and the logistic loss, and not
    negative for the squared hinge.
    """
    if isinstance(loss, Hinge):
        return slopes
    if isinstance(loss, Logistic):
        rest = 1.0 - slopes
        logs = np.log(np.where(slopes > 0, slopes, 1.0)), np.log(np.where(rest > 0, rest, 1.0))
        return np.asarray(-slopes * logs[0] - rest * logs[1])
    return slopes - 0.25 * slopes**2
