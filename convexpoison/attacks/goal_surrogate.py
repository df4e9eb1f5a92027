"""Goals as smooth functions of the model, for gradient ascent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import TrainingData
from convexpoison.goals import ErrorRate, Flip, Misclassify, rows_asked
from convexpoison.learners.linear_model import LinearModel

AnyGoal = ErrorRate | Misclassify | Flip


@dataclass(frozen=True, eq=False)
class GoalSurrogate:
    """Smooth surrogates of a goal: rows, and how many of them the model has to have wrong.

    Attributes
    ----------
    X : array or CSR matrix of shape (n_rows, n_features)
    y : array of shape (n_rows,)
        The true labels, -1 and +1.
    n_wrong : int
        The number of rows to be wrong.
    unit : float
        Median absolute score of these rows under the clean model, the unit of temperatures.
    """

    X: Any
    y: FloatArray
    n_wrong: int
    unit: float

    @classmethod
    def of(cls, goal: AnyGoal, clean: LinearModel, data: TrainingData, steer: TrainingData) -> GoalSurrogate:
        """Return the surrogate on the goal's own rows if all are to be wrong; for an error rate, on the rows ``steer``."""
        rows = steer
        if not isinstance(goal, ErrorRate):
            rows = TrainingData.from_user(goal.half_spaces(data), classes=(-1.0, 1.0), both_classes=False)
        n_wrong = rows_asked(goal.rate, rows.n_samples) if isinstance(goal, ErrorRate) else rows.n_samples
        unit = float(np.median(np.abs(clean.decision_function(rows.X)))) or 1.0
        return cls(rows.X, rows.y, max(1, n_wrong), unit)

    def margins(self, theta: FloatArray) -> FloatArray:
        """Return the margins of all rows, shape (n_rows,)."""
        d = self.X.shape[1]
        return np.asarray(self.y * (np.asarray(self.X @ theta[:d]).reshape(-1) + theta[d:].sum()))

    def share_wrong(self, theta: FloatArray, temperature: float) -> tuple[float, FloatArray]:
        """Return the share of wrong rows, each counted by a sigmoid of its margin, and its gradient."""
        t = temperature * self.unit
        wrong = expit(-self.margins(theta) / t)
        return float(wrong.mean()), self._gradient(-wrong * (1.0 - wrong) / (t * wrong.size), slice(None), theta.size)

    def nearest_wrong(self, theta: FloatArray, temperature: float) -> tuple[float, FloatArray]:
        """Return minus the mean softplus of the ``n_wrong`` smallest margins, and its gradient.

        Rows that need not be wrong do not contribute to the gradient, and rows that are clearly wrong hardly do.
        """
        t, margins = temperature * self.unit, self.margins(theta)
        chosen = np.argpartition(margins, self.n_wrong - 1)[: self.n_wrong]
        z = margins[chosen] / t
        return -t * float(np.logaddexp(0.0, z).mean()), self._gradient(-expit(z) / self.n_wrong, chosen, theta.size)

    def _gradient(self, weight: FloatArray, chosen: Any, n_parameters: int) -> FloatArray:
        signed = weight * self.y[chosen]
        gradient = np.asarray(self.X[chosen].T @ signed).reshape(-1)
        return np.append(gradient, signed.sum()) if n_parameters > gradient.size else gradient
