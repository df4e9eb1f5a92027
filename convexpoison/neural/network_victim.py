"""A victim that trains a network from known weights, and what its network makes of images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convexpoison.losses import FloatArray
from convexpoison.neural.networks import make_network, mlp
from convexpoison.neural.objectives import Standard
from convexpoison.neural.training import Recipe, fit


def _two_class_mlp() -> nn.Module:
    return mlp(2)


@dataclass(frozen=True)
class NetworkVictim:
    """How the victim trains: from which weights, and by which steps.

    Parameters
    ----------
    network : str or callable
        A name of ``NETWORKS``, or a function that builds one; a perceptron of three layers and two classes where not given.
    recipe : Recipe
        Its ``batch_size`` counts only where ``batched``.
    random_state : int
        Decides the initial weights.
    batched : bool
        All rows in every step where False, so that an epoch is one step (MTP, F.1).
    device : str
    """

    network: str | Callable[[], nn.Module] = _two_class_mlp
    recipe: Recipe = field(default_factory=lambda: Recipe(100, optimizer="adam", learning_rate=1e-3, weight_decay=0.0))
    random_state: int = 0
    batched: bool = False
    device: str = "cpu"

    def fit(self, X: Any, y: Any, *, initialisation: int | None = None, order: int = 0) -> nn.Module:
        """The network after training.

        Parameters
        ----------
        X : array of shape (n, channels, height, width)
        y : int array of shape (n,)
        initialisation : int, optional
            Seed of the initial weights, if it is to be another than ``random_state``.
        order : int
            Seed of the batches' order.
        """
        network = make_network(self.network, self.random_state if initialisation is None else initialisation)
        recipe = self.recipe if self.batched else replace(self.recipe, batch_size=len(y))
        trained = fit(network, Standard(), X, y, recipe, random_state=order, device=self.device, progress=False)
        return trained.network

    def identity(self) -> str:
        """All that training depends on, in words that are the same in every process."""
        network = make_network(self.network, self.random_state)
        weights = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in network.parameters())).hexdigest()
        told = {name: value for name, value in vars(self.recipe).items() if name != "augment"}
        augment = getattr(self.recipe.augment, "__qualname__", type(self.recipe.augment).__name__)
        return f"{network}, weights {weights}, {told}, augment {augment}, batched {self.batched}"


def class_accuracy(network: nn.Module, X: Any, y: Any, target_class: int | None = None) -> float:
    """Share of the images (of one class) that are classified rightly."""
    y = np.asarray(y)
    rows = np.arange(y.size) if target_class is None else np.flatnonzero(y == target_class)
    logits = _logits(network, torch.as_tensor(np.asarray(X)[rows]))
    return float((logits.argmax(1).cpu().numpy() == y[rows]).mean())


def _logits(network: nn.Module, X: Tensor) -> Tensor:
    where = next(network.parameters()).device
    with torch.no_grad():
        return torch.cat([network(some.to(where)) for some in torch.split(X.float(), 4096)])


def losses(network: nn.Module, X: np.ndarray, y: np.ndarray) -> FloatArray:
    """Cross-entropy of each image."""
    logits = _logits(network, torch.from_numpy(X)).double()
    return np.asarray(F.cross_entropy(logits, torch.from_numpy(y).to(logits.device), reduction="none").cpu().numpy())
