"""How robust a smoothed classifier is on a test set: average certified radius and certified accuracy."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from convexpoison.errors import optional_import
from convexpoison.losses import FloatArray
from convexpoison.neural.evaluation.axes import accuracy_axes
from convexpoison.neural.evaluation.records import COLUMNS, RecordWriter, read_records

if TYPE_CHECKING:
    from convexpoison.neural.smoothing.classifier import SmoothedClassifier
    from convexpoison.neural.smoothing.memory import MemoryClassifier

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Certified predictions beside the true labels.

    Attributes
    ----------
    idx : int array of shape (n_images,)
        Place of each image in its data set.
    label, prediction : int arrays
        -1 in ``prediction`` abstains.
    radius : float array
    seconds : float array
        For each image.
    sigma, n : arrays, or empty where unknown (published files)
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
        """A file that :func:`evaluate` wrote, or a published one with the columns idx, label, predict, radius, correct, time.

        Raises
        ------
        ValueError
            If it is neither.
        """
        columns, settings = read_records(path)
        return cls._of(columns, settings)

    @classmethod
    def _of(cls, columns: dict[str, np.ndarray], settings: dict[str, Any]) -> Evaluation:
        idx, label, prediction = (np.asarray(columns[name], dtype=np.int64) for name in ("idx", "label", "predict"))
        more = {name: columns[name] for name in ("sigma", "n") if name in columns}
        return cls(idx, label, prediction, columns["radius"], columns["time"], **more, settings=settings)

    def __len__(self) -> int:
        return len(self.idx)

    @property
    def correct(self) -> np.ndarray:
        """Where the prediction is the label."""
        return np.asarray(self.prediction == self.label)

    @property
    def acr(self) -> float:
        """Average certified radius: mean radius, counted as 0 where the prediction is wrong (MACER, Section 5)."""
        return float(np.mean(self.radius * self.correct))

    @property
    def abstentions(self) -> int:
        """How many images it abstained on."""
        return int((self.prediction == -1).sum())

    def certified_accuracy(self, radius: npt.ArrayLike = 0.0) -> FloatArray:
        """Share of images that are predicted rightly with at least this radius ("approximate" in Cohen et al.: each image's
        certificate may fail with probability alpha).

        Parameters
        ----------
        radius : float or array
        """
        reached = np.sort(self.radius[self.correct])
        below = np.searchsorted(reached, np.asarray(radius, dtype=np.float64), side="left")
        return np.asarray((len(reached) - below) / max(len(self), 1))

    def curve(self, name: str = "certified accuracy", radii: npt.ArrayLike | None = None) -> CertifiedAccuracy:
        """The certified accuracy as a function of the radius.

        Parameters
        ----------
        name : str
        radii : array, optional
            By default 201 of them, up to a little over the largest.
        """
        return certified_accuracy_curves({name: self}, radii)

    def plot(self, ax: Any = None) -> Any:
        """The curve; see :meth:`CertifiedAccuracy.plot`."""
        return self.curve().plot(ax)

    def to_frame(self) -> Any:
        """One row an image, in the published columns, as a pandas DataFrame."""
        columns = {
            "idx": self.idx, "label": self.label, "predict": self.prediction, "radius": self.radius,
            "correct": self.correct.astype(np.int64), "time": self.seconds, "sigma": self.sigma, "n": self.n,
        }  # fmt: skip
        pandas = optional_import("pandas", "frame", "Evaluation.to_frame")
        return pandas.DataFrame({name: v for name, v in columns.items() if len(v) == len(self)})


@dataclass(frozen=True, eq=False)
class CertifiedAccuracy:
    """Curves of certified accuracy over common radii.

    Attributes
    ----------
    radii : float array
    accuracy : dict of name to float array
    """

    radii: FloatArray
    accuracy: dict[str, FloatArray]

    def envelope(self, name: str = "envelope") -> CertifiedAccuracy:
        """The best of the curves at each radius (DDRS, Section 4), as a curve of its own."""
        best = np.max(np.stack(list(self.accuracy.values())), axis=0)
        return CertifiedAccuracy(self.radii, {name: best})

    def to_frame(self) -> Any:
        """One row a radius, one column a curve, as a pandas DataFrame."""
        return optional_import("pandas", "frame", "CertifiedAccuracy.to_frame").DataFrame(
            {"radius": self.radii, **self.accuracy}
        )

    def plot(self, ax: Any = None) -> Any:
        """Certified accuracy against radius.

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        Axes
            ``ax``, or those of a new figure (``ax.figure.savefig(path)`` saves it).

        Raises
        ------
        MissingDependencyError
            If matplotlib is not installed.
        """
        ax = accuracy_axes(ax, "radius", "certified accuracy")
        for i, (name, accuracy) in enumerate(self.accuracy.items()):
            ax.plot(self.radii, accuracy, color=_COLOURS[i % len(_COLOURS)], label=name)
        ax.set(xlim=(0.0, None))
        ax.legend(frameon=False)
        return ax


def certified_accuracy_curves(
    evaluations: dict[str, Evaluation], radii: npt.ArrayLike | None = None
) -> CertifiedAccuracy:
    """Curves of several evaluations over common radii.

    Parameters
    ----------
    evaluations : dict of name to Evaluation
    radii : array, optional
        By default 201 of them, up to a little over the largest radius.

    Raises
    ------
    ValueError
        If there is no evaluation.
    """
    if not evaluations:
        raise ValueError("pass at least one evaluation")
    if radii is None:
        largest = max(float(e.radius.max(initial=0.0)) for e in evaluations.values())
        radii = np.linspace(0.0, 1.05 * largest or 1.0, 201)
    radii = np.asarray(radii, dtype=np.float64)
    return CertifiedAccuracy(radii, {name: e.certified_accuracy(radii) for name, e in evaluations.items()})


def evaluate(
    classifier: SmoothedClassifier | MemoryClassifier, X: Any, y: npt.ArrayLike, *,
    path: str | os.PathLike[str] | None = None, idx: npt.ArrayLike | None = None, n0: int = 100, n: int = 100_000,
    alpha: float = 0.001, chunk: int = 1, about: dict[str, Any] | None = None, progress: bool | None = None, **options: Any,
) -> Evaluation:  # fmt: skip
    """Certify a test set, image by image, with every result on the disk as soon as it is made.

    Parameters
    ----------
    classifier : SmoothedClassifier or MemoryClassifier
        A memory is asked in the order of the images; on going on, the earlier answers are put back into it first.
    X : array or tensor of shape (n_images, ...)
    y : int array of shape (n_images,)
        Labels as the network counts its classes, from 0.
    path : path, optional
        A file to write; where it holds images already, with the same settings, only the others are certified (a classifier
        with ``random_state=None`` takes the file's seed, and keeps it). The settings do not tell one network from another:
        that is the caller's matter (``about``).
    idx : int array, optional
        Place of each image in its data set; by default 0, 1, ...
    n0, n, alpha, **options
        As in :meth:`SmoothedClassifier.certify`.
    chunk : int
        Images at a time; more than one is worth it only for few draws.
    about : dict, optional
        Further settings of the file, plain numbers and words: what else the results depend on, such as the network's weights.
    progress : bool or None
        Progress bar; None: on a terminal only.

    Returns
    -------
    Evaluation
        In the order of ``idx``.

    Raises
    ------
    ValueError
        As :meth:`SmoothedClassifier.certify`; lengths that differ; an ``idx`` twice; a file with other settings.
    """
    labels = np.asarray(y)
    places = np.arange(len(labels)) if idx is None else np.asarray(idx)
    if not len(X) == len(labels) == len(places):
        raise ValueError(
            f"X has {len(X)} images, y {len(labels)} labels and idx {len(places)} places; they must be as many"
        )
    if len(np.unique(places)) != len(places):
        raise ValueError("idx holds a place twice; each image needs one of its own")
    if labels.dtype.kind not in "iu":
        raise ValueError(f"y holds {labels.dtype}; labels are whole numbers from 0, as the network counts its classes")
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; it must be at least 1")
    settings = _settings(classifier) | {"n0": n0, "n": n, "alpha": alpha} | options | (about or {})
    base = _base(classifier)
    if path is not None and base.seed_was_drawn and os.path.exists(path) and os.path.getsize(path):
        settings["seed"] = read_records(path)[1].get("seed", settings["seed"])
    writer = None if path is None else RecordWriter(path, settings)
    base.seed = bytes.fromhex(settings["seed"])
    done = {name: np.empty(0) for name in COLUMNS} if writer is None else writer.done
    rows: list[tuple[Any, ...]] = []
    at = {int(place): i for i, place in enumerate(places)}
    _put_back(classifier, X, done, at)
    finished = {int(place) for place in done["idx"]}
    left = [i for i, place in enumerate(places) if int(place) not in finished]
    for start in tqdm(range(0, len(left), chunk), disable=None if progress is None else not progress, desc="certify"):
        some = left[start : start + chunk]
        began = perf_counter()
        found = classifier.certify(X[some], n0=n0, n=n, alpha=alpha, **options)
        seconds = (perf_counter() - began) / len(some)
        made = [
            (int(places[i]), int(labels[i]), int(p), float(r), seconds, float(s), int(m))
            for i, p, r, s, m in zip(some, found.prediction, found.radius, found.sigma, found.n, strict=True)
        ]
        if writer is not None:
            writer.write(made)
        rows += made
    return _collect(done, rows, at, settings)


def _put_back(classifier: Any, X: Any, done: dict[str, np.ndarray], at: dict[int, int]) -> None:
    strangers = [int(place) for place in done["idx"] if int(place) not in at]
    if strangers:
        raise ValueError(f"the file holds idx {strangers[0]}, which is none of those to certify; choose another path")
    if hasattr(classifier, "remember") and len(done["idx"]):
        before = [at[int(place)] for place in done["idx"]]
        new = [j for j, i in enumerate(before) if not classifier.remembers(X[[i]])]
        classifier.remember(
            X[[before[j] for j in new]], *(done[name][new] for name in ("predict", "radius", "sigma", "n"))
        )


def _base(classifier: Any) -> SmoothedClassifier:
    """The smoothed classifier itself, also of one with a memory."""
    found: SmoothedClassifier = getattr(classifier, "classifier", classifier)
    return found


def _settings(classifier: Any) -> dict[str, Any]:
    base = _base(classifier)
    return {
        "classifier": type(classifier).__name__, "sigma": base.sigma, "noise": base.noise.name, "votes": base.votes,
        "beta": base.beta, "norm": base.norm, "seed": base.seed.hex(),
    }  # fmt: skip


def _collect(
    done: dict[str, np.ndarray], rows: list[tuple[Any, ...]], at: dict[int, int], settings: dict[str, Any]
) -> Evaluation:
    names = ("idx", "label", "predict", "radius", "time", "sigma", "n")
    new = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {name: () for name in names}
    columns = {name: np.concatenate([done[name], np.asarray(new[name])]) for name in names}
    order = np.argsort([at[int(place)] for place in columns["idx"]], kind="stable")
    ordered = {name: values[order] for name, values in columns.items()}
    ordered["n"] = ordered["n"].astype(np.int64)
    return Evaluation._of(ordered, settings)
