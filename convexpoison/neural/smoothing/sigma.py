"""Image-dependent noise: the sigma that maximises the certified radius of an image."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from convexpoison._utils.types import FloatArray
from convexpoison.neural.smoothing import bounds, inputs
from convexpoison.neural.smoothing.classifier import SmoothedClassifier
from convexpoison.neural.smoothing.forward import soft_votes
from convexpoison.neural.smoothing.sampling import seed_bytes, stream_seed

_CLAMP = 1e-3
"""Least distance of mean probabilities from 0 and 1, where the slope of the normal quantile is unbounded (DDRS's code)."""
_DOUBT = 0.05
"""Level of the bounds that compare the radii before and after optimisation."""


def optimize_sigma(
    classifier: SmoothedClassifier, X: Any, *,
    sigma0: npt.ArrayLike | None = None, n: int = 16, steps: int = 30, learning_rate: float = 0.03,
    sigma_min: float | None = None, sigma_max: float | None = None, follow: str = "first", check: int = 200,
    random_state: int | np.random.Generator | None = None,
) -> FloatArray:  # fmt: skip
    """Optimise sigma for each image, to increase its certified radius, by stochastic gradient ascent.

    A step draws ``n`` noisy copies ``x + sigma e`` (e does not depend on sigma), and moves sigma along the derivative of
    ``sigma / 2 (Phi^-1(E_A) - Phi^-1(E_B))``, or of ``lambda (E_A - E_B)`` for uniform noise. ``E_A`` and ``E_B`` are the mean
    probabilities of a class and of the runner-up class.

    Parameters
    ----------
    classifier : SmoothedClassifier
        Its network is only evaluated; its parameters and their gradients are not modified.
    X : array or tensor of shape (n_images, ...)
    sigma0 : float or array of shape (n_images,), optional
        Initial sigma; default: the classifier's sigma.
    n : int
        Draws per step. The paper uses 1.
    steps : int
        K of the paper.
    learning_rate : float
        alpha of the paper (1e-4 in the paper; 0.04 in its code).
    sigma_min, sigma_max : float, optional
        Limits; default: a quarter of, and twice, the initial sigma of each image.
    follow : {"first", "step"}
        Class whose radius is increased. "first": the class with the most votes at ``sigma0`` (DDRS, Eq. 2); "step": in each
        step, the class with the largest mean probability in the draws of this step (Algorithm 1 as printed).
    check : int
        Number of fresh draws that compare the radius of the first class at the final and the initial sigma; the better
        sigma is returned. 0: no comparison, the final sigma is returned.
    random_state : int, numpy Generator or None
        None: the classifier's seed.

    Returns
    -------
    float array of shape (n_images,)

    Raises
    ------
    ValueError
        As in :meth:`SmoothedClassifier.certify`; if ``sigma0`` is not between the limits.

    Notes
    -----
    With ``n = 1`` and ``follow="step"`` sigma diverges: in a single draw, the probability of the top class is nearly always
    close to 1, the difference of quantiles is then a positive constant, and its product with sigma has a constant positive
    derivative. Three measures prevent this: the class is fixed, so that draws of another class decrease sigma; sigma stays
    within limits; and the final sigma is kept only where it is better than the initial one.

    A smoothed classifier whose sigma depends on the image has no certificate of its own:
    see :class:`convexpoison.neural.MemoryClassifier`.

    References
    ----------
    Alfarra et al., Data-Dependent Randomized Smoothing (UAI 2022), Algorithm 1, Eqs. (2) to (4).
    """
    images = classifier.images(X)
    n, steps = inputs.check_count("n", n), inputs.check_count("steps", steps, 0)
    check = inputs.check_count("check", check, 0)
    learning_rate = inputs.check_positive("learning_rate", learning_rate)
    inputs.check_choice("follow", follow, ("first", "step"))
    start, low, high = _limits(classifier, len(images), sigma0, sigma_min, sigma_max)
    seed = classifier.seed if random_state is None else seed_bytes(random_state)
    first = _leaders(classifier, images, start, max(check, n)) if follow == "first" or check else None
    ascent = _Ascent(classifier, seed, n, steps, learning_rate, first if follow == "first" else None)
    out = np.empty(len(images))
    done = 0
    while done < len(images):
        begin = done

        def some(rows: int, begin: int = begin) -> FloatArray:
            part = slice(begin, begin + max(1, rows // n))
            return ascent.climb(images, np.arange(len(images))[part], start[part], low[part], high[part])

        found = classifier.forward.halving(some)
        out[begin : begin + len(found)] = found
        done += len(found)
    if not check:
        return out
    assert first is not None
    before = _radii(classifier, images, start, first, check)
    after = _radii(classifier, images, out, first, check)
    return np.where(after > before, out, start)


class _Ascent:
    """Algorithm 1 for several images at once."""

    def __init__(
        self,
        classifier: SmoothedClassifier,
        seed: bytes,
        n: int,
        steps: int,
        learning_rate: float,
        first: np.ndarray | None,
    ) -> None:
        self.classifier, self.seed, self.n, self.steps = classifier, seed, n, steps
        self.learning_rate, self.first = learning_rate, first

    def climb(
        self, images: torch.Tensor, which: np.ndarray, start: FloatArray, low: FloatArray, high: FloatArray
    ) -> FloatArray:
        forward, noise = self.classifier.forward, self.classifier.noise
        shape = tuple(images.shape[1:])
        device = forward.device
        rows = torch.stack([forward.flat(images[i]) for i in which])
        generators = [torch.Generator(device).manual_seed(stream_seed(self.seed, "sigma", images[i])) for i in which]
        low_, high_, sigma = (torch.as_tensor(v, dtype=torch.float64, device=device) for v in (low, high, start))
        classes = None if self.first is None else torch.as_tensor(self.first[which], device=device)
        unit = torch.empty(len(rows), self.n, rows.shape[1], dtype=forward.dtype, device=device)
        with forward.open(gradients=True), torch.enable_grad():
            for _ in range(self.steps):
                for block, generator in zip(unit, generators, strict=True):
                    noise.fill(block, 1.0, generator)
                leaf = sigma.clone().requires_grad_(True)
                noisy = rows[:, None] + leaf.to(forward.dtype)[:, None, None] * unit
                outputs = forward.model(forward.layout(noisy.flatten(0, 1), shape))
                radius = self._radius(outputs, leaf, classes)
                (slope,) = torch.autograd.grad(radius.sum(), leaf)
                if not bool(slope.isfinite().all()):
                    raise ValueError("the network's derivative in the input is not finite: sigma cannot be optimised")
                sigma = torch.clamp(sigma + self.learning_rate * slope, low_, high_)
        return np.asarray(sigma.cpu().numpy(), dtype=np.float64)

    def _radius(self, outputs: torch.Tensor, sigma: torch.Tensor, classes: torch.Tensor | None) -> torch.Tensor:
        beta = self.classifier.beta if self.classifier.votes == "soft" else 1.0
        votes = soft_votes(outputs, self.classifier.outputs, beta).double()
        mean = votes.reshape(len(sigma), self.n, -1).mean(dim=1)
        leader = mean.argmax(dim=1) if classes is None else classes
        p_a = mean.gather(1, leader[:, None]).squeeze(1)
        p_b = mean.scatter(1, leader[:, None], -1.0).amax(dim=1)
        if self.classifier.norm == 1:
            radius: torch.Tensor = sqrt(3.0) * sigma * (p_a - p_b)
            return radius
        p_a, p_b = (p.clamp(_CLAMP, 1.0 - _CLAMP) for p in (p_a, p_b))
        radius = 0.5 * sigma * (torch.special.ndtri(p_a) - torch.special.ndtri(p_b))
        return radius


def _limits(
    classifier: SmoothedClassifier, n_images: int, sigma0: npt.ArrayLike | None, sigma_min: float | None,
    sigma_max: float | None,
) -> tuple[FloatArray, FloatArray, FloatArray]:  # fmt: skip
    given = np.asarray(classifier.sigma if sigma0 is None else sigma0, dtype=np.float64)
    if given.ndim and given.shape != (n_images,):
        raise ValueError(f"sigma0 has shape {given.shape}; pass one number, or one per image ({n_images})")
    start = np.broadcast_to(given, (n_images,)).copy()
    if not (np.isfinite(start).all() and (start > 0.0).all()):
        raise ValueError("sigma0 must be finite and positive")
    low = start / 4.0 if sigma_min is None else np.full(n_images, inputs.check_positive("sigma_min", sigma_min))
    high = start * 2.0 if sigma_max is None else np.full(n_images, inputs.check_positive("sigma_max", sigma_max))
    if not ((low <= start) & (start <= high)).all():
        raise ValueError(
            f"sigma0 (from {start.min():g} to {start.max():g}) is not between sigma_min={sigma_min} and sigma_max={sigma_max}"
        )
    return start, low, high


def _leaders(classifier: SmoothedClassifier, images: torch.Tensor, sigma: FloatArray, n: int) -> np.ndarray:
    """Return the class with the most votes of each image at its sigma."""
    return classifier.draw(images, "leader", np.full(len(images), n), sigma).top()


def _radii(
    classifier: SmoothedClassifier, images: torch.Tensor, sigma: FloatArray, first: np.ndarray, n: int
) -> FloatArray:
    """Compute lower confidence bounds of the radius of class ``first``."""
    drawn = classifier.draw(images, "check", np.full(len(images), n), sigma)
    rows = np.arange(len(images))
    bound = "clopper_pearson" if classifier.votes == "hard" else "bernstein"
    p = bounds.lower_of(bound, drawn.total[rows, first], drawn.squares[rows, first], drawn.n, _DOUBT)
    return classifier.noise.radius(p, bounds.upper(p), sigma)
