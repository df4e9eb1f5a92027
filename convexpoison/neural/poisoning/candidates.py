"""Feasible sets of model-targeted poisoning of a network: a finite set of images, or the whole pixel range.

Both solve the maximisation of MTP's Algorithm 1: the image and label with the largest difference between the current network's
loss and the target network's. Over a finite set the maximum is exact; over the pixel range it is found by gradient ascent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convexpoison.neural.smoothing.inputs import check_count, check_positive
from convexpoison.neural.training.full_batch import losses

Rows = tuple[Any, Any]


@dataclass(frozen=True, eq=False)
class Choice:
    """A chosen image.

    Attributes
    ----------
    point : float32 array of shape (channels, height, width)
    label : int
    place : int
        Index among the candidates; -1 for an image outside them.
    difference : float
        The current network's loss on it minus the target network's.
    """

    point: np.ndarray
    label: int
    place: int
    difference: float


class Candidates(Protocol):
    """A feasible set of poison images."""

    def best(self, network: nn.Module) -> Choice:
        """Return the image with the largest loss difference between ``network`` and the target network."""
        ...

    def content(self) -> Iterator[np.ndarray]:
        """Yield the arrays on which the choices depend, apart from the networks."""
        ...


class CandidateSet:
    """A finite set of labelled images (MTP, Appendix F.2)."""

    def __init__(self, candidates: Rows, target: nn.Module) -> None:
        if not len(candidates[1]) or len(candidates[0]) != len(candidates[1]):
            raise ValueError(
                f"one label per image is needed; got {len(candidates[0])} candidates, {len(candidates[1])} labels"
            )
        self._X, self._y = np.asarray(candidates[0], dtype=np.float32), np.asarray(candidates[1], dtype=np.int64)
        self._losses = losses(target, self._X, self._y)

    def best(self, network: nn.Module) -> Choice:
        differences = losses(network, self._X, self._y) - self._losses
        k = int(differences.argmax())
        return Choice(self._X[k], int(self._y[k]), k, float(differences[k]))

    def content(self) -> Iterator[np.ndarray]:
        yield from (self._X, self._y)


@dataclass(frozen=True)
class PixelBox:
    """All images in the pixel range, with any label of the training data (MTP, Appendix F.1 and Figure 18).

    Parameters
    ----------
    starts : int
        Starting points of each label's search: the training images with the largest difference under that label.
    steps : int
        Steps of projected gradient ascent (Adam) on the pixels.
    rate : float
        Learning rate of the ascent.
    low, high : float
        The pixel range.

    Raises
    ------
    ValueError
        If a count or the rate is not positive, or the range is empty.
    """

    starts: int = 16
    steps: int = 100
    rate: float = 0.05
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        check_count("starts", self.starts), check_count("steps", self.steps), check_positive("rate", self.rate)
        if not self.low < self.high:
            raise ValueError(f"low must be less than high; got {self.low} and {self.high}")

    def search(self, data: Rows, target: nn.Module) -> PixelSearch:
        """Build the search of one attack, with the images of ``data`` as starting points."""
        return PixelSearch(self, data, target)


class PixelSearch:
    """Gradient ascent over a :class:`PixelBox`."""

    def __init__(self, box: PixelBox, data: Rows, target: nn.Module) -> None:
        self._box, self._target = box, target
        self._X = np.asarray(data[0], dtype=np.float32)
        self._losses = {int(y): losses(target, self._X, np.full(len(self._X), y)) for y in np.unique(data[1])}

    def best(self, network: nn.Module) -> Choice:
        found = (self._climb(network, self._starts(network, label), label) for label in self._losses)
        return max(found, key=lambda choice: choice.difference)

    def content(self) -> Iterator[np.ndarray]:
        box = self._box
        yield np.array([box.starts, box.steps, box.rate, box.low, box.high])

    def _starts(self, network: nn.Module, label: int) -> np.ndarray:
        differences = losses(network, self._X, np.full(len(self._X), label)) - self._losses[label]
        return self._X[np.argsort(-differences, kind="stable")[: self._box.starts]]

    def _climb(self, network: nn.Module, starts: np.ndarray, label: int) -> Choice:
        """Return the best iterate of gradient ascent from all starting points."""
        box, where = self._box, next(network.parameters()).device
        X = torch.from_numpy(starts.copy()).to(where).requires_grad_()
        y = torch.full((len(X),), label, device=where)
        optimizer = torch.optim.Adam([X], lr=box.rate, maximize=True)
        best, value = X.detach()[0].clone(), -np.inf
        for step in range(box.steps + 1):
            differences = _loss(network, X, y) - _loss(self._target, X, y)
            k = int(differences.argmax())
            if (reached := float(differences[k].detach())) > value:
                best, value = X.detach()[k].clone(), reached
            if step == box.steps:
                break
            (X.grad,) = torch.autograd.grad(differences.sum(), X)
            optimizer.step()
            with torch.no_grad():
                X.clamp_(box.low, box.high)
        return Choice(best.cpu().numpy(), label, -1, value)


def _loss(network: nn.Module, X: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(network(X), y, reduction="none")
