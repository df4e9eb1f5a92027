"""An upper bound on the training loss that any poison of a given size can cause, in interval arithmetic.

Whatever k points of the space the attacker adds, the poisoned victim's model has, with ``M`` the largest loss of one point,

    L(victim's model; D_c)  <=  min over theta of L(theta; D_c) + L(theta; poison) + rho(n + k) R(theta)
                            <=  L(theta; D_c) + k M(theta) + rho(n + k) R(theta)         for every theta

(Steinhardt, Koh and Liang, "Certified defenses for data poisoning attacks", NeurIPS 2017, with the victim's regulariser where
they bound the norm of theta). Losses are not negative and rho does not fall, so it holds for fewer points too.
"""

from __future__ import annotations

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.losses.base import Loss
from convexpoison.learners.victim import Victim
from convexpoison.numerics.intervals import Interval, dot, product


def damage_bound(victim: Victim, data: TrainingData, model: LinearModel, n_points: int, max_loss: float) -> float:
    """The right-hand side divided by n, from above.

    Parameters
    ----------
    victim : Victim
        A classifier.
    data : TrainingData
        The clean rows.
    model : LinearModel
        theta; every model gives a valid bound.
    n_points : int
        k.
    max_loss : float
        An upper bound on the loss of one point of the space under theta.

    Returns
    -------
    float
        In units of the loss, a clean row (of weight 1).
    """
    margins = (product(data.X, model.coef)[0] + model.intercept) * data.y
    losses = Interval.of(loss_upper(victim.loss, margins.lower))
    n_rows = Interval.of(data.sample_weight).sum()
    rho = victim.kappa * (n_rows + float(n_points))
    if victim.C is not None and np.isfinite(victim.C):
        rho = rho + 1.0 / Interval.of(victim.C)
    total = dot(losses, data.sample_weight) + float(n_points) * Interval.of(max_loss) + rho * _penalty(victim, model)
    return float((total / n_rows).upper)


def loss_upper(loss: Loss, margin: FloatArray) -> FloatArray:
    """Return the loss at these margins, rounded up; of a loss that falls with the margin."""
    loss.need("the bound on the damage", "value_enclosure")
    return loss.value_enclosure(Interval.of(margin)).upper


def _penalty(victim: Victim, model: LinearModel) -> Interval:
    squares = dot(model.coef, model.coef)
    if victim.intercept == "regularized":
        scaled = Interval.of(model.intercept) / Interval.of(victim.intercept_scaling)
        squares = squares + scaled * scaled
    return 0.5 * squares
