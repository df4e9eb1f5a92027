"""The model nearest to a target that a given number of points can induce.

Points z_k with counts m_k reproduce the target if the residual ``g + sum c_i pull_i + sum m_k a(z_k)`` is 0 (see
:mod:`convexpoison.learners.subdifferential`). With a budget below the tight bound it cannot be, so its norm is made as small
as possible. That is the convex KKT attack of Koh et al. (Stronger data poisoning attacks break data sanitization defenses,
2018 and 2022) with the split of the budget over the labels, and the gradients of the clean rows at the hinge's kink,
chosen as well.

The norm says how far the induced model can be: the poisoned objective is strongly convex with modulus ``rho(n)`` in the norm
``|Delta|_R`` of ``R = |theta|_R^2 / 2``, so a model at which it has a subgradient r lies within ``|r|_R* / rho(n)`` of the
minimiser. Here ``|r|_R*^2 = |r_w|^2 + s^2 r_b^2`` (the intercept regularised as in the victim; s = 1 where it is free, and
then there is no such promise).
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from convexpoison._utils.types import FloatArray, IntArray
from convexpoison.attacks.base import Budget
from convexpoison.attacks.nearest_residual import Attack, LeastResidual
from convexpoison.bounds.near_target import eps_close_bound
from convexpoison.learners.linear_model import LinearModel
from convexpoison.loss_difference.query import Difference, Question
from convexpoison.loss_difference.solve import answer
from convexpoison.poison import Poison
from convexpoison.problem import Problem

_HALVINGS = 20
"""Bisections of the segment between target and clean model in the search for its last eps-close model."""


@dataclass(frozen=True, eq=False)
class NearestModel:
    """An attack of a given size, and the model that it induces.

    Attributes
    ----------
    points : array of shape (n_distinct, n_features)
    labels : array of shape (n_distinct,)
        -1 and +1, or the responses.
    counts : int array of shape (n_distinct,)
        Copies of each point.
    model : LinearModel
        The victim's model on the clean rows and the points, retrained from the clean model.
    residual : float
        ``|r|_R*`` at the target (or the aim); 0 means that it is reproduced.
    distance : float
        Euclidean distance of model and target, intercept included.
    reach : float
        ``residual / rho(n)``: the proven largest ``|theta' - theta_p|_R`` (or to the aim); ``inf`` without regularisation
        or with a free intercept.
    difference : Difference
        Maximum loss difference of model and target (MTP, Definition 1).
    seconds : float
    """

    points: FloatArray
    labels: FloatArray
    counts: IntArray
    model: LinearModel
    residual: float
    distance: float
    reach: float
    difference: Difference
    seconds: float

    @property
    def n_points(self) -> int:
        return int(self.counts.sum())

    def __repr__(self) -> str:
        return (
            f"NearestModel({self.n_points} points, residual={self.residual:.3g}, distance={self.distance:.3g}, "
            f"max loss difference={self.difference.value:.3g})"
        )


def nearest(problem: Problem, budget: Budget) -> Poison:
    """Return the points of :func:`nearest_model`, or of :func:`close_attack` if the budget has an eps."""
    if budget.eps is None:
        found = nearest_model(problem, budget.n_points)
    else:
        found = close_attack(problem, budget.eps, max_points=budget.max_points)
    close = budget.eps is not None and found.difference.upper <= budget.eps
    return Poison(found.points, found.labels, found.counts, "close" if close else "budget")


def nearest_model(problem: Problem, n_points: int, *, aim: LinearModel | None = None) -> NearestModel:
    """Return the attack of that many points with the least residual at the target, and the model that it induces.

    Hinge: one point a label (and, in the mean convention, points without loss); if the latter are of no use, the split over
    the labels is the best one. Smooth losses: one point a slice, slices generated until the fractional optimum is reached;
    masses are then rounded and (over a box) the points moved to a least residual nearby.

    Parameters
    ----------
    problem : Problem
        Over a convex space of box, one-hot hulls and slabs.
    n_points : int
        At least 1.
    aim : LinearModel, optional
        Where the residual is taken, if not at the target: the least residual at the target need not lead to the model
        nearest to it when the budget is far too small.

    Returns
    -------
    NearestModel

    Raises
    ------
    ValueError
        n_points below 1 or no integer; a space with other parts.
    SolverError
        If the solver of the quadratic program fails.
    """
    if n_points != int(n_points) or n_points < 1:
        raise ValueError(f"n_points must be an integer of at least 1; got {n_points}")
    _check_space(problem)
    start = perf_counter()
    at = problem if aim is None else problem.towards(aim)
    fit = LeastResidual(at, int(n_points))
    slices, program, masses = fit.fractional()
    attacks = [fit.with_counts(slices, program, counts) for counts in fit.roundings(masses)]
    residual, attack = min(attacks, key=lambda candidate: candidate[0])
    return _induced(problem, attack, residual, start)


def close_attack(problem: Problem, eps: float, *, max_points: int | None = None) -> NearestModel:
    """Return the smallest attack of :func:`nearest_model` found that induces a model eps-close to the target.

    Two attacks are tried: on the target, and on the eps-close model on the way from it to the clean one, which takes fewer
    points. The number of
    points is doubled from the lower bound of :func:`eps_close_bound` (where there is one) and then bisected. The result
    is an attack; that no smaller number would do is not proven, since closeness need not grow with the budget.

    Parameters
    ----------
    problem : Problem
    eps : float
        Maximum loss difference, in units of the loss; positive.
    max_points : int, optional
        Default: the number of clean rows.

    Returns
    -------
    NearestModel
        With no points if the clean model is close already. If ``max_points`` are not enough its ``difference`` exceeds eps.

    Raises
    ------
    ValueError
        As :func:`nearest_model`; eps not positive.
    """
    if not (np.isfinite(eps) and eps > 0):
        raise ValueError(f"eps must be a finite, positive number; got {eps}")
    limit = problem.data.n_samples if max_points is None else max_points
    if limit != int(limit) or limit < 1:
        raise ValueError(f"max_points must be an integer of at least 1; got {max_points}")
    _check_space(problem)
    nothing = _induced(problem, _no_points(problem), np.nan, perf_counter())
    if nothing.difference.upper <= eps:
        return nothing
    too_few = _known_too_few(problem, eps)
    found = _fewest(problem, eps, None, too_few, limit)
    edge = _edge(problem, nothing.model, eps)
    beaten = found.n_points - 1 if found.difference.upper <= eps else limit
    if beaten <= too_few:
        return found
    other = _fewest(problem, eps, edge, too_few, beaten)
    return min((found, other), key=lambda attack: (attack.difference.upper > eps, attack.n_points))


def _fewest(problem: Problem, eps: float, aim: LinearModel | None, too_few: int, limit: int) -> NearestModel:
    """Search for the fewest points by doubling and bisection between a number that is too few and a limit."""
    step, n = 1, too_few + 1
    while (found := nearest_model(problem, min(n, limit), aim=aim)).difference.upper > eps:
        if n >= limit:
            return found
        too_few, step = n, 2 * step
        n += step
    while found.n_points - too_few > 1:
        trial = nearest_model(problem, (found.n_points + too_few) // 2, aim=aim)
        if trial.difference.upper <= eps:
            found = trial
        else:
            too_few = trial.n_points
    return found


def _edge(problem: Problem, clean: LinearModel, eps: float) -> LinearModel:
    """Return the eps-close model nearest to the clean one on the segment between target and clean model.

    On a segment from the target the loss difference is convex and begins at 0, so it crosses eps once.
    """
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        theta = problem.target.between(clean, middle)
        close = answer(Question(problem.victim.loss, theta, problem.target, problem.space)).upper <= eps
        low, high = (middle, high) if close else (low, middle)
    return problem.target.between(clean, low)


def _no_points(problem: Problem) -> Attack:
    return np.zeros((0, problem.space.n_features)), np.zeros(0), np.zeros(0, dtype=np.int64)


def _known_too_few(problem: Problem, eps: float) -> int:
    if problem.space.parts - {"box", "one_hot"}:
        return 0
    bound = eps_close_bound(problem, eps)
    return max(0, int(bound.n_points) - 1) if np.isfinite(bound.value) else 0


def _check_space(problem: Problem) -> None:
    others = problem.space.parts - {"box", "one_hot", "slab"}
    if others:
        raise ValueError(
            f"the nearest model is found over convex spaces of box, one-hot hulls and slabs; this one has "
            f"{', '.join(sorted(others))} parts. space.relax() makes integers and one-hot groups convex; leave the others out"
        )


def _induced(problem: Problem, attack: Attack, residual: float, start: float) -> NearestModel:
    points, labels, counts = attack
    victim = problem.victim
    trainer = problem.trainer()
    problem.threat.apply(trainer, Poison(points, labels, counts))
    model = trainer.model
    rho = victim.rho(problem.data.n_rows + int(counts.sum()))
    promised = victim.intercept != "free" and rho > 0
    return NearestModel(
        points=points,
        labels=labels,
        counts=counts,
        model=model,
        residual=residual,
        distance=model.distance(problem.target),
        reach=residual / rho if promised else np.inf,
        difference=answer(Question(victim.loss, model, problem.target, problem.space)),
        seconds=perf_counter() - start,
    )
