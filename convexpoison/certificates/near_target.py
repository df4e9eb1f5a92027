"""Certificates of bounds for every model near a target, checked in interval arithmetic and without a solver.

A certificate is a direction v (see :mod:`~convexpoison.bounds.uncertainty_set` for what it proves). For eps-closeness v is
*defined* by points of the space and masses, ``J v = sum of -y m (x, 1)``: their costs bound how far the regulariser's gradient
moves along v. So v is known up to rounding only, and what follows from it is evaluated for all directions that it may be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from convexpoison._utils.files import Arrays
from convexpoison._utils.types import FloatArray
from convexpoison.certificates.base import LEFT_OUT, Certificate, claimed, model_arrays, model_of, vector
from convexpoison.certificates.clean_gradient import normalized, scale_of, subdifferential
from convexpoison.certificates.near_target_sets import (
    BallAround,
    CloseTo,
    Combination,
    Slope,
    Surroundings,
    settled,
)
from convexpoison.data.training_data import Classes, TrainingData
from convexpoison.learners.dual_vector import BOUNDARY, DualVector
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.penalty_enclosures import regularisation
from convexpoison.learners.victim import Victim
from convexpoison.numerics.intervals import Interval, dot, product
from convexpoison.problem import Problem
from convexpoison.spaces.space import Space
from convexpoison.threats.support_bound import Hull, price

Kind = Literal["ball", "eps_close"]


@dataclass(frozen=True, eq=False)
class NearTargetCertificate(Certificate):
    """With fewer than ``value`` points in ``space`` the victim learns no model near ``target``.

    Attributes
    ----------
    victim : Victim
    target : LinearModel
    space : Space
    near : {"ball", "eps_close"}
        What near means: Euclidean distance of ``(w, b)``, or the maximum loss difference to the target over the space.
    radius : float
    direction : DualVector
        What proves it; with a combination only its intercept counts, and that where the victim's is free.
    combination : Combination or None
        What defines the direction; only for "eps_close".
    value : float
        ``inf`` if no number of points induces such a model.
    note : str

    Raises
    ------
    ValueError
        If sizes do not match, numbers are not finite, or points lie outside the space.
    """

    victim: Victim
    target: LinearModel
    space: Space
    near: Kind
    radius: float
    direction: DualVector
    combination: Combination | None
    value: float
    note: str = ""
    kind: ClassVar[str] = "neighbourhood certificate"

    def __post_init__(self) -> None:
        self._check_value()
        d, v, made = self.space.n_features, self.direction, self.combination
        if self.near not in ("ball", "eps_close") or not (math.isfinite(self.radius) and self.radius >= 0.0):
            raise ValueError(
                f"near must be 'ball' or 'eps_close' with a radius of at least 0; got {self.near!r}, {self.radius}"
            )
        if v.w.shape != (d,) or self.target.n_features != d:
            raise ValueError(f"target and direction must have the space's {d} features")
        if not (np.isfinite(v.w).all() and math.isfinite(v.b)):
            raise ValueError("the direction holds NaN or infinity")
        if self.victim.intercept == "none" and (v.b != 0.0 or self.target.intercept != 0.0):
            raise ValueError("the victim has no intercept, but the direction or the target has one")
        if not self.victim.loss.classification and self.space.response is None:
            raise ValueError("a regression loss needs the range of the response: space.with_response(lower, upper)")
        if self.near == "eps_close" and self.space.parts - {"box", "one_hot"}:
            raise ValueError("eps-closeness is bounded over spaces of box and one-hot hulls")
        if made is None:
            return
        if self.near != "eps_close" or made.masses.shape != (2,) or made.points.shape != (2, d):
            raise ValueError("a combination has two masses and two points, and belongs to eps-closeness")
        if not (np.isfinite(made.masses).all() and (made.masses >= 0.0).all() and np.isfinite(made.points).all()):
            raise ValueError("a combination's masses and points are finite, and masses not negative")
        if self.victim.intercept == "free" and made.masses[0] != made.masses[1]:
            raise ValueError("with a free intercept the two masses of a combination must be equal")
        for mass, point in zip(made.masses, made.points, strict=True):
            if mass > 0.0:
                settled(self.space, point)

    # ---------------------------------------------------------------- the check

    def _proven(self, rows: TrainingData) -> float:
        return self._proof(rows)[0]

    def _proof(self, rows: TrainingData) -> tuple[float, float]:
        """The bound that is proven, and by how much rounding of the data's sums may have lowered it."""
        with np.errstate(all="ignore"):  # overflows widen an interval, and that is all
            around = self._surroundings
            v, along = self._slopes()
            swing = self._sway(along)
            pull = -self._push(rows, around, v, swing)
            if not pull.lower > 0.0:
                return 0.0, 0.0
            growth = Interval.of(self.victim.kappa) * (self._growth(v) + swing)
            dearest = float((Interval.of(self._dearest(around, v)) + growth).upper)
            if dearest <= 0.0:
                return math.inf, 0.0
            value = float((pull / dearest).lower)
        return (value, float(pull.upper - pull.lower) / dearest) if value > 0.0 else (0.0, 0.0)

    @property
    def _surroundings(self) -> BallAround | CloseTo:
        around = BallAround if self.near == "ball" else CloseTo
        return around(self.victim, self.target, self.space, self.radius)

    @property
    def _regularised(self) -> bool:
        return self.victim.kappa > 0.0 or self.victim.rho_0 > 0.0

    def _slopes(self) -> tuple[Slope, Slope]:
        """The direction v and J v, where anything depends on them."""
        weight, made = self._intercept_weight, self.combination
        if made is None:
            v = normalized(self.direction)
            slope = Slope(Interval.of(v.w), Interval.of(v.b))
            return slope, Slope(slope.w, slope.b * weight)
        w, b = Interval.of(np.zeros(self.space.n_features)), Interval.of(0.0)
        for y, mass, point in zip((1.0, -1.0), made.masses.tolist(), made.points, strict=True):
            if mass > 0.0:
                w = w - settled(self.space, point) * Interval.of(y * mass)
                b = b - y * mass
        if self.victim.intercept == "regularized":
            scale = Interval.of(self.victim.intercept_scaling)
            return Slope(w, b * (scale * scale)), Slope(w, b)
        return Slope(w, Interval.of(self.direction.b)), Slope(w, Interval.of(0.0))

    @property
    def _intercept_weight(self) -> Interval:
        if self.victim.intercept != "regularized":
            return Interval.of(0.0)
        scale = Interval.of(self.victim.intercept_scaling)
        return 1.0 / (scale * scale)

    def _sway(self, along: Slope) -> Interval:
        """An upper bound on the movement of the regulariser's gradient along v; nothing is known without a combination."""
        if not self._regularised:
            return Interval.of(0.0)
        around = self._surroundings
        if isinstance(around, BallAround):
            return Interval.of(around.sway(along))
        if self.combination is not None:
            return Interval.of(around.sway(self.combination))
        still = not (np.any(along.w.lower) or np.any(along.w.upper) or np.any(along.b.lower) or np.any(along.b.upper))
        return Interval.of(0.0 if still else np.inf)

    def _growth(self, v: Slope) -> Interval:
        """``<grad R, v>`` at the target."""
        return dot(v.w, self.target.coef) + v.b * self.target.intercept * self._intercept_weight

    def _push(self, data: TrainingData, around: Surroundings, v: Slope, swing: Interval) -> Interval:
        """The largest ``<g, v>`` over gradients g of the clean objective at models of the neighbourhood."""
        victim, loss = self.victim, self.victim.loss
        scores, size = product(data.X, self.target.coef)
        scores = scores + self.target.intercept
        down, up = around.score_moves(data, scores)
        moved = Interval((scores - down).lower, (scores + up).upper)
        argument = moved * data.y if loss.classification else moved - data.y
        centre, width, width_b = _split(v)
        along = product(data.X, centre.w)[0] + centre.b
        if width.any() or width_b > 0.0:
            beyond = (product(abs(data.X), width)[0] + width_b).upper
            along = along + Interval(-beyond, beyond)
        slopes = along * data.y if loss.classification else along
        near = BOUNDARY * (1.0 + np.abs(scores.upper) + size + abs(self.target.intercept))
        terms = subdifferential(loss, argument, near) * slopes * data.sample_weight
        # Every row takes its worst end; the width of the sum is that of rounding alone then.
        worst = terms.upper
        if not np.isfinite(worst).all():
            return Interval.of(np.inf)
        rho = regularisation(victim, data.sample_weight)
        return Interval.of(worst).sum() + rho * (self._growth(v) + swing)

    def _dearest(self, around: Surroundings, v: Slope) -> float:
        """An upper bound on ``phi'(argument') slope <x~, v>`` over the space and the neighbourhood."""
        victim, target = replace(self.victim, C=1.0, C_R=None), self.target
        centre, width, width_b = _split(v)
        low, high = self.space.lower, self.space.upper
        farthest = np.maximum(np.abs(low), np.abs(high))
        off = 0.0
        if width.any() or width_b > 0.0:
            off = float((dot(width, farthest) + width_b).upper)
        share = around.steepening()
        best = 0.0 if victim.loss.classification else -np.inf
        for sign in self.space.labels if victim.loss.classification else (-1, 1):
            space = self.space.with_labels([sign]) if victim.loss.classification else self.space
            lowered = 0.0 if share > 0.0 else around.shift(sign)
            moved = replace(target, intercept=_lowered(target.intercept, sign, lowered))
            if not math.isfinite(moved.intercept):
                return math.inf
            # What v may be besides its middle only makes points dearer; P is -y times a score (regression: either sign).
            for s in (-sign,) if victim.loss.classification else (-1, 1):
                beyond = Interval.of(centre.b) + s * Interval.of(off)
                u = DualVector(centre.w, float(beyond.upper if s > 0 else beyond.lower))
                dearest = price(victim, moved, space, u)
                if share > 0.0:
                    steepest = Hull.of(space).highest(Interval.of(s * u.w)) + Interval.of(s * u.b)
                    mixed = (1.0 - Interval.of(share)) * max(dearest, 0.0) + steepest.at_least(0.0) * share
                    dearest = float(mixed.upper)
                best = np.maximum(best, dearest)  # which keeps NaN
        return np.inf if np.isnan(best) else float(best)

    # ---------------------------------------------------------------- words and files

    @property
    def _classes(self) -> Classes | None:
        return self.target.classes

    @property
    def _purpose(self) -> str:
        return "to make the victim learn a model near the target"

    @property
    def _subject(self) -> str:
        length = float(np.linalg.norm(self.target.coef))
        near = f"within {self.radius:.6g} of" if self.near == "ball" else f"{self.radius:.6g}-close to"
        return (
            f"models: {near} a target of {self.target.n_features} coefficients of length {length:.6g}, "
            f"intercept {self.target.intercept:.6g}"
        )

    def _arrays(self) -> Arrays:
        arrays = model_arrays(self.target, self.direction)
        if self.combination is not None:
            arrays |= {"masses": self.combination.masses, "points": self.combination.points}
        return arrays

    def _words(self) -> dict[str, Any]:
        return {"near": self.near, "radius": self.radius, "combined": self.combination is not None}

    @classmethod
    def _fields(cls, arrays: Arrays, words: dict[str, Any]) -> dict[str, Any]:
        made = Combination(vector(arrays["masses"]), vector(arrays["points"])) if words["combined"] else None
        target, direction = model_of(arrays, words)
        return {
            "target": target,
            "near": words["near"],
            "radius": float(words["radius"]),
            "direction": direction,
            "combination": made,
        }


