"""Attacks that meet the tight bound: the least number of points that reproduces a target, up to rounding.

MTP asks whether there are more efficient attacks than its Algorithm 1, and the KKT attack of Koh et al. (2022) looks for two
points that satisfy the stationarity condition with weights. Here the number of points itself is minimised:

- hinge over a convex space: exactly, by a mixed-integer program (:mod:`convexpoison.attacks.optimal_integer`);
- smooth losses over a convex space: from the bound upwards (:mod:`convexpoison.attacks.optimal_curves`);
- integer and one-hot columns: by generated points whose numbers are then made whole
  (:mod:`convexpoison.attacks.optimal_columns`).

What is found is checked from the rows: the victim is retrained on them from nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from time import perf_counter
from typing import Literal

import numpy as np
from threadpoolctl import threadpool_limits

from convexpoison._utils.deadline import Clock
from convexpoison._utils.types import FloatArray
from convexpoison.attacks import optimal_columns as columns
from convexpoison.attacks import optimal_curves as curves
from convexpoison.attacks import optimal_integer as integer_masses
from convexpoison.attacks.base import Budget
from convexpoison.attacks.kkt_check import Copies, poisoned, residual
from convexpoison.attacks.optimal_rounding import Rounding
from convexpoison.bounds.target import certify_tight
from convexpoison.bounds.tight import tight_bound
from convexpoison.bounds.tight_program import TightBound
from convexpoison.errors import SolverError, SolverTimeoutError, UnattainableTargetError
from convexpoison.learners.linear_model import LinearModel
from convexpoison.loss_difference.query import Question
from convexpoison.loss_difference.solve import answer
from convexpoison.poison import Poison
from convexpoison.problem import Problem
from convexpoison.results.attack_result import Reproduction
from convexpoison.threats import AddRows

Status = Literal["exact", "approximate", "time limit"]

_EXACT = 1e-8
"""The target counts as reproduced when the residual is below this times ``1 + |G|``."""
_EXTRA = 10
"""How many points above the bound are tried where 0.1 % of it is less."""
_ENDLESS = 1e9
"""A bound above this without any attack is told as a proof that there is none: rounding errors can keep it from infinity, and
no training data would outweigh that many points."""
_ROUNDING_S = 10.0
"""Seconds for the whole numbers over integer columns where the caller names no limit."""
_NEAREST = 1e-3
"""Precision of the nearest attainable target, as a fraction of the way to the target."""


@dataclass(frozen=True, eq=False)
class OptimalAttack:
    """Points that reproduce a target, and how many are needed at least.

    Attributes
    ----------
    points : array of shape (n_distinct, n_features)
    labels : array of shape (n_distinct,)
        -1 and +1, or the response.
    counts : int array of shape (n_distinct,)
        Copies of each point.
    lower : float
        Certified: no points with a smaller total reproduce the target.
    model : LinearModel
        What the victim learns from the clean rows and the points, trained from nothing.
    reproduction : Reproduction
        What the points leave of stationarity at the target, and how far ``model`` is from it at most.
    least : bool
        Whether fewer points are excluded, by the bound or by the mixed-integer solver's word.
    status : {"exact", "approximate", "time limit"}
        "approximate": the residual is more than rounding; ``reproduction.difference`` says what it amounts to.
    seconds : float
    """

    points: FloatArray
    labels: FloatArray
    counts: np.ndarray
    lower: float
    model: LinearModel
    reproduction: Reproduction
    least: bool
    status: Status
    seconds: float

    @property
    def n_points(self) -> int:
        """Points, copies counted."""
        return int(self.counts.sum())

    @property
    def gap(self) -> int:
        """Points above the least number that the bound allows."""
        return self.n_points - ceil(self.lower)


def optimal(problem: Problem, *, time_limit_s: float | None = None, bound: TightBound | None = None) -> OptimalAttack:
    """The least number of points that makes the victim learn the target.

    Parameters
    ----------
    problem : Problem
        A space of box, integer columns, one-hot groups and slabs.
    time_limit_s : float, optional
        Seconds for bound and search together; the best attack found by then is returned.
    bound : TightBound, optional
        Where it is known already.

    Returns
    -------
    OptimalAttack

    Raises
    ------
    UnattainableTargetError
        If no number of points reproduces the target; the message names the nearest that is attainable on the way from the
        clean model.
    ValueError
        If the space has parts that are not linear.
    SolverError, SolverTimeoutError
    """
    strange = problem.space.parts & {"ball", "constraints"}
    if strange:
        raise ValueError(
            f"the optimal attack takes spaces of box, integer, one_hot and slab; this one has {', '.join(sorted(strange))}. "
            "Use method='follow_the_leader', or a box inside the space"
        )
    with threadpool_limits(1, user_api="blas"):  # the matrices are small: threads would only wait for each other
        return _optimal(problem, Clock("highs", time_limit_s), bound)


def run(problem: Problem, budget: Budget) -> Poison:
    """Return the least number of points that reproduces the target, with its bound; see :func:`optimal`."""
    limit = budget.time_limit_s
    tight = tight_bound(problem, time_limit_s=limit)
    found = optimal(problem, time_limit_s=limit, bound=tight)
    bound = certify_tight(problem, tight)
    least = found.status == "exact" and found.n_points <= bound.n_points
    check = replace(found.reproduction, proven_least=least)
    return Poison(found.points, found.labels, found.counts, found.status, bound=bound, kkt=check)


def _optimal(problem: Problem, clock: Clock, bound: TightBound | None) -> OptimalAttack:
    start = perf_counter()
    if residual(problem, ()) <= tolerance(problem):
        bound = TightBound(0.0, 0.0, None)
    elif bound is None:
        bound = _bound(problem, clock)
    if bound.value > _ENDLESS and not bound.attack:
        raise _unattainable(problem)
    poison, least = _points(problem, bound, clock)
    left = residual(problem, poison)
    trainer = problem.victim.trainer(poisoned(problem.data, poison))
    difference = answer(Question(problem.victim.loss, trainer.model, problem.target, problem.space)).upper
    exact = left <= tolerance(problem)
    counts = np.array([part.count for part in poison], dtype=np.int64)
    met = exact and int(counts.sum()) == ceil(bound.value)
    return OptimalAttack(
        points=np.array([part.point for part in poison]).reshape(len(poison), problem.space.n_features),
        labels=np.array([part.label for part in poison], dtype=np.float64),
        counts=counts,
        lower=bound.value,
        model=trainer.model,
        reproduction=Reproduction(left, difference, trainer.gap, met),
        least=met or (exact and least),
        status="exact" if exact else "time limit" if clock.over else "approximate",
        seconds=perf_counter() - start,
    )


def tolerance(problem: Problem) -> float:
    """The residual that counts as rounding."""
    g = problem.subdifferential.g
    return _EXACT * (1.0 + float(np.hypot(np.linalg.norm(g.w), g.b)))


def _bound(problem: Problem, clock: Clock) -> TightBound:
    """The tight bound with points that have its mass, or nearly so.

    Raises
    ------
    SolverError, SolverTimeoutError
        If there are none.
    """
    bound = tight_bound(problem, time_limit_s=clock.left())
    if not bound.attack and 0.0 < bound.value <= _ENDLESS:
        if clock.over:
            raise SolverTimeoutError(
                "the time limit was reached before there was any attack; give more with time_limit_s"
            )
        raise SolverError("the solver found no masses for the target; rescale the features to about [0, 1]")
    return bound


def _points(problem: Problem, bound: TightBound, clock: Clock) -> tuple[tuple[Copies, ...], bool]:
    """Points, and whether the solver excludes that fewer would do."""
    if bound.mass == 0.0:
        return (), True
    if "integer" in problem.space.parts:
        return _whole_points(problem, bound, clock), False
    extra = max(_EXTRA, ceil(1e-3 * bound.value))
    if problem.victim.loss.smooth:
        poison, least = curves.search(problem, bound, clock, extra).poison, False
    else:
        poison, least = integer_masses.least_copies(problem, bound, clock, extra)
    # Where no whole numbers do it exactly, those that come near.
    return (poison, least) if poison else (_whole_points(problem, bound, clock), False)


def _whole_points(problem: Problem, bound: TightBound, clock: Clock) -> tuple[Copies, ...]:
    """Points whose whole numbers come near to the target; half of the time for the points, half for the numbers."""
    limit = clock.left()
    master, solution = columns.generate(problem, bound, Clock("highs", None if limit is None else 0.5 * limit))
    left = clock.left()
    return Rounding(master, solution, bound).solve(_ROUNDING_S if left is None else left)


def _unattainable(problem: Problem) -> UnattainableTargetError:
    nearest, fraction = _nearest(problem)
    gap = problem.target.distance(nearest)
    return UnattainableTargetError(
        "no number of added points reproduces this target. On the way from the clean model to it, "
        f"{fraction:.1%} of the way is attainable, which ends at a distance of {gap:.4g} from the target "
        "(convexpoison.attacks.optimal.nearest_attainable returns that model). Choose a target of smaller norm, enlarge the "
        "space, or regularise less"
    )


def nearest_attainable(problem: Problem) -> LinearModel:
    """The last attainable model on the way from the clean model to the target, by bisection.

    It is the nearest on that way only, and to 0.1 % of its length; nearer ones may lie beside it.
    """
    with threadpool_limits(1, user_api="blas"):
        return _nearest(problem)[0]


def _nearest(problem: Problem) -> tuple[LinearModel, float]:
    clean = problem.victim.trainer(problem.data).model
    low, high = 0.0, 1.0
    if _attainable(problem, problem.target):
        return problem.target, 1.0
    while high - low > _NEAREST:
        middle = 0.5 * (low + high)
        if _attainable(problem, clean.between(problem.target, middle)):
            low = middle
        else:
            high = middle
    return clean.between(problem.target, low), low


def _attainable(problem: Problem, target: LinearModel) -> bool:
    there = Problem(problem.victim, problem.data, AddRows(problem.space), target)
    return bool(np.isfinite(tight_bound(there).mass))
