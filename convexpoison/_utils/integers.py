"""How many whole points a bound asks for."""

from __future__ import annotations

import math

ROUNDING = 1e-7
"""Relative. A model is trained to finite precision, so that one point can induce a model whose bound is 1.000000005."""


def whole_points(value: float) -> float:
    """The least whole number of points that a bound of ``value`` leaves, not counting what is mere rounding of a model.

    Parameters
    ----------
    value : float
        A lower bound on a number of points, not negative.

    Returns
    -------
    int, or float
        ``inf`` where no number of points is enough. It is never more than the bound proves.
    """
    return math.ceil(value * (1.0 - ROUNDING)) if math.isfinite(value) else value
