"""One loop for every objective: seeded, resumable, on CPU or CUDA."""

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
    """How the weights move.

    Parameters
    ----------
    epochs : int
    batch_size : int
    optimizer : {"sgd", "adam"}
    learning_rate, momentum, weight_decay : float
        ``momentum`` is for SGD alone.
    milestones : sequence of int
        Epochs after which the learning rate is multiplied by ``decay``.
    decay : float
    augment : callable or None
        ``augment(X, generator) -> X``, for example :func:`flip_and_crop`.
    mixed_precision : bool
        bfloat16 in the forward pass, on CUDA only.

    Notes
    -----
    The default is MACER's (Section 5.1) but for the number of epochs, which is 440 there with milestones 200 and 400.
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
        """Learning rate in that epoch."""
        return float(self.learning_rate * self.decay ** sum(epoch >= m for m in self.milestones))


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network and how it came about.

    Attributes
    ----------
    network : Module
        In evaluation mode.
    losses : list of float
        Mean of the objective, one entry an epoch.
    memory : dict of tensors
        What the objective remembers: of a data-dependent one, ``sigma`` of shape (n_samples,).
    seconds : float
        Of this call; a resumed run counts from where it went on.
    epochs : int
    random_state : int
        The seed, also where one was drawn.
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
        Images to logits; moved to ``device``.
    objective : Objective
    X : float array or tensor of shape (n, channels, height, width)
        In [0, 1].
    y : int array or tensor of shape (n,)
    recipe : Recipe, optional
    random_state : int or None
        Decides the order of the images, the noise and dropout. Each epoch draws from a seed of its own, so that a run that was
        killed and resumed ends (on CPU) with the weights of one that was not. None: a seed is drawn.
    device : optional
        Where the weights lie already, where not given.
    checkpoint : path, optional
        A safetensors file, written whole after each epoch; where it exists already, training goes on from it.
    progress : bool, optional
        Progress bar; on a terminal only, where not given.

    Returns
    -------
    Trained

    Raises
    ------
    ValueError
        If images or labels cannot be used or do not fit the network, the loss is not a number (the network then has the
        weights from before that epoch), or the checkpoint is of another network or run, or goes without a seed.
    MemoryError
        If a batch does not fit into memory.
    """
    recipe = recipe or Recipe()
    where = torch.device(device) if device is not None else next(network.parameters()).device
    if random_state is None and checkpoint is not None:
        raise ValueError("a run with a checkpoint needs random_state=, a whole number, to go on with the same draws")
    seed = seed_of(random_state)
    images, labels = _tensors(X, y)
    network.to(where)
    found = n_outputs(network, images)
    if int(labels.max()) >= found:
        raise ValueError(
            f"the network has {found} outputs, for the labels 0 to {found - 1}; y holds {int(labels.max())}. Build it with "
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
    """How many outputs a network has, from its answer to the first image.

    Raises
    ------
    ValueError
        If it does not take such images.
    """
    return probe(Forward(network, "logits", None, "float32", channels_last=False), images[0], None)


@dataclass(frozen=True, eq=False)
class _Run:
    """What stays the same from epoch to epoch."""

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
        """One pass over the images, in training mode; the mean loss. A loss that is no number puts the weights back."""
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
                f"the loss is not a number any more in epoch {number}: use a smaller learning_rate than "
                f"{self.recipe.rate(number):g}, and check that the network's outputs are finite"
            )
        return loss

    def _steps(self, epoch: int) -> float:
        """The steps of an epoch; the mean loss, or one that is no number, with which no step was made."""
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
        """The objective on one batch."""
        X, y, there = (values.to(self.where) for values in (self.images[rows], self.labels[rows], rows))
        if self.recipe.augment is not None:
            X = self.recipe.augment(X, generator)
        half = self.recipe.mixed_precision and self.where.type == "cuda"
        with torch.autocast(self.where.type, dtype=torch.bfloat16, enabled=half):
            return self.objective.loss(self.network, Batch(X, y, there, epoch, generator), self.memory)


def _identity(objective: Objective, recipe: Recipe, random_state: int, n: int) -> str:
    """What has to agree for a run to go on; more epochs than before are welcome."""
    told = {name: value for name, value in vars(recipe).items() if name not in ("epochs", "augment")}
    told["augment"] = (
        None if recipe.augment is None else getattr(recipe.augment, "__qualname__", type(recipe.augment).__name__)
    )
    return f"{objective}, {told}, seed {random_state}, {n} images"


def flip_and_crop(X: Tensor, generator: torch.Generator, pad: int = 4) -> Tensor:
    """Mirror half of the images and move each by up to ``pad`` pixels: the usual augmentation for 32 x 32 photographs."""
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
        raise ValueError(f"images have shape (n, channels, height, width); got {tuple(images.shape)}")
    if not images.numel():
        raise ValueError(f"there is nothing to train on: X has shape {tuple(images.shape)}")
    images = images.float()
    if not torch.isfinite(images).all() or images.min() < 0 or images.max() > 1:
        raise ValueError(
            f"images must lie in [0, 1] (noise levels and radii are in these units); got [{float(images.min()):g}, "
            f"{float(images.max()):g}]. Divide bytes by 255, and normalise inside the network"
        )
    if labels.shape != (len(images),) or labels.is_floating_point():
        raise ValueError(f"labels are {len(images)} whole numbers; got shape {tuple(labels.shape)}, {labels.dtype}")
    if int(labels.min()) < 0:
        raise ValueError("labels are 0, 1, ..., n_classes - 1; some are negative")
    return images, labels.long()
