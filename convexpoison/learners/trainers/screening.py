"""Which rows can have crossed margin 1 since all margins were last computed.

A margin ``y (w @ x + b)`` moves by at most ``|theta - theta_ref| * |(x, 1)|`` (Cauchy-Schwarz). A row whose distance
from margin 1 at the reference is larger than that is on the same side still: leaving it out is exact, not approximate, if
its state was right at the reference. Rows whose state was not have to be watched (:meth:`Screen.watch`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.data.row_operator import RowOperator

_NEAR_SHARE = 6
"""One row in six is looked at between two looks at all rows: on MNIST the two costs are then about equal."""


class Screen:
    """Margins of the rows near margin 1, and, when the model has moved too far, of all rows again."""

    def __init__(self, rows: RowOperator) -> None:
        self._rows = rows
        self._norms = np.sqrt(rows.squared_norms() + 1.0)
        self._reference: tuple[FloatArray, float] | None = None
        self._radius = -1.0
        self._near = np.empty(0, dtype=np.intp)
        self._near_clean: Any = None  # built when it is first needed: a model in fast motion needs all rows anyway
        self._near_added = np.empty(0, dtype=np.intp)
        self._rows_at_reference = rows.n_rows
        self._complete = False
        self.refreshes = 0

    def scores(self, w: FloatArray, b: float, sign: FloatArray) -> tuple[np.ndarray, FloatArray]:
        """Numbers of the rows that may have crossed, and their scores ``x @ w + b``."""
        if self._reference is None or self._drift(w, b) > self._radius:
            scores = self._rows.dot(w) + b
            self._refresh(w, b, scores * sign)
            self._complete = True
            return np.arange(self._rows.n_rows), scores
        self._complete = False
        added = self._rows.added
        fresh = np.arange(self._rows_at_reference, self._rows.n_rows)
        if self._near_clean is None:
            self._near_clean = self._rows.clean_slice(self._near[: self._near.size - self._near_added.size])
        parts = [
            self._near_clean @ w,
            added[self._near_added] @ w,
            added[self._rows_at_reference - self._rows.n_clean :] @ w,
        ]
        return np.concatenate([self._near, fresh]), np.concatenate(parts) + b

    @property
    def complete(self) -> bool:
        """Whether the last scores were those of all rows."""
        return self._complete

    def watch(self, index: np.ndarray) -> None:
        """Look at these rows as well until all rows are looked at again."""
        if not np.isin(index, self._near).all():
            self._set_near(np.union1d(self._near, index))

    def replaced(self, index: np.ndarray) -> None:
        """These added rows are others now."""
        known = index[index < self._norms.size]
        rows = self._rows.added[known - self._rows.n_clean]
        self._norms[known] = np.sqrt(np.einsum("ij,ij->i", rows, rows) + 1.0)
        self.watch(index[index < self._rows_at_reference])

    def _drift(self, w: FloatArray, b: float) -> float:
        assert self._reference is not None
        return float(np.hypot(np.linalg.norm(w - self._reference[0]), b - self._reference[1]))

    def _refresh(self, w: FloatArray, b: float, margins: FloatArray) -> None:
        n_rows = self._rows.n_rows
        if n_rows > self._norms.size:
            late = self._rows.added[self._norms.size - self._rows.n_clean :]
            self._norms = np.concatenate([self._norms, np.sqrt(np.einsum("ij,ij->i", late, late) + 1.0)])
        slack = np.abs(1.0 - margins) / self._norms
        k = min(n_rows // _NEAR_SHARE, n_rows - 1)
        self._radius = float(np.partition(slack, k)[k])
        self._set_near(np.flatnonzero(slack <= self._radius))
        self._reference = (w.copy(), b)
        self._rows_at_reference = n_rows
        self.refreshes += 1

    def _set_near(self, near: np.ndarray) -> None:
        """Rows to look at, in ascending order, and their storage."""
        self._near = near
        self._near_clean = None
        self._near_added = near[near >= self._rows.n_clean] - self._rows.n_clean
