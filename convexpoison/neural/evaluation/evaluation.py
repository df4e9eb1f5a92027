"""Summaries of the certification of a test set: average certified radius, certified accuracy at any radius, curves."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from convexpoison._utils.types import FloatArray
from convexpoison.display.curves import plot_shares
from convexpoison.display.shown import Facts, Shown, frame_of
from convexpoison.neural.evaluation.records import read_records


@dataclass(frozen=True, eq=False)
class Evaluation(Shown):
    """Certified predictions together with the true labels.

    Attributes
    ----------
    idx : int array of shape (n_images,)
        Index of each image in its data set.
    label, prediction : int arrays
        ``prediction == -1``: abstention.
    radius : float array
    seconds : float array
        Time of each image.
    sigma, n : arrays, empty if unknown (published files)
    settings : dict
    """

    idx: np.ndarray
    label: np.ndarray
    prediction: np.ndarray
    radius: FloatArray
    seconds: FloatArray
    sigma: FloatArray = field(default_factory=lambda: np.empty(0))
    n: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Evaluation:
        """Read a file written by :func:`evaluate`, or a published file.

        Published files have the columns idx, label, predict, radius, correct, time.

        Raises
        ------
        ValueError
            If the file is neither.
        """
        columns, settings = read_records(path)
        return cls.of(columns, settings)

    @classmethod
    def of(cls, columns: dict[str, np.ndarray], settings: dict[str, Any]) -> Evaluation:
        """Build an evaluation from the columns of a file."""
        idx, label, prediction = (np.asarray(columns[name], dtype=np.int64) for name in ("idx", "label", "predict"))
        more = {name: columns[name] for name in ("sigma", "n") if name in columns}
        return cls(idx, label, prediction, columns["radius"], columns["time"], **more, settings=settings)

    def __len__(self) -> int:
        return len(self.idx)

    @property
    def correct(self) -> np.ndarray:
        """Whether the prediction equals the label, for each image."""
        return np.asarray(self.prediction == self.label)

    @property
    def acr(self) -> float:
        """Average certified radius: mean radius, with 0 for wrong predictions (MACER, Section 5)."""
        return float(np.mean(self.radius * self.correct))

    @property
    def abstentions(self) -> int:
        """Number of abstentions."""
        return int((self.prediction == -1).sum())

    def certified_accuracy(self, radius: npt.ArrayLike = 0.0) -> FloatArray:
        """Compute the share of images that are classified correctly with at least this radius.

        Called "approximate" by Cohen et al., since the certificate of each image may fail with probability alpha.

        Parameters
        ----------
        radius : float or array
        """
        reached = np.sort(self.radius[self.correct])
        below = np.searchsorted(reached, np.asarray(radius, dtype=np.float64), side="left")
        return np.asarray((len(reached) - below) / max(len(self), 1))

    def curve(self, name: str = "certified accuracy", radii: npt.ArrayLike | None = None) -> CertifiedAccuracy:
        """Compute the certified accuracy as a function of the radius.

        Parameters
        ----------
        name : str
        radii : array, optional
            Default: 201 radii from 0 to 1.05 times the largest.
        """
        return certified_accuracy_curves({name: self}, radii)

    def plot(self, ax: Any = None) -> Any:
        """Plot the curve; see :meth:`CertifiedAccuracy.plot`."""
        return self.curve().plot(ax)

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with one row per image, in the published columns."""
        columns = {
            "idx": self.idx, "label": self.label, "predict": self.prediction, "radius": self.radius,
            "correct": self.correct.astype(np.int64), "time": self.seconds, "sigma": self.sigma, "n": self.n,
        }  # fmt: skip
        return frame_of({name: v for name, v in columns.items() if len(v) == len(self)}, "Evaluation.to_frame")

    def facts(self) -> Facts:
        """Return the main numbers by name."""
        facts: Facts = {"images": len(self), "average certified radius": self.acr, "abstentions": self.abstentions}
        largest = float(self.radius.max(initial=0.0))
        radii = [r for r in (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0) if r <= largest]
        return facts | {f"certified accuracy at radius {r:g}": float(self.certified_accuracy(r)) for r in radii}


@dataclass(frozen=True, eq=False)
class CertifiedAccuracy(Shown):
    """Curves of certified accuracy on a common grid of radii.

    Attributes
    ----------
    radii : float array
    accuracy : dict of name to float array
    """

    radii: FloatArray
    accuracy: dict[str, FloatArray]

    def envelope(self, name: str = "envelope") -> CertifiedAccuracy:
        """Return the pointwise maximum of the curves (DDRS, Section 4) as a single curve."""
        best = np.max(np.stack(list(self.accuracy.values())), axis=0)
        return CertifiedAccuracy(self.radii, {name: best})

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with one row per radius and one column per curve."""
        return frame_of({"radius": self.radii, **self.accuracy}, "CertifiedAccuracy.to_frame")

    def facts(self) -> Facts:
        """Return the certified accuracy of each curve at four of its radii."""
        places = np.unique(np.linspace(0, len(self.radii) - 1, 4).round().astype(int))
        return {
            name: {f"at radius {self.radii[i]:.3g}:": float(accuracy[i]) for i in places}
            for name, accuracy in self.accuracy.items()
        }

    def plot(self, ax: Any = None) -> Any:
        """Plot certified accuracy against radius.

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        Axes
            ``ax``, or the Axes of a new figure (saved by ``ax.figure.savefig(path)``).

        Raises
        ------
        MissingDependencyError
            If matplotlib is not installed.
        """
        return plot_shares(self.radii, self.accuracy, ax, xlabel="radius", ylabel="certified accuracy")


def certified_accuracy_curves(
    evaluations: dict[str, Evaluation], radii: npt.ArrayLike | None = None
) -> CertifiedAccuracy:
    """Compute the curves of several evaluations on a common grid of radii.

    Parameters
    ----------
    evaluations : dict of name to Evaluation
    radii : array, optional
        Default: 201 radii from 0 to 1.05 times the largest.

    Raises
    ------
    ValueError
        If ``evaluations`` is empty.
    """
    if not evaluations:
        raise ValueError("pass at least one evaluation")
    if radii is None:
        largest = max(float(e.radius.max(initial=0.0)) for e in evaluations.values())
        radii = np.linspace(0.0, 1.05 * largest or 1.0, 201)
    radii = np.asarray(radii, dtype=np.float64)
    return CertifiedAccuracy(radii, {name: e.certified_accuracy(radii) for name, e in evaluations.items()})
