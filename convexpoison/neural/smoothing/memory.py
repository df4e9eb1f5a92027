"""Classifier with image-dependent sigma, made consistent by a memory of its predictions."""

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
    """Predictions of a memory classifier, together with those of its base classifier.

    Attributes
    ----------
    prediction : int array of shape (n_images,)
        -1: abstention.
    radius : float array
        Every later query within this radius gets ``prediction``.
    base_prediction, base_radius : arrays
        Prediction and radius of the classifier smoothed with ``sigma`` everywhere.
    sigma : float array
    n : int array
        Certifying draws.
    corrected : bool array
        Whether the memory changed the prediction or the radius.
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
    """Smoothed classifier with one sigma per image and a memory of its predictions.

    Guarantees and their limits:

    - Every prediction other than an abstention is stored with its ball. A later query inside the ball gets the label of the
      ball, regardless of the network's output. This holds by construction, with certainty.
    - The guarantee covers *later* queries to *this object*. The classifier is stateful: which of two nearby images determines
      the label of the region between them depends on the order of the queries. An attacker who queries first can claim a
      ball around an image of their choice; a copy of the classifier with another history may predict another label.
    - Without the memory, a classifier with data-dependent sigma has no certificate at all, since a neighbour of the image
      would be smoothed with another sigma (Súkeník et al., 2022).
    - Radii come from certificates of the classifier that has the image's sigma everywhere, each valid with probability
      ``1 - alpha``. They measure how far the network supports the label; the memory ensures the constancy within them.

    Predictions and certificates use the same procedure, so they are consistent with each other. An abstention is no class: it
    is not stored, blocks no ball, and inside a ball it is replaced by the label of the ball. Predictions are only added; an
    image that is queried again gets its first prediction, without new draws.

    Parameters
    ----------
    classifier : SmoothedClassifier
    choose_sigma : callable or None
        ``choose_sigma(classifier, X) -> sigma of each image``; default: :func:`convexpoison.neural.optimize_sigma`
        (set its options with ``functools.partial``). None: the classifier's sigma for all images.

    Attributes
    ----------
    balls : Balls
        Stored points, labels and radii, in order.

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
        self._base_answers: list[tuple[int, float, float, int]] = []

    def __len__(self) -> int:
        return len(self.balls)

    @property
    def norm(self) -> int:
        """Norm of the radii."""
        return self.classifier.norm

    def predict(self, X: Any, n: int = 1000, alpha: float = 0.001) -> np.ndarray:
        """Predict classes by :meth:`certify` with ``n`` draws, stored in the memory; -1 is an abstention.

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
        """Certify the images sequentially, in their order, and store the predictions.

        Parameters
        ----------
        X : array or tensor of shape (n_images, ...)
        n0, n, alpha
            As in :meth:`SmoothedClassifier.certify`.
        **options
            Options of :meth:`SmoothedClassifier.certify`: bound, two_sided, tolerance, radii.

        Raises
        ------
        ValueError
            As in :meth:`SmoothedClassifier.certify`; nothing is stored in this case.
        """
        images = self.classifier.images(X)
        points = self._points(images)
        new = [i for i, point in enumerate(points) if self.balls.place(point) is None]
        new_images = images[new]
        sigma = np.full(len(new), self.classifier.sigma)
        if self.choose_sigma is not None and new:
            sigma = np.asarray(self.choose_sigma(self.classifier, new_images), dtype=np.float64)
        base = self.classifier.certify(new_images, n0, n, alpha, sigma=sigma, **options)
        fresh = {
            i: (int(base.prediction[j]), float(base.radius[j]), float(base.sigma[j]), int(base.n[j]))
            for j, i in enumerate(new)
        }
        answers = [self._answer(point, fresh.get(i)) for i, point in enumerate(points)]
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
        """Return whether all these images are stored (abstentions are not)."""
        return all(self.balls.place(point) is not None for point in self._points(self.classifier.images(X)))

    def remember(
        self, X: Any, prediction: npt.ArrayLike, radius: npt.ArrayLike, sigma: npt.ArrayLike, n: npt.ArrayLike
    ) -> None:
        """Restore earlier predictions in their order, for example those of an interrupted run.

        Parameters
        ----------
        X : array or tensor of shape (n_images, ...)
        prediction, radius, sigma, n : arrays of shape (n_images,)
            Abstentions are skipped.

        Raises
        ------
        ValueError
            If an image is stored already, or its ball overlaps a ball of another label.
        """
        columns = (np.asarray(v) for v in (prediction, radius, sigma, n))
        for point, label, r, s, draws in zip(self._points(self.classifier.images(X)), *columns, strict=True):
            if label != ABSTAIN:
                self.balls.put(point, int(label), float(r))
                self._base_answers.append((int(label), float(r), float(s), int(draws)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the memory, without the network, to a compressed npz file atomically."""
        base_answers = np.array(self._base_answers, dtype=np.float64).reshape(len(self), 4)
        meta = {"format": _FORMAT, "norm": self.norm, "sigma": self.classifier.sigma}
        write_npz(
            Path(path),
            {
                "points": self.balls.points, "labels": self.balls.labels, "radii": self.balls.radii, "told": base_answers,
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
        """Load a memory written by :meth:`save`, for the network with which it was created.

        Raises
        ------
        ValueError
            If the file is no memory, has another norm or sigma, or contains overlapping balls of different labels.
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
        memory._base_answers = [(int(label), float(r), float(s), int(n)) for label, r, s, n in arrays["told"]]
        return memory

    def _points(self, images: torch.Tensor) -> FloatArray:
        return np.asarray(images.cpu().numpy(), dtype=np.float64).reshape(len(images), int(np.prod(images.shape[1:])))

    def _answer(
        self, point: FloatArray, fresh: tuple[int, float, float, int] | None
    ) -> tuple[int, float, int, float, float, int]:
        i = self.balls.place(point)  # also when an image occurs twice in one call
        if i is not None:
            return int(self.balls.labels[i]), float(self.balls.radii[i]), *self._base_answers[i]
        assert fresh is not None
        label, radius = self.balls.settle(point, fresh[0], fresh[1])
        if label != ABSTAIN:
            self._base_answers.append(fresh)
        return label, radius, *fresh
