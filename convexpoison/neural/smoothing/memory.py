"""The classifier whose sigma depends on the image, made consistent by a memory of its answers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from convexpoison._utils.files import read_npz, write_npz
from convexpoison._utils.types import FloatArray
from convexpoison.neural.smoothing.balls import ABSTAIN, Balls
from convexpoison.neural.smoothing.certification import Rows
from convexpoison.neural.smoothing.classifier import SmoothedClassifier
from convexpoison.neural.smoothing.sigma import optimize_sigma

SigmaChoice = Callable[[SmoothedClassifier, Any], npt.ArrayLike]
_FORMAT = 1


@dataclass(frozen=True, eq=False)
class MemoryCertification(Rows):
    """What a memory classifier answered, and what its base classifier would have.

    Attributes
    ----------
    prediction : int array of shape (n_images,)
        -1 abstains.
    radius : float array
        The memory answers ``prediction`` to every later query within it.
    base_prediction, base_radius : arrays
        Of the classifier smoothed with ``sigma`` everywhere.
    sigma : float array
    n : int array
        Certifying draws.
    corrected : bool array
        Where the memory changed the prediction or the radius.
    norm : int
    alpha : float
    """

    prediction: np.ndarray
    radius: FloatArray
    base_prediction: np.ndarray
    base_radius: FloatArray
    sigma: FloatArray
    n: np.ndarray
    corrected: np.ndarray
    norm: int
    alpha: float


class MemoryClassifier:
    """A smoothed classifier with a sigma of its own for each image, and a memory of what it answered.

    What is guaranteed, and what is not:

    - Every answer other than an abstention is remembered with its ball. A later query inside the ball gets the ball's label,
      whatever the network says: that is true by construction, without any probability.
    - It holds for *later* queries to *this object*. The classifier is stateful: which of two nearby images decides the label
      of the region between them depends on the order in which they were asked. An attacker who may ask first can claim a
      ball around an image of their choice; a copy of the classifier with another history may answer otherwise.
    - Without the memory, a classifier with data-dependent sigma has no certificate at all, since a neighbour of the image
      would be smoothed with another sigma (Súkeník et al., 2022).
    - Radii come from certificates of the classifier that has the image's sigma everywhere, each valid with probability
      ``1 - alpha``. They say how far the network supports the label; the constancy within them is the memory's doing.

    Predictions and certificates take the same way, so that neither contradicts the other. An abstention is no class: it is not
    remembered, blocks no ball, and inside a ball it is replaced by the ball's label. Answers are only added; an image that
    is asked again gets its first answer, without new draws.

    Parameters
    ----------
    classifier : SmoothedClassifier
    choose_sigma : callable or None
        ``choose_sigma(classifier, X) -> sigma of each image``; by default :func:`convexpoison.neural.optimize_sigma`
        (``functools.partial`` sets its options). None: the classifier's sigma for all.

    Attributes
    ----------
    balls : Balls
        The remembered points, labels and radii, in order.

    References
    ----------
    Alfarra et al., Data-Dependent Randomized Smoothing (UAI 2022), Section 3.5. Súkeník, Kuvshinov and Günnemann, Intriguing
    Properties of Input-Dependent Randomized Smoothing (ICML 2022).
    """

    def __init__(self, classifier: SmoothedClassifier, choose_sigma: SigmaChoice | None = optimize_sigma) -> None:
        if not isinstance(classifier, SmoothedClassifier):
            raise TypeError(f"classifier is a {type(classifier).__name__}; it must be a SmoothedClassifier")
        self.classifier, self.choose_sigma = classifier, choose_sigma
        self.balls = Balls(classifier.norm)
        self._told: list[tuple[int, float, float, int]] = []

    def __len__(self) -> int:
        return len(self.balls)

    @property
    def norm(self) -> int:
        """The norm in which radii are."""
        return self.classifier.norm

    def predict(self, X: Any, n: int = 1000, alpha: float = 0.001) -> np.ndarray:
        """Classes, -1 where it abstains: the predictions of :meth:`certify` with ``n`` draws, remembered as such.

        Parameters
        ----------
        X : array or tensor of shape (n_images, ...)
        n : int
        alpha : float
        """
        return self.certify(X, n0=min(100, n), n=n, alpha=alpha).prediction

    def certify(
        self, X: Any, n0: int = 100, n: int = 100_000, alpha: float = 0.001, **options: Any
    ) -> MemoryCertification:
        """Answer the images one after the other, in their order, and remember the answers.

        Parameters
        ----------
        X : array or tensor of shape (n_images, ...)
        n0, n, alpha
            As in :meth:`SmoothedClassifier.certify`.
        **options
            Of :meth:`SmoothedClassifier.certify`: bound, two_sided, tolerance, radii.

        Raises
        ------
        ValueError
            As :meth:`SmoothedClassifier.certify`; nothing is remembered then.
        """
        images = self.classifier.images(X)
        points = self._points(images)
        new = [i for i, point in enumerate(points) if self.balls.place(point) is None]
        asked = images[new]
        sigma = np.full(len(new), self.classifier.sigma)
        if self.choose_sigma is not None and new:
            sigma = np.asarray(self.choose_sigma(self.classifier, asked), dtype=np.float64)
        base = self.classifier.certify(asked, n0, n, alpha, sigma=sigma, **options)
        told = {
            i: (int(base.prediction[j]), float(base.radius[j]), float(base.sigma[j]), int(base.n[j]))
            for j, i in enumerate(new)
        }
        answers = [self._answer(point, told.get(i)) for i, point in enumerate(points)]
        columns = zip(*answers, strict=True) if answers else [()] * 6
        prediction, radius, base_prediction, base_radius, sigmas, draws = (
            np.array(column, dtype=kind)
            for column, kind in zip(columns, (np.int64, float, np.int64, float, float, np.int64), strict=True)
        )
        corrected = (prediction != base_prediction) | (radius != base_radius)
        return MemoryCertification(
            prediction, radius, base_prediction, base_radius, sigmas, draws, corrected, self.norm, alpha
        )

    def remembers(self, X: Any) -> bool:
        """Whether all these images have been answered (abstentions are no answers)."""
        return all(self.balls.place(point) is not None for point in self._points(self.classifier.images(X)))

    def remember(
        self, X: Any, prediction: npt.ArrayLike, radius: npt.ArrayLike, sigma: npt.ArrayLike, n: npt.ArrayLike
    ) -> None:
        """Put back answers that were given before, in their order, for example by a run that was killed.

        Parameters
        ----------
        X : array or tensor of shape (n_images, ...)
        prediction, radius, sigma, n : arrays of shape (n_images,)
            Abstentions are passed over.

        Raises
        ------
        ValueError
            If one is stored already, or its ball overlaps one of another label.
        """
        columns = (np.asarray(v) for v in (prediction, radius, sigma, n))
        for point, label, r, s, draws in zip(self._points(self.classifier.images(X)), *columns, strict=True):
            if label != ABSTAIN:
                self.balls.put(point, int(label), float(r))
                self._told.append((int(label), float(r), float(s), int(draws)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the memory, not the network, to a compressed npz file; all of it or nothing."""
        told = np.array(self._told, dtype=np.float64).reshape(len(self), 4)
        meta = {"format": _FORMAT, "norm": self.norm, "sigma": self.classifier.sigma}
        write_npz(
            Path(path),
            {
                "points": self.balls.points, "labels": self.balls.labels, "radii": self.balls.radii, "told": told,
                "meta": np.array(json.dumps(meta)),
            },
        )  # fmt: skip

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        classifier: SmoothedClassifier,
        choose_sigma: SigmaChoice | None = optimize_sigma,
    ) -> MemoryClassifier:
        """A memory that :meth:`save` wrote, for the network that it was made with.

        Raises
        ------
        ValueError
            If the file is no memory, of another norm or for another sigma, or balls of different labels overlap in it.
        """
        arrays = read_npz(path)
        if "meta" not in arrays or "told" not in arrays:
            raise ValueError(f"{path} is not a saved memory: it has no 'meta' and 'told'")
        meta = json.loads(str(arrays["meta"]))
        if meta["format"] != _FORMAT:
            raise ValueError(f"{path} has format {meta['format']}; this version reads format {_FORMAT}")
        memory = cls(classifier, choose_sigma)
        if (meta["norm"], meta["sigma"]) != (memory.norm, classifier.sigma):
            raise ValueError(
                f"{path} belongs to a classifier with l{meta['norm']} radii and sigma {meta['sigma']:g}; "
                f"this one has l{memory.norm} radii and sigma {classifier.sigma:g}"
            )
        for point, label, radius in zip(arrays["points"], arrays["labels"], arrays["radii"], strict=True):
            memory.balls.put(point, int(label), float(radius))
        memory._told = [(int(label), float(r), float(s), int(n)) for label, r, s, n in arrays["told"]]
        return memory

    def _points(self, images: torch.Tensor) -> FloatArray:
        return np.asarray(images.cpu().numpy(), dtype=np.float64).reshape(len(images), int(np.prod(images.shape[1:])))

    def _answer(
        self, point: FloatArray, told: tuple[int, float, float, int] | None
    ) -> tuple[int, float, int, float, float, int]:
        i = self.balls.place(point)  # also where the same image stands twice in one call
        if i is not None:
            return int(self.balls.labels[i]), float(self.balls.radii[i]), *self._told[i]
        assert told is not None
        label, radius = self.balls.settle(point, told[0], told[1])
        if label != ABSTAIN:
            self._told.append(told)
        return label, radius, *told
