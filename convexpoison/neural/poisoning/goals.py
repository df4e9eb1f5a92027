"""Goals of clean-label poison: to lower the certified radius or the accuracy of a class or of a single image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convexpoison.neural.training.objectives import Batch, Memory, Objective, radius_gap, smoothed


@dataclass(frozen=True)
class SoftRadius(Objective):
    """Mean radius of the soft smoothed classifier; 0 for misclassified images (PACD, Section 3.2).

    Parameters
    ----------
    sigma : float
    k : int
        Noise draws per image.
    alpha : float
        Inverse temperature of the softmax.
    shrink : float
        Probabilities p are replaced by ``(1 - 2 shrink) p + shrink``, as in PACD's code; for 0, radii are only kept finite.

    Notes
    -----
    The network is evaluated in evaluation mode: without dropout, with the batch statistics of training.
    """

    sigma: float
    k: int = 20
    alpha: float = 16.0
    shrink: float = 1e-3

    def __post_init__(self) -> None:
        if not (self.sigma > 0 and self.alpha > 0 and 0 <= self.shrink < 0.5) or self.k < 1:
            raise ValueError(f"sigma > 0, alpha > 0, 0 <= shrink < 0.5 and k >= 1 are needed; got {self}")

    def loss(self, network: nn.Module, batch: Batch, memory: Memory, sigma: float | Tensor | None = None) -> Tensor:
        sigma = self.sigma if sigma is None else sigma
        training = network.training
        network.eval()
        logits = network((batch.X[:, None] + batch.noise(self.k, sigma)).flatten(0, 1)).double()
        network.train(training)
        p = (1.0 - 2.0 * self.shrink) * smoothed(self.alpha * logits, self.k) + self.shrink
        gap, right = radius_gap(p, batch.y)
        return (0.5 * sigma * torch.where(right, gap, torch.zeros_like(gap))).mean()


@dataclass(frozen=True)
class NegatedCrossEntropy(Objective):
    """Negated cross-entropy: the objective of an attack on accuracy (PACD, Eq. (4), printed with the opposite sign)."""

    sigma: float = 0.0

    def loss(self, network: nn.Module, batch: Batch, memory: Memory, sigma: float | Tensor | None = None) -> Tensor:
        training = network.training
        network.eval()
        logits = network(batch.X)
        network.train(training)
        return -F.cross_entropy(logits, batch.y)


@dataclass(frozen=True)
class TargetClass:
    """An attacked class: its clean images are the target, its training images are changed.

    Parameters
    ----------
    label : int
    goal : {"radius", "accuracy"}
        Average certified radius (PACD, Eq. (2)) or accuracy (Eq. (4)).
    n_poison : int, optional
        Number of training images to change, drawn at random; default: all of the class.
    """

    label: int
    goal: Literal["radius", "accuracy"] = "radius"
    n_poison: int | None = None

    def __post_init__(self) -> None:
        if self.goal not in ("radius", "accuracy"):
            raise ValueError(f"unknown goal {self.goal!r}; choose 'radius' or 'accuracy'")

    def rows(self, X: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the rows of the training set to change, in ascending order."""
        own = _own(y, self.label)
        return own if self.n_poison is None else np.sort(rng.permutation(own)[: _count(self.n_poison, len(own))])

    def judged(self, X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the validation images and labels of the class."""
        own = _own(y, self.label, "validation images; hold out more data (validation=)")
        return X[own], y[own]


@dataclass(frozen=True, eq=False)
class TargetPoint:
    """A single image whose certified radius is attacked (PACD, Appendix D.6).

    Parameters
    ----------
    image : array of shape (channels, height, width)
    label : int
    n_poison : int, optional
        Number of training images to change, the nearest ones of that class; default: 1 % of the training set.
    """

    image: Any
    label: int
    n_poison: int | None = None

    @property
    def goal(self) -> str:
        """Always the radius."""
        return "radius"

    def rows(self, X: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the rows of the training set to change, in ascending order."""
        own = _own(y, self.label)
        if X.shape[1:] != np.shape(self.image):
            raise ValueError(f"the image has shape {np.shape(self.image)}; those of the data have {X.shape[1:]}")
        n = _count(max(1, round(0.01 * len(y))) if self.n_poison is None else self.n_poison, len(own))
        away = (
            ((X[own].astype(np.float64) - np.asarray(self.image, dtype=np.float64)) ** 2).reshape(len(own), -1).sum(1)
        )
        return np.sort(own[np.argsort(away, kind="stable")[:n]])

    def judged(self, X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the image itself and its label, as a batch of one."""
        return np.asarray(self.image, dtype=np.float32)[None], np.array([self.label])


Target = TargetClass | TargetPoint


def as_target(target: Any) -> Target:
    """Return a target unchanged, or the :class:`TargetClass` of an integer.

    Raises
    ------
    TypeError
        If ``target`` is neither.
    """
    if isinstance(target, TargetClass | TargetPoint):
        return target
    if isinstance(target, int | np.integer) and not isinstance(target, bool):
        return TargetClass(int(target))
    raise TypeError(f"target is {target!r}; pass a class (an integer), a TargetClass or a TargetPoint")


def _own(y: np.ndarray, label: int, where: str = "training images") -> np.ndarray:
    own = np.flatnonzero(y == label)
    if not own.size:
        raise ValueError(f"class {label} has no {where}; the classes are {np.unique(y).tolist()}")
    return own


def _count(n: int, available: int) -> int:
    if not 1 <= n <= available:
        raise ValueError(f"n_poison is {n}; the class has {available} training images to change")
    return n
