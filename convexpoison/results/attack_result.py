"""The result of an attack: poison, the model that it induces, and the bracket around the number of points."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from convexpoison import __version__
from convexpoison._utils.types import FloatArray
from convexpoison.bounds.bound import Bound
from convexpoison.bounds.convergence import Guarantee
from convexpoison.data.frames import appended, repeated
from convexpoison.display.attack import plot_attack
from convexpoison.display.images import Shape, plot_points
from convexpoison.display.shown import Facts, Shown, frame_of, text_of_facts
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Victim
from convexpoison.poison import KKTCheck
from convexpoison.results.file import read_fields, write_fields

_REASONS = {
    "close": "the model came as close to the target as was asked",
    "goal": "the goal was reached",
    "budget": "the budget of points was used up",
    "time limit": "the time limit was reached; the best model so far is kept",
    "interrupted": "interrupted; the best model so far is kept",
    "exact": "the points reproduce the target",
    "approximate": "no integer numbers of points were found that reproduce the target; these come near",
    "unattainable": "Theorem 2 proved on the way that no number of points reproduces the target",
}


@dataclass(frozen=True, eq=False)
class AttackResult(Shown):
    """Poison and its effect.

    Attributes
    ----------
    points : array of shape (n_steps, n_features)
        Poison points in the order in which they were chosen: a smaller budget takes the first ones. In the space of a
        Pipeline's final step.
    labels : array of shape (n_steps,)
        In the user's own terms.
    counts : int array of shape (n_steps,)
        Copies of each point.
    model : LinearModel
        The victim's model on clean rows and poison.
    target, clean : LinearModel
        The model to induce; the victim's model without poison.
    victim : Victim
    bound : Bound
        Certified: no attack reproduces ``target`` exactly with fewer points.
    induced_bound : Bound
        Certified: no attack reproduces ``model`` with fewer points; with ``n_points`` it brackets their least number.
    eps : float or None
        The closeness to the target at which the attack stops.
    stop_reason : str
        "close", "goal", "budget", "time limit", "interrupted" or "unattainable"; of the optimal attack "exact",
        "approximate" or "time limit".
    history : dict of arrays, one entry a model, the clean one first
        n_points, max_loss_difference (to the target), distance (Euclidean, to the target), lower_bound (Theorem 2, best
        so far), accuracy (on the test rows; NaN without), seconds.
    guarantee : Guarantee or None
        MTP's Theorem 1, if it applies.
    reproduction : KKTCheck or None
        Of the optimal attack: how well the points reproduce the target itself.
    gap : float
        Duality gap to which ``model`` is trained.
    original_points : array, sparse matrix, DataFrame or None
        The points as rows of the table that the attack was given, before a Pipeline's steps (which count as fixed: they are not
        fitted again): of its kind, with its column names and types. Columns that the steps drop are those of the first clean
        row. None if a step cannot be inverted; ``note`` says which.
    note : str
    seconds : float
    provenance : dict
        Versions, solver and settings.
    info : dict
        Further output of the method, for example a certified upper bound (plain numbers and short lists).
    """

    points: FloatArray
    labels: np.ndarray
    counts: np.ndarray
    model: LinearModel
    target: LinearModel
    clean: LinearModel
    victim: Victim
    bound: Bound
    induced_bound: Bound
    eps: float | None
    stop_reason: str
    history: dict[str, FloatArray]
    guarantee: Guarantee | None = None
    reproduction: KKTCheck | None = None
    gap: float = 0.0
    original_points: Any = None
    note: str = ""
    seconds: float = 0.0
    provenance: dict[str, Any] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def n_points(self) -> int:
        """Poison points, copies counted."""
        return int(self.counts.sum())

    @property
    def n_distinct(self) -> int:
        """Different poison points, labels counted apart."""
        return len(np.unique(self._signed, axis=0))

    @property
    def _signed(self) -> FloatArray:
        """Points with their labels as a further column."""
        return np.column_stack([self.points, np.unique(self.labels, return_inverse=True)[1]])

    def poisoned(self, X: Any, y: Any, *, original: bool = False) -> tuple[Any, np.ndarray]:
        """Return the training data with the poison appended, copies written out.

        Parameters
        ----------
        X : array, sparse matrix or DataFrame
            As the final step of a Pipeline sees it; with ``original``, as the Pipeline does.
        y : array of shape (n_samples,)
        original : bool
            Append ``original_points``.

        Raises
        ------
        ValueError
            If the points could not be mapped back to the original columns.
        """
        if original and self.original_points is None and self.n_points:
            raise ValueError(self.note or "the rows in their original columns are not part of a saved result")
        rows = self.original_points if original and self.n_points else self.points
        return appended(X, repeated(rows, self.counts)), np.concatenate(
            [np.asarray(y), np.repeat(self.labels, self.counts)]
        )

    def to_frame(self) -> Any:
        """Return the history as a pandas DataFrame."""
        return frame_of(self.history, "AttackResult.to_frame")

    def plot(self, ax: Any = None) -> Any:
        """Plot convergence and bracket; see :func:`convexpoison.display.attack.plot_attack`."""
        return plot_attack(self, ax)

    def plot_points(self, n: int = 10, *, shape: Shape | None = None, ax: Any = None) -> Any:
        """Plot the distinct poison points with the most copies, with their labels.

        Parameters
        ----------
        n : int
            Number of points.
        shape : (height, width) or (height, width, 3), optional
            Shape of a row that is an image, for example ``Dataset.image_shape``. Default: the ``image_shape`` of the result's
            provenance; without either, the rows are drawn as a heat map.
        ax : matplotlib Axes, optional

        Returns
        -------
        Axes

        Raises
        ------
        ValueError
            If the shape does not fit the number of features.
        MissingDependencyError
            If matplotlib is not installed.
        """
        rows, labels, counts = self.distinct()
        captions = [
            f"label {label}" + (f"\n{count:,} times" if count > 1 else "")
            for label, count in zip(labels[:n], counts[:n], strict=True)
        ]
        return plot_points(rows[:n], captions, ax, shape=shape or self.provenance.get("image_shape"))

    def distinct(self) -> tuple[FloatArray, np.ndarray, np.ndarray]:
        """Return the distinct points, their labels and their copies in all; the most frequent first.

        Returns
        -------
        points : array of shape (n_distinct, n_features)
        labels : array of shape (n_distinct,)
        counts : int array of shape (n_distinct,)
        """
        _, first, place = np.unique(self._signed, axis=0, return_index=True, return_inverse=True)
        counts = np.bincount(place.reshape(-1), weights=self.counts, minlength=first.size).astype(np.int64)
        order = np.lexsort((first, -counts))
        return self.points[first[order]], self.labels[first[order]], counts[order]

    def facts(self) -> Facts:
        """Return the main numbers in words."""
        last = {name: values[self._kept] for name, values in self.history.items()}
        asked = "" if self.eps is None else f" (asked: {self.eps:g})"
        facts: Facts = {
            "poison points used": f"{self.n_points} ({self.n_distinct} distinct)",
            "certified: the induced model needs at least": _count(self.induced_bound),
            "certified: the target itself needs at least": _count(self.bound),
            "maximum loss difference to the target": f"{last['max_loss_difference']:.4g}{asked}",
            "parameter distance to the target": f"{last['distance']:.4g}",
        }
        if np.isfinite(last["accuracy"]):
            accuracy = f"{self.history['accuracy'][0]:.4f} -> {last['accuracy']:.4f}"
            facts["test accuracy, clean -> poisoned"] = accuracy
        if self.guarantee is not None and self.n_points:
            facts["Theorem 1 promises a difference of at most"] = f"{self.guarantee.epsilon(self.n_points):.4g}"
        facts |= {} if self.reproduction is None else _checked(self.reproduction)
        facts |= {"stopped because": _REASONS[self.stop_reason], "seconds": f"{self.seconds:.2f}"}
        return facts | ({"note": self.note} if self.note else {})

    def summary(self) -> str:
        """Return a table in plain text."""
        return text_of_facts(self.facts())

    @property
    def _kept(self) -> int:
        """Index of the kept model in the history."""
        return int(self.counts.size)

    def to_dict(self) -> dict[str, Any]:
        """Return the main numbers, for JSON."""
        return {
            "n_points": self.n_points,
            "bound": self.bound.to_dict(),
            "induced_bound": self.induced_bound.to_dict(),
            "max_loss_difference": float(self.history["max_loss_difference"][self._kept]),
            "distance": float(self.history["distance"][self._kept]),
            "accuracy_clean": _number(self.history["accuracy"][0]),
            "accuracy": _number(self.history["accuracy"][self._kept]),
            "reproduction": None if self.reproduction is None else asdict(self.reproduction),
            "eps": self.eps,
            "stop_reason": self.stop_reason,
            "note": self.note,
            "seconds": self.seconds,
            "provenance": self.provenance,
            "info": self.info,
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything but ``original_points`` to a compressed npz file, without pickle; all of it or nothing."""
        write_fields(Path(path), vars(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> AttackResult:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ValueError
            If the file is not one of those.
        """
        return cls(**read_fields(Path(path)))


def provenance(**settings: Any) -> dict[str, Any]:
    """Return the versions of the packages that compute, and the settings."""
    packages = {name: version(name) for name in ("numpy", "scipy", "scikit-learn", "highspy")}
    return {"convexpoison": __version__, "python": platform.python_version(), **packages, **settings}


def _checked(found: KKTCheck) -> Facts:
    return {
        "residual of stationarity at the target": f"{found.residual:.2g}",
        "retrained from nothing: proven difference at most": f"{found.difference:.2g} (duality gap {found.gap:.2g})",
        "fewer points": "proven impossible" if found.proven_least else "not excluded",
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _count(bound: Bound) -> str:
    return f"{bound.n_points:.0f} points" if bound.attainable else "infinitely many points"
