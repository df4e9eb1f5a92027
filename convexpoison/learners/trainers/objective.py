"""The objective of a smooth victim at one point: value, gradient and curvature, kept up to date as rows are added."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.trainers.hessian import Step

if TYPE_CHECKING:
    from convexpoison.learners.victim import Victim

_TINY = float(np.finfo(float).tiny)
_NEGLIGIBLE = 1e-12
"""Share of the objective of the zero model under which an objective counts as zero (data fitted exactly)."""
_FAR = 1e-3
"""Decrement, relative to the objective, of a step that is long."""


class SmoothObjective:
    """``F(theta) = sum_i weight_i phi(argument_i) + rho R(theta)`` at one theta, which moves.

    Attributes
    ----------
    theta : array of shape (n_parameters,)
        ``(w, b)``, or ``w`` without an intercept.
    scores, values : arrays of shape (n_rows,)
        Score and (unweighted) loss of every row.
    value : float
        ``F(theta)``.
    gradient : array of shape (n_parameters,)
    rho : float
    """

    theta: FloatArray
    scores: FloatArray
    values: FloatArray
    value: float
    gradient: FloatArray
    rho: float

    def __init__(self, victim: Victim, data: TrainingData) -> None:
        self._victim = victim
        self._loss = victim.loss
        self._free = victim.intercept == "free"
        self.rows = data.rows.growing(victim.intercept != "none")
        self.y = np.array(data.y, dtype=np.float64)
        self.weight = np.array(data.sample_weight, dtype=np.float64)
        self._n = data.n_rows
        self.rho = victim.rho(self._n)
        self._metric = np.ones(self.rows.n_parameters)
        if self.rows.has_intercept:
            self._metric[-1] = victim.intercept_weight
        self._reach = float(np.sqrt(self.rows.squared_norms().max()))
        self._row_of: dict[tuple[bytes, float], int] = {}
        self.reset()
        self._zero_value = self.value

    # Rows

    def add(self, x: FloatArray, y: float, weight: float) -> None:
        """Put a row in ``weight`` times, without a pass over the others; rho grows as the victim has it."""
        key = (x.tobytes(), y)
        if key not in self._row_of:
            self._row_of[key] = self._append(x, y)
        self._weigh(self._row_of[key], weight)

    def place(self, points: FloatArray, labels: FloatArray, weights: np.ndarray) -> np.ndarray:
        """Put rows in that :meth:`replace` may take out again; their numbers."""
        places = np.array([self._append(x, y) for x, y in zip(points, labels.tolist(), strict=True)], dtype=np.intp)
        for row, weight in zip(places.tolist(), weights.tolist(), strict=True):
            self._weigh(row, float(weight))
        return places

    def replace(self, places: np.ndarray, points: FloatArray, labels: FloatArray) -> None:
        """Let placed rows be others of the same weights."""
        for row, x, y in zip(places.tolist(), points, labels.tolist(), strict=True):
            weight = float(self.weight[row])
            self._weigh(row, -weight)
            self.rows.replace(row, x)
            self._look_at(row, x, y)
            self._weigh(row, weight)

    def _append(self, x: FloatArray, y: float) -> int:
        """A new row of weight 0."""
        row = self.rows.append(x)
        self.weight = np.append(self.weight, 0.0)
        self.y, self.scores, self.values = (np.append(a, 0.0) for a in (self.y, self.scores, self.values))
        self._look_at(row, x, y)
        return row

    def _look_at(self, row: int, x: FloatArray, y: float) -> None:
        """Label, score and loss of a row that is new in its place."""
        self._reach = max(self._reach, float(np.linalg.norm(x)))
        self.y[row], self.scores[row] = y, float(self.rows.lift(x) @ self.theta)
        self.values[row] = self._loss.value(self._loss.argument(self.scores[row], y))

    def _weigh(self, row: int, weight: float) -> None:
        """Put so much weight more on an added row; value and gradient follow."""
        x, y = self.rows.added[row - self.rows.n_clean], float(self.y[row])
        self.weight[row] += weight
        self._n += weight
        self.rho = self._victim.rho(self._n)
        slope = float(self._loss.derivative(self._loss.argument(self.scores[row], y)) * self._loss.slope(y))
        pull = self._victim.kappa * self._metric * self.theta
        self.gradient = self.gradient + weight * (slope * self.rows.lift(x) + pull)
        self.value += weight * (float(self.values[row]) + 0.5 * float(pull @ self.theta))
        self._zero_value += weight * float(self._loss.value(self._loss.argument(0.0, y)))

    # The point

    def reset(self) -> None:
        """Go to the zero model."""
        self.theta = np.zeros(self.rows.n_parameters)
        self.scores = np.zeros(self.rows.n_rows)
        self.value, self.values = self._evaluate(self.theta, self.scores)
        self.gradient = self._gradient()

    def refresh(self) -> None:
        """Scores, losses and gradient from theta alone."""
        self.scores = self.rows.dot(self.theta)
        self._settle()

    def move(self, step: Step, length: float) -> None:
        """Go that much of the step."""
        self.theta = self.theta + length * step.theta
        # The rounding errors of a long step are as long: they must not stay in the scores.
        far = step.decrement > _FAR * self.size
        self.scores = self.rows.dot(self.theta) if far else self.scores + length * step.scores
        self._settle()

    def _settle(self) -> None:
        if self._free:
            self._balance()
        self.value, self.values = self._evaluate(self.theta, self.scores)
        self.gradient = self._gradient()

    def _balance(self) -> None:
        """Newton's method in a free intercept alone: no pass over the rows, and :meth:`bound` becomes tight."""
        slopes, best = self._slopes(), np.inf
        while 1e-15 * np.abs(slopes).sum() < abs(slopes.sum()) < 0.5 * best:
            curvature = float(self.curvatures().sum())
            if curvature <= 0:
                return
            best = abs(float(slopes.sum()))
            move = -float(slopes.sum()) / curvature
            before, self.scores = self.scores, self.scores + move
            slopes = self._slopes()
            if abs(slopes.sum()) >= best:
                self.scores = before
                return
            self.theta[-1] += move

    # Value and derivatives

    @property
    def size(self) -> float:
        """What gaps are relative to: the value, or what counts as zero for data that are fitted exactly."""
        return max(self.value, _NEGLIGIBLE * self._zero_value, _TINY)

    @property
    def penalty(self) -> float:
        """``rho R(theta)``, the part of the value that a relative error of theta is measured by."""
        return 0.5 * float(self.theta @ (self.ridge * self.theta))

    @property
    def ridge(self) -> FloatArray:
        """The Hessian of ``rho R``, a diagonal of shape (n_parameters,)."""
        return self.rho * self._metric

    def _evaluate(self, theta: FloatArray, scores: FloatArray) -> tuple[float, FloatArray]:
        values = self._loss.value(self._loss.argument(scores, self.y))
        return float(self.weight @ values + 0.5 * (theta @ (self.ridge * theta))), values

    def after(self, step: Step, length: float) -> float:
        """``F(theta + length * step)``."""
        return self._evaluate(self.theta + length * step.theta, self.scores + length * step.scores)[0]

    def _slopes(self) -> FloatArray:
        """Weighted derivative of every row's loss with respect to its score."""
        return self.weight * self._loss.derivative(self._loss.argument(self.scores, self.y)) * self._loss.slope(self.y)

    def _gradient(self) -> FloatArray:
        return self.rows.transposed_dot(self._slopes()) + self.ridge * self.theta

    def curvatures(self) -> FloatArray:
        """Weighted second derivative of every row's loss with respect to its score, shape (n_rows,)."""
        return self.weight * self._loss.curvature(self._loss.argument(self.scores, self.y))

    def bound(self, gradient: FloatArray, curvature: FloatArray, *, balanced: bool = False) -> float:
        """Bound on the gap where the gradient is that; infinite where there is none.

        All parameters regularised: ``|gradient|**2 / (2 rho)`` in the dual metric of R, since F is strongly convex.
        Free intercept: with m the mean row (rows weighted by their curvatures), F falls apart to second order into a
        part in w and one in ``b + m @ w``; the gradient in w is then ``g_w - m g_b``, and no mean row is longer than
        the longest row. ``balanced`` says that the intercept will be put right, so that this term is left out.
        """
        if self.rho == 0:
            return np.inf
        if not self._free:
            return 0.5 * float(gradient @ (gradient / self.ridge))
        slope, bend = abs(float(gradient[-1])), float(curvature.sum())
        if bend <= 0:
            return np.inf
        norm: float = float(np.linalg.norm(gradient[:-1])) + (0.0 if balanced else self._reach * slope)
        return norm * norm / (2.0 * self.rho) + slope**2 / (2.0 * bend)

    def line_minimum(self, step: Step) -> float:
        """Where along the step, up to its full length, F is least: Newton's method within a bracket."""
        pull = self.ridge * step.theta
        low, high, length = 0.0, 1.0, 1.0
        for _ in range(50):
            argument = self._loss.argument(self.scores + length * step.scores, self.y)
            slopes = self.weight * self._loss.derivative(argument) * self._loss.slope(self.y)
            slope = float(slopes @ step.scores + pull @ (self.theta + length * step.theta))
            if abs(slope) <= 0.02 * step.decrement or high - low < 1e-12:
                break
            low, high = (length, high) if slope < 0 else (low, length)
            bend = float((self.weight * step.scores**2) @ self._loss.curvature(argument) + pull @ step.theta)
            length = length - slope / bend if bend > 0 else high
            if not low < length < high:
                length = 0.5 * (low + high)
        return length
