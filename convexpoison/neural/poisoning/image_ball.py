"""The feasible set of poison images: a ball around each base image, intersected with the pixel range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ImageBall:
    """A ball around each base image, intersected with the pixel range.

    Parameters
    ----------
    base : float tensor of shape (n, channels, height, width)
        Base images within the pixel range.
    eps : float
    norm : {"linf", "l2"}
    pixels : (low, high)

    Raises
    ------
    ValueError
        If the radius is negative or infinite, the norm is unknown, or base images lie outside the range.
    """

    base: Tensor
    eps: float
    norm: Literal["linf", "l2"] = "linf"
    pixels: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        if self.norm not in ("linf", "l2"):
            raise ValueError(f"unknown norm {self.norm!r}; choose 'linf' or 'l2'")
        if not 0.0 <= self.eps < float("inf"):
            raise ValueError(f"eps must be finite and not negative; got {self.eps}")
        low, high = self.pixels
        if not (torch.isfinite(self.base).all() and low <= self.base.min() and self.base.max() <= high):
            raise ValueError(f"base images must lie within the pixel range [{low:g}, {high:g}]")

    def of(self, rows: Tensor) -> ImageBall:
        """Return the balls around some of the base images."""
        return ImageBall(self.base[rows], self.eps, self.norm, self.pixels)

    def project(self, images: Tensor) -> Tensor:
        """Project images onto the ball and the range: exactly for linf; for l2 first onto the ball, then onto the range.

        The result is inside despite rounding: bounds are rounded towards the base images.
        """
        low, high = self.pixels
        if self.norm == "linf":
            centre = self.base.double()
            below, above = (centre - self.eps).clamp_min(low), (centre + self.eps).clamp_max(high)
            return torch.minimum(torch.maximum(images, _up(below, images)), -_up(-above, images))
        offset = images.double() - self.base.double()
        size = torch.linalg.vector_norm(offset.flatten(1), dim=1).clamp_min(1e-30)
        # Rounding to single precision may move every coordinate outwards, by up to 2^-24 of the largest pixel.
        rounding = 2.0**-24 * max(abs(low), abs(high)) * offset[0].numel() ** 0.5 if len(offset) else 0.0
        inside = max(0.0, (1.0 - 1e-12) * self.eps - rounding)
        factor = torch.where(size <= inside, 1.0, inside / size).view(-1, *[1] * (images.dim() - 1))
        near = torch.where(factor == 1.0, images, (self.base + factor * offset).to(images.dtype))
        # The base lies in the range: clipping moves no coordinate away from it.
        return near.clamp(low, high)

    def distances(self, images: Tensor) -> Tensor:
        """Compute the distance of each image from its base in the ball's norm, in double precision."""
        offset = (images.double() - self.base.double()).flatten(1)
        order = float("inf") if self.norm == "linf" else 2.0
        found: Tensor = torch.linalg.vector_norm(offset, ord=order, dim=1)
        return found


def _up(bound: Tensor, like: Tensor) -> Tensor:
    """Round ``bound`` upwards to the precision of ``like``."""
    near = bound.to(like.dtype)
    return torch.where(near.double() < bound, torch.nextafter(near, torch.full_like(near, torch.inf)), near)
