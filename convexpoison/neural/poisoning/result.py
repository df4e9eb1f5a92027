"""Poison images and their provenance."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from convexpoison import __version__
from convexpoison._utils.files import read_npz, write_npz
from convexpoison._utils.types import FloatArray
from convexpoison.display.axes import new_figure
from convexpoison.display.shown import Facts, Shown, frame_of

_FORMAT = 1
_ARRAYS = ("images", "labels", "base_images", "base_labels", "base_indices", "train_indices")
_PLAIN = ("method", "eps", "norm", "stop_reason", "seconds", "provenance")


@dataclass(frozen=True, eq=False)
class PoisonResult(Shown):
    """Poison images, each of which replaces a training image.

    Attributes
    ----------
    images : float32 array of shape (n_poison, channels, height, width)
    labels : int array of shape (n_poison,)
        Labels of the poison images: those of the base images, except for label flips.
    base_images, base_labels : arrays
        The replaced training images and their labels.
    base_indices : int array of shape (n_poison,)
        Rows of the base images in the data passed to the attack.
    train_indices : int array
        Rows of the victim's training set, including poisoned ones; the other rows are the attacker's validation data.
    trace : dict of arrays
        Trace of the bilevel attack. One entry per outer step: ``upper`` (soft radius of the batch), ``lower`` (training loss),
        ``residual`` (of the linear system). One entry per evaluation: ``judged_step``, ``judged_value``.
    method : str
    eps : float
    norm : str
        "linf" or "l2".
    stop_reason : str
        "done", "time limit" or "interrupted".
    seconds : float
        Wall time of this call; for a resumed run, since it was resumed.
    provenance : dict
        Versions and settings.
    """

    images: np.ndarray
    labels: np.ndarray
    base_images: np.ndarray
    base_labels: np.ndarray
    base_indices: np.ndarray
    train_indices: np.ndarray
    method: str
    eps: float
    norm: str
    trace: dict[str, FloatArray] = field(default_factory=dict)
    stop_reason: str = "done"
    seconds: float = 0.0
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def points(self) -> np.ndarray:
        """The images, under the same name as in results of convex attacks."""
        return self.images

    @property
    def counts(self) -> np.ndarray:
        """One copy each."""
        return np.ones(len(self.images), dtype=np.int64)

    @property
    def n_points(self) -> int:
        """Poison images."""
        return len(self.images)

    def distances(self, norm: str = "linf") -> FloatArray:
        """Compute the distance of each image from its base, ``norm`` "linf" or "l2"."""
        offset = (self.images.astype(np.float64) - self.base_images).reshape(len(self.images), -1)
        return np.asarray(np.linalg.norm(offset, ord=np.inf if norm == "linf" else 2, axis=1))

    def poisoned(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the poisoned training set, from the data passed to the attack.

        Raises
        ------
        ValueError
            If the data are not those of the attack.
        """
        images, labels = self._checked(X, y)
        images[self.base_indices], labels[self.base_indices] = self.images, self.labels
        return images[self.train_indices], labels[self.train_indices]

    def clean(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the same training set without the poison."""
        images, labels = self._checked(X, y)
        return images[self.train_indices], labels[self.train_indices]

    def _checked(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        images, labels = np.array(X, dtype=np.float32), np.array(y)
        last = int(max(self.train_indices.max(), self.base_indices.max()))
        if len(images) <= last or not np.array_equal(images[self.base_indices], self.base_images):
            raise ValueError("these are not the data that were attacked: the rows of the base images differ")
        return images, labels

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with one row per poison image."""
        columns = {
            "base_index": self.base_indices, "base_label": self.base_labels, "label": self.labels,
            "linf": self.distances("linf"), "l2": self.distances("l2"),
        }  # fmt: skip
        return frame_of(columns, "PoisonResult.to_frame")

    def facts(self) -> Facts:
        """Return the main numbers by description."""
        return {
            "poison images": self.n_points,
            "training images in all": len(self.train_indices),
            "method": self.method,
            f"allowed {self.norm} distance": self.eps,
            "largest distance from a base image": float(self.distances(self.norm).max(initial=0.0)),
            "labels changed": int((self.labels != self.base_labels).sum()),
            "stopped because": self.stop_reason,
            "seconds": self.seconds,
        }

    def plot(self, n: int = 8, axes: Any = None) -> Any:
        """Plot clean images above the poisoned ones (PACD, Fig. 5).

        Parameters
        ----------
        n : int
            Number of pairs.
        axes : array of shape (2, n) of matplotlib Axes, optional

        Returns
        -------
        array of Axes

        Raises
        ------
        MissingDependencyError
            If matplotlib is not installed.
        """
        n = min(n, len(self.images))
        if axes is None:
            axes = new_figure(1.1 * n, 2.4).subplots(2, n, squeeze=False)
        for row, images in zip(axes, (self.base_images, self.images), strict=True):
            for ax, image in zip(row, images[:n], strict=True):
                ax.imshow(image.transpose(1, 2, 0).squeeze(), cmap="gray", vmin=0.0, vmax=1.0)
                ax.set_axis_off()
        axes[0, 0].set_title("clean", loc="left", fontsize="small")
        axes[1, 0].set_title(f"{self.method}, {self.norm} {self.eps:g}", loc="left", fontsize="small")
        return axes

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all fields to a compressed npz file, atomically and without pickle."""
        meta = {"format": _FORMAT} | {name: getattr(self, name) for name in _PLAIN}
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        arrays |= {f"trace_{name}": values for name, values in self.trace.items()}
        write_npz(Path(path), arrays | {"meta": np.array(json.dumps(meta))})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PoisonResult:
        """Read a file written by :meth:`save`.

        Raises
        ------
        ValueError
            If the file was not written by :meth:`save`.
        """
        arrays: dict[str, Any] = {**read_npz(path)}
        if not {"meta", *_ARRAYS} <= set(arrays):
            raise ValueError(f"{path} is not a saved poison: it has the entries {sorted(arrays)}")
        meta = json.loads(str(arrays["meta"]))
        if meta["format"] != _FORMAT:
            raise ValueError(f"{path} has format {meta['format']}; this version reads format {_FORMAT}")
        trace = {name.removeprefix("trace_"): a for name, a in arrays.items() if name.startswith("trace_")}
        return cls(
            **{name: arrays[name] for name in _ARRAYS}, **{name: meta[name] for name in _PLAIN}, trace=trace
        )  # fmt: skip


def provenance(**settings: Any) -> dict[str, Any]:
    """Return versions, and settings as numbers or strings."""
    plain = {name: value if isinstance(value, int | float | str) else str(value) for name, value in settings.items()}
    return {
        "convexpoison": __version__, "torch": version("torch"), "python": platform.python_version(), **plain,
    }  # fmt: skip
