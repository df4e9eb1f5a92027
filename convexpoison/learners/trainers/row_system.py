"""Newton systems of problems with fewer rows than parameters, factorised in as many unknowns as there are rows."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
from scipy.linalg.blas import dtrsv
from scipy.linalg.lapack import dpotrf

from convexpoison._utils.types import FloatArray
from convexpoison.learners.trainers.hessian import DENSE_LIMIT, HessianSolver, Solve

_DENSE_SPEED = 40.0
"""Operations of a dense factorisation in the time of one in a product with the rows (measured)."""


class RowSolver(HessianSolver):
    """Conjugate gradients with the Woodbury inverse of an earlier Hessian as preconditioner, while rows are fewer.

    ``(R + X' C X)^-1 = R^-1 - R^-1 X' C^1/2 (I + C^1/2 X R^-1 X' C^1/2)^-1 C^1/2 X R^-1`` for a ridge R without zeros; a
    parameter without a ridge (a free intercept) is given its own curvature for one, which leaves a few more directions to
    the conjugate gradients. As soon as there are as many rows as parameters it is :class:`HessianSolver`.
    """

    def _preconditioner(self, curvature: FloatArray, ridge: FloatArray) -> Solve:
        if not self._fewer_rows:
            return super()._preconditioner(curvature, ridge)
        if self._factor is None or self._lost >= self._price():
            self._factor, self._lost = self._woodbury(curvature, ridge), 0
        return self._factor

    @property
    def _fewer_rows(self) -> bool:
        return self.rows.n_rows < min(self.rows.n_parameters, DENSE_LIMIT)

    def _price(self) -> float:
        if not self._fewer_rows:
            return super()._price()
        n = self.rows.n_rows
        added = n - self.rows.n_clean
        return n * (n * n / 3 + added * self.rows.n_parameters) / (_DENSE_SPEED * 2 * self.rows.n_stored)

    def _woodbury(self, curvature: FloatArray, ridge: FloatArray) -> Solve:
        root, rows = np.sqrt(curvature), deepcopy(self.rows)
        if not ridge.all():
            diagonal = rows.gram_diagonal(curvature)
            ridge = np.where(ridge > 0, ridge, np.where(diagonal > 0, diagonal, 1.0))
        system = root[:, None] * self.rows.row_gram(1.0 / ridge) * root
        system[np.diag_indices_from(system)] += 1.0
        factor, failed = dpotrf(system)  # at least the identity, so that only NaN can fail
        if failed:
            return lambda v: v / ridge

        def solve(v: FloatArray) -> FloatArray:
            scaled = v / ridge
            inner = dtrsv(factor, dtrsv(factor, root * rows.dot(scaled), trans=1))
            return np.asarray(scaled - rows.transposed_dot(root * inner) / ridge)

        return solve
