"""Certificates: a lower bound together with what proves it, checked without a solver.

A certificate is a direction v. For any direction (:mod:`convexpoison.mass.stationarity`)

    n >= [min over g in G of -<g, v>] / h(v),

and both parts are evaluated in interval arithmetic: the first from the data (:mod:`convexpoison.proofs.enclosures`), the second
from the space (:mod:`convexpoison.proofs.price_bound`). If the first is positive and ``h(v)`` is not, no number of points
reproduces the target. One kind of certificate is enough: by
convexity MTP's Theorem 2 at any model theta proves no more than ``v = theta - theta_p``. Its numerator is at most
``-<g, v>`` for every g in G, since ``F(theta) >= F(theta_p) + <g, v>``, and its denominator at least ``h(v)``.

What a certificate says is about **its** victim, target and space; they are stored in it, for the reader to compare with
what was asked. The data are not: they are brought to the check.
"""

from __future__ import annotations

import math
import os
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convexpoison.data import TrainingData
from convexpoison.files import write_npz
from convexpoison.mass.stationarity import Direction
from convexpoison.model import LinearModel
from convexpoison.proofs.certificate_file import arrays_of, fields_of
from convexpoison.proofs.enclosures import resistance
from convexpoison.proofs.price_bound import price
from convexpoison.spaces import Space
from convexpoison.victim import Victim

_MARGIN = 1e-10
"""What a claim leaves, relative to what was proven: another machine adds up in another order."""
_LEFT_OUT = "the user's own constraints are left out of the proof; it holds without them, and so with them"


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes
    ----------
    holds : bool
        Whether at least the claim is proven; also the truth value of the verdict.
    value : float
        The lower bound that is proven, rounded down; ``inf`` if no number of points reproduces the target.
    claimed : float
    seconds : float
    reason : str
    """

    holds: bool
    value: float
    claimed: float
    seconds: float
    reason: str

    def __bool__(self) -> bool:
        return self.holds

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and words, for JSON (infinite numbers become None)."""
        numbers = {name: _finite(getattr(self, name)) for name in ("value", "claimed")}
        return {
            "holds": self.holds,
            **numbers,
            "attainable": not math.isinf(self.value),
            "seconds": self.seconds,
            "reason": self.reason,
        }


@dataclass(frozen=True, eq=False)
class Certificate:
    """No attack in ``space`` makes ``victim`` return ``target`` with fewer than ``value`` added points.

    Attributes
    ----------
    victim : Victim
    target : LinearModel
    space : Space
    direction : Direction
        What proves it.
    value : float
        What is claimed; ``inf`` if no number of points reproduces the target.
    note : str

    Raises
    ------
    ValueError
        If sizes do not match or numbers are not finite.
    """

    victim: Victim
    target: LinearModel
    space: Space
    direction: Direction
    value: float
    note: str = ""

    def __post_init__(self) -> None:
        sizes = {self.target.n_features, self.space.n_features, self.direction.w.size}
        if len(sizes) > 1 or self.direction.w.ndim != 1:
            raise ValueError(
                f"target, space and direction have {self.target.n_features}, {self.space.n_features} and "
                f"{self.direction.w.size} features; all three must agree"
            )
        if not (np.isfinite(self.direction.w).all() and math.isfinite(self.direction.b)):
            raise ValueError("the direction holds NaN or infinity")
        if not self.value >= 0.0:
            raise ValueError(f"a claim is a number of points, at least 0; got {self.value}")
        if self.victim.intercept == "none" and (self.direction.b != 0.0 or self.target.intercept != 0.0):
            raise ValueError("the victim has no intercept, but the direction or the target has one")
        if not self.victim.loss.classification and self.space.response is None:
            raise ValueError("a regression loss needs the range of the response: space.with_response(lower, upper)")

    @property
    def n_points(self) -> float:
        """The least whole number of points that the claim allows; ``inf`` for an unattainable target."""
        return float(math.ceil(self.value)) if math.isfinite(self.value) else self.value

    def verify(self, data: Any, sample_weight: ArrayLike | None = None) -> Verdict:
        """Prove the bound again, from the data and in interval arithmetic.

        Parameters
        ----------
        data : pair (X, y) or TrainingData
            The clean rows, as the final step of a Pipeline sees them.
        sample_weight : array of shape (n_samples,), optional

        Returns
        -------
        Verdict

        Raises
        ------
        ValueError, TypeError
            If the data cannot be used with this target.
        """
        start = perf_counter()
        value, _ = _proof(self, self._rows(data, sample_weight))
        holds = bool(value >= self.value)
        return Verdict(holds, value, self.value, perf_counter() - start, _reason(holds, value, self.value))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything but ``space.constraints`` to an npz file, without pickle; all of it or nothing."""
        write_npz(Path(path), dict(arrays_of(self)))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Certificate:
        """Read what :meth:`save` wrote; what it claims is not believed until :meth:`verify` has proven it.

        Raises
        ------
        ValueError
            If the file is not one of those.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(**fields_of(dict(file)))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, zipfile.BadZipFile, EOFError) as error:
            why = f"it has no {error}" if isinstance(error, KeyError) else error
            raise ValueError(f"{path} is not a certificate that this version reads ({why})") from error

    @property
    def statement(self) -> str:
        """What the certificate is about, in words: to be compared with what was asked."""
        victim, target, space = self.victim, self.target, self.space
        strength = f"C={victim.C:g}" if victim.C is not None else f"C_R={victim.C_R:g}"
        length = float(np.linalg.norm(target.coef))
        ends = f"from {space.lower.min():g} to {space.upper.max():g}"
        carried = f"labels {list(space.labels)}" if victim.loss.classification else f"responses {space.response}"
        return (
            f"victim: {victim.loss.name} loss, {strength}, intercept {victim.intercept}; target: {target.n_features} "
            f"coefficients of length {length:.6g}, intercept {target.intercept:.6g}; points: {', '.join(sorted(space.parts))} "
            f"{ends}, {carried}"
        )

    def _rows(self, data: Any, sample_weight: ArrayLike | None) -> TrainingData:
        rows = TrainingData.from_user(
            data,
            regression=not self.victim.loss.classification,
            classes=self.target.classes,
            sample_weight=sample_weight,
        )
        if rows.n_features != self.target.n_features:
            raise ValueError(
                f"the data have {rows.n_features} features and the certificate has {self.target.n_features}"
            )
        return rows


