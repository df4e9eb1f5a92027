"""Attacks that meet the tight bound: the least number of points that reproduces a target, up to rounding.

MTP asks whether there are more efficient attacks than its Algorithm 1, and the KKT attack of Koh et al. (2022) looks for two
points that satisfy the stationarity condition with weights. Here the number of points itself is minimised:

- hinge over a convex space: exactly, by a mixed-integer program (:mod:`convexpoison.attacks.optimal_integer`);
- smooth losses over a convex space: from the bound upwards (:mod:`convexpoison.attacks.optimal_curves`);
- integer and one-hot columns: by generated points whose numbers are then rounded
  (:mod:`convexpoison.attacks.optimal_columns`).

The points found are checked from the rows: the victim is retrained on them from nothing.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np
from threadpoolctl import threadpool_limits

from convexpoison._utils.deadline import Clock
from convexpoison.attacks import optimal_columns as columns
from convexpoison.attacks import optimal_curves as curves
from convexpoison.attacks import optimal_integer as integer_masses
from convexpoison.attacks.base import Budget
from convexpoison.attacks.kkt_check import residual
from convexpoison.attacks.optimal_rounding import Rounding
from convexpoison.bounds.target import certify_tight
from convexpoison.bounds.tight import tight_bound
from convexpoison.bounds.tight_program import TightBound
from convexpoison.errors import SolverError, SolverTimeoutError, UnattainableTargetError
from convexpoison.learners.linear_model import LinearModel
from convexpoison.loss_difference.query import Question
from convexpoison.loss_difference.solve import answer
from convexpoison.poison import KKTCheck, Poison, Status
from convexpoison.problem import Problem
from convexpoison.targets.rows import appended

_EXACT = 1e-8
"""The target counts as reproduced when the residual is below this times ``1 + |G|``."""
_EXTRA = 10
"""Points above the bound that are tried at least; 0.1 % of it if that is more."""
_ENDLESS = 1e9
"""A bound above this without any attack counts as a proof that there is none: rounding errors can keep it from infinity, and
no training data would outweigh that many points."""
_ROUNDING_S = 10.0
"""Default seconds for integer numbers of points over integer columns."""
_NEAREST = 1e-3
"""Precision of the nearest attainable target, as a fraction of the way to the target."""


def optimal(problem: Problem, budget: Budget) -> Poison:
    """Return the least number of points found that makes the victim learn the target, with the bound of the target.

    The victim is retrained on them from nothing: ``kkt`` of the poison says how near it comes to the target.

    Parameters
    ----------
    problem : Problem
        A space of box, integer columns, one-hot groups and slabs.
    budget : Budget
        ``time_limit_s`` is for the bound, and once more for the search; the best attack found by then is returned.

    Returns
    -------
    Poison
        With status "exact", "time limit", or "approximate" if the residual is more than rounding.

    Raises
    ------
    UnattainableTargetError
        If no number of points reproduces the target; the message names the nearest that is attainable on the way from the
        clean model.
    ValueError
        If the space has parts that are not linear.
    SolverError, SolverTimeoutError
        If neither bound nor search leads to any points.
    """
    strange = problem.space.parts & {"ball", "constraints"}
    if strange:
        raise ValueError(
            f"the optimal attack takes spaces of box, integer, one_hot and slab; this one has {', '.join(sorted(strange))}. "
            "Use method='follow_the_leader', or a box inside the space"
        )
    tight = tight_bound(problem, time_limit_s=budget.time_limit_s)
    clock = Clock("highs", budget.time_limit_s)
    nothing = Poison.of((), problem.space.n_features)
    if residual(problem, nothing) <= tolerance(problem):
        poison = nothing
    elif tight.value > _ENDLESS and not tight.attack:
        raise _unattainable(problem)
    else:
        poison = _points(problem, tight, clock)
    return _checked(problem, poison, tight, clock)


def _checked(problem: Problem, poison: Poison, tight: TightBound, clock: Clock) -> Poison:
    """Return the poison with its status, the certified bound, and what the retrained victim is."""
    left, bound = residual(problem, poison), certify_tight(problem, tight)
    trainer = problem.victim.trainer(appended(problem.data, poison.points, poison.labels, poison.counts))
    difference = answer(Question(problem.victim.loss, trainer.model, problem.target, problem.space)).upper
    exact = left <= tolerance(problem)
    check = KKTCheck(left, difference, trainer.gap, proven_least=exact and poison.n_points <= bound.n_points)
    status: Status = "exact" if exact else "time limit" if clock.over else "approximate"
    return replace(poison, status=status, bound=bound, kkt=check)


def tolerance(problem: Problem) -> float:
    """Return the residual below which the target counts as reproduced."""
    g = problem.subdifferential.g
    return _EXACT * (1.0 + float(np.hypot(np.linalg.norm(g.w), g.b)))


def _points(problem: Problem, bound: TightBound, clock: Clock) -> Poison:
    if bound.mass == 0.0:
        return Poison.of((), problem.space.n_features)
    if "integer" in problem.space.parts:
        return _rounded(problem, bound, clock)
    extra = max(_EXTRA, ceil(1e-3 * bound.value))
    if problem.victim.loss.smooth:
        poison = curves.search(problem, bound, clock, extra).poison
    else:
        poison = integer_masses.least_copies(problem, bound, clock, extra)
    # If no integer numbers do it exactly, those that come near.
    return poison if poison.n_points else _rounded(problem, bound, clock)


def _rounded(problem: Problem, bound: TightBound, clock: Clock) -> Poison:
    """Return points whose integer numbers come near to the target; half of the time for the points, half for the numbers.

    Raises
    ------
    SolverError, SolverTimeoutError
        If the bound has no points to start from.
    """
    if not bound.attack:
        if clock.over:
            raise SolverTimeoutError(
                "the time limit was reached before there was any attack; give more with time_limit_s"
            )
        raise SolverError("the solver found no masses for the target; rescale the features to about [0, 1]")
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
    """Return the last attainable model on the way from the clean model to the target, by bisection.

    It is the nearest on that way only, and to 0.1 % of its length; nearer ones may lie beside it.
    """
    with threadpool_limits(1, user_api="blas"):
        return _nearest(problem)[0]


def _nearest(problem: Problem) -> tuple[LinearModel, float]:
    clean, low, high = problem.clean, 0.0, 1.0
    if _attainable(problem):
        return problem.target, 1.0
    while high - low > _NEAREST:
        middle = 0.5 * (low + high)
        if _attainable(problem.towards(clean.between(problem.target, middle))):
            low = middle
        else:
            high = middle
    return clean.between(problem.target, low), low


def _attainable(problem: Problem) -> bool:
    return bool(np.isfinite(tight_bound(problem).mass))
