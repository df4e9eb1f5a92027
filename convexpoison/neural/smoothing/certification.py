"""What smoothing answers about images."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.display.curves import plot_shares, survival
from convexpoison.display.shown import Facts, Shown, frame_of


class Rows(Shown):
    """One entry an image in every array."""

    prediction: np.ndarray
    radius: FloatArray
    norm: int
    alpha: float

    def __len__(self) -> int:
        return len(self.prediction)

    def to_frame(self) -> Any:
        """One row an image, as a pandas DataFrame."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        arrays = {name: v for name, v in columns.items() if isinstance(v, np.ndarray)}
        return frame_of(arrays, f"{type(self).__name__}.to_frame")

    def facts(self) -> Facts:
        """The main numbers in words."""
        answered = self.prediction != -1
        return {
            "images": len(self),
            "without an answer": int((~answered).sum()),
            f"mean l{self.norm} radius of the others": float(self.radius[answered].mean()) if answered.any() else None,
            "each wrong with probability at most": self.alpha,
        }

    def plot(self, ax: Any = None) -> Any:
        """The share of images that are certified with at least a radius, whatever their labels."""
        return plot_shares(
            *survival(self.radius, self.prediction != -1), ax, xlabel=f"l{self.norm} radius", ylabel="share of images"
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Certification(Rows):
    """Certified predictions: with probability ``1 - alpha`` over the draws, for each image by itself, the smoothed
    classifier predicts ``prediction`` everywhere within ``radius`` of the image (or it abstains here).

    Attributes
    ----------
    prediction : int array of shape (n_images,)
        -1 abstains.
    radius : float array
        In the ``norm`` and the units of the images; 0 where it abstains.
    n : int array
        Certifying draws, to which the bound belongs.
    p_lower, p_upper : float arrays
        Lower bound of the top class's probability, upper bound of every other's.
    sigma : float array
        Standard deviation of the noise in each coordinate.
    norm : int
        1 or 2.
    alpha : float
    """

    prediction: np.ndarray
    radius: FloatArray
    n: np.ndarray
    p_lower: FloatArray
    p_upper: FloatArray
    sigma: FloatArray
    norm: int
    alpha: float

    @classmethod
    def abstaining(cls, top: np.ndarray, radius: FloatArray, *others: Any) -> Certification:
        """Of the classes ``top``, and of none where the radius is not above 0; ``others`` are the other attributes."""
        certified = radius > 0.0
        return cls(np.where(certified, top, -1), np.where(certified, radius, 0.0), *others)


@dataclass(frozen=True, eq=False)
class RadiusDecision(Rows):
    """Whether a given radius is certified, decided with as few draws as it takes.

    Attributes
    ----------
    prediction : int array of shape (n_images,)
        The class whose radius was in question; -1 where the radius is not certified.
    certified : bool array
        With probability ``1 - alpha`` over the draws, for each image by itself, none is certified wrongly. False where the
        radius is too large, or so near the limit that the most draws allowed would hardly have shown it.
    radius : float array
        What was asked.
    n : int array
        Draws used, without the ``n0``.
    norm : int
    alpha : float
    """

    prediction: np.ndarray
    certified: np.ndarray
    radius: FloatArray
    n: np.ndarray
    norm: int
    alpha: float
