"""Lower bounds on the number of points behind *any* model near a target.

:func:`ball_bound` is for all models within a distance of the target: the honest statement for a model that was fitted to a
tolerance. :func:`eps_close_bound` is for all models that are eps-close to it in the loss (MTP, Definition 1), the question
of MTP's Corollary 1. The smaller the radius, the nearer they are to the tight bound (:mod:`convexpoison.bounds.tight`).

Two kinds of argument are tried: directions (:mod:`~convexpoison.bounds.robust_program`) and, for eps-closeness, witnesses
(:mod:`~convexpoison.bounds.comparison_models`). What is told is certified, and certificates are made of directions
(:mod:`~convexpoison.certificates.near_target`); what witnesses say is evaluated in double precision alone, and is only there to
compare with (``ApproximateBound.candidates``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np

from convexpoison._utils.integers import whole_points
from convexpoison.bounds.bound import facts_of
from convexpoison.bounds.comparison_models import witness_bounds
from convexpoison.bounds.eps_close import Close
from convexpoison.bounds.robust_program import RobustProgram, search
from convexpoison.bounds.tight import tight_bound
from convexpoison.bounds.tight_program import TightBound
from convexpoison.bounds.uncertainty_set import Ball, Neighbourhood, Sway
from convexpoison.certificates.near_target import Kind, NearTargetCertificate, certify_near
from convexpoison.certificates.target import TargetCertificate, certify
from convexpoison.display.bracket import plot_brackets
from convexpoison.display.shown import Facts, Shown, frame_of
from convexpoison.geometry.support_function import score_range
from convexpoison.geometry.weak_duality import bounded_box
from convexpoison.problem import Problem


@dataclass(frozen=True, eq=False)
class ApproximateBound(Shown):
    """No model within ``radius`` of the target is induced by fewer than ``n_points`` added points.

    Attributes
    ----------
    value : float
        The bound; ``inf`` if no number of points induces any model of the set.
    kind : {"ball", "eps_close"}
    radius : float
        Euclidean distance of ``(w, b)``, or maximum loss difference to the target.
    method : str
        Where the direction that proves it came from: "tight", "direction" or "robust".
    certificate : NearTargetCertificate, TargetCertificate (radius 0) or None
        What proves it, checked before the bound was told; ``certificate.verify(data)`` checks it again. None for the trivial
        bound 0. For eps-closeness its radius is larger by what covers the rounding of a closeness that a user has measured.
    candidates : dict
        What each method came to in double precision, "witness" and "corollary_1" (MTP's) among them: not certified, and where
        one of those two is larger it is not told as the value.
    seconds : float
    """

    value: float
    kind: Kind
    radius: float
    method: str
    certificate: NearTargetCertificate | TargetCertificate | None = None
    candidates: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def __float__(self) -> float:
        return self.value

    @property
    def n_points(self) -> float:
        """The least whole number of points that the bound allows; ``inf`` where no number will do."""
        return whole_points(self.value)

    @property
    def certified(self) -> bool:
        """Whether there is a certificate (the trivial bound 0 needs none)."""
        return self.certificate is not None or self.value == 0.0

    @property
    def attainable(self) -> bool:
        """False if it is proven that no number of points induces a model of the set."""
        return math.isfinite(self.value)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and words, for JSON (infinite numbers become None)."""
        return {
            "value": self.value if self.attainable else None,
            "n_points": int(self.n_points) if self.attainable else None,
            "attainable": self.attainable,
            "certified": self.certified,
            "kind": self.kind,
            "radius": self.radius,
            "method": self.method,
            "candidates": {name: value if math.isfinite(value) else None for name, value in self.candidates.items()},
            "seconds": self.seconds,
        }

    def facts(self) -> Facts:
        """The main numbers in words."""
        near = "Euclidean distance" if self.kind == "ball" else "maximum loss difference"
        within = {"holds for every model within": f"{near} {self.radius:g}", "found by": self.method}
        return facts_of(self, "induces such a model", within | {"seconds": self.seconds})

    def to_frame(self) -> Any:
        """One row, as a pandas DataFrame; what each method came to is in columns of its own."""
        told = self.to_dict()
        found = {f"candidates.{name}": value for name, value in told.pop("candidates").items()}
        return frame_of([told | found], "ApproximateBound.to_frame")

    def plot(self, ax: Any = None) -> Any:
        """The bound, and below it what each method came to; see :func:`convexpoison.display.bracket.plot_brackets`."""
        told = {f"certified ({self.kind} {self.radius:g})": self.value}
        told |= {f"{name}, not certified": value for name, value in self.candidates.items()}
        rows = {name: (value, None) for name, value in told.items()}
        return plot_brackets(rows, ax, title="How many points does it take?")

    def __repr__(self) -> str:
        return f"ApproximateBound({self.value:.6g}, {self.kind}, radius={self.radius:g}, method={self.method!r})"


def ball_bound(problem: Problem, delta: float, *, time_limit_s: float | None = None) -> ApproximateBound:
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
    ApproximateBound

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


def eps_close_bound(problem: Problem, eps: float, *, time_limit_s: float | None = None) -> ApproximateBound:
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
    ApproximateBound

    Raises
    ------
    ValueError
        eps negative or not finite; a space with other parts or without bounds.
    """
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
) -> ApproximateBound:
    """The best of the tight bound's direction and the robust program's, certified."""
    nothing = ApproximateBound(0.0, kind, radius, "direction", None, {"direction": 0.0}, perf_counter() - start)
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


def _exact(problem: Problem, tight: TightBound, start: float) -> ApproximateBound:
    """The bound for the target alone."""
    proof = None
    if tight.direction is not None:
        proof = certify(problem.victim, problem.target, problem.space, tight.direction, problem.data)
    value = 0.0 if proof is None else proof.value
    seconds = perf_counter() - start
    return ApproximateBound(
        value, "ball", 0.0, "tight", proof if value > 0.0 else None, {"tight": tight.value}, seconds
    )
