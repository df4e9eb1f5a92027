"""Newton systems of problems with fewer rows than parameters, factorised in as many unknowns as there are rows."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
from scipy.linalg.blas import dtrsv
from scipy.linalg.lapack import dpotrf

from convexpoison.losses import FloatArray
from convexpoison.training.hessian import HessianSolver, Solve
from convexpoison.training.rows import AffineRows

_DENSE_SPEED = 40.0
"""Operations of a dense factorisation in the time of one in a product with the rows (measured)."""


class RowSolver(HessianSolver):
    """Conjugate gradients with the Woodbury inverse of an earlier Hessian as preconditioner.

    ``(R + X' C X)^-1 = R^-1 - R^-1 X' C^1/2 (I + C^1/2 X R^-1 X' C^1/2)^-1 C^1/2 X R^-1`` for a ridge R without zeros. The
    products between clean rows are kept as long as R changes by a factor only.
    """

    def __init__(self, rows: AffineRows) -> None:
        super().__init__(rows)
        self._shape: FloatArray | None = None
        self._clean_products = np.empty((0, 0))

    def _preconditioner(self, curvature: FloatArray, ridge: FloatArray) -> Solve:
        if self._factor is None or self._lost >= self._price():
            self._factor, self._lost = self._woodbury(curvature, ridge), 0
        return self._factor

    def _price(self) -> float:
        n = self._rows.n_rows
        added = n - self._rows.n_clean
        return n * (n * n / 3 + added * self._rows.n_parameters) / (_DENSE_SPEED * 2 * self._rows.n_stored)

    def _woodbury(self, curvature: FloatArray, ridge: FloatArray) -> Solve:
        root, rows = np.sqrt(curvature), deepcopy(self._rows)
        system = root[:, None] * self._products(ridge) * root
        system[np.diag_indices_from(system)] += 1.0
        factor, failed = dpotrf(system)  # at least the identity, so that only NaN can fail
        if failed:
            return lambda v: v / ridge

        def solve(v: FloatArray) -> FloatArray:
            scaled = v / ridge
            inner = dtrsv(factor, dtrsv(factor, root * rows.dot(scaled), trans=1))
            return np.asarray(scaled - rows.transposed_dot(root * inner) / ridge)

        return solve

    def _products(self, ridge: FloatArray) -> FloatArray:
        """``X R^-1 X'`` over all rows, shape (n_rows, n_rows)."""
        rows, scale = self._rows, float(ridge[0])
        n, shape = rows.n_clean, ridge / scale
        if self._shape is None or not np.allclose(shape, self._shape, rtol=1e-12, atol=0.0):
            clean = self._lifted(rows.take(np.arange(n))) / np.sqrt(shape)
            self._shape, self._clean_products = shape, clean @ clean.T
        out = np.empty((rows.n_rows, rows.n_rows))
        out[:n, :n] = self._clean_products
        if rows.n_rows > n:
            added = self._lifted(rows.added) / shape
            cross = np.asarray(rows.clean_slice(np.arange(n)) @ added[:, : rows.n_features].T)
            if rows.has_intercept:
                cross = cross + added[:, -1]
            out[:n, n:], out[n:, :n] = cross, cross.T
            out[n:, n:] = added @ self._lifted(rows.added).T
        return out / scale

    def _lifted(self, X: FloatArray) -> FloatArray:
        return np.column_stack([X, np.ones(len(X))]) if self._rows.has_intercept else X
