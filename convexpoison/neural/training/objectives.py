"""The training objectives of the papers, as functions of a batch.

An objective is a frozen dataclass with two methods: ``start`` creates its state between batches (usually empty), ``loss``
computes the scalar to differentiate. To add one, subclass :class:`Objective`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_TINY = 1e-9
"""Probabilities are clamped to [this, 1 - this] before the normal quantile: outside, the hinge of MACER is inactive."""
_CLAMP = 1e-3
"""The same for the ascent of sigma, as in DDRS's code: with few draws, the quantile is too steep outside."""

Memory = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Batch:
    """Images and labels of one step.

    Attributes
    ----------
    X : float tensor of shape (n, channels, height, width)
    y : long tensor of shape (n,)
    rows : long tensor of shape (n,)
        Positions in the training set.
    epoch : int
    generator : torch.Generator
        Source of all noise, so that a run can be repeated and resumed.
    """

    X: Tensor
    y: Tensor
    rows: Tensor
    epoch: int
    generator: torch.Generator

    def noise(self, copies: int, sigma: float | Tensor) -> Tensor:
        """Draw normal noise of shape (n, copies, channels, height, width); ``sigma`` is one number, or one per image."""
        shape = (len(self.X), copies, *self.X.shape[1:])
        draws = torch.randn(shape, generator=self.generator, device=self.X.device, dtype=self.X.dtype)
        return draws * (sigma.to(draws.dtype).view(-1, 1, 1, 1, 1) if isinstance(sigma, Tensor) else sigma)


class Objective(ABC):
    """A training objective; see the module docstring."""

    sigma: float

    def start(self, n_samples: int, device: torch.device) -> Memory:
        """Create the tensors kept between steps and saved in checkpoints."""
        return {}

    @abstractmethod
    def loss(self, network: nn.Module, batch: Batch, memory: Memory, sigma: float | Tensor | None = None) -> Tensor:
        """Compute the scalar to minimise; ``sigma`` (one number, or one per image) overrides the objective's own."""


@dataclass(frozen=True)
class Standard(Objective):
    """Cross-entropy on the images without noise."""

    sigma: float = field(default=0.0, init=False)

    def loss(self, network: nn.Module, batch: Batch, memory: Memory, sigma: float | Tensor | None = None) -> Tensor:
        return F.cross_entropy(network(batch.X), batch.y)


@dataclass(frozen=True)
class GaussianAugmentation(Objective):
    """Cross-entropy on noisy images (Cohen et al., 2019).

    Parameters
    ----------
    sigma : float
    k : int
        Noise draws per image and step.
    """

    sigma: float
    k: int = 1

    def __post_init__(self) -> None:
        _check(self.sigma, self.k)

    def loss(self, network: nn.Module, batch: Batch, memory: Memory, sigma: float | Tensor | None = None) -> Tensor:
        noise = batch.noise(self.k, self.sigma if sigma is None else sigma)
        logits = network((batch.X[:, None] + noise).flatten(0, 1))
        return F.cross_entropy(logits, batch.y.repeat_interleave(self.k))


