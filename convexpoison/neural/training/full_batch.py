"""Full-batch training from known weights, and the losses and accuracy of a network."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convexpoison._utils.types import FloatArray
from convexpoison.neural.training.victim import NeuralVictim


def train_full_batch(
    victim: NeuralVictim, X: Any, y: Any, *, random_state: int = 0, device: str | torch.device | None = None
) -> nn.Module:
    """Train a network with all rows in every step, so that an epoch is one step (MTP, F.1).

    Parameters
    ----------
    victim : NeuralVictim
        The batch size of its recipe is ignored.
    X : array of shape (n, channels, height, width)
    y : int array of shape (n,)
    random_state : int
        Seed of the initial weights, and of nothing else if the objective draws no noise.
    """
    whole = replace(victim, recipe=replace(victim.recipe, batch_size=max(len(y), 1)))
    return whole.refit(victim.build(random_state), X, y, device=device).network


def describe(victim: NeuralVictim, random_state: int) -> str:
    """Return a string of all inputs on which training depends, equal in every process."""
    network = victim.build(random_state)
    weights = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in network.parameters())).hexdigest()
    recipe = {name: value for name, value in vars(victim.recipe).items() if name not in ("augment", "batch_size")}
    augment = getattr(victim.recipe.augment, "__qualname__", type(victim.recipe.augment).__name__)
    return f"{network}, weights {weights}, {victim.objective}, {recipe}, augment {augment}"


def class_accuracy(network: nn.Module, X: Any, y: Any, target_class: int | None = None) -> float:
    """Compute the accuracy on all images, or on those of one class."""
    y = np.asarray(y)
    rows = np.arange(y.size) if target_class is None else np.flatnonzero(y == target_class)
    logits = _logits(network, torch.as_tensor(np.asarray(X)[rows]))
    return float((logits.argmax(1).cpu().numpy() == y[rows]).mean())


def _logits(network: nn.Module, X: Tensor) -> Tensor:
    where = next(network.parameters()).device
    with torch.no_grad():
        return torch.cat([network(some.to(where)) for some in torch.split(X.float(), 4096)])


def losses(network: nn.Module, X: np.ndarray, y: np.ndarray) -> FloatArray:
    """Compute the cross-entropy of each image."""
    logits = _logits(network, torch.from_numpy(X)).double()
    return np.asarray(F.cross_entropy(logits, torch.from_numpy(y).to(logits.device), reduction="none").cpu().numpy())
