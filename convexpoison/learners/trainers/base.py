"""What a trainer is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.linear_model import LinearModel

if TYPE_CHECKING:
    from convexpoison.learners.victim import Victim


class Trainer(ABC):
    """Keeps the victim's exact minimiser while rows are added.

    A trainer is fitted when it has been built; :meth:`add` puts further rows in and refits from where it stands.
    ``model`` is always the minimiser on all rows so far, to a duality gap of at most ``1e-9`` relative to the
    objective (``gap`` holds the absolute one).
    """

    victim: Victim
    model: LinearModel
    gap: float

    @abstractmethod
    def __init__(self, victim: Victim, data: TrainingData) -> None: ...

    @abstractmethod
    def add(self, x: FloatArray, y: float, weight: float = 1.0) -> None:
        """Add one row (shape (n_features,)) with that label or response, ``weight`` times, and refit."""

    @abstractmethod
    def place(self, points: FloatArray, labels: FloatArray, weights: np.ndarray) -> np.ndarray:
        """Add rows that :meth:`move` may take elsewhere, and refit once; their numbers for it."""

    @abstractmethod
    def move(self, places: np.ndarray, points: FloatArray, labels: FloatArray) -> None:
        """Replace placed rows and refit once, from where the model stands; labels may change where they are responses."""

    @property
    @abstractmethod
    def objective(self) -> float:
        """``F(model)`` on all rows so far."""

    @abstractmethod
    def clean_loss(self) -> float:
        """``L(model; D_c)``: the sum of the losses over the rows that the trainer was built with, without those added."""