@dataclass(frozen=True)
class SmoothAdv(Objective):
    """Adversarial training of the smoothed classifier (Salman et al., 2019): projected gradient ascent on
    ``-log mean_j softmax(x + noise_j)`` in an l2 ball, then cross-entropy on the result with the same noise.

    Parameters
    ----------
    sigma : float
    eps : float
        Radius of the ball, in the units of the images.
    steps : int
        Number of steps, each of length ``2 eps / steps`` along the normalised gradient.
    k : int
        Noise draws per image (m in the paper).
    warmup_epochs : int
        Epochs over which the radius grows linearly to ``eps``.
    """

    sigma: float
    eps: float = 1.0
    steps: int = 2
    k: int = 1
    warmup_epochs: int = 10

    def __post_init__(self) -> None:
        _check(self.sigma, self.k)
        if not self.eps > 0 or self.steps < 1 or self.warmup_epochs < 0:
            raise ValueError(f"eps > 0, steps >= 1 and warmup_epochs >= 0 are needed; got {self}")

    def loss(self, network: nn.Module, batch: Batch, memory: Memory, sigma: float | Tensor | None = None) -> Tensor:
        noise = batch.noise(self.k, self.sigma if sigma is None else sigma)
        X = self.attack(network, batch, noise)
        if batch.X.requires_grad:  # for hypergradients: the offset is a constant
            X = batch.X + (X - batch.X).detach()
        logits = network((X[:, None] + noise).flatten(0, 1))
        return F.cross_entropy(logits, batch.y.repeat_interleave(self.k))

    def attack(self, network: nn.Module, batch: Batch, noise: Tensor) -> Tensor:
        """Compute adversarial images within the epoch's radius and [0, 1]; the weights receive no gradient."""
        eps = self.eps * min(1.0, (batch.epoch + 1) / max(1, self.warmup_epochs))
        training = network.training
        network.eval()
        X = batch.X
        for _ in range(self.steps):
            moving = X.detach().requires_grad_()
            p = smoothed(network((moving[:, None] + noise).flatten(0, 1)), self.k)
            away = -p[torch.arange(len(p)), batch.y].clamp_min(_TINY).log().sum()
            slope = torch.autograd.grad(away, moving)[0]
            X = (X + 2.0 * eps / self.steps * slope / _norms(slope)).clamp(0.0, 1.0)
            offset = X - batch.X
            X = batch.X + offset * (eps / _norms(offset)).clamp_max(1.0)
        network.train(training)
        return X.detach()


@dataclass(frozen=True)
class Macer(Objective):
    """MACER (Zhai et al., 2020, Algorithm 1): cross-entropy of the soft smoothed classifier, and a hinge on its radius.

    Probabilities are clamped before the normal quantile, in double precision, so that no image is dropped for an infinite
    radius, unlike in the authors' code.

    Parameters
    ----------
    sigma : float
    k : int
        Noise draws per image.
    lam : float
        Weight of the robustness loss.
    gamma : float
        Margin of the hinge: radii above ``gamma sigma / 2`` have no loss.
    beta : float
        Inverse temperature of the softmax in the robustness loss.
    deferred_epochs : int
        Initial epochs in which ``lam`` is replaced by 0 (the authors' setting for sigma = 1).
    """

    sigma: float
    k: int = 16
    lam: float = 16.0
    gamma: float = 8.0
    beta: float = 16.0
    deferred_epochs: int = 0

    def __post_init__(self) -> None:
        _check(self.sigma, self.k)
        if self.lam < 0 or not self.gamma > 0 or not self.beta > 0:
            raise ValueError(f"lam >= 0, gamma > 0 and beta > 0 are needed; got {self}")

    def loss(self, network: nn.Module, batch: Batch, memory: Memory, sigma: float | Tensor | None = None) -> Tensor:
        sigma = self.sigma if sigma is None else sigma
        logits = network((batch.X[:, None] + batch.noise(self.k, sigma)).flatten(0, 1)).double()
        rows = torch.arange(len(batch.y), device=batch.y.device)
        error = -smoothed(logits, self.k)[rows, batch.y].clamp_min(_TINY).log().mean()
        if self.lam == 0 or batch.epoch < self.deferred_epochs:
            return error
        p = smoothed(self.beta * logits, self.k)
        gap, right = radius_gap(p, batch.y)
        scale = sigma.double() if isinstance(sigma, Tensor) else sigma
        hinge = torch.where(right, (self.gamma - gap).clamp_min(0.0), torch.zeros_like(gap))
        return error + 0.5 * self.lam * (scale * hinge).mean()


