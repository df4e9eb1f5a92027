"""PACD's attack on a linear victim, solved exactly: the average certified radius through exact training.

The certified radius of a smoothed linear classifier is the distance to its hyperplane, whatever the noise (Cohen et al., 2019),
so that neither draws nor soft smoothing are needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from convexpoison._utils.types import FloatArray
from convexpoison.data.row_operator import AffineRows
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.implicit import ImplicitGradient, InnerProblem, OuterLoss
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Victim


def average_radius(model: LinearModel, X: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Average certified l2 radius of a linear classifier under randomized smoothing, whatever the noise.

    Parameters
    ----------
    model : LinearModel
    X : array of shape (n, n_features)
    y : array of shape (n,)
        -1 and +1. Misclassified rows count 0.

    Raises
    ------
    ValueError
        If all coefficients are 0: there is no hyperplane.
    """
    length = float(np.linalg.norm(model.coef))
    if length == 0:
        raise ValueError("all coefficients of the model are 0: it has no hyperplane to be distant from")
    return float(np.maximum(np.asarray(y) * model.decision_function(np.asarray(X)) / length, 0.0).mean())


class AverageRadius(OuterLoss):
    """The average certified radius of a linear classifier as an attacker's aim, with its gradient.

    Parameters
    ----------
    victim : Victim
    rows : TrainingData
        Rows whose radius counts, with their right labels -1 and +1.
    """

    def __init__(self, victim: Victim, rows: TrainingData) -> None:
        super().__init__(victim, rows)
        self._d, self._lifted = rows.n_features, AffineRows(rows.X, victim.intercept != "none")

    def value(self, theta: FloatArray) -> float:
        return self.derivatives(theta)[0]

    def derivatives(self, theta: FloatArray) -> tuple[float, FloatArray]:
        length = float(np.linalg.norm(theta[: self._d]))
        radius = self._y * self._lifted.dot(theta) / length
        active = self._weight * (radius > 0)
        gradient = self._lifted.transposed_dot(active * self._y) / length
        gradient[: self._d] -= (active @ radius) * theta[: self._d] / length**2
        return float(active @ radius), gradient


@dataclass(frozen=True, eq=False)
class LinearAttack:
    """What bilevel descent found against a linear victim.

    Attributes
    ----------
    points : array of shape (n_points, n_features)
        The poisoned rows.
    model : LinearModel
        What the victim learns from them, exactly.
    radii : array of shape (n_steps + 1,)
        Average certified radius before each step and after the last: never rising.
    """

    points: FloatArray
    model: LinearModel
    radii: FloatArray

    @property
    def radius(self) -> float:
        return float(self.radii[-1])


def attack_linear(
    victim: Victim,
    X_base: npt.ArrayLike,
    X_other: npt.ArrayLike,
    eps: float,
    *,
    start: npt.ArrayLike | None = None,
    X_test: npt.ArrayLike | None = None,
    max_iter: int = 100,
) -> LinearAttack:
    """PACD's attack on a linear victim, solved exactly: every model is the optimum, every hypergradient the implicit one.

    Projected gradient descent of the average certified radius of class -1 over the l-infinity balls around its rows. The
    step starts as long as the balls are wide and is halved until the radius falls.

    Parameters
    ----------
    victim : Victim
        With a smooth loss.
    X_base : array of shape (n_points, n_features)
        Rows of class -1, all of which are poisoned.
    X_other : array of shape (n, n_features)
        Rows of class +1, which stay.
    eps : float
    start : array of shape (n_points, n_features), optional
        Where descent begins (projected); at ``X_base`` where not given. Which local optimum is found depends on it.
    X_test : array, optional
        Rows of class -1 whose radius counts; ``X_base`` where not given.
    max_iter : int

    Returns
    -------
    LinearAttack

    Raises
    ------
    ValueError
        If the shapes do not agree, eps is not positive, or the victim's loss has kinks.
    """
    base, other = np.asarray(X_base, dtype=np.float64), np.asarray(X_other, dtype=np.float64)
    test = base if X_test is None else np.asarray(X_test, dtype=np.float64)
    points = base if start is None else np.asarray(start, dtype=np.float64)
    if base.ndim != 2 or points.shape != base.shape or {other.shape[1:], test.shape[1:]} != {base.shape[1:]}:
        raise ValueError(
            f"rows of shape (n, n_features) with as many features are needed, and a start for each base row; got "
            f"X_base {base.shape}, X_other {other.shape}, X_test {test.shape}, start {points.shape}"
        )
    low, high = base - check_positive("eps", eps), base + eps
    problem = InnerProblem(victim, _rows(other, 1.0), np.full(len(base), -1.0))
    gradient = ImplicitGradient(problem, AverageRadius(victim, _rows(test, -1.0)), precision=1e-10)
    lam = problem.tuning.initial()
    points, step, radii = np.clip(points, low, high), 2 * eps, list[float]()
    problem.place(points)
    for _ in range(max_iter):
        here = gradient(lam)
        radii = radii or [here.value]
        points, value, step = _shorter(gradient, lam, points, here.points, (low, high), step, radii[-1])
        if value >= radii[-1]:
            break
        radii.append(value)
    problem.place(points)
    y = np.concatenate([np.ones(len(other)), np.full(len(base), -1.0)])
    X = np.concatenate([other, points])
    return LinearAttack(points, victim.trainer(TrainingData(X, y, np.ones(y.size))).model, np.array(radii))


def _shorter(
    gradient: ImplicitGradient,
    lam: FloatArray,
    points: FloatArray,
    slope: FloatArray,
    box: tuple[FloatArray, FloatArray],
    step: float,
    before: float,
) -> tuple[FloatArray, float, float]:
    """The projected step along the gradient, scaled by its largest entry, that lowers the radius; where it is and its length."""
    largest = float(np.abs(slope).max())
    for _ in range(40 if largest > 0 else 0):
        there = np.clip(points - step / largest * slope, *box)
        gradient.problem.place(there)
        if (value := gradient.value(lam)) < before:
            return there, value, 2 * step
        step /= 2
    gradient.problem.place(points)
    return points, before, step


def _rows(X: FloatArray, label: float) -> TrainingData:
    return TrainingData(X, np.full(len(X), label), np.ones(len(X)))


def check_positive(name: str, value: float) -> float:
    """The number, if it is a finite one above 0."""
    if not 0 < value < np.inf:
        raise ValueError(f"{name} is {value!r}; it must be a finite number above 0")
    return float(value)
