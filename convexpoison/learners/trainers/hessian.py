"""Newton systems: conjugate gradients, preconditioned with the Cholesky factor of an earlier Hessian."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg.blas import dtrsv
from scipy.linalg.lapack import dpotrf

from convexpoison._utils.types import FloatArray
from convexpoison.data.row_operator import RowOperator

Solve = Callable[[FloatArray], FloatArray]

DENSE_LIMIT = 5000
"""Most unknowns for which a system is formed (200 MB); beyond it the preconditioner is the Hessian's diagonal."""
_RANK_LIMIT = 2000
"""Most parameters for which collinear columns are looked for: eigenvalues cost far more than a factor."""
_DENSE_SPEED = 80.0
"""Operations of a blocked dense product in the time of one in a sparse or memory-bound product (measured)."""
_FRESH_ITERATIONS = 3
"""Conjugate-gradient steps that even a fresh factor needs."""
_MAX_ITERATIONS = 500


@dataclass
class Step:
    """A Newton direction.

    Attributes
    ----------
    theta : array of shape (n_parameters,)
    scores : array of shape (n_rows,)
        What the direction does to the scores.
    decrement : float
        ``gradient @ H^-1 @ gradient / 2`` as far as the system was solved: what a quadratic model gains.
    """

    theta: FloatArray
    scores: FloatArray
    decrement: float


class HessianSolver:
    """Solves ``(X.T @ diag(curvature) @ X + diag(ridge)) @ step = -gradient`` again and again, little changed.

    A factor is made where the passes over the rows that were lost on the old one (or on the diagonal, at first) would
    have paid for it. Passes are counted, not timed, so that runs can be repeated.
    """

    def __init__(self, rows: RowOperator) -> None:
        self.rows = rows
        self._factor: Solve | None = None
        self._lost = 0

    def solve(
        self,
        gradient: FloatArray,
        curvature: FloatArray,
        ridge: FloatArray,
        enough: Callable[[FloatArray, float, float], bool],
    ) -> Step:
        """Conjugate gradients until ``enough(residual, size, first_size)``, sizes in the preconditioner's metric."""
        precondition = self._preconditioner(curvature, ridge)
        step, scores = np.zeros_like(gradient), np.zeros_like(curvature)
        residual = -gradient
        direction = precondition(residual)
        first = size = float(residual @ direction)
        iterations = 0
        while iterations < _MAX_ITERATIONS:
            moved = self.rows.dot(direction)
            image = self.rows.transposed_dot(curvature * moved) + ridge * direction
            bend = float(direction @ image)
            if bend <= 0:  # a flat direction: only rounding errors lead there
                break
            iterations += 1
            step += size / bend * direction
            scores += size / bend * moved
            residual = residual - size / bend * image
            preconditioned = precondition(residual)
            size, last = float(residual @ preconditioned), size
            if enough(residual, size, first):
                break
            direction = preconditioned + (size / last) * direction
        self._lost += max(0, iterations - _FRESH_ITERATIONS)
        return Step(step, scores, -0.5 * float(gradient @ step))

    def _preconditioner(self, curvature: FloatArray, ridge: FloatArray) -> Solve:
        # Without a ridge nothing bounds the error that an old factor leaves, so the factor is always a fresh one.
        if self.rows.n_parameters <= DENSE_LIMIT and (self._lost >= self._price() or not ridge.any()):
            self._factor, self._lost = _factorise(self.rows.gram(curvature) + np.diag(ridge)), 0
        if self._factor is not None:
            return self._factor
        diagonal = self.rows.gram_diagonal(curvature) + ridge
        return lambda v: v / np.where(diagonal > 0, diagonal, 1.0)

    def _price(self) -> float:
        """Cost of a factor in products with the Hessian."""
        p = self.rows.n_parameters
        return p**2 * (self.rows.n_rows + p / 3) / (_DENSE_SPEED * 2 * self.rows.n_stored)


def rank_deficient(rows: RowOperator, weight: FloatArray) -> bool:
    """Whether the rows with positive weight leave a direction free, to rounding and whatever the columns' units.

    Beyond 2,000 parameters only the rows are counted.
    """
    p = rows.n_parameters
    if np.count_nonzero(weight) < p:
        return True
    if p > _RANK_LIMIT:
        return False
    scaled, _ = _unit_diagonal(rows.gram(weight))
    return bool(np.linalg.eigvalsh(scaled)[0] <= 10 * p * np.finfo(float).eps)


def _unit_diagonal(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The matrix scaled to a unit diagonal (about the best that scaling can do for its condition), and the scale."""
    diagonal = np.diag(matrix)
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    return matrix * scale[:, None] * scale, scale


def _factorise(hessian: FloatArray) -> Solve:
    """Solver of ``H @ x = v``; H may be singular to rounding, since the factor only preconditions."""
    scaled, scale = _unit_diagonal(hessian)
    jitter = 0.0
    while True:
        factor, failed = dpotrf(scaled + jitter * np.eye(scale.size))
        if not failed:
            # Two triangular solves: dpotrs takes three times as long for one right-hand side.
            return lambda v: np.asarray(scale * dtrsv(factor, dtrsv(factor, scale * v, trans=1)))
        jitter = max(10 * jitter, 1e-15)
