"""Noise distributions, and the radii certified by class probabilities under the noise.

In both families ``sigma`` is the standard deviation of each coordinate. Uniform noise on ``[-lambda, lambda]`` has
``lambda = sqrt(3) sigma`` (the convention of Yang et al., 2020, whose tables use sigma); for a given ``lambda``, pass
``sigma = lambda / sqrt(3)``.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from convexpoison._utils.types import FloatArray
from convexpoison.neural.smoothing.bounds import ROUNDING

if TYPE_CHECKING:
    import torch


class Noise(Protocol):
    """Family of noise distributions with one scale parameter.

    Attributes
    ----------
    name : str
    norm : int
        Norm of the radii: 1 or 2.
    """

    name: str
    norm: int

    def fill(self, rows: torch.Tensor, sigma: float, generator: torch.Generator) -> None:
        """Overwrite ``rows`` with independent draws."""

    def radius(self, p_a: npt.ArrayLike, p_b: npt.ArrayLike, sigma: npt.ArrayLike) -> FloatArray:
        """Return the certified radius, rounded down.

        ``p_a``: lower bound of the probability of the top class; ``p_b``: upper bound of that of every other class.
        """

    def needed(self, radius: npt.ArrayLike, sigma: npt.ArrayLike) -> FloatArray:
        """Return the ``p_a`` at which ``p_b = 1 - p_a`` certifies ``radius``; rounded up."""


class Gaussian:
    """Normal noise: l2 radii ``sigma / 2 (Phi^-1(p_a) - Phi^-1(p_b))`` (Cohen et al., 2019, Theorem 1)."""

    name = "gaussian"
    norm = 2

    def fill(self, rows: torch.Tensor, sigma: float, generator: torch.Generator) -> None:
        rows.normal_(0.0, sigma, generator=generator)

    def radius(self, p_a: npt.ArrayLike, p_b: npt.ArrayLike, sigma: npt.ArrayLike) -> FloatArray:
        return _down(0.5 * np.asarray(sigma) * (ndtri(p_a) - ndtri(p_b)))

    def needed(self, radius: npt.ArrayLike, sigma: npt.ArrayLike) -> FloatArray:
        return _up(ndtr(np.asarray(radius) / np.asarray(sigma)))


class Uniform:
    """Noise uniform on ``[-lambda, lambda]``, ``lambda = sqrt(3) sigma``: l1 radii ``lambda (p_a - p_b)``.

    With ``p_b = 1 - p_a`` this is ``2 lambda (p_a - 1/2)`` (Yang et al., 2020, Randomized smoothing of all shapes and sizes).
    """

    name = "uniform"
    norm = 1

    def fill(self, rows: torch.Tensor, sigma: float, generator: torch.Generator) -> None:
        rows.uniform_(-sqrt(3.0) * sigma, sqrt(3.0) * sigma, generator=generator)

    def radius(self, p_a: npt.ArrayLike, p_b: npt.ArrayLike, sigma: npt.ArrayLike) -> FloatArray:
        return _down(sqrt(3.0) * np.asarray(sigma) * (np.asarray(p_a) - np.asarray(p_b)))

    def needed(self, radius: npt.ArrayLike, sigma: npt.ArrayLike) -> FloatArray:
        return _up(0.5 + np.asarray(radius) / (2.0 * sqrt(3.0) * np.asarray(sigma)))


NOISES: dict[str, Noise] = {"gaussian": Gaussian(), "uniform": Uniform()}


def _down(radius: npt.ArrayLike) -> FloatArray:
    radius = np.asarray(radius, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(radius), radius - ROUNDING * np.abs(radius), radius)


def _up(p: npt.ArrayLike) -> FloatArray:
    return np.asarray(np.asarray(p, dtype=np.float64) * (1.0 + ROUNDING))