def certify_near(
    problem: Problem, near: Kind, radius: float, direction: DualVector, combination: Combination | None
) -> NearTargetCertificate:
    """The certificate that a direction makes; its value is what the check proves (:func:`claimed`), 0 if it proves nothing."""
    note = "" if problem.space.constraints is None else LEFT_OUT
    if combination is not None:  # a power of two, so that the direction is of length about 1
        shift = scale_of(direction)
        combination = replace(combination, masses=np.ldexp(combination.masses, shift))
    draft = NearTargetCertificate(
        problem.victim, problem.target, problem.space, near, radius, normalized(direction), combination, 0.0, note
    )
    return replace(draft, value=claimed(*draft._proof(problem.data)))


def _split(v: Slope) -> tuple[DualVector, FloatArray, float]:
    """A direction in the middle, and by how much the others differ from it at most."""
    w, b = 0.5 * (v.w.lower + v.w.upper), 0.5 * float(v.b.lower + v.b.upper)
    off_w, off_b = v.w - w, v.b - b
    return (
        DualVector(w, b),
        np.maximum(off_w.upper, -off_w.lower),
        float(max(off_b.upper, -off_b.lower)),
    )


def _lowered(intercept: float, sign: int, shift: float) -> float:
    """The intercept at which margins of that sign are lower by the shift, or a little more."""
    moved = Interval.of(intercept) - sign * Interval.of(shift)
    return float(moved.lower if sign > 0 else moved.upper)
