"""Lower bounds on the number of points: Theorem 2 of MTP, evaluated at any models and re-evaluated before it is told.

For every model theta (both conventions; see :mod:`convexpoison.learners.victim` for rho and kappa)

    n >= z(theta) = [F(theta_p) - F(theta)] / [D(theta, theta_p) + kappa (R(theta) - R(theta_p))]

because at theta_p the poisoned objective is smallest, and n points change the comparison by at most n denominators. A
positive numerator over a denominator that is not positive proves that no number of points reproduces theta_p.

The history of an attack holds z; what is told as a bound is the certificate of the direction ``theta - theta_p``, which proves
at least as much (:mod:`convexpoison.certificates.target`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from convexpoison._utils.integers import whole_points
from convexpoison.bounds.tight import tight_bound
from convexpoison.bounds.tight_program import MassProblem, TightBound
from convexpoison.certificates.base import Claim
from convexpoison.certificates.clean_gradient import has_proofs
from convexpoison.certificates.target import Certificate, certify
from convexpoison.data.training_data import TrainingData
from convexpoison.display.bracket import plot_brackets
from convexpoison.display.shown import Facts, Shown, frame_of
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.subdifferential import Direction
from convexpoison.learners.victim import Victim
from convexpoison.loss_difference.query import Question
from convexpoison.loss_difference.solve import answer
from convexpoison.spaces.space import Space

_ROUNDING = 64 * np.finfo(float).eps
"""Allowance for the rounding of an objective, relative to it: subtracted from numerators, added to denominators."""


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
    certificate : Claim or None
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
    def certificate(self) -> Claim | None: ...

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
    certificate : Certificate or None
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
    certificate: Certificate | None
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


@dataclass(frozen=True, eq=False)
class BoundProblem:
    """What every evaluation of z has in common.

    Attributes
    ----------
    victim : Victim
    data : TrainingData
        The clean rows.
    target : LinearModel
    space : Space
    solver : str
    """

    victim: Victim
    data: TrainingData
    target: LinearModel
    space: Space
    solver: str = "auto"

    @cached_property
    def target_objective(self) -> float:
        """``F(theta_p)`` on the clean rows."""
        return self.victim.objective(self.target, self.data)

    def z(self, theta: LinearModel, objective: float | None = None) -> float:
        """``z(theta)``, rounded so that it stays a lower bound (0 where it says nothing).

        ``objective`` is ``F(theta)`` on the clean rows where it is known already; it is evaluated from the data where not.
        """
        if objective is None:
            objective = self.victim.objective(theta, self.data)
        difference = answer(Question(self.victim.loss, theta, self.target, self.space), solver=self.solver)
        return quotient(self.victim, theta, self.target, objective, self.target_objective, difference.upper)

    @cached_property
    def mass(self) -> MassProblem:
        """The same problem as a question for the least mass."""
        return MassProblem(self.victim, self.data, self.target, self.space)

    def best(self, witnesses: Iterable[LinearModel], time_limit_s: float | None = None) -> Bound:
        """The tight bound where it can be had, else (or when its time is up) the best that the witnesses prove.

        ``time_limit_s = 0`` asks for what the witnesses prove alone.
        """
        found = [self.along(witnesses)]
        if self.has_tight_bound and time_limit_s != 0 and found[0].attainable:
            found.append(self.tight(time_limit_s))
        return max(found, key=lambda bound: bound.value)

    @property
    def has_tight_bound(self) -> bool:
        """Whether the space can be multiplied by a mass (all parts but constraints of the user's), for a loss with proofs."""
        loss = self.victim.loss
        return self.space.constraints is None and has_proofs(loss) and not loss.missing("support_peak")

    def tight(self, time_limit_s: float | None = None) -> Bound:
        """The best bound there is (:mod:`convexpoison.bounds.tight`), or what it has come to when the time is up."""
        return self.proven(tight_bound(self.mass, time_limit_s=time_limit_s))

    def proven(self, found: TightBound) -> Bound:
        """What the direction of a tight bound proves."""
        if found.direction is None:
            return Bound(0.0, self.target, None, found.mass, "tight", "highs")
        return self._proven(found.direction, found.mass, "tight", "highs")

    def along(self, witnesses: Iterable[LinearModel]) -> Bound:
        """The best that these models prove, each by the direction in which it lies: at least ``z`` of the model.

        For a loss without proofs it is z itself, and not certified.
        """
        best = Bound(0.0, self.target, None, math.inf, "theorem_2", self.solver)
        for theta in witnesses:
            v = Direction(theta.coef - self.target.coef, theta.intercept - self.target.intercept)
            if has_proofs(self.victim.loss):
                found = self._proven(v, math.inf, "theorem_2", self.solver)
            else:
                found = replace(best, value=self.z(theta))
            best = max(best, found, key=lambda bound: bound.value)
        return best

    def _proven(self, direction: Direction, mass: float, method: str, solver: str) -> Bound:
        certificate = certify(self.victim, self.target, self.space, direction, self.data)
        proof = certificate if certificate.value > 0.0 else None
        return Bound(certificate.value, self.target, proof, mass, method, solver)


def quotient(
    victim: Victim,
    theta: LinearModel,
    target: LinearModel,
    objective: float,
    target_objective: float,
    difference: float,
) -> float:
    """``z(theta)`` from its parts (MTP, Theorem 2), rounded down; ``inf`` where it proves the target unattainable.

    Parameters
    ----------
    objective, target_objective : float
        F on the clean rows.
    difference : float
        An upper bound on ``D(theta, target)``.
    """
    numerator = target_objective - objective - _ROUNDING * (abs(target_objective) + abs(objective))
    if numerator <= 0:
        return 0.0
    penalties = victim.penalty(theta), victim.penalty(target)
    growth = victim.kappa * (penalties[0] - penalties[1])
    denominator = difference + growth + _ROUNDING * (abs(difference) + victim.kappa * sum(penalties))
    return float(numerator / denominator) if denominator > 0 else math.inf