def certify(
    victim: Victim,
    target: LinearModel,
    space: Space,
    direction: Direction,
    data: Any,
    sample_weight: ArrayLike | None = None,
) -> Certificate:
    """The certificate that a direction makes; its value is what the check proves, 0 if it proves nothing.

    Less ``1e-10`` of it and twice the rounding that the check allowed for, so that it also holds on a machine that adds
    up in another order.

    Parameters
    ----------
    victim : Victim
    target : LinearModel
    space : Space
        Where poison may lie.
    direction : Direction
        Any will do; the dual of the linear program of the tight bound is the best. Its intercept is dropped where the
        victim has none.
    data : pair (X, y) or TrainingData
    sample_weight : array of shape (n_samples,), optional

    Raises
    ------
    ValueError, TypeError
        If these do not fit together.
    """
    if victim.intercept == "none":
        direction = Direction(direction.w, 0.0)
    draft = Certificate(victim, target, space, direction, 0.0, "" if space.constraints is None else _LEFT_OUT)
    value, rounding = _proof(draft, draft._rows(data, sample_weight))
    if math.isfinite(value):
        value = max(0.0, value * (1.0 - _MARGIN) - 2.0 * rounding)
    return replace(draft, value=value)


def _proof(certificate: Certificate, rows: TrainingData) -> tuple[float, float]:
    """The bound that is proven, and by how much rounding of the data's sums may have lowered it."""
    victim, target, space = certificate.victim, certificate.target, certificate.space
    v = _normalized(certificate.direction)
    with np.errstate(all="ignore"):  # overflows widen an interval, and that is all
        pull = resistance(victim, rows, target, v)
        if not pull.lower > 0.0:
            return 0.0, 0.0
        dearest = price(victim, target, space, v)
        if dearest <= 0.0:
            return math.inf, 0.0
        value = float((pull / dearest).lower)
    return (value, float(pull.upper - pull.lower) / dearest) if value > 0.0 else (0.0, 0.0)


def _normalized(v: Direction) -> Direction:
    """The same direction at a length of about 1, by a power of two; what underflows makes it another one, also valid."""
    largest = max(float(np.abs(v.w).max()), abs(v.b))
    shift = -math.frexp(largest)[1]
    return Direction(np.ldexp(v.w, shift), math.ldexp(v.b, shift))


def _reason(holds: bool, value: float, claimed: float) -> str:
    if not holds:
        proven = "nothing" if value == 0.0 else f"at least {value:.10g} points"
        return f"these data prove {proven}, and the certificate claims {claimed:.10g}"
    if math.isinf(value):
        return "no number of added points reproduces the target"
    return f"at least {value:.10g} added points are needed to reproduce the target"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
