"""Lower bounds on the number of edits: one class for a target, with what proves it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

from convexpoison._utils.integers import whole_points
from convexpoison.certificates.base import Certificate
from convexpoison.certificates.target import TargetCertificate
from convexpoison.display.bracket import plot_brackets
from convexpoison.display.shown import Facts, Shown, frame_of
from convexpoison.learners.linear_model import LinearModel


class LowerBound(Protocol):
    """What every answer of :func:`convexpoison.lower_bound` has: for a target, for all models near one, for a goal.

    Attributes
    ----------
    value : float
        Certified: what ``certificate`` proves, rounded down; ``inf`` if no number of points is enough.
    n_points : float
        The least whole number of points that the bound allows.
    attainable : bool
        False if it is proven that no number of points is enough.
    certified : bool
        Whether there is a certificate, or nothing to certify (the trivial bound 0).
    certificate : Certificate or None
        Checked before the bound was told; ``certificate.verify(data)`` checks it again.
    """

    @property
    def value(self) -> float: ...

    @property
    def n_points(self) -> float: ...

    @property
    def attainable(self) -> bool: ...

    @property
    def certified(self) -> bool: ...

    @property
    def certificate(self) -> Certificate | None: ...

    def __float__(self) -> float: ...

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and words, for JSON."""
        ...

    def facts(self) -> Facts:
        """The main numbers in words."""
        ...

    def to_frame(self) -> Any:
        """One row, as a pandas DataFrame."""
        ...

    def plot(self, ax: Any = None) -> Any:
        """A bracket of numbers of points."""
        ...


def facts_of(bound: LowerBound, does: str, more: Facts) -> Facts:
    """What all bounds tell; ``does`` says of points what they do not do."""
    value = {"bound before rounding up": bound.value} if bound.attainable else {}
    fewer = f"at least {bound.n_points:,.0f}" if bound.attainable else f"no number of points {does}"
    return {"points needed": fewer, **value, "certified": bound.certified, **more}


@dataclass(frozen=True, eq=False)
class Bound(Shown):
    """No attack reproduces ``target`` with fewer than ``n_points`` added points.

    Attributes
    ----------
    value : float
        The bound itself; ``inf`` if no number of points reproduces the target.
    target : LinearModel
    certificate : TargetCertificate or None
        What proves it, checked before the bound was told; ``certificate.verify(data)`` checks it again. None for the
        trivial bound 0, and for a loss of one's own (evaluated by MTP's Theorem 2 in floating point, not certified).
    mass : float
        Mass of a fractional attack that reproduces the target: no bound can be better. ``inf`` where none is known.
    method : {"tight", "theorem_2"}
    solver : str
        Who proposed the direction.
    """

    value: float
    target: LinearModel
    certificate: TargetCertificate | None
    mass: float
    method: str
    solver: str

    def __float__(self) -> float:
        return self.value

    @property
    def certified(self) -> bool:
        """Whether there is a certificate (the trivial bound 0 needs none)."""
        return self.certificate is not None or self.value == 0.0

    @property
    def attainable(self) -> bool:
        """False if it is proven that no number of points reproduces the target."""
        return math.isfinite(self.value)

    @property
    def n_points(self) -> float:
        """The least whole number of points that the bound allows; ``inf`` for an unattainable target."""
        return whole_points(self.value)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and words, for JSON (``value`` is None where the target is proven unattainable)."""
        return {
            "value": self.value if self.attainable else None,
            "n_points": int(self.n_points) if self.attainable else None,
            "attainable": self.attainable,
            "mass": self.mass if math.isfinite(self.mass) else None,
            "certified": self.certified,
            "method": self.method,
            "solver": self.solver,
        }

    def facts(self) -> Facts:
        """The main numbers in words."""
        return facts_of(self, "reproduces the target", {"found by": f"{self.method}, {self.solver}"})

    def to_frame(self) -> Any:
        """One row, as a pandas DataFrame."""
        return frame_of([self.to_dict()], "Bound.to_frame")

    def plot(self, ax: Any = None) -> Any:
        """The bound, and what a fractional attack needs; see :func:`convexpoison.display.bracket.plot_brackets`."""
        title, enough = "How many points does it take?", "enough, in fractions of points"
        return plot_brackets({"target": (self.value, self.mass)}, ax, title=title, enough=enough)

    def __repr__(self) -> str:
        return f"Bound({self.value:.6g}, certified={self.certified}, method={self.method!r})"
