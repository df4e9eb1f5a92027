"""The trainer's rows: clean ones, dense or sparse, and a growing dense block of added ones, under one index."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import scipy.sparse as sp

from convexpoison._utils.types import FloatArray

_SPARSE_BELOW = 0.25
"""Share of nonzeros under which a product with a CSR matrix is faster than with a dense one (measured on MNIST)."""
_GRAM_SPARSE_BELOW = 0.05
"""Share of nonzeros under which a sparse Gram product is faster than a dense one in blocks (measured)."""
_GRAM_BLOCK = 1024


class GrowingRows:
    """Rows 0..n_clean-1 are the clean data; rows added later follow."""

    def __init__(self, X: Any) -> None:
        if not sp.issparse(X) and np.count_nonzero(X) < _SPARSE_BELOW * X.size:
            X = sp.csr_matrix(X)
        self._clean = X
        self._clean_transposed = X.T.tocsr() if sp.issparse(X) else X.T
        self._added = np.empty((16, X.shape[1]))
        self._clean_products: tuple[FloatArray, FloatArray] | None = None
        self.n_clean = int(X.shape[0])
        self.n_features = int(X.shape[1])
        self.n_rows = self.n_clean

    def __deepcopy__(self, memo: dict[int, Any]) -> GrowingRows:
        """A copy that grows by itself; the clean block never changes and is shared."""
        twin = copy(self)
        twin._added = self._added.copy()
        return twin

    def append(self, x: FloatArray) -> int:
        """Add a row; its index."""
        k = self.n_rows - self.n_clean
        if k == self._added.shape[0]:
            self._added = np.concatenate([self._added, np.empty_like(self._added)])
        self._added[k] = x
        self.n_rows += 1
        return self.n_rows - 1

    def replace(self, i: int, x: FloatArray) -> None:
        """Let an added row be another."""
        self._added[i - self.n_clean] = x

    @property
    def added(self) -> FloatArray:
        """The added rows, shape (n_added, n_features)."""
        return self._added[: self.n_rows - self.n_clean]

    def dot(self, w: FloatArray) -> FloatArray:
        """``X @ w`` over all rows."""
        return np.concatenate([self._clean @ w, self.added @ w])

    def transposed_dot(self, v: FloatArray) -> FloatArray:
        """``X.T @ v`` over all rows, v of shape (n_rows,)."""
        return np.asarray(self._clean_transposed @ v[: self.n_clean] + v[self.n_clean :] @ self.added)

    def clean_slice(self, index: np.ndarray) -> Any:
        """Those clean rows, in the storage of the clean block."""
        return self._clean[index]

    def take(self, index: np.ndarray) -> FloatArray:
        """Those rows, dense, in that order."""
        out = np.empty((index.size, self.n_features))
        clean = index < self.n_clean
        rows = self._clean[index[clean]]
        out[clean] = rows.toarray() if sp.issparse(rows) else rows
        out[~clean] = self._added[index[~clean] - self.n_clean]
        return out

    @property
    def is_sparse(self) -> bool:
        """Whether rows have so few nonzeros that even their inner products are faster without the zeros."""
        clean = self._clean
        return bool(sp.issparse(clean) and clean.nnz < _GRAM_SPARSE_BELOW * self.n_clean * self.n_features)

    def pick(self, index: np.ndarray) -> Any:
        """Those rows in that order: CSR if :attr:`is_sparse`, dense if not."""
        if not self.is_sparse:
            return self.take(index)
        is_clean = index < self.n_clean
        added = sp.csr_matrix(self._added[index[~is_clean] - self.n_clean])
        stacked = sp.vstack([self._clean[index[is_clean]], added], format="csr")
        return stacked[np.argsort(np.argsort(~is_clean, kind="stable"))]

    def squared_norms(self) -> FloatArray:
        """``|x|**2`` of every row."""
        if sp.issparse(self._clean):
            clean = np.asarray(self._clean.multiply(self._clean).sum(axis=1)).ravel()
        else:
            clean = np.einsum("ij,ij->i", self._clean, self._clean)
        return np.concatenate([clean, np.einsum("ij,ij->i", self.added, self.added)])

    def gram(self, weight: FloatArray) -> FloatArray:
        """``X.T @ diag(weight) @ X``, shape (n_features, n_features)."""
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

    def row_gram(self, scale: FloatArray) -> FloatArray:
        """``X @ diag(scale) @ X.T`` over all rows, shape (n_rows, n_rows), for positive scales.

        The products between clean rows are kept as long as the scales change by a factor only.
        """
        n, factor = self.n_clean, float(scale[0])
        shape = scale / factor
        if self._clean_products is None or not np.allclose(shape, self._clean_products[0], rtol=1e-12, atol=0.0):
            self._clean_products = shape, self._products_between_clean_rows(shape)
        out = np.empty((self.n_rows, self.n_rows))
        out[:n, :n] = self._clean_products[1]
        if self.n_rows > n:
            scaled = self.added * shape
            out[:n, n:] = self._clean @ scaled.T
            out[n:, :n] = out[:n, n:].T
            out[n:, n:] = scaled @ self.added.T
        return out * factor

    def _products_between_clean_rows(self, shape: FloatArray) -> FloatArray:
        if self._very_sparse:
            return np.asarray((self._clean.multiply(shape).tocsr() @ self._clean_transposed).toarray())
        clean = self._clean.toarray() if sp.issparse(self._clean) else self._clean
        return np.asarray((clean * shape) @ clean.T)

    @property
    def _very_sparse(self) -> bool:
        return sp.issparse(self._clean) and self.n_stored < _GRAM_SPARSE_BELOW * self.n_rows * self.n_features

    def gram_diagonal(self, weight: FloatArray) -> FloatArray:
        """Diagonal of :meth:`gram`, shape (n_features,), without forming the matrix."""
        if sp.issparse(self._clean):
            clean = self._clean_transposed.power(2) @ weight[: self.n_clean]
        else:
            clean = np.einsum("i,ij,ij->j", weight[: self.n_clean], self._clean, self._clean)
        return np.asarray(clean + np.einsum("i,ij,ij->j", weight[self.n_clean :], self.added, self.added))

    @property
    def n_stored(self) -> int:
        """Numbers that one product with the rows reads."""
        clean = self._clean.nnz if sp.issparse(self._clean) else self._clean.size
        return max(1, int(clean) + self.added.size)


class AffineRows(GrowingRows):
    """Rows with a column of ones for the intercept (where there is one): products are with ``theta = (w, b)``."""

    def __init__(self, X: Any, intercept: bool) -> None:
        super().__init__(X)
        self.has_intercept = intercept
        self.n_parameters = self.n_features + intercept

    def lift(self, x: FloatArray) -> FloatArray:
        """One row with its 1 for the intercept, shape (n_parameters,)."""
        return np.append(x, 1.0) if self.has_intercept else x

    def dot(self, w: FloatArray) -> FloatArray:
        return super().dot(w[:-1]) + w[-1] if self.has_intercept else super().dot(w)

    def transposed_dot(self, v: FloatArray) -> FloatArray:
        product = super().transposed_dot(v)
        return np.append(product, v.sum()) if self.has_intercept else product

    def gram(self, weight: FloatArray) -> FloatArray:
        if not self.has_intercept:
            return super().gram(weight)
        column = super().transposed_dot(weight)[:, None]
        return np.block([[super().gram(weight), column], [column.T, np.full((1, 1), weight.sum())]])

    def gram_diagonal(self, weight: FloatArray) -> FloatArray:
        diagonal = super().gram_diagonal(weight)
        return np.append(diagonal, weight.sum()) if self.has_intercept else diagonal

    def row_gram(self, scale: FloatArray) -> FloatArray:
        return super().row_gram(scale[:-1]) + scale[-1] if self.has_intercept else super().row_gram(scale)
