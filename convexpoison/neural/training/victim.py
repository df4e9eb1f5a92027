"""The victim of an attack: a network, an objective and a recipe."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from convexpoison.neural.training.fit import Recipe, Trained, fit
from convexpoison.neural.training.networks import make_network
from convexpoison.neural.training.objectives import GaussianAugmentation, Objective


@dataclass(frozen=True)
class NeuralVictim:
    """A training procedure.

    Parameters
    ----------
    network : str or callable
        A name in ``convexpoison.neural.training.networks.NETWORKS``, or a function without arguments that builds a module.
    objective : Objective
        Default: ``GaussianAugmentation(0.5)``.
    recipe : Recipe
    """

    network: str | Callable[[], nn.Module] = "pacd_mnist"
    objective: Objective = field(default_factory=lambda: GaussianAugmentation(0.5))
    recipe: Recipe = field(default_factory=Recipe)

    def build(self, random_state: int = 0) -> nn.Module:
        """Build a network with seeded initial weights."""
        return make_network(self.network, random_state)

    def fit(
        self, X: Any, y: Any, *, random_state: int = 0, device: str | torch.device | None = None,
        checkpoint: str | Path | None = None, progress: bool | None = False,
    ) -> Trained:  # fmt: skip
        """Train from scratch; see :func:`convexpoison.neural.fit`."""
        return fit(
            self.build(random_state), self.objective, X, y, self.recipe, random_state=random_state, device=device,
            checkpoint=checkpoint, progress=progress,
        )  # fmt: skip

    def refit(
        self, network: nn.Module, X: Any, y: Any, *, random_state: int = 0, device: str | torch.device | None = None,
        progress: bool | None = False,
    ) -> Trained:  # fmt: skip
        """Train a copy of a network, starting from its weights; the network itself is not changed."""
        return fit(
            copy.deepcopy(network), self.objective, X, y, self.recipe, random_state=random_state, device=device,
            progress=progress,
        )  # fmt: skip

    def __str__(self) -> str:
        name = self.network if isinstance(self.network, str) else getattr(self.network, "__name__", "network")
        return f"{name}, {self.objective}"
