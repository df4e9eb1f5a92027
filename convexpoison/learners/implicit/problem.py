"""The inner problem of a bilevel attack (RMD, Eq. 1): the victim's objective and its derivatives, in closed form.

With ``theta = (w, b)``, rows ``x~ = (x, 1)``, arguments ``a_i`` and slopes ``s_i`` (:mod:`convexpoison.learners.losses.base`)::

    F(theta)             = sum_i c_i phi(a_i) + sum_j r_j theta_j**2 / 2
    gradient             = sum_i c_i s_i phi'(a_i) x~_i + r theta
    Hessian v            = sum_i c_i phi''(a_i) (x~_i @ v) x~_i + r v
    d(v @ gradient)/dx_k = c_k (phi''(a_k) (x~_k @ v) w + s_k phi'(a_k) v_w)

which is what RMD's Appendix A gets from automatic differentiation. Every product costs a pass or two over the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.implicit.tuning import Tuning, make_tuning
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.losses.base import Loss
from convexpoison.learners.victim import Victim


@dataclass(frozen=True, eq=False)
class State:
    """The inner objective at one theta.

    Attributes
    ----------
    theta : array of shape (n_parameters,)
    scores : array of shape (n_rows,)
    slopes : array of shape (n_rows,)
        ``c_i s_i phi'(a_i)``: weighted derivatives of the losses by the scores.
    curvatures : array of shape (n_rows,)
        ``c_i phi''(a_i)``.
    ridge : array of shape (n_parameters,)
    value : float
        ``F(theta)``.
    gradient : array of shape (n_parameters,)
    """

    theta: FloatArray
    scores: FloatArray
    slopes: FloatArray
    curvatures: FloatArray
    ridge: FloatArray
    value: float
    gradient: FloatArray


@dataclass(frozen=True, eq=False)
class Hypergradient:
    """What the attacker wants, and its derivatives through training.

    Attributes
    ----------
    value : float
        The outer loss at ``theta``.
    points : array of shape (n_points, n_features)
        By the features of the poison that moves.
    lam : array of shape (n_hyperparameters,)
    theta : array of shape (n_parameters,)
        What training gave.
    """

    value: float
    points: FloatArray
    lam: FloatArray
    theta: FloatArray


class InnerProblem:
    """The victim's training on clean rows and poison that moves.

    Parameters
    ----------
    victim : Victim
        With a smooth loss; its regularisation is the starting point of lambda.
    data : TrainingData
        The clean rows.
    labels : array of shape (n_points,)
        Labels (or responses) of the poison; they stay.
    tune : {"l2", "per_class", "per_feature"}
        What lambda is (:mod:`convexpoison.learners.implicit.tuning`).

    Raises
    ------
    ValueError
        If the loss has kinks.
    """

    def __init__(self, victim: Victim, data: TrainingData, labels: FloatArray, tune: str = "l2") -> None:
        if not victim.loss.smooth:
            raise ValueError(
                f"training with the loss {victim.loss.name!r} cannot be differentiated; use its smooth form, "
                "convexpoison.learners.implicit.SmoothHinge()"
            )
        labels = np.asarray(labels, dtype=np.float64)
        self.loss: Loss = victim.loss
        self.rows = data.rows.growing(victim.intercept != "none")
        for _ in labels:
            self.rows.append(np.zeros(data.n_features))
        self.y = np.concatenate([data.y, labels])
        self._slope = self.loss.slope(self.y)
        weight = np.concatenate([data.sample_weight, np.ones(labels.size)])
        self.n_rows = float(weight.sum())
        self.tuning: Tuning = make_tuning(tune, victim, weight, self.y, data.n_features)
        self._classes = data.classes

    @property
    def points(self) -> FloatArray:
        """The poison, shape (n_points, n_features); :meth:`place` moves it."""
        return self.rows.added

    def place(self, points: FloatArray) -> None:
        """Put the poison there."""
        self.rows.added[:] = points

    def at(self, theta: FloatArray, lam: FloatArray) -> State:
        """Value and derivatives at theta: one product with the rows each way."""
        scores = self.rows.dot(theta)
        argument = self.loss.argument(scores, self.y)
        weight, ridge = self.tuning.weight(lam), self.tuning.ridge(lam)
        slopes = weight * self.loss.derivative(argument) * self._slope
        value = float(weight @ self.loss.value(argument) + 0.5 * (theta @ (ridge * theta)))
        gradient = self.rows.transposed_dot(slopes) + ridge * theta
        return State(theta, scores, slopes, weight * self.loss.curvature(argument), ridge, value, gradient)

    def value(self, theta: FloatArray, scores: FloatArray, lam: FloatArray) -> float:
        """``F(theta)`` where the scores are known: no product with the rows."""
        losses = self.loss.value(self.loss.argument(scores, self.y))
        return float(self.tuning.weight(lam) @ losses + 0.5 * (theta @ (self.tuning.ridge(lam) * theta)))

    def hessian_product(self, state: State, v: FloatArray, moved: FloatArray | None = None) -> FloatArray:
        """``Hessian @ v``, shape (n_parameters,); ``moved`` is ``x~_i @ v`` where that is known."""
        moved = self.rows.dot(v) if moved is None else moved
        return np.asarray(self.rows.transposed_dot(state.curvatures * moved) + state.ridge * v)

    def mixed_products(self, state: State, v: FloatArray, moved: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Derivatives of ``v @ gradient`` by the points, (n_points, n_features), and by lambda, (n_hyperparameters,)."""
        return self.mixed_products_along([state], [v], [moved])

    def mixed_products_along(
        self, states: Sequence[State], vs: Sequence[FloatArray], moved: Sequence[FloatArray]
    ) -> tuple[FloatArray, FloatArray]:
        """The sum of :meth:`mixed_products` over states, each with its own v; those by the points in two matrix products."""
        added, d = slice(self.rows.n_clean, None), self.rows.n_features
        bends = np.array([(s.curvatures * m)[added] for s, m in zip(states, moved, strict=True)])
        slopes = np.array([s.slopes[added] for s in states])
        points = bends.T @ np.array([s.theta[:d] for s in states]) + slopes.T @ np.array([v[:d] for v in vs])
        lam = np.zeros(self.tuning.size)
        for s, v, m in zip(states, vs, moved, strict=True):
            lam += self.tuning.product(s.ridge, s.theta, v, s.slopes * m)
        return points, lam

    def model(self, theta: FloatArray) -> LinearModel:
        """The linear model of these parameters."""
        d = self.rows.n_features
        return LinearModel(theta[:d], float(theta[d:].sum()), self._classes)


class OuterLoss:
    """What the attacker wants large and the defender small: the mean loss on held-out rows (RMD, Section 2).

    Parameters
    ----------
    victim : Victim
        Gives the loss, and whether there is an intercept.
    rows : TrainingData
        Validation rows with their right labels.
    """

    def __init__(self, victim: Victim, rows: TrainingData) -> None:
        self.loss = victim.loss
        self._rows = rows.rows.growing(victim.intercept != "none")
        self._y, self._slope = rows.y, victim.loss.slope(rows.y)
        self._weight = rows.sample_weight / rows.sample_weight.sum()

    def value(self, theta: FloatArray) -> float:
        """The mean loss of that model."""
        return float(self._weight @ self.loss.value(self.loss.argument(self._rows.dot(theta), self._y)))

    def derivatives(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """The mean loss, and its gradient of shape (n_parameters,)."""
        argument = self.loss.argument(self._rows.dot(theta), self._y)
        slopes = self._weight * self.loss.derivative(argument) * self._slope
        return float(self._weight @ self.loss.value(argument)), self._rows.transposed_dot(slopes)