@dataclass(frozen=True)
class DataDependent(Objective):
    """An objective with a separate noise level for every image (DDRS, Algorithm 2: DS squared).

    Each epoch updates the sigma of each image by a few steps of gradient ascent on its soft radius.
    :func:`convexpoison.neural.optimize_sigma` is more accurate, for certification; the default here is one step per epoch.

    Parameters
    ----------
    objective : Objective
    start_epoch : int
        First epoch with separate noise levels; before, sigma is the objective's own (DDRS: 50 of 200 epochs).
    steps : int
        Steps per epoch (K; DDRS: 1).
    n : int
        Noise draws per step (DDRS: 1).
    learning_rate : float
        alpha in the paper (1e-4 there).
    limits : pair of float
        Bounds of sigma, as multiples of the objective's own. Without an upper bound sigma diverges: if the network's output is
        saturated on every draw, the derivative of the radius is a positive constant.
    """

    objective: Objective
    start_epoch: int = 0
    steps: int = 1
    n: int = 1
    learning_rate: float = 1e-4
    limits: tuple[float, float] = (0.25, 2.0)

    def __post_init__(self) -> None:
        _check(self.objective.sigma, self.n)
        if self.steps < 1 or not self.learning_rate > 0 or not 0 < self.limits[0] <= 1 <= self.limits[1]:
            raise ValueError(
                f"steps >= 1, learning_rate > 0 and 0 < limits[0] <= 1 <= limits[1] are needed; got {self}"
            )

    @property
    def sigma(self) -> float:  # type: ignore[override]
        """Initial noise level of every image."""
        return self.objective.sigma

    def start(self, n_samples: int, device: torch.device) -> Memory:
        inner = self.objective.start(n_samples, device)
        return inner | {"sigma": torch.full((n_samples,), float(self.objective.sigma), device=device)}

    def loss(self, network: nn.Module, batch: Batch, memory: Memory, sigma: float | Tensor | None = None) -> Tensor:
        if batch.epoch < self.start_epoch:
            return self.objective.loss(network, batch, memory)
        found = memory["sigma"][batch.rows]
        for _ in range(self.steps):
            found = self._ascend(network, batch, found)
        memory["sigma"][batch.rows] = found
        return self.objective.loss(network, batch, memory, found)

    def _ascend(self, network: nn.Module, batch: Batch, sigma: Tensor) -> Tensor:
        """Take one step of DDRS's Algorithm 1; the weights receive no gradient."""
        training = network.training
        network.eval()
        leaf = sigma.detach().requires_grad_()
        logits = network((batch.X[:, None] + batch.noise(self.n, leaf)).flatten(0, 1)).double()
        first, second = smoothed(logits, self.n).clamp(_CLAMP, 1.0 - _CLAMP).topk(2, dim=1).values.T
        radius = 0.5 * leaf * (torch.special.ndtri(first) - torch.special.ndtri(second))
        slope = torch.autograd.grad(radius.sum(), leaf)[0]
        network.train(training)
        low, high = (limit * self.objective.sigma for limit in self.limits)
        return (sigma + self.learning_rate * slope).clamp(low, high).detach()


def smoothed(logits: Tensor, k: int) -> Tensor:
    """Average the softmax over ``k`` draws per image: (n k, classes) to (n, classes)."""
    p: Tensor = logits.softmax(1)
    return p.view(-1, k, p.shape[1]).mean(1)


def radius_gap(p: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Compute ``Phi^-1(p_y) - Phi^-1(largest other p)``, and whether p_y is the largest (MACER, Eq. 17)."""
    own = p.gather(1, y[:, None])[:, 0]
    other = p.scatter(1, y[:, None], -1.0).amax(1)
    quantile = torch.special.ndtri
    return quantile(own.clamp(_TINY, 1.0 - _TINY)) - quantile(other.clamp(_TINY, 1.0 - _TINY)), own > other


def _norms(x: Tensor) -> Tensor:
    """Compute the l2 norm of each image, bounded away from 0, in a shape that broadcasts with images."""
    size: Tensor = torch.linalg.vector_norm(x.flatten(1), dim=1)
    return size.clamp_min(1e-12).view(-1, *[1] * (x.dim() - 1))


def _check(sigma: float, k: int) -> None:
    if not sigma > 0:
        raise ValueError(f"sigma must be positive; got {sigma}")
    if k < 1:
        raise ValueError(f"k, the number of noise draws per image, must be at least 1; got {k}")
