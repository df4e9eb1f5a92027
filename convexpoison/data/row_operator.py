"""Products with rows: dense or sparse, with or without a column of ones, and with rows added behind them."""

from __future__ import annotations

from copy import copy
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from convexpoison._utils.types import FloatArray
from convexpoison.data.frames import as_dense, faster_storage
from convexpoison.numerics.interval_matrix import Matrix

_GRAM_SPARSE_BELOW = 0.05
"""Share of nonzeros under which a sparse Gram product is faster than a dense one in blocks (measured)."""
_GRAM_BLOCK = 1024


class RowOperator:
    """A matrix of rows x, or (x, 1) with an intercept: rows 0..n_clean-1 are fixed, rows added later follow.

    Parameters
    ----------
    X : array or CSR matrix of shape (n_clean, n_features)
    intercept : bool
        Whether there is a column of ones behind the features: products are then with ``theta = (w, b)``.
    """

    def __init__(self, X: Any, intercept: bool = False) -> None:
        self._clean = faster_storage(X)
        self._clean_transposed = self._clean.T.tocsr() if sp.issparse(self._clean) else self._clean.T
        self._added = np.empty((0, X.shape[1]))
        self._clean_products: tuple[FloatArray, FloatArray] | None = None
        self.has_intercept = bool(intercept)
        self.n_clean = int(X.shape[0])
        self.n_features = int(X.shape[1])
        self.n_rows = self.n_clean

    @cached_property
    def clean_intervals(self) -> Matrix:
        """The clean rows, without a column of ones, for products in interval arithmetic."""
        return Matrix(self._clean)

    @property
    def n_parameters(self) -> int:
        """Number of columns, that of ones included."""
        return self.n_features + self.has_intercept

    # ---------------------------------------------------------------- operators made of this one

    def growing(self, intercept: bool) -> RowOperator:
        """Return an operator on the same clean rows, which are shared, and copies of the added ones: it grows by itself."""
        twin = copy(self)
        twin.has_intercept = bool(intercept)
        twin._added = self.added.copy()
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> RowOperator:
        return self.growing(self.has_intercept)

    def absolute(self) -> RowOperator:
        """Return the operator of the absolute values of all entries."""
        twin = self._on(abs(self._clean), abs(self._clean_transposed))
        twin._added = np.abs(self.added)
        return twin

    def restricted(self, index: np.ndarray) -> RowOperator:
        """Return the operator of those clean rows, in that order, and of the added ones, which are shared."""
        clean = self._clean[index]
        return self._on(clean, clean.T)

    def _on(self, clean: Any, transposed: Any) -> RowOperator:
        twin = copy(self)
        twin._clean, twin._clean_transposed, twin._clean_products = clean, transposed, None
        twin.__dict__.pop("clean_intervals", None)
        twin.n_clean = int(clean.shape[0])
        twin.n_rows = twin.n_clean + self.n_rows - self.n_clean
        return twin

    # ---------------------------------------------------------------- added rows

    def append(self, x: FloatArray) -> int:
        """Add a row and return its index."""
        k = self.n_rows - self.n_clean
        if k == self._added.shape[0]:
            self._added = np.concatenate([self._added, np.empty((max(16, k), self.n_features))])
        self._added[k] = x
        self.n_rows += 1
        return self.n_rows - 1

    def replace(self, i: int, x: FloatArray) -> None:
        """Put another row in the place of an added one."""
        self._added[i - self.n_clean] = x

    @property
    def added(self) -> FloatArray:
        """The added rows, shape (n_added, n_features)."""
        return self._added[: self.n_rows - self.n_clean]

    # ---------------------------------------------------------------- rows

    def lift(self, x: FloatArray) -> FloatArray:
        """Return a row, or rows, with their 1 for the intercept, shape (..., n_parameters)."""
        return np.concatenate([x, np.ones((*x.shape[:-1], 1))], axis=-1) if self.has_intercept else x

    def clean_slice(self, index: np.ndarray) -> Any:
        """Return those clean rows, in the storage of the clean block and without a 1."""
        return self._clean[index]

    def take(self, index: np.ndarray) -> FloatArray:
        """Return those rows, dense, in that order and without a 1, shape (n, n_features)."""
        out = np.empty((index.size, self.n_features))
        clean = index < self.n_clean
        out[clean] = as_dense(self._clean[index[clean]])
        out[~clean] = self._added[index[~clean] - self.n_clean]
        return out

    @property
    def is_sparse(self) -> bool:
        """Whether rows have so few nonzeros that even their inner products are faster without the zeros."""
        clean = self._clean
        return bool(sp.issparse(clean) and clean.nnz < _GRAM_SPARSE_BELOW * self.n_clean * self.n_features)

    def pick(self, index: np.ndarray) -> Any:
        """Return those rows, in that order and without a 1: CSR if :attr:`is_sparse`, else dense."""
        if not self.is_sparse:
            return self.take(index)
        is_clean = index < self.n_clean
        added = sp.csr_matrix(self._added[index[~is_clean] - self.n_clean])
        stacked = sp.vstack([self._clean[index[is_clean]], added], format="csr")
        return stacked[np.argsort(np.argsort(~is_clean, kind="stable"))]

    def squared_norms(self) -> FloatArray:
        """Return ``|x|**2`` of every row, its 1 not counted."""
        if sp.issparse(self._clean):
            clean = np.asarray(self._clean.multiply(self._clean).sum(axis=1)).ravel()
        else:
            clean = np.einsum("ij,ij->i", self._clean, self._clean)
        return np.concatenate([clean, np.einsum("ij,ij->i", self.added, self.added)])

    @property
    def n_stored(self) -> int:
        """Numbers that one product with the rows reads."""
        clean = self._clean.nnz if sp.issparse(self._clean) else self._clean.size
        return max(1, int(clean) + self.added.size)

    # ---------------------------------------------------------------- products

    def dot(self, theta: FloatArray) -> FloatArray:
        """Return the scores of all rows, shape (n_rows,)."""
        w = theta[: self.n_features]
        scores: FloatArray = self._clean @ w
        if self.n_rows > self.n_clean:
            scores = np.concatenate([scores, self.added @ w])
        return scores + theta[-1] if self.has_intercept else scores

    def transposed_dot(self, v: FloatArray) -> FloatArray:
        """Return the sum of all rows with weights v of shape (n_rows,), shape (n_parameters,)."""
        product = self._features_dot(v)
        return np.append(product, v.sum()) if self.has_intercept else product

    def _features_dot(self, v: FloatArray) -> FloatArray:
        product: FloatArray = self._clean_transposed @ v[: self.n_clean]
        return product + v[self.n_clean :] @ self.added if self.n_rows > self.n_clean else product

    def gram(self, weight: FloatArray) -> FloatArray:
        """Return ``A.T @ diag(weight) @ A`` for the matrix A of all rows, shape (n_parameters, n_parameters)."""
        square = self._features_gram(weight)
        if not self.has_intercept:
            return square
        column = self._features_dot(weight)[:, None]
        return np.block([[square, column], [column.T, np.full((1, 1), weight.sum())]])

    def _features_gram(self, weight: FloatArray) -> FloatArray:
        clean, added = weight[: self.n_clean], weight[self.n_clean :]
        total: FloatArray = (self.added * added[:, None]).T @ self.added
        live = np.flatnonzero(clean)
        if self._very_sparse:
            rows = self._clean[live]
            return np.asarray(total + (rows.T @ rows.multiply(clean[live, None]).tocsr()).toarray())
        for start in range(0, live.size, _GRAM_BLOCK):  # in blocks: a dense copy of all rows would not be modest
            index = live[start : start + _GRAM_BLOCK]
            block = self.take(index)
            total += (block * clean[index, None]).T @ block
        return total

    def gram_diagonal(self, weight: FloatArray) -> FloatArray:
        """Return the diagonal of :meth:`gram`, shape (n_parameters,), without forming the matrix."""
        if sp.issparse(self._clean):
            clean = self._clean_transposed.power(2) @ weight[: self.n_clean]
        else:
            clean = np.einsum("i,ij,ij->j", weight[: self.n_clean], self._clean, self._clean)
        diagonal = clean + np.einsum("i,ij,ij->j", weight[self.n_clean :], self.added, self.added)
        return np.append(diagonal, weight.sum()) if self.has_intercept else np.asarray(diagonal)

    def row_gram(self, scale: FloatArray) -> FloatArray:
        """Return ``A @ diag(scale) @ A.T`` for positive scales of shape (n_parameters,), shape (n_rows, n_rows).

        The products between clean rows are kept as long as the scales change by a factor only.
        """
        n, factor = self.n_clean, float(scale[0])
        shape = scale[: self.n_features] / factor
        if self._clean_products is None or not np.allclose(shape, self._clean_products[0], rtol=1e-12, atol=0.0):
            self._clean_products = shape, self._products_between_clean_rows(shape)
        out = np.empty((self.n_rows, self.n_rows))
        out[:n, :n] = self._clean_products[1]
        if self.n_rows > n:
            scaled = self.added * shape
            out[:n, n:] = self._clean @ scaled.T
            out[n:, :n] = out[:n, n:].T
            out[n:, n:] = scaled @ self.added.T
        out *= factor
        return out + scale[-1] if self.has_intercept else out

    def _products_between_clean_rows(self, shape: FloatArray) -> FloatArray:
        if self._very_sparse:
            return np.asarray((self._clean.multiply(shape).tocsr() @ self._clean_transposed).toarray())
        clean = as_dense(self._clean)
        return np.asarray((clean * shape) @ clean.T)

    @property
    def _very_sparse(self) -> bool:
        return sp.issparse(self._clean) and self.n_stored < _GRAM_SPARSE_BELOW * self.n_rows * self.n_features
