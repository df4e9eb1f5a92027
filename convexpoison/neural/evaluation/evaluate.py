"""Certifies a test set, image by image, and goes on where it was stopped."""

from __future__ import annotations

import os
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from convexpoison.neural.evaluation.evaluation import Evaluation
from convexpoison.neural.evaluation.records import COLUMNS, RecordWriter, read_records

if TYPE_CHECKING:
    from convexpoison.neural.smoothing.classifier import SmoothedClassifier
    from convexpoison.neural.smoothing.memory import MemoryClassifier


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
    return Evaluation.of(ordered, settings)
