"""Empirical robustness: how far projected gradient descent must move an image before the smoothed classifier errs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from convexpoison._utils.types import FloatArray
from convexpoison.display.axes import BLUE, axes_or_new
from convexpoison.display.shown import Facts, Shown, frame_of
from convexpoison.neural.smoothing import inputs
from convexpoison.neural.smoothing.classifier import SmoothedClassifier
from convexpoison.neural.smoothing.forward import soft_votes
from convexpoison.neural.smoothing.sampling import stream_seed


@dataclass(frozen=True, eq=False)
class Distortion(Shown):
    """The least distortion, among those tried, with which the attack succeeded.

    Attributes
    ----------
    distortion : float array of shape (n_images,)
        l2 norm; 0 where the clean image is not predicted rightly, infinite where no attack succeeded.
    adversarial : float32 array, shape of the images
        The attacked images; the image itself where none succeeded.
    eps : float array
        The budgets that were tried.
    """

    distortion: FloatArray
    adversarial: np.ndarray
    eps: FloatArray

    @property
    def mean(self) -> float:
        """Mean over the images on which an attack succeeded; NaN where there is none."""
        found = self.distortion[np.isfinite(self.distortion)]
        return float(found.mean()) if found.size else float("nan")

    @property
    def success(self) -> float:
        """Share of the images on which an attack succeeded."""
        return float(np.isfinite(self.distortion).mean())

    def to_frame(self) -> Any:
        """One row an image, as a pandas DataFrame."""
        return frame_of({"distortion": self.distortion}, "Distortion.to_frame")

    def facts(self) -> Facts:
        """The main numbers in words."""
        mean = self.mean
        return {"images": len(self.distortion), "attacked with success": self.success, "mean l2 distortion": mean}

    def plot(self, ax: Any = None) -> Any:
        """Share of images that withstand the attack, against its budget.

        Raises
        ------
        MissingDependencyError
            If matplotlib is not installed.
        """
        ax = axes_or_new(ax)
        budgets = np.concatenate([[0.0], self.eps])
        ax.step(budgets, [(self.distortion > e).mean() for e in budgets], where="post", color=BLUE)
        ax.set(xlabel="l2 distortion", ylabel="accuracy under attack", ylim=(0.0, 1.0), xlim=(0.0, None))
        ax.grid(visible=True, alpha=0.3)
        return ax


def pgd_distortion(
    classifier: SmoothedClassifier, X: Any, y: npt.ArrayLike, eps: npt.ArrayLike, *,
    steps: int = 100, n: int = 20, check: int = 1000, alpha: float = 0.001,
) -> Distortion:  # fmt: skip
    """The least l2 distortion with which projected gradient descent changes the smoothed classifier's right answer.

    For each budget, from small to large, an attack on the images that still stand: ``steps`` steps of length
    ``2 eps / steps`` along the normalised gradient of ``-log`` of the label's mean probability over ``n`` draws, which stay
    the same through the attack; then the image is clipped to ``input_range``. It succeeds where :meth:`predict`, with fresh
    draws, gives another class with confidence: an abstention is no success.

    Parameters
    ----------
    classifier : SmoothedClassifier
    X : array or tensor of shape (n_images, ...)
    y : int array of shape (n_images,)
    eps : array
        l2 budgets to try.
    steps, n : int
        PACD attacks with 100 steps, 20 draws on MNIST and 10 on CIFAR-10.
    check, alpha
        As ``n`` and ``alpha`` of :meth:`SmoothedClassifier.predict`.

    Raises
    ------
    ValueError
        As :meth:`SmoothedClassifier.predict`; budgets that are not above 0.

    References
    ----------
    Salman et al. (2019), SmoothAdv_PGD, Eq. (6); Mehra et al. (2021), Table 5 and Appendix E.
    """
    images = classifier.images(X).cpu()
    labels = np.asarray(y)
    budgets = np.sort(np.atleast_1d(np.asarray(eps, dtype=np.float64)))
    if labels.shape != (len(images),):
        raise ValueError(f"y has shape {labels.shape}; it needs one label for each of the {len(images)} images")
    if not (budgets.size and np.isfinite(budgets).all() and budgets[0] > 0.0):
        raise ValueError(f"eps is {eps!r}; pass budgets above 0")
    steps, n = inputs.check_count("steps", steps), inputs.check_count("n", n)
    distortion = np.full(len(images), np.inf)
    adversarial = images.clone()
    clean = classifier.predict(images, check, alpha)
    distortion[(clean != labels) & (clean != -1)] = 0.0
    for budget in budgets:
        standing = np.flatnonzero(np.isinf(distortion))
        if not standing.size:
            break
        for i in standing:
            moved = _attack(classifier, images[i], int(labels[i]), float(budget), steps, n)
            label = int(classifier.predict(moved[None], check, alpha)[0])
            if label not in (-1, int(labels[i])):
                distortion[i] = float((moved - images[i]).double().norm())
                adversarial[i] = moved
    return Distortion(distortion, np.asarray(adversarial.float().cpu().numpy()), budgets)


def _attack(
    classifier: SmoothedClassifier, image: torch.Tensor, label: int, eps: float, steps: int, n: int
) -> torch.Tensor:
    forward, beta = classifier.forward, classifier.beta if classifier.votes == "soft" else 1.0
    shape = tuple(image.shape)
    start = forward.flat(image)
    generator = torch.Generator(start.device).manual_seed(stream_seed(classifier.seed, "attack", image))
    noise = torch.empty(n, start.numel(), dtype=start.dtype, device=start.device)
    classifier.noise.fill(noise, classifier.sigma, generator)
    low, high = classifier.input_range or (-float("inf"), float("inf"))
    delta = torch.zeros_like(start)
    with forward.open(gradients=True), torch.enable_grad():
        for _ in range(steps):
            leaf = delta.clone().requires_grad_(True)
            outputs = forward.model(forward.layout(start + leaf + noise, shape))
            mean = soft_votes(outputs, classifier.outputs, beta)[:, label].mean()
            (slope,) = torch.autograd.grad(-mean.clamp_min(1e-20).log(), leaf)
            delta = delta + (2.0 * eps / steps) * slope / slope.norm().clamp_min(1e-20)
            # Clipping to the range moves every coordinate towards the image, so that the norm does not grow.
            delta = delta * (eps / delta.norm().clamp_min(eps))
            delta = (start + delta).clamp(low, high) - start
    return forward.unflat((start + delta).clamp(low, high), shape)
