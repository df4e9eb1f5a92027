"""The contract of a trainer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.linear_model import LinearModel

if TYPE_CHECKING:
    from convexpoison.learners.victim import Victim


class Trainer(ABC):
    """Keeps the victim's exact minimiser while rows are added, moved and reweighted.

    A trainer is fitted when it has been built; each change of the rows refits it from the present model. ``model`` is the
    minimiser on all rows with their present weights, to a duality gap of at most ``1e-9`` relative to the objective
    (``gap`` holds the absolute one). Rows are numbered: 0 to n_clean-1 are those that the trainer was built with, added ones
    follow. After an exception of a refit the trainer is of no further use; exceptions about arguments leave it as it was.
    """

    victim: Victim
    model: LinearModel
    gap: float

    @abstractmethod
    def __init__(self, victim: Victim, data: TrainingData) -> None: ...

    @abstractmethod
    def add(self, x: FloatArray, y: float, weight: float = 1.0) -> int:
        """Add one row (shape (n_features,)) with that label or response, ``weight`` times, refit, and return its number.

        A row that was added before (same x, same y) is not stored again: its weight grows.
        """

    @abstractmethod
    def place(self, points: FloatArray, labels: FloatArray, weights: np.ndarray) -> np.ndarray:
        """Add rows that :meth:`move` may replace, refit once, and return their numbers."""

    @abstractmethod
    def move(self, places: np.ndarray, points: FloatArray, labels: FloatArray) -> None:
        """Replace placed rows and refit once, from the present model; labels may change if they are responses."""

    def reweight(self, index: ArrayLike, weights: ArrayLike) -> None:
        """Give rows other weights and refit once, from the present model.

        Parameters
        ----------
        index : int array of shape (n,)
            Numbers of different rows, clean or added.
        weights : array of shape (n,)
            Their new weights; 0 removes a row, a later positive weight puts it back.

        Raises
        ------
        ValueError
            If index or weights are not valid, no row would have a positive weight, or the minimiser would not be unique
            (see the trainer).
        """
        index, weights = np.asarray(index), np.asarray(weights, dtype=np.float64)
        index = index.astype(np.intp) if index.size == 0 else index
        after = self.weights.copy()
        if index.ndim != 1 or index.shape != weights.shape or index.dtype.kind not in "iu":
            raise ValueError(
                f"index must hold integers, and weights one number for each; got shapes {index.shape}, {weights.shape}"
            )
        if np.unique(index).size < index.size or (index.size and not 0 <= index.min() <= index.max() < after.size):
            raise ValueError(f"index must hold different numbers of rows, from 0 to {after.size - 1}")
        if not np.isfinite(weights).all() or (weights < 0).any():
            raise ValueError("weights must be finite and not negative")
        after[index] = weights
        if not after.any():
            raise ValueError("no row would have a positive weight; leave one at least")
        changed = index[after[index] != self.weights[index]]
        if changed.size:
            self._reweight(changed, after)

    @property
    @abstractmethod
    def weights(self) -> FloatArray:
        """Present weights of all rows, shape (n_rows,); not to be written to."""

    @abstractmethod
    def _reweight(self, index: np.ndarray, weights: FloatArray) -> None:
        """Refit with these weights of all rows, shape (n_rows,), which differ from the present ones at ``index``."""

    @property
    @abstractmethod
    def objective(self) -> float:
        """``F(model)`` on all rows with their present weights."""

    @abstractmethod
    def clean_loss(self) -> float:
        """Return ``L(model; D_c)``: the sum of the losses over the rows, with the weights, that the trainer was built with.

        Neither added rows nor later weights of clean ones count.
        """
