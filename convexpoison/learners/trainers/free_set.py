"""The free rows of the hinge dual: those whose multiplier lies strictly between its bounds, with their Gram matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg.lapack import dposv

from convexpoison._utils.types import FloatArray

_PROXIMAL = 1e-10
"""Diagonal shift relative to the mean diagonal: turns a solve with linearly dependent rows into a proximal step."""


class FreeSet:
    """Rows in no particular order, dense or CSR, kept together with their inner products."""

    def __init__(self, n_features: int, *, sparse: bool = False) -> None:
        self._rows: Any = sp.csr_matrix((0, n_features)) if sparse else np.empty((32, n_features))
        self._gram = np.empty((32, 32))
        self._index = np.empty(32, dtype=np.intp)
        self._sparse = sparse
        self.size = 0

    @property
    def index(self) -> np.ndarray:
        """Numbers of the rows, shape (size,)."""
        return self._index[: self.size]

    @property
    def rows(self) -> Any:
        """The rows, shape (size, n_features)."""
        return self._rows if self._sparse else self._rows[: self.size]

    def insert(self, index: np.ndarray, rows: Any) -> None:
        """Take in rows of those numbers."""
        old, new = self.size, self.size + index.size
        while new > self._index.size:
            self._index = np.concatenate([self._index, np.empty_like(self._index)])
            self._gram = np.pad(self._gram, (0, self._gram.shape[0]))
        self._append_rows(rows, new)
        self._index[old:new] = index
        cross = self._rows[:new] @ rows.T
        cross = cross.toarray() if self._sparse else cross
        self._gram[:new, old:new] = cross
        self._gram[old:new, :new] = cross.T
        self.size = new

    def _append_rows(self, rows: Any, new: int) -> None:
        if self._sparse:
            self._rows = sp.vstack([self._rows, rows], format="csr")
            return
        while new > self._rows.shape[0]:
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
        self._rows[self.size : new] = rows

    def remove(self, positions: np.ndarray) -> None:
        """Let go the rows at these positions; the last rows move into the holes."""
        place = np.arange(self.size)
        for hole in np.sort(positions)[::-1]:
            last = self.size - 1
            if hole != last:
                place[hole] = place[last]
                self._index[hole] = self._index[last]
                self._gram[hole, : self.size] = self._gram[last, : self.size]
                self._gram[: self.size, hole] = self._gram[: self.size, last]
            self.size = last
        place = place[: self.size]
        if self._sparse:
            self._rows = self._rows[place]
        else:
            moved = np.flatnonzero(place != np.arange(self.size))
            self._rows[moved] = self._rows[place[moved]]

    def kernel(self, sign: FloatArray, intercept: float) -> FloatArray:
        """``y_i y_j (x_i @ x_j + intercept)``, shape (size, size)."""
        return np.asarray((self._gram[: self.size, : self.size] + intercept) * (sign[:, None] * sign))

    @staticmethod
    def solve(kernel: FloatArray, right: FloatArray) -> FloatArray:
        """``(kernel + shift) @ step = right``; the shift grows until the factorisation goes through."""
        diagonal = kernel.diagonal()
        shift = _PROXIMAL * max(float(diagonal.mean()), np.finfo(float).tiny)
        while True:
            shifted = kernel + 0.0
            shifted.flat[:: kernel.shape[0] + 1] = diagonal + shift
            _, step, info = dposv(shifted.T, right, lower=1, overwrite_a=1)  # symmetric: .T is its Fortran order
            if info == 0:
                return np.asarray(step)
            shift *= 100.0
