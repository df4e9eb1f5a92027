"""Resumable certification of a test set, image by image."""

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
    """Certify a test set, image by image, and write every result to disk immediately.

    Parameters
    ----------
    classifier : SmoothedClassifier or MemoryClassifier
        A memory is queried in the order of the images; on resumption, the earlier predictions are first restored to it.
    X : array or tensor of shape (n_images, ...)
    y : int array of shape (n_images,)
        Class indices of the network, from 0.
    path : path, optional
        File of records. If it exists, with the same settings, only the remaining images are certified (a classifier with
        ``random_state=None`` permanently adopts its seed). The settings do not identify the network: the caller is
        responsible for this (``about``).
    idx : int array, optional
        Index of each image in its data set; default: 0, 1, ...
    n0, n, alpha, **options
        As in :meth:`SmoothedClassifier.certify`.
    chunk : int
        Images per call; values above 1 are faster only for few draws.
    about : dict, optional
        Further settings of the file, numbers and strings, on which the results depend, such as the network's weights.
    progress : bool or None
        Show a progress bar; None: on a terminal only.

    Returns
    -------
    Evaluation
        In the order of ``idx``.

    Raises
    ------
    ValueError
        As in :meth:`SmoothedClassifier.certify`; if lengths differ, ``idx`` has duplicates, or the file has other settings.
    """
    labels = np.asarray(y)
    places = np.arange(len(labels)) if idx is None else np.asarray(idx)
    if not len(X) == len(labels) == len(places):
        raise ValueError(
            f"X has {len(X)} images, y {len(labels)} labels and idx {len(places)} entries; their numbers must be equal"
        )
    if len(np.unique(places)) != len(places):
        raise ValueError("idx contains duplicates; each image needs a distinct index")
    if labels.dtype.kind not in "iu":
        raise ValueError(f"y has dtype {labels.dtype}; labels are integers from 0, the class indices of the network")
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
    _restore(classifier, X, done, at)
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


def _restore(classifier: Any, X: Any, done: dict[str, np.ndarray], at: dict[int, int]) -> None:
    unknown = [int(place) for place in done["idx"] if int(place) not in at]
    if unknown:
        raise ValueError(
            f"the file contains idx {unknown[0]}, which is not among those to certify; choose another path"
        )
    if hasattr(classifier, "remember") and len(done["idx"]):
        before = [at[int(place)] for place in done["idx"]]
        new = [j for j, i in enumerate(before) if not classifier.remembers(X[[i]])]
        classifier.remember(
            X[[before[j] for j in new]], *(done[name][new] for name in ("predict", "radius", "sigma", "n"))
        )


def _base(classifier: Any) -> SmoothedClassifier:
    """Return the smoothed classifier itself, or the base classifier of a memory classifier."""
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
