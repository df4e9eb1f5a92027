"""Empirical robustness: the least l2 distortion with which projected gradient descent changes the smoothed prediction."""

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
    """Least distortions, among those tried, with which the attack succeeded.

    Attributes
    ----------
    distortion : float array of shape (n_images,)
        l2 norm; 0 where the clean image is misclassified, infinite where no attack succeeded.
    adversarial : float32 array, shape of the images
        Attacked images; the original image where no attack succeeded.
    eps : float array
        Budgets tried.
    """

    distortion: FloatArray
    adversarial: np.ndarray
    eps: FloatArray

    @property
    def mean(self) -> float:
        """Mean distortion over the images on which an attack succeeded; NaN if there is none."""
        found = self.distortion[np.isfinite(self.distortion)]
        return float(found.mean()) if found.size else float("nan")

    @property
    def success(self) -> float:
        """Share of the images on which an attack succeeded."""
        return float(np.isfinite(self.distortion).mean())

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with one row per image."""
        return frame_of({"distortion": self.distortion}, "Distortion.to_frame")

    def facts(self) -> Facts:
        """Return the main numbers by name."""
        mean = self.mean
        return {"images": len(self.distortion), "attack success rate": self.success, "mean l2 distortion": mean}

    def plot(self, ax: Any = None) -> Any:
        """Plot the share of images that withstand the attack, against its budget.

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
    """Find the least l2 distortion with which projected gradient descent changes the correct smoothed prediction.

    For each budget, in ascending order, the remaining images are attacked by ``steps`` steps of length ``2 eps / steps``
    along the normalised gradient of ``-log`` of the label's mean probability over ``n`` draws, which are fixed during the
    attack; after each step, the image is clipped to ``input_range``. The attack succeeds where :meth:`predict`, with fresh
    draws, returns another class: an abstention is no success.

    Parameters
    ----------
    classifier : SmoothedClassifier
    X : array or tensor of shape (n_images, ...)
    y : int array of shape (n_images,)
    eps : array
        l2 budgets.
    steps, n : int
        PACD uses 100 steps, 20 draws on MNIST and 10 on CIFAR-10.
    check, alpha
        ``n`` and ``alpha`` of :meth:`SmoothedClassifier.predict`.

    Raises
    ------
    ValueError
        As in :meth:`SmoothedClassifier.predict`; if a budget is not positive.

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
        raise ValueError(f"eps is {eps!r}; pass positive budgets")
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
            # Clipping to the range moves every coordinate towards the image, so the norm does not increase.
            delta = delta * (eps / delta.norm().clamp_min(eps))
            delta = (start + delta).clamp(low, high) - start
    return forward.unflat((start + delta).clamp(low, high), shape)
