"""Labelled balls; balls with different labels never overlap."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from convexpoison._utils.types import FloatArray

ABSTAIN = -1
_METRICS = {1: "cityblock", 2: "euclidean"}


class Balls:
    """Append-only collection of points with labels and radii.

    The balls are open: a point at distance exactly ``radius`` is outside. Distances to all points are computed in one pass of
    compiled code (no tree is faster in hundreds of dimensions) and compared with a margin for rounding, on the side that
    keeps different labels apart.

    Parameters
    ----------
    norm : {1, 2}
    """

    def __init__(self, norm: int) -> None:
        self.norm = norm
        self._size = 0
        self._points = np.empty((0, 0))
        self._labels = np.empty(0, dtype=np.int64)
        self._radii = np.empty(0)
        self._places: dict[bytes, int] = {}

    def __len__(self) -> int:
        return self._size

    @property
    def points(self) -> FloatArray:
        return self._points[: self._size]

    @property
    def labels(self) -> np.ndarray:
        return self._labels[: self._size]

    @property
    def radii(self) -> FloatArray:
        return self._radii[: self._size]

    def place(self, point: FloatArray) -> int | None:
        """Return the index of this exact point, or None if it is not stored."""
        return self._places.get(_key(point))

    def settle(self, point: FloatArray, label: int, radius: float) -> tuple[int, float]:
        """Return the label and radius of a new point, made consistent with the stored balls, and store it.

        - Inside no ball of another label: it keeps its label; its radius is reduced until it overlaps no such ball.
        - Inside a ball of another label: it takes that label; its radius is reduced until it lies in that ball.
        - An abstention (``label`` -1) inside a ball takes the label of the ball and the largest radius that lies in the ball.
        - An abstention elsewhere remains an abstention and is not stored.

        Parameters
        ----------
        point : array of shape (n_features,)
            Must not be stored yet.
        label : int
        radius : float
            0 for an abstention.

        References
        ----------
        DDRS, Section 3.5 and Fig. 2; the paper does not treat abstentions.
        """
        distances = self._distances(point)
        margin = self._margin(point)
        home = np.flatnonzero(distances * (1.0 - margin) < self.radii)
        if home.size and self.labels[home[0]] != label:
            i = int(home[0])
            room = max(0.0, float(self.radii[i] - distances[i] * (1.0 + margin)))
            radius = room if label == ABSTAIN else min(radius, room)
            label = int(self.labels[i])
        if label == ABSTAIN:
            return ABSTAIN, 0.0
        radius = min(radius, self._room(distances, margin, label))
        self._store(point, label, radius)
        return label, radius

    def put(self, point: FloatArray, label: int, radius: float) -> None:
        """Store a ball unchanged, for example one that was settled before.

        Raises
        ------
        ValueError
            If the ball is an abstention, is stored already, or overlaps a ball of another label.
        """
        if label == ABSTAIN or self.place(point) is not None:
            raise ValueError("a ball needs a label other than -1 and a point that is not stored yet")
        distances = self._distances(point)
        other = self.labels != label
        if (distances[other] * (1.0 + self._margin(point)) < self.radii[other] + radius).any():
            raise ValueError(
                "the ball overlaps a ball of another label: the earlier answers were given in another order"
            )
        self._store(point, label, radius)

    def _distances(self, point: FloatArray) -> FloatArray:
        if not self._size:
            return np.empty(0)
        if point.shape != self.points.shape[1:]:
            raise ValueError(
                f"the point has shape {point.shape}; the points in the memory have shape {self.points.shape[1:]}"
            )
        return np.asarray(cdist(point[None], self.points, _METRICS[self.norm])[0])

    def _margin(self, point: FloatArray) -> float:
        """Return a bound on the relative error of a distance: the error of a sum of ``n_features`` terms."""
        return (point.size + 8) * float(np.finfo(np.float64).eps)

    def _room(self, distances: FloatArray, margin: float, label: int) -> float:
        """Return the largest radius that meets no ball of another label, reduced by four margins.

        With four margins no point appears, after rounding, to lie in two such balls.
        """
        other = self.labels != label
        if not other.any():
            return np.inf
        return max(0.0, float((distances[other] * (1.0 - 4.0 * margin) - self.radii[other]).min()))

    def _store(self, point: FloatArray, label: int, radius: float) -> None:
        if self._size == len(self._labels):
            self._grow(point.size)
        i = self._size
        self._points[i], self._labels[i], self._radii[i] = point, label, radius
        self._places[_key(point)] = i
        self._size += 1

    def _grow(self, n_features: int) -> None:
        capacity = max(16, 2 * self._size)
        points = np.empty((capacity, n_features))
        labels, radii = np.empty(capacity, dtype=np.int64), np.empty(capacity)
        points[: self._size], labels[: self._size], radii[: self._size] = (
            self.points if self._size else np.empty((0, n_features)), self.labels, self.radii
        )  # fmt: skip
        self._points, self._labels, self._radii = points, labels, radii


def _key(point: FloatArray) -> bytes:
    """Return the bytes of the point; adding 0 maps -0.0 to 0.0, so that equal points have equal bytes."""
    return (np.ascontiguousarray(point, dtype=np.float64) + 0.0).tobytes()
