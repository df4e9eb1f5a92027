"""Results of smoothing: certifications and radius decisions."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.display.curves import plot_shares, survival
from convexpoison.display.shown import Facts, Shown, frame_of


class Rows(Shown):
    """Base class of results whose arrays have one entry per image."""

    prediction: np.ndarray
    radius: FloatArray
    norm: int
    alpha: float

    def __len__(self) -> int:
        return len(self.prediction)

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with one row per image."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        arrays = {name: v for name, v in columns.items() if isinstance(v, np.ndarray)}
        return frame_of(arrays, f"{type(self).__name__}.to_frame")

    def facts(self) -> Facts:
        """Return the main numbers by name."""
        answered = self.prediction != -1
        return {
            "images": len(self),
            "abstentions": int((~answered).sum()),
            f"mean l{self.norm} radius of the others": float(self.radius[answered].mean()) if answered.any() else None,
            "error probability per image at most": self.alpha,
        }

    def plot(self, ax: Any = None) -> Any:
        """Plot the share of images certified with at least each radius, regardless of their labels."""
        return plot_shares(
            *survival(self.radius, self.prediction != -1), ax, xlabel=f"l{self.norm} radius", ylabel="share of images"
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Certification(Rows):
    """Certified predictions.

    For each image separately, with probability at least ``1 - alpha`` over the draws, the smoothed classifier predicts
    ``prediction`` everywhere within ``radius`` of the image, or the certification abstains.

    Attributes
    ----------
    prediction : int array of shape (n_images,)
        -1: abstention.
    radius : float array
        In the ``norm`` and the units of the images; 0 for an abstention.
    n : int array
        Number of certifying draws used for the bound.
    p_lower, p_upper : float arrays
        Lower bound of the probability of the top class, upper bound of the probability of every other class.
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
        """Build a certification of the classes ``top`` that abstains where ``radius <= 0``; ``others``: other attributes."""
        certified = radius > 0.0
        return cls(np.where(certified, top, -1), np.where(certified, radius, 0.0), *others)


@dataclass(frozen=True, eq=False)
class RadiusDecision(Rows):
    """Decisions whether a given radius is certified, made with as few draws as possible.

    Attributes
    ----------
    prediction : int array of shape (n_images,)
        The certified class; -1 where the radius is not certified.
    certified : bool array
        For each image separately, a wrong certificate has probability at most ``alpha`` over the draws. False where the
        radius is too large, or so near the limit that the maximal number of draws was unlikely to decide it.
    radius : float array
        The requested radius.
    n : int array
        Draws used, excluding the ``n0``.
    norm : int
    alpha : float
    """

    prediction: np.ndarray
    certified: np.ndarray
    radius: FloatArray
    n: np.ndarray
    norm: int
    alpha: float
