"""Baselines: poison without optimisation, to compare optimised poison with."""

from __future__ import annotations

import numpy as np
import torch

from convexpoison.neural.poisoning.image_ball import ImageBall


def watermark(ball: ImageBall, others: np.ndarray, rng: np.random.Generator, opacity: float = 0.1) -> np.ndarray:
    """Blend an image of another class into each base image, and project the result onto the ball.

    Parameters
    ----------
    ball : ImageBall
    others : array of shape (n_others, channels, height, width)
        Images of the other classes; one is drawn for each base image.
    rng : Generator
    opacity : float
        gamma in ``gamma other + (1 - gamma) base``.

    Returns
    -------
    float32 array, shape of the base images

    References
    ----------
    PACD, Appendix E.3, after Shafahi et al. (2018).
    """
    if not 0.0 <= opacity <= 1.0:
        raise ValueError(f"opacity must lie in [0, 1]; got {opacity}")
    if not len(others):
        raise ValueError("watermarks need images of other classes")
    over = torch.from_numpy(others[rng.integers(len(others), size=len(ball.base))]).to(ball.base)
    return np.asarray(ball.project(opacity * over + (1.0 - opacity) * ball.base).cpu().numpy())


def random_noise(ball: ImageBall, rng: np.random.Generator) -> np.ndarray:
    """Add noise of the maximal size within the ball, clipped to the pixel range.

    For linf the noise is ``eps`` with a random sign in each pixel, for l2 a random direction of length ``eps``.

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
    """Replace each label by one of the other classes, drawn uniformly.

    This is not a clean-label attack; it measures the effect of labels alone.

    Parameters
    ----------
    labels : int array of shape (n,)
    n_classes : int
    rng : Generator
    """
    if n_classes < 2:
        raise ValueError("flipping labels needs at least two classes")
    return (labels + rng.integers(1, n_classes, size=len(labels))) % n_classes
