"""Lower bounds on the number of edits: one class, whatever the bound is about."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from convexpoison._utils.integers import whole_points
from convexpoison.certificates import Certificate
from convexpoison.display.bracket import plot_brackets
from convexpoison.display.shown import Facts, Shown, frame_of
from convexpoison.goals import Flip, Misclassify
from convexpoison.learners.linear_model import LinearModel


@dataclass(frozen=True, eq=False)
class TheTarget:
    """The bound is about one model."""

    target: LinearModel
    row = "target"
    does = "reproduces the target"
    facts: Facts = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return nothing: the model is no plain number."""
        return {}


@dataclass(frozen=True, eq=False)
class NearTarget:
    """The bound is about every model near a target: within a Euclidean distance, or eps-close (MTP, Definition 1)."""

    target: LinearModel
    kind: Literal["ball", "eps_close"]
    radius: float
    does = "induces such a model"

    @property
    def row(self) -> str:
        """The name of its row in a picture."""
        return f"certified ({self.kind} {self.radius:g})"

    @property
    def facts(self) -> Facts:
        """The radius in words."""
        near = "Euclidean distance" if self.kind == "ball" else "maximum loss difference"
        return {"holds for every model within": f"{near} {self.radius:g}"}

    def to_dict(self) -> dict[str, Any]:
        """Return kind and radius."""
        return {"kind": self.kind, "radius": self.radius}


@dataclass(frozen=True, eq=False)
class ReachedGoal:
    """The bound is about every model that reaches a goal; ``clean`` is the victim's model without poison."""

    goal: Flip | Misclassify
    clean: LinearModel
    row = "goal"
    does = "reaches the goal"

    @property
    def facts(self) -> Facts:
        """The goal in words."""
        aim = "one prediction changes" if isinstance(self.goal, Flip) else "all of a set of rows are wrong"
        return {"goal": aim}

    def to_dict(self) -> dict[str, Any]:
        """Return nothing: the goal is no plain number."""
        return {}


@dataclass(frozen=True, eq=False)
class Bound(Shown):
    """No attack does what the bound is about with fewer than ``n_points`` points.

    Attributes
    ----------
    value : float
        The bound before rounding up, certified where there is a certificate; ``inf`` if no number of points is enough.
    about : TheTarget, NearTarget or ReachedGoal
        What cannot be done with fewer points. Its parts are attributes of the bound too: ``target``, ``kind`` and
        ``radius``, ``goal`` and ``clean``.
    certificate : Certificate or None
        Proof of the bound, checked before the bound is returned; ``certificate.verify(data)`` checks it again. None for the
        trivial bound 0, and for a loss of one's own (MTP's Theorem 2 in floating point, not certified).
    method : str
        "tight" or "theorem_2"; near a target "tight", "direction" or "robust"; for a goal "reference_model" or "trivial".
    mass : float
        Size of a fractional attack that reproduces the target: no bound can be larger. ``inf`` if none is known.
    solver : str or None
        Solver that proposed the dual vector.
    candidates : dict
        Values of the single methods in double precision, not certified.
    constrained : LinearModel or None
        For a goal: the fit that reaches it, whose slopes the last interval of budgets uses.
    seconds : float or None
    """

    value: float
    about: TheTarget | NearTarget | ReachedGoal
    certificate: Certificate | None
    method: str
    mass: float = math.inf
    solver: str | None = None
    candidates: dict[str, float] = field(default_factory=dict)
    constrained: LinearModel | None = None
    seconds: float | None = None

    def __float__(self) -> float:
        return self.value

    def __getattr__(self, name: str) -> Any:
        if name in ("target", "kind", "radius", "goal", "clean"):
            return getattr(self.about, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def certified(self) -> bool:
        """Whether there is a certificate (the trivial bound 0 needs none)."""
        return self.certificate is not None or self.value == 0.0

    @property
    def attainable(self) -> bool:
        """False if it is proven that no number of points is enough."""
        return math.isfinite(self.value)

    @property
    def n_points(self) -> float:
        """The least integer number of points that the bound allows; ``inf`` if no number is enough."""
        return whole_points(self.value)

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and words, for JSON (infinite numbers become None)."""
        found: dict[str, Any] = {
            "value": _finite(self.value),
            "n_points": int(self.n_points) if self.attainable else None,
            "attainable": self.attainable,
        }
        if isinstance(self.about, TheTarget):
            found["mass"] = _finite(self.mass)
        found |= {"certified": self.certified, **self.about.to_dict(), "method": self.method}
        if self.solver is not None:
            found["solver"] = self.solver
        if self.candidates:
            found["candidates"] = {name: _finite(value) for name, value in self.candidates.items()}
        return found if self.seconds is None else found | {"seconds": self.seconds}

    def facts(self) -> Facts:
        """Return the main numbers in words."""
        value = {"bound before rounding up": self.value} if self.attainable else {}
        needed = f"at least {self.n_points:,.0f}" if self.attainable else f"no number of points {self.about.does}"
        by = self.method if self.solver is None else f"{self.method}, {self.solver}"
        facts: Facts = {"points needed": needed, **value, "certified": self.certified}
        facts |= self.about.facts | {"found by": by}
        return facts if self.seconds is None else facts | {"seconds": self.seconds}

    def to_frame(self) -> Any:
        """Return one row, as a pandas DataFrame; the value of each single method has a column of its own."""
        row = self.to_dict()
        found = {f"candidates.{name}": value for name, value in row.pop("candidates", {}).items()}
        return frame_of([row | found], "Bound.to_frame")

    def plot(self, ax: Any = None) -> Any:
        """Plot the bound, the size of a fractional attack and the single methods; see
        :func:`convexpoison.display.bracket.plot_brackets`."""
        rows = {self.about.row: (self.value, self.mass if math.isfinite(self.mass) else None)}
        rows |= {f"{name}, not certified": (value, None) for name, value in self.candidates.items()}
        title, enough = "How many points does it take?", "enough, in fractions of points"
        return plot_brackets(rows, ax, title=title, enough=enough)

    def __repr__(self) -> str:
        near = f", {self.about.kind}={self.about.radius:g}" if isinstance(self.about, NearTarget) else ""
        return f"Bound({self.value:.6g}, certified={self.certified}, method={self.method!r}{near})"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
