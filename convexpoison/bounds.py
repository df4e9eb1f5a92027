"""Lower bounds on the number of points: Theorem 2 of MTP, evaluated at any models and re-evaluated before it is told.

For every model theta (both conventions; see :mod:`convexpoison.victim` for rho and kappa)

    n >= z(theta) = [F(theta_p) - F(theta)] / [D(theta, theta_p) + kappa (R(theta) - R(theta_p))]

because at theta_p the poisoned objective is smallest, and n points change the comparison by at most n denominators.
A positive numerator over a denominator that is not positive proves that no number of points reproduces theta_p.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from convexpoison.data import TrainingData
from convexpoison.difference import Question, answer
from convexpoison.model import LinearModel
from convexpoison.spaces import Space
from convexpoison.victim import Victim

_ROUNDING = 64 * np.finfo(float).eps
"""Allowance for the rounding of an objective, relative to it: subtracted from numerators, added to denominators."""
_RAY = (1.0, 0.5, 0.2, 0.1, 0.03, 1e-2, 1e-3, 1e-4)
"""Fractions of the way from the target to a witness at which z is evaluated again: z grows towards the target when the
direction is a good one."""


@dataclass(frozen=True, eq=False)
class Bound:
    """No attack reproduces ``target`` with fewer than ``n_points`` added points.

    Attributes
    ----------
    value : float
        The bound itself; ``inf`` if no number of points reproduces the target.
    target : LinearModel
    witness : LinearModel or None
        The model theta whose z(theta) is the value; None for the trivial bound 0.
    certified : bool
        Whether the library re-evaluated it from the data with an upper bound on the loss difference of its own.
    method, solver : str
    n_evaluations : int
        How many models theta were tried.
    """

    value: float
    target: LinearModel
    witness: LinearModel | None
    certified: bool
    method: str
    solver: str
    n_evaluations: int

    def __float__(self) -> float:
        return self.value

    @property
    def attainable(self) -> bool:
        """False if it is proven that no number of points reproduces the target."""
        return math.isfinite(self.value)

    @property
    def n_points(self) -> float:
        """The least whole number of points that the bound allows; ``inf`` for an unattainable target."""
        return float(math.ceil(self.value)) if self.attainable else math.inf

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and words, for JSON (``value`` is None where the target is proven unattainable)."""
        return {
            "value": self.value if self.attainable else None,
            "n_points": int(self.n_points) if self.attainable else None,
            "attainable": self.attainable,
            "certified": self.certified,
            "method": self.method,
            "solver": self.solver,
            "n_evaluations": self.n_evaluations,
        }

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

    def z(self, theta: LinearModel, objective: float | None = None) -> tuple[float, str]:
        """``z(theta)``, rounded so that it stays a lower bound (0 where it says nothing), and who solved it.

        ``objective`` is ``F(theta)`` on the clean rows where it is known already; it is evaluated from the data where not.
        """
        if objective is None:
            objective = self.victim.objective(theta, self.data)
        difference = answer(Question(self.victim.loss, theta, self.target, self.space), solver=self.solver)
        z = quotient(self.victim, theta, self.target, objective, self.target_objective, difference.upper)
        return z, difference.solver

    def best(self, witnesses: Iterable[LinearModel]) -> Bound:
        """The best bound over the witnesses and points on the rays from the target through the best of them."""
        best = Bound(0.0, self.target, None, True, "theorem_2", self.solver, 0)
        tried = 0
        for witness in witnesses:
            for fraction in _RAY:
                theta = self.target.between(witness, fraction)
                value, solver = self.z(theta)
                tried += 1
                if value > best.value:
                    best = replace(best, value=value, witness=theta, solver=solver)
        return replace(best, n_evaluations=tried)


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
