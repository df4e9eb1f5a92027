"""Lower bounds on the number of points behind *any* model near a target.

:func:`ball_bound` is for all models within a distance of the target: the honest statement for a model that was fitted to a
tolerance. :func:`eps_close_bound` is for all models that are eps-close to it in the loss (MTP, Definition 1), the question
of MTP's Corollary 1. The smaller the radius, the nearer they are to the tight bound (:mod:`convexpoison.bounds.tight`).

Two kinds of argument are tried: directions (:mod:`~convexpoison.bounds.robust_program`) and, for eps-closeness, witnesses
(:mod:`~convexpoison.bounds.comparison_models`). What is told is certified, and certificates are made of directions
(:mod:`~convexpoison.certificates.near_target`); what witnesses say is evaluated in double precision alone, and is only there to
compare with (``Bound.candidates``).
"""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

import numpy as np

from convexpoison.bounds.bound import Bound, NearTarget
from convexpoison.bounds.comparison_models import witness_bounds
from convexpoison.bounds.eps_close import Close
from convexpoison.bounds.robust_program import RobustProgram, search
from convexpoison.bounds.target import certify_tight
from convexpoison.bounds.tight import tight_bound
from convexpoison.bounds.tight_program import TightBound
from convexpoison.bounds.uncertainty_set import Ball, Neighbourhood, Sway
from convexpoison.certificates.near_target import Kind, certify_near
from convexpoison.geometry.support_function import score_range
from convexpoison.geometry.weak_duality import bounded_box
from convexpoison.problem import Problem


def ball_bound(problem: Problem, delta: float, *, time_limit_s: float | None = None) -> Bound:
    """A lower bound on the points behind any model within a Euclidean distance of the target.

    Holds for every model with ``|(w, b) - (w_p, b_p)|_2 <= delta`` (w alone where the victim has no intercept) and every loss.

    Parameters
    ----------
    problem : Problem
        Integers, one-hot groups and the user's own constraints of its space are relaxed.
    delta : float
        Not negative; 0 gives the tight bound itself.
    time_limit_s : float, optional
        Ends the search for better directions; what has been found is valid.

    Returns
    -------
    Bound

    Raises
    ------
    ValueError
        delta negative or not finite; a space without bounds.
    """
    _check(problem, "delta", delta)
    start = perf_counter()
    tight = tight_bound(problem, time_limit_s=time_limit_s)
    if delta == 0.0:
        return _exact(problem, tight, start)
    return _by_direction(Ball(problem, delta), tight, "ball", delta, start, time_limit_s)


def eps_close_bound(problem: Problem, eps: float, *, time_limit_s: float | None = None) -> Bound:
    """A lower bound on the points behind any model that is eps-close to the target.

    Holds for every model theta' with ``D(theta', theta_p) <= eps`` (MTP, Definition 1). The best of directions, witnesses and
    (hinge) MTP's Corollary 1 with ``k = max(1, largest score)`` where scores reach -1 and 1, see
    :mod:`~convexpoison.bounds.eps_close`.

    Parameters
    ----------
    problem : Problem
        Over a space of box and one-hot hulls.
    eps : float
        Not negative, in units of the loss. 0 is close to the tight bound, and below it where other models have the same
        loss as the target all over the space (one label, constant columns, one-hot groups of which one column is always 1).
    time_limit_s : float, optional
        Ends the search for better directions; what has been found is valid.

    Returns
    -------
    Bound

    Raises
    ------
    ValueError
        eps negative or not finite; a space with other parts or without bounds; a loss without ``slack``.
    """
    problem.victim.loss.need("a bound for eps-close models", "slack")
    _check(problem, "eps", eps)
    others = problem.space.parts - {"box", "one_hot"}
    if others:
        raise ValueError(
            f"eps-closeness is bounded over spaces of box and one-hot hulls; this one has {', '.join(sorted(others))} parts. "
            "Over space.relax() and without balls, slabs and constraints the bound is for models that are close over that space"
        )
    start = perf_counter()
    tight = tight_bound(problem, time_limit_s=time_limit_s)
    # A little more than was asked for covers the rounding of margins, and of the closeness that a user has measured.
    size = 1.0 + max(map(abs, score_range(problem.target, problem.space))) + abs(problem.target.intercept)
    close = Close(problem, eps * (1.0 + 1e-9) + 1e-12 * size)
    best = _by_direction(close, tight, "eps_close", eps, start, time_limit_s)
    if np.isfinite(best.value):
        best.candidates.update(witness_bounds(close))
    return replace(best, seconds=perf_counter() - start)


def _check(problem: Problem, name: str, radius: float) -> None:
    if not (np.isfinite(radius) and radius >= 0):
        raise ValueError(f"{name} must be a finite number that is not negative; got {radius}")
    bounded = np.isfinite(bounded_box(problem.space)).all(axis=0)
    if not bounded.all():
        raise ValueError(f"column {int(np.argmin(bounded))} of the space is unbounded; give its box finite bounds")


def _by_direction(
    hood: Neighbourhood,
    tight: TightBound,
    kind: Kind,
    radius: float,
    start: float,
    time_limit_s: float | None,
) -> Bound:
    """The best of the tight bound's direction and the robust program's, certified."""
    about = NearTarget(hood.problem.target, kind, radius)
    nothing = Bound(0.0, about, None, "direction", candidates={"direction": 0.0}, seconds=perf_counter() - start)
    if tight.direction is None or tight.value <= 0.0:
        return nothing  # the target itself costs nothing
    exact = hood.problem
    problem = RobustProgram(exact, hood)
    value, v, *_ = problem.prove(tight.direction)
    found, method = {"direction": value}, "direction"
    if np.isfinite(value):
        robust, v_robust = search(problem, tight, value, start, time_limit_s)
        if v_robust is not None:
            found["robust"] = robust
            if robust > value:
                v, method = v_robust, "robust"
    sway = hood.sway(v) if problem.regularised else Sway(v, 0.0, None)
    proof = certify_near(exact, kind, hood.reach, sway.v, sway.combination)
    return replace(
        nothing,
        value=proof.value,
        method=method,
        certificate=proof if proof.value > 0.0 else None,
        candidates=found,
        seconds=perf_counter() - start,
    )


def _exact(problem: Problem, tight: TightBound, start: float) -> Bound:
    """The bound for the target alone."""
    exact, about = certify_tight(problem, tight), NearTarget(problem.target, "ball", 0.0)
    candidates, seconds = {"tight": tight.value}, perf_counter() - start
    return Bound(exact.value, about, exact.certificate, "tight", candidates=candidates, seconds=seconds)
