"""Poison that nobody optimised: what an optimised one has to beat."""

from __future__ import annotations

import numpy as np
import torch

from convexpoison.neural.poisoning.image_ball import ImageBall


def watermark(ball: ImageBall, others: np.ndarray, rng: np.random.Generator, opacity: float = 0.1) -> np.ndarray:
    """Another class's image laid over each base image, then cut to the ball.

    Parameters
    ----------
    ball : ImageBall
    others : array of shape (n_others, channels, height, width)
        Images of the other classes; one is drawn for each base image.
    rng : Generator
    opacity : float
        gamma of ``gamma other + (1 - gamma) base``.

    Returns
    -------
    float32 array, shape of the base images

    References
    ----------
    PACD, Appendix E.3, after Shafahi et al. (2018).
    """
    if not 0.0 <= opacity <= 1.0:
        raise ValueError(f"opacity is {opacity}; it must lie in [0, 1]")
    if not len(others):
        raise ValueError("a watermark needs images of other classes")
    over = torch.from_numpy(others[rng.integers(len(others), size=len(ball.base))]).to(ball.base)
    return np.asarray(ball.project(opacity * over + (1.0 - opacity) * ball.base).cpu().numpy())


def random_noise(ball: ImageBall, rng: np.random.Generator) -> np.ndarray:
    """Noise of the largest size that the ball allows: ``eps`` with a random sign in each pixel, or a random direction of
    l2 length ``eps``; then clipped to the range of pixels.

    Parameters
    ----------
    ball : ImageBall
    rng : Generator

    Returns
    -------
    float32 array, shape of the base images
    """
    shape = tuple(ball.base.shape)
    draws = rng.standard_normal(shape)
    if ball.norm == "linf":
        offset = np.sign(draws)
    else:
        offset = draws / np.linalg.norm(draws.reshape(len(draws), -1), axis=1).reshape(-1, *[1] * (len(shape) - 1))
    moved = ball.base + torch.from_numpy(ball.eps * offset).to(ball.base)
    return np.asarray(ball.project(moved).cpu().numpy())


def flip_labels(labels: np.ndarray, n_classes: int, rng: np.random.Generator) -> np.ndarray:
    """Another class for each, drawn evenly: no clean-label poison, but a measure of what labels alone can do.

    Parameters
    ----------
    labels : int array of shape (n,)
    n_classes : int
    rng : Generator
    """
    if n_classes < 2:
        raise ValueError("labels can only be flipped where there are two classes or more")
    return (labels + rng.integers(1, n_classes, size=len(labels))) % n_classes
