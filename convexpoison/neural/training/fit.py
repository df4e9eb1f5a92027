"""The training loop of all objectives: seeded, resumable, on CPU or CUDA."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from convexpoison.neural.smoothing.forward import Forward, out_of_memory
from convexpoison.neural.smoothing.inputs import probe
from convexpoison.neural.training.checkpoint import load_checkpoint, save_checkpoint
from convexpoison.neural.training.objectives import Batch, Memory, Objective
from convexpoison.neural.training.seeding import seed_of, seeded

Augmentation = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Recipe:
    """Settings of the optimisation of the weights.

    Parameters
    ----------
    epochs : int
    batch_size : int
    optimizer : {"sgd", "adam"}
    learning_rate, momentum, weight_decay : float
        ``momentum`` applies to SGD only.
    milestones : sequence of int
        Epochs after which the learning rate is multiplied by ``decay``.
    decay : float
    augment : callable or None
        ``augment(X, generator) -> X``, for example :func:`flip_and_crop`.
    mixed_precision : bool
        Use bfloat16 in the forward pass, on CUDA only.

    Notes
    -----
    The defaults are MACER's (Section 5.1), except for the number of epochs: 440 in MACER, with milestones 200 and 400.
    """

    epochs: int = 20
    batch_size: int = 64
    optimizer: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    milestones: Sequence[int] = ()
    decay: float = 0.1
    augment: Augmentation | None = None
    mixed_precision: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or not self.learning_rate > 0:
            raise ValueError(f"epochs >= 1, batch_size >= 1 and learning_rate > 0 are needed; got {self}")
        if self.optimizer not in ("sgd", "adam"):
            raise ValueError(f"unknown optimizer {self.optimizer!r}; choose 'sgd' or 'adam'")

    def make_optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        if self.optimizer == "adam":
            return torch.optim.Adam(network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)
        return torch.optim.SGD(
            network.parameters(), lr=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch."""
        return float(self.learning_rate * self.decay ** sum(epoch >= m for m in self.milestones))


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network, with its losses and settings.

    Attributes
    ----------
    network : Module
        The network, in evaluation mode.
    losses : list of float
        Mean of the objective, one entry per epoch.
    memory : dict of tensors
        State of the objective: for a data-dependent one, ``sigma`` of shape (n_samples,).
    seconds : float
        Wall time of this call; for a resumed run, since it was resumed.
    epochs : int
    random_state : int
        The seed, given or drawn.
    """

    network: nn.Module
    losses: list[float]
    memory: Memory = field(default_factory=dict)
    seconds: float = 0.0
    epochs: int = 0
    random_state: int = 0


def fit(
    network: nn.Module,
    objective: Objective,
    X: Any,
    y: Any,
    recipe: Recipe | None = None,
    *,
    random_state: int | None = 0,
    device: str | torch.device | None = None,
    checkpoint: str | Path | None = None,
    progress: bool | None = None,
) -> Trained:
    """Train a network in place.

    Parameters
    ----------
    network : Module
        Map from images to logits; moved to ``device``.
    objective : Objective
    X : float array or tensor of shape (n, channels, height, width)
        Images in [0, 1].
    y : int array or tensor of shape (n,)
    recipe : Recipe, optional
    random_state : int or None
        Seed of the order of the images, the noise and dropout. Each epoch has a seed of its own, so that an interrupted and
        resumed run gives (on CPU) the same weights as an uninterrupted one. None: a seed is drawn.
    device : optional
        Default: the device of the weights.
    checkpoint : path, optional
        A safetensors file, written atomically after each epoch; if it exists, training resumes from it.
    progress : bool, optional
        Whether to show a progress bar; default: only on a terminal.

    Returns
    -------
    Trained

    Raises
    ------
    ValueError
        If images or labels are invalid or do not match the network, the loss is not finite (the network then has the
        weights from before that epoch), or the checkpoint belongs to another network or run, or is used without a seed.
    MemoryError
        If a batch does not fit into memory.
    """
    recipe = recipe or Recipe()
    where = torch.device(device) if device is not None else next(network.parameters()).device
    if random_state is None and checkpoint is not None:
        raise ValueError("a run with a checkpoint needs random_state=, an integer, to resume with the same draws")
    seed = seed_of(random_state)
    images, labels = _tensors(X, y)
    network.to(where)
    found = n_outputs(network, images)
    if int(labels.max()) >= found:
        raise ValueError(
            f"the network has {found} outputs, for the labels 0 to {found - 1}; y has {int(labels.max())}. Build it with "
            "more outputs, or renumber the labels"
        )
    optimizer = recipe.make_optimizer(network)
    memory = objective.start(len(images), where)
    identity = _identity(objective, recipe, seed, len(images))
    run = _Run(network, objective, images, labels, recipe, optimizer, memory, seed, where)
    start, losses = perf_counter(), list[float]()
    if checkpoint is not None and Path(checkpoint).exists():
        losses = load_checkpoint(Path(checkpoint), network, optimizer, memory, identity)
    shown = None if progress is None else not progress
    with tqdm(total=recipe.epochs, initial=len(losses), desc="epochs", disable=shown, file=sys.stderr) as bar:
        for epoch in range(len(losses), recipe.epochs):
            losses.append(run.epoch(epoch))
            bar.update()
            bar.set_postfix(loss=f"{losses[-1]:.4g}")
            if checkpoint is not None:
                save_checkpoint(Path(checkpoint), network, optimizer, memory, losses, identity)
    network.eval()
    return Trained(network, losses, memory, perf_counter() - start, recipe.epochs, seed)


def n_outputs(network: nn.Module, images: Tensor) -> int:
    """Return the number of outputs of a network, determined on the first image.

    Raises
    ------
    ValueError
        If the network does not accept such images.
    """
    return probe(Forward(network, "logits", None, "float32", channels_last=False), images[0], None)


@dataclass(frozen=True, eq=False)
class _Run:
    """The fixed inputs of all epochs."""

    network: nn.Module
    objective: Objective
    images: Tensor
    labels: Tensor
    recipe: Recipe
    optimizer: torch.optim.Optimizer
    memory: Memory
    seed: int
    where: torch.device

    def epoch(self, number: int) -> float:
        """Train for one epoch and return the mean loss; restore the weights and raise if it or a weight is not finite."""
        before = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(number)
        self.network.train()
        try:
            loss = self._steps(number)
        except (RuntimeError, MemoryError) as exc:
            if not out_of_memory(exc):
                raise
            raise MemoryError(
                f"out of memory on {self.where} with batch_size={self.recipe.batch_size}: pass a Recipe with a smaller one"
            ) from exc
        finally:
            self.network.eval()
        if not (np.isfinite(loss) and all(bool(p.isfinite().all()) for p in self.network.parameters())):
            self.network.load_state_dict(before)
            raise ValueError(
                f"the loss or a weight is not finite in epoch {number}: use a smaller learning_rate than "
                f"{self.recipe.rate(number):g}, and check that the network's outputs are finite"
            )
        return loss

    def _steps(self, epoch: int) -> float:
        """Take the steps of an epoch and return the mean loss; stop before a step with a non-finite loss."""
        seeds = np.random.SeedSequence([self.seed, epoch]).generate_state(2)
        order = torch.from_numpy(np.random.default_rng(seeds[0]).permutation(len(self.images)))
        generator = torch.Generator(self.where).manual_seed(int(seeds[1]))
        total = 0.0
        with seeded(int(seeds[1]), self.where):  # dropout draws from the global generator
            for rows in torch.split(order, self.recipe.batch_size):
                loss = self._loss(rows, epoch, generator)
                total += float(loss.detach()) * len(rows)
                if not np.isfinite(total):
                    return total
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                self.optimizer.step()
        return total / len(self.images)

    def _loss(self, rows: Tensor, epoch: int, generator: torch.Generator) -> Tensor:
        """Compute the objective on one batch."""
        X, y, there = (values.to(self.where) for values in (self.images[rows], self.labels[rows], rows))
        if self.recipe.augment is not None:
            X = self.recipe.augment(X, generator)
        half = self.recipe.mixed_precision and self.where.type == "cuda"
        with torch.autocast(self.where.type, dtype=torch.bfloat16, enabled=half):
            return self.objective.loss(self.network, Batch(X, y, there, epoch, generator), self.memory)


def _identity(objective: Objective, recipe: Recipe, random_state: int, n: int) -> str:
    """Describe the settings that must be equal for a run to resume: all but the number of epochs, which may grow."""
    settings = {name: value for name, value in vars(recipe).items() if name not in ("epochs", "augment")}
    settings["augment"] = (
        None if recipe.augment is None else getattr(recipe.augment, "__qualname__", type(recipe.augment).__name__)
    )
    return f"{objective}, {settings}, seed {random_state}, {n} images"


def flip_and_crop(X: Tensor, generator: torch.Generator, pad: int = 4) -> Tensor:
    """Mirror each image with probability 1/2 and shift it by up to ``pad`` pixels: the usual augmentation for CIFAR-10."""
    n, _, height, width = X.shape
    mirrored = torch.rand(n, generator=generator, device=X.device) < 0.5
    X = torch.where(mirrored[:, None, None, None], X.flip(3), X)
    padded = torch.nn.functional.pad(X, (pad,) * 4)
    shift = torch.randint(0, 2 * pad + 1, (2, n), generator=generator, device=X.device)
    rows = (shift[0, :, None] + torch.arange(height, device=X.device))[:, None, :, None]
    columns = (shift[1, :, None] + torch.arange(width, device=X.device))[:, None, None, :]
    channels = torch.arange(X.shape[1], device=X.device)[None, :, None, None]
    return padded[torch.arange(n, device=X.device)[:, None, None, None], channels, rows, columns]


def _tensors(X: Any, y: Any) -> tuple[Tensor, Tensor]:
    images, labels = torch.as_tensor(np.asarray(X) if not isinstance(X, Tensor) else X), torch.as_tensor(y)
    if images.ndim != 4:
        raise ValueError(f"images must have shape (n, channels, height, width); got {tuple(images.shape)}")
    if not images.numel():
        raise ValueError(f"there is nothing to train on: X has shape {tuple(images.shape)}")
    images = images.float()
    if not torch.isfinite(images).all() or images.min() < 0 or images.max() > 1:
        raise ValueError(
            f"images must lie in [0, 1] (noise levels and radii are in these units); got [{float(images.min()):g}, "
            f"{float(images.max()):g}]. Divide bytes by 255, and normalise inside the network"
        )
    if labels.shape != (len(images),) or labels.is_floating_point():
        raise ValueError(f"labels must be {len(images)} integers; got shape {tuple(labels.shape)}, {labels.dtype}")
    if int(labels.min()) < 0:
        raise ValueError("labels must be 0, 1, ..., n_classes - 1; some are negative")
    return images, labels.long()
