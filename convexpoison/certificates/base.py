"""What all certificates have in common: they are checked against data, saved, loaded, and say what they are about."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from convexpoison._utils.files import Arrays, read_npz, write_npz
from convexpoison._utils.integers import whole_points
from convexpoison.certificates.file_format import (
    UNREADABLE,
    classes_of,
    header,
    kind_and_words,
    shared_fields,
)
from convexpoison.certificates.verification import Verification
from convexpoison.data.training_data import Classes, TrainingData
from convexpoison.learners.dual_vector import DualVector
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Victim
from convexpoison.spaces.space import Space
from convexpoison.threats import AddRows

MARGIN = 1e-10
"""What a claim leaves, relative to what was proven: another machine adds up in another order."""
LEFT_OUT = "the user's own constraints are left out of the proof; it holds without them, and so with them"

_HOMES = {"certificate": "target", "neighbourhood certificate": "near_target", "goal certificate": "goal"}
"""The modules of the library's own kinds; a kind of one's own is registered when its class is made."""


class Certificate(ABC):
    """No attack in ``space`` makes ``victim`` do something with fewer than ``value`` added points, and why."""

    kind: ClassVar[str]
    """What its files say they are."""
    kinds: ClassVar[dict[str, type[Certificate]]] = {}
    """The kinds of certificate that are loaded, by the word in their files."""
    victim: Victim
    space: Space
    value: float
    note: str

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" in vars(cls):
            Certificate.kinds[cls.kind] = cls

    @property
    def threat(self) -> AddRows:
        """What the attacker may do."""
        return AddRows(self.space)

    @property
    def n_points(self) -> float:
        """The least whole number of points that the claim allows; ``inf`` where no number is enough."""
        return whole_points(self.value)

    def verify(self, data: Any, sample_weight: ArrayLike | None = None) -> Verification:
        """Prove the bound again, from the data, in interval arithmetic and without a solver.

        Parameters
        ----------
        data : pair (X, y) or TrainingData
            The clean rows, as the final step of a Pipeline sees them.
        sample_weight : array of shape (n_samples,), optional

        Returns
        -------
        Verification

        Raises
        ------
        ValueError, TypeError
            If the data cannot be used with this certificate.
        """
        start = perf_counter()
        value = self._proven(self._rows(data, sample_weight))
        return Verification.of(value, self.value, self._purpose, perf_counter() - start)

    def to_arrays(self) -> Arrays:
        """Everything but ``space.constraints`` as named arrays, without objects."""
        words = {"classes": self._classes, **self._words()}
        return {**self._arrays(), **header(self.kind, self.victim, self.space, self.value, self.note, words)}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """What :meth:`to_arrays` was called on, every part checked as if a user had typed it.

        Raises
        ------
        ValueError, KeyError, TypeError, IndexError, AttributeError
            If something is missing or of the wrong kind.
        """
        kind, words = kind_and_words(arrays)
        if kind in _HOMES:
            import_module(f"convexpoison.certificates.{_HOMES[kind]}")
        found = cls.kinds.get(kind)
        if found is None or not issubclass(found, cls):
            raise ValueError(f"it says kind {kind!r}")
        return found(**shared_fields(arrays, words), **found._fields(arrays, words))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything but ``space.constraints`` to an npz file, without pickle; all of it or nothing."""
        write_npz(Path(path), self.to_arrays())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote, of any kind where it is called on the base class; nothing of it is believed until
        :meth:`verify` has proven it.

        Raises
        ------
        ValueError
            If the file is not one of those.
        """
        try:
            return cls.from_arrays(read_npz(path))
        except UNREADABLE as error:
            why = f"it has no {error}" if isinstance(error, KeyError) else error
            kind = getattr(cls, "kind", "certificate")
            raise ValueError(f"{path} is not a {kind} that this version reads ({why})") from error

    @property
    def statement(self) -> str:
        """What the certificate is about, in words: to be compared with what was asked."""
        victim, space = self.victim, self.space
        strength = f"C={victim.C:g}" if victim.C is not None else f"C_R={victim.C_R:g}"
        ends = f"from {space.lower.min():g} to {space.upper.max():g}"
        carried = f"labels {list(space.labels)}" if victim.loss.classification else f"responses {space.response}"
        return (
            f"victim: {victim.loss.name} loss, {strength}, intercept {victim.intercept}; {self._subject}; "
            f"points: {', '.join(sorted(space.parts))} {ends}, {carried}"
        )

    @property
    def sentence(self) -> str:
        """What the certificate claims, in words."""
        if math.isinf(self.value):
            return f"no number of added points is enough {self._purpose}"
        return f"at least {self.n_points:,.0f} added points are needed {self._purpose}"

    def _rows(self, data: Any, sample_weight: ArrayLike | None) -> TrainingData:
        rows = TrainingData.from_user(
            data,
            regression=not self.victim.loss.classification,
            classes=self._classes,
            sample_weight=sample_weight,
        )
        if rows.n_features != self.space.n_features:
            raise ValueError(
                f"the data have {rows.n_features} features and the certificate has {self.space.n_features}"
            )
        return rows

    def _check_value(self) -> None:
        if not self.value >= 0.0:
            raise ValueError(f"a claim is a number of points, at least 0; got {self.value}")

    @property
    @abstractmethod
    def _classes(self) -> Classes | None:
        """Which labels of the data stand for -1 and +1."""

    @property
    @abstractmethod
    def _purpose(self) -> str:
        """What the points are for, from "to" on."""

    @property
    @abstractmethod
    def _subject(self) -> str:
        """What the claim is about besides victim and space."""

    @abstractmethod
    def _proven(self, rows: TrainingData) -> float:
        """The bound that is proven from these rows."""

    @abstractmethod
    def _arrays(self) -> Arrays:
        """Numbers besides those of victim, space and value."""

    def _words(self) -> dict[str, Any]:
        """What JSON holds besides that."""
        return {}

    @classmethod
    @abstractmethod
    def _fields(cls, arrays: Arrays, words: dict[str, Any]) -> dict[str, Any]:
        """The arguments besides victim, space, value and note, each checked as if a user had typed it."""


def vector(values: np.ndarray) -> np.ndarray:
    """Numbers from a file, as float64."""
    return np.asarray(values, dtype=np.float64)


def claimed(value: float, rounding: float) -> float:
    """Return what a certificate claims where the check proves ``value`` and allowed for so much rounding of sums.

    Less ``MARGIN`` of it and twice that rounding, so that it also holds on a machine that adds up in another order.
    """
    return max(0.0, value * (1.0 - MARGIN) - 2.0 * rounding) if math.isfinite(value) else value


def model_arrays(model: LinearModel, direction: DualVector) -> Arrays:
    """A model and a direction in a file; the model's classes are among the words."""
    return {
        "coef": model.coef,
        "intercept": np.array(model.intercept),
        "direction_w": direction.w,
        "direction_b": np.array(direction.b),
    }


def model_of(arrays: Arrays, words: dict[str, Any]) -> tuple[LinearModel, DualVector]:
    """The model and the direction of :func:`model_arrays`."""
    direction = DualVector(vector(arrays["direction_w"]), float(arrays["direction_b"]))
    return LinearModel(arrays["coef"], float(arrays["intercept"]), classes_of(words)), direction
