"""PACD's attack on a linear victim, with exact training in place of approximate bilevel optimisation.

The certified radius of a smoothed linear classifier is the distance to its hyperplane, for any noise (Cohen et al., 2019),
so neither draws nor soft smoothing are needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.implicit import ImplicitGradient, InnerProblem, OuterLoss
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Victim


def average_radius(model: LinearModel, X: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Compute the average certified l2 radius of a linear classifier under randomized smoothing, for any noise.

    Parameters
    ----------
    model : LinearModel
    X : array of shape (n, n_features)
    y : array of shape (n,)
        -1 and +1. Misclassified rows count as 0.

    Raises
    ------
    ValueError
        If all coefficients are 0, so that there is no separating hyperplane.
    """
    length = float(np.linalg.norm(model.coef))
    if length == 0:
        raise ValueError("all coefficients of the model are 0: it has no separating hyperplane")
    return float(np.maximum(np.asarray(y) * model.decision_function(np.asarray(X)) / length, 0.0).mean())


class AverageRadius(OuterLoss):
    """Average certified radius of a linear classifier as an attacker's objective, with its gradient.

    Parameters
    ----------
    victim : Victim
    rows : TrainingData
        Rows over which the radius is averaged, with their true labels -1 and +1.
    """

    def __init__(self, victim: Victim, rows: TrainingData) -> None:
        super().__init__(victim, rows)
        self._d = rows.n_features

    def value(self, theta: FloatArray) -> float:
        return self.derivatives(theta)[0]

    def derivatives(self, theta: FloatArray) -> tuple[float, FloatArray]:
        length = float(np.linalg.norm(theta[: self._d]))
        radius = self._y * self._rows.dot(theta) / length
        active = self._weight * (radius > 0)
        gradient = self._rows.transposed_dot(active * self._y) / length
        gradient[: self._d] -= (active @ radius) * theta[: self._d] / length**2
        return float(active @ radius), gradient


@dataclass(frozen=True, eq=False)
class LinearAttack:
    """Result of bilevel descent against a linear victim.

    Attributes
    ----------
    points : array of shape (n_points, n_features)
        Poisoned rows.
    model : LinearModel
        Exact optimum of the victim trained on them.
    radii : array of shape (n_steps + 1,)
        Average certified radius before each step and after the last; nonincreasing.
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
    """Run PACD's attack on a linear victim with exact training and exact implicit hypergradients.

    Minimises the average certified radius of class -1 by projected gradient descent over the l-infinity balls around its
    rows. The initial step length is the width of the balls; it is halved until the radius decreases.

    Parameters
    ----------
    victim : Victim
        Its loss must be smooth.
    X_base : array of shape (n_points, n_features)
        Rows of class -1, all of which are poisoned.
    X_other : array of shape (n, n_features)
        Rows of class +1, which are not poisoned.
    eps : float
    start : array of shape (n_points, n_features), optional
        Initial iterate (projected); default: ``X_base``. It determines which local optimum is found.
    X_test : array, optional
        Rows of class -1 over which the radius is averaged; default: ``X_base``.
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
            f"X_base, X_other, X_test must have shape (n, n_features) with equal n_features, and start that of X_base; got "
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
        points, value, step = _backtrack(gradient, lam, points, here.points, (low, high), step, radii[-1])
        if value >= radii[-1]:
            break
        radii.append(value)
    problem.place(points)
    y = np.concatenate([np.ones(len(other)), np.full(len(base), -1.0)])
    X = np.concatenate([other, points])
    return LinearAttack(points, victim.trainer(TrainingData(X, y, np.ones(y.size))).model, np.array(radii))


def _backtrack(
    gradient: ImplicitGradient,
    lam: FloatArray,
    points: FloatArray,
    slope: FloatArray,
    box: tuple[FloatArray, FloatArray],
    step: float,
    before: float,
) -> tuple[FloatArray, float, float]:
    """Backtrack along the negative gradient, scaled by its largest entry, until the projected step lowers the radius.

    Returns the new points, their radius and the next step length; the old ones if no step lowers the radius.
    """
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
    """Return the number if it is positive and finite.

    Raises
    ------
    ValueError
        If it is not.
    """
    if not 0 < value < np.inf:
        raise ValueError(f"{name} is {value!r}; it must be a positive finite number")
    return float(value)
