"""Newton's method for smooth losses, warm when rows are added."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import TrainingData
from convexpoison.errors import SolverError
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.trainers.base import Trainer
from convexpoison.learners.trainers.hessian import HessianSolver, Step, rank_deficient
from convexpoison.learners.trainers.objective import SmoothObjective
from convexpoison.learners.trainers.row_system import RowSolver

if TYPE_CHECKING:
    from convexpoison.learners.victim import Victim

_PROMISE = 1e-9
"""Largest gap that is accepted, relative to the objective."""
_AIM = 1e-15
"""Gap aimed at, relative to ``rho R(theta)``: theta then has a relative error of at most the root, 3e-8."""
_STALL = 1e-14
"""Decrement that will do where rounding errors stop the method, relative to the objective."""
_PATH_AIM = 1e-3
"""Relative gap that will do on the way to the regularisation that is asked for."""
_LOOSE, _TIGHT = 1e-2, 1e-10
"""Share of its energy that a system may leave: usually, and once rows at their kinks could make rough steps zigzag."""
_MAX_STEPS = 60
_REFRESH = 100
"""Changes of the rows after which scores and gradient are computed anew, so that rounding errors cannot pile up."""


class NewtonTrainer(Trainer):
    """The exact minimiser for a smooth loss, kept while rows are added.

    Semismooth Newton with a line search on ``F(theta) = sum_i c_i phi(argument_i) + rho(n) R(theta)``. A row that was
    added before (same x, same y) is not stored again: its weight grows.

    Parameters
    ----------
    victim : Victim
        With a loss that is continuously differentiable.
    data : TrainingData

    Attributes
    ----------
    model : LinearModel
        The minimiser on all rows so far.
    gap : float
        Upper bound on ``F(model) - min F``. Where every parameter is regularised it is rigorous: F is strongly convex
        with modulus rho in the metric of R, so ``|gradient|**2 / (2 rho)`` (in the dual metric) bounds the gap; it is
        the duality gap at the dual point that the derivatives of the losses give. A free intercept is minimised by
        itself to rounding first, and adds a term of second order (its gradient squared over twice its curvature).
        Without regularisation the gap is an estimate: half the squared Newton decrement,
        ``gradient @ H^-1 @ gradient / 2``, before the last step.

    Raises
    ------
    ValueError
        If the loss is not smooth, or there is no unique finite minimiser (after a change too): no regularisation with
        collinear columns or separable rows, or a free intercept with rows of one class only.
    SolverError
        If Newton's method does not converge, or rounding errors keep it from ``1e-9`` of the objective.

    Notes
    -----
    Retraining after every added point is the inner step of MTP, Algorithm 1. Where rho is so small that rounding errors
    alone make the rigorous bound larger than promised, the bound is reported as it is. Collinear columns are looked
    for only up to 2,000 parameters.
    """

    solver: ClassVar[type[HessianSolver]] = RowSolver

    def __init__(self, victim: Victim, data: TrainingData) -> None:
        if not victim.loss.smooth:
            raise ValueError(f"Newton's method needs a smooth loss; {victim.loss.name!r} has kinks")
        self.victim = victim
        self._classes = data.classes
        self._clean_weights = data.sample_weight
        self._n_changes = 0
        self._point = SmoothObjective(victim, data)
        self._rows = self._point.rows
        self._hessian = self.solver(self._rows)
        self._check_posed(self._point.weight)
        self._follow_path()
        self._minimise()

    def add(self, x: FloatArray, y: float, weight: float = 1.0) -> int:
        """Add one row ``weight`` times, refit from the present minimiser, and return its number.

        Parameters
        ----------
        x : array of shape (n_features,)
        y : float
            -1 or +1 (classification) or the response (regression).
        weight : float

        Raises
        ------
        ValueError
            If x has another shape, a number is not finite, y is no label, or the weight is not positive.
        """
        x = np.array(x, dtype=np.float64) + 0.0  # turns -0.0 into 0.0, so that equal rows have equal bytes
        y, weight = float(y), float(weight)
        self._check_row(x, y, weight)
        row = self._point.add(x, y, weight)
        self._refit()
        return row

    def place(self, points: FloatArray, labels: FloatArray, weights: np.ndarray) -> np.ndarray:
        places = self._point.place(points, labels, weights)
        self._refit()
        return places

    def move(self, places: np.ndarray, points: FloatArray, labels: FloatArray) -> None:
        self._point.replace(places, points, labels)
        self._refit()

    @property
    def weights(self) -> FloatArray:
        return self._point.weight

    def _reweight(self, index: np.ndarray, weights: FloatArray) -> None:
        if not weights[index].all():
            self._check_posed(weights)
        self._point.reweight(weights)
        self._refit()

    def _refit(self) -> None:
        self._n_changes += 1
        if self._n_changes % _REFRESH == 0:
            self._point.refresh()
        self._minimise()

    @property
    def objective(self) -> float:
        """``F(model)`` on all rows so far."""
        return self._point.value

    def clean_loss(self) -> float:
        """Return the sum of the losses over the rows, with the weights, that the trainer was built with."""
        return float(self._clean_weights @ self._point.values[: self._rows.n_clean])

    def _check_row(self, x: FloatArray, y: float, weight: float) -> None:
        if x.shape != (self._rows.n_features,):
            raise ValueError(f"an added row must have shape ({self._rows.n_features},); got {x.shape}")
        if not (np.isfinite(x).all() and np.isfinite(y)):
            raise ValueError("an added row holds NaN or infinity; add finite numbers only")
        if self.victim.loss.classification and abs(y) != 1.0:
            raise ValueError(f"the label of an added row must be -1 or +1; got {y}")
        if not 0 < weight < np.inf:
            raise ValueError(f"the weight of an added row must be positive and finite; got {weight}")

    # Newton's method

    def _minimise(self) -> None:
        """Newton's method from where the parameters stand; from afar if that leads nowhere."""
        if not self._descend(_AIM, _STALL):
            self._point.reset()
            self._follow_path()
            if not self._descend(_AIM, _STALL):
                raise SolverError(
                    f"Newton's method did not come within {_PROMISE} of the minimum in {_MAX_STEPS} steps (objective "
                    f"{self._point.value:.1e}); scale the features or regularise more"
                )
        self._check_curved()
        d, theta = self._rows.n_features, self._point.theta
        self.model = LinearModel(theta[:d], float(theta[d:].sum()), self._classes)

    def _follow_path(self) -> None:
        """Come near the minimiser through ever weaker regularisation.

        Straight from zero the set of rows with curvature changes too much for Newton's method where rho is small.
        """
        point = self._point
        goal = point.rho
        first = float(self._rows.gram_diagonal(point.curvatures()).mean()) / 100.0
        if self.victim.loss.classification:
            point.rho = first
            while point.rho > max(goal, 1e-9 * first):
                point.refresh()
                self._descend(_PATH_AIM, _PATH_AIM)
                point.rho /= 10.0
        point.rho = goal
        point.refresh()

    def _descend(self, aim: float, stall: float) -> bool:
        """Newton's method to a gap of ``aim`` of the penalty, or a decrement under ``stall`` of F that stops falling."""
        point, previous = self._point, np.inf
        self._left = _LOOSE
        for _ in range(_MAX_STEPS):
            if not point.gradient.any():
                self.gap = 0.0
                return True
            curvature = point.curvatures()
            self.gap = point.bound(point.gradient, curvature)
            goal = aim * (point.penalty if point.rho > 0 else point.size)
            if self.gap <= goal:
                return True
            step = self._newton_step(curvature, goal)
            self._check_runaway(step)
            if point.rho == 0:
                self.gap = step.decrement
            if step.decrement <= stall * point.size and step.decrement > 0.25 * previous:
                return True
            if not self._advance(step):
                return step.decrement <= _PROMISE * point.size
            if self.gap <= goal:
                return True
            previous = step.decrement
        return False

    def _newton_step(self, curvature: FloatArray, aim: float) -> Step:
        """The Newton direction, to the precision that the next gradient can use."""
        point = self._point

        def enough(residual: FloatArray, size: float, first: float) -> bool:
            # Newton's method converges quadratically: where the decrement is a share e of F, less than e of it is left.
            left = point.bound(residual, curvature, balanced=True) if point.rho > 0 else 0.5 * size
            return size <= min(self._left, first / point.size) * first or left <= 0.1 * aim

        return self._hessian.solve(point.gradient, curvature, point.ridge, enough)

    def _advance(self, step: Step) -> bool:
        """Go along the step, in full where that gains what it should; False where rounding errors leave no gain."""
        point, length = self._point, 1.0
        rounding = 1e-14 * point.size
        if point.after(step, length) > point.value - 0.5 * step.decrement + rounding:
            length, self._left = point.line_minimum(step), _TIGHT
            if point.after(step, length) > point.value + rounding:
                return False
        point.move(step, length)
        return True

    # Is there a unique finite minimiser?

    def _check_posed(self, weights: FloatArray) -> None:
        """Raise ValueError if rows of these weights have none, whatever the parameters."""
        point, live = self._point, weights > 0
        if self.victim.loss.classification and self.victim.intercept == "free" and np.ptp(point.y[live]) == 0:
            raise ValueError(
                "all rows with positive weight are of one class, so that a free intercept has no unique finite "
                "optimum; give rows of both classes or regularise the intercept"
            )
        if point.rho == 0 and rank_deficient(self._rows, weights):
            raise ValueError(
                "without regularisation the minimiser is not unique: the columns (with the intercept's) are collinear, "
                "or there are fewer rows than columns; add regularisation (a finite C) or drop the collinear columns"
            )

    def _check_runaway(self, step: Step) -> None:
        """Raise where nothing holds the parameters back: the rows can be separated, strictly or in part."""
        point = self._point
        if point.rho > 0 or not self.victim.loss.classification:
            return
        live = point.weight > 0
        separated = bool((point.y * point.scores)[live].min() > 0)
        # Where a part of the rows can be separated their margins grow by about 1 a step for ever, for less and less.
        relative = np.abs(step.scores) / (1.0 + np.abs(point.scores))
        if separated or (step.decrement <= 1e-10 * point.size and relative[live].max() > 0.02):
            raise ValueError(
                "without regularisation these rows have no finite minimiser: a linear model separates the classes (or "
                "a part of the rows without error); add regularisation (a finite C)"
            )

    def _check_curved(self) -> None:
        """Raise where the loss is flat at the minimiser, so that there are others."""
        if self._point.rho > 0:
            return
        curvature = self._point.curvatures()
        if np.count_nonzero(curvature) < np.count_nonzero(self._point.weight) and rank_deficient(self._rows, curvature):
            raise ValueError(
                "without regularisation the minimiser is not unique: the rows with a positive loss do not fix all "
                "coefficients; add regularisation (a finite C) or drop the collinear columns"
            )
