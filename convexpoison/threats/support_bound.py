"""An upper bound on the price of a direction, ``h(v) = max over z of <a(z), v>``, in interval arithmetic.

By weak duality, for one label (response and sign of the residual) at a time. There

    <a(z), v> = q(V) P + kappa <grad R, v>,

with V the loss's argument and P plus or minus the product of ``(x, 1)`` with v, both affine in x, and the weight
``q(V) = |phi'(V)|``. For **any** slope B, with ``A = max over X of P - B V``,

    P <= A + B V,        so that        h <= max over V of q(V) (A + B V),

one-dimensional, and the best B makes it an equality where the maximum is positive. A is a linear function's maximum over
a box and one-hot hulls, a sum over columns; slabs and balls are moved into the objective, with any multipliers:

    c @ x <= (c - nu g) @ x + max(nu lower, nu upper)       for lower <= g @ x <= upper,
    c @ x <= (c - s) @ x + s @ m + r |s|                    for |x - m| <= r and any vector s.

The one-dimensional maximum needs no search either. All weights here are log-concave: with ``rate = -(log q)'(V0)`` and
``L = A + B V0 > 0``, for any V0,

    q(V) <= q(V0) exp(-rate (V - V0)),        A + B V <= L exp(B / L (V - V0)),

and at the best V0 the two exponents cancel. Where ``A + B V`` is negative throughout, its product with q is largest at an
end of V's range, by the same concavity. So the sorts, searches and solvers that suggest v, B, V0, nu and s need no trust:
poor suggestions make a bound loose, never wrong. Integer columns count as intervals, one-hot groups as their hulls, and
the user's own constraints are left out: a larger space, so a valid bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.geometry.weak_duality import Domain, bounded_box
from convexpoison.learners.dual_vector import DualVector
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.losses.base import Loss
from convexpoison.learners.penalty_enclosures import penalty_slope
from convexpoison.learners.victim import Victim
from convexpoison.numerics.ellipsoid_method import minimize
from convexpoison.numerics.intervals import Interval, dot, exp
from convexpoison.spaces.parts import Ball, OneHot, Slab
from convexpoison.spaces.space import Space

_SEARCH_TOL, _SLOPE_TOL = 1e-12, 1e-15
"""Of the search for multipliers, and of that for the slope alone, which is quick; directions have a length of about 1."""


class Side(NamedTuple):
    """One of the one-dimensional problems: ``V = sign (w @ x + b - response)``, ``P = pull (v_w @ x + v_b)``.

    Classification: one for each label, the label being the sign. Regression: the residual times P is linear in y, so y is
    at an end of its range, and V is the residual's absolute value: one for each end and sign.
    """

    sign: int
    pull: int
    response: float


class Multipliers(NamedTuple):
    """What weak duality takes: the slope B, a number for each slab, a vector for each ball (rows)."""

    slope: float
    slabs: FloatArray
    splits: FloatArray


def sides(victim: Victim, space: Space) -> list[Side]:
    """The one-dimensional problems of a space."""
    if victim.loss.classification:
        return [Side(y, -y, 0.0) for y in space.labels]
    assert space.response is not None
    return [Side(s, s, y) for y in dict.fromkeys(space.response) for s in (1, -1)]


def price(
    victim: Victim,
    target: LinearModel,
    space: Space,
    v: DualVector,
    multipliers: Mapping[Side, Multipliers] | None = None,
) -> float:
    """An upper bound on ``h(v)``.

    Parameters
    ----------
    multipliers : mapping from sides to Multipliers, optional
        Sides without an entry get the best that a short search finds.

    Returns
    -------
    float
        ``inf`` where the space is unbounded along v.
    """
    kink, hull = victim.loss.active_range[1], Hull.of(space)
    growth = Interval.of(victim.kappa) * penalty_slope(victim, target, v)
    highest = -np.inf
    for side in sides(victim, space):
        problem = _Problem(victim.loss, space, hull, target, v, side)
        if np.isfinite(kink) and problem.high >= kink:
            highest = np.maximum(highest, 0.0)  # points without loss
        if not problem.start > problem.end:  # NaN is no proof that the side is empty
            given = None if multipliers is None else multipliers.get(side)
            highest = np.maximum(highest, problem.bound(given or problem.search()))
    bound = float((Interval.of(highest) + growth).upper)
    return np.inf if np.isnan(bound) else bound


@dataclass(frozen=True, eq=False)
class Hull:
    """A space without integers and constraints, over which linear functions are maximised."""

    lower: FloatArray
    upper: FloatArray
    groups: tuple[OneHot, ...]
    slabs: tuple[Slab, ...]
    balls: tuple[Ball, ...]

    @classmethod
    def of(cls, space: Space) -> Hull:
        """Sides of the box that are infinite become what balls and slabs leave of them."""
        lower, upper = bounded_box(space)
        slabs = tuple(slab for slab in space.slabs if np.isfinite([slab.lower, slab.upper]).any())
        return cls(lower, upper, space.one_hot, slabs, space.balls)

    def highest(self, c: Interval, multipliers: Multipliers | None = None) -> float:
        """An upper bound on ``c @ x``."""
        moved = Interval.of(0.0)
        if multipliers is not None:
            for nu, slab in zip(multipliers.slabs.tolist(), self.slabs, strict=True):
                if nu != 0.0:
                    c = c - Interval.of(nu) * slab.direction
                    moved = moved + Interval.of(nu) * (slab.upper if nu > 0.0 else slab.lower)
            for split, ball in zip(multipliers.splits, self.balls, strict=True):
                c = c - split
                moved = moved + dot(split, ball.center) + dot(split, split).sqrt() * ball.radius
        columns = np.maximum((c * self.lower).upper, (c * self.upper).upper)
        best = []
        for group in self.groups:
            members = list(group.columns)
            columns[members] = 0.0
            best.append(np.maximum(c.upper[members].max(), 0.0 if group.at_most_one else -np.inf))
        return float((Interval.of(np.append(columns, best)).sum() + moved).upper)


@dataclass(frozen=True, eq=False)
class _Problem:
    """The maximum of ``q(V) P`` on one side.

    Attributes
    ----------
    low, high : float
        V is in between (slabs and balls left out).
    """

    loss: Loss
    space: Space
    hull: Hull
    target: LinearModel
    v: DualVector
    side: Side
    low: float = field(init=False)
    high: float = field(init=False)

    def __post_init__(self) -> None:
        sign = self.side.sign
        shift = Interval.of(sign) * (Interval.of(self.target.intercept) - self.side.response)
        above, below = (self.hull.highest(Interval.of(s * self.target.coef)) for s in (sign, -sign))
        object.__setattr__(self, "low", float((shift - below).lower))
        object.__setattr__(self, "high", float((shift + above).upper))

    @property
    def start(self) -> float:
        return max(self.low, self.loss.active_range[0])

    @property
    def end(self) -> float:
        return min(self.high, self.loss.active_range[1])

    def bound(self, multipliers: Multipliers) -> float:
        """What the multipliers prove."""
        B, (sign, pull, response) = multipliers.slope, self.side
        c = pull * self.v.w - Interval.of(B) * (sign * self.target.coef)
        shift = pull * self.v.b - Interval.of(B * sign) * (Interval.of(self.target.intercept) - response)
        A = float((self.hull.highest(c, multipliers) + shift).upper)
        if not np.isfinite([A, B, self.start, self.end]).all():
            return np.inf
        return _summit_bound(self.loss, A, B, (self.start, self.end), self._summit(A, B)[0])

    def search(self) -> Multipliers:
        """Good multipliers: the bound is a convex function of them, whose values and subgradients need no rigour here."""
        domain = Domain.of(self.space)
        sign, pull, response = self.side
        w, shift = sign * self.target.coef, sign * (self.target.intercept - response)
        radii, lower, upper = domain.multipliers(self.v.w)
        nothing, best = np.zeros_like(w), (np.inf, 0.0, np.zeros_like(radii), np.zeros_like(w))

        def oracle(z: FloatArray) -> tuple[float, FloatArray]:
            nonlocal best
            height, x, gradient = domain.bound(pull * self.v.w - z[0] * w, nothing, z[1:])
            if not np.isfinite(height):
                return np.inf, np.zeros_like(z)
            V, value, steepness = self._summit(height + pull * self.v.b - z[0] * shift, float(z[0]))
            if value < best[0]:
                best = (value, float(z[0]), z[1:].copy(), x)
            return value, steepness * np.concatenate([[V - float(w @ x) - shift], gradient])

        slope = max(float(np.linalg.norm(self.v.w)), 1e-9) / max(float(np.linalg.norm(w)), 1e-9)
        free = np.array([np.inf])
        minimize(
            oracle,
            start=np.zeros(radii.size + 1),
            radii=np.append(slope, radii),
            lower=np.append(-free, lower),
            upper=np.append(free, upper),
            tol=_SEARCH_TOL if radii.size else _SLOPE_TOL,
        )
        _, B, rest, x = best
        nu, beta = rest[: len(self.hull.slabs)], rest[len(self.hull.slabs) :]
        splits = [b * (x - ball.center) for b, ball in zip(beta, self.hull.balls, strict=True)]
        return Multipliers(B, nu, np.array(splits).reshape(-1, x.size))

    def _summit(self, A: float, B: float) -> tuple[float, float, float]:
        """Where ``q(V) (A + B V)`` is highest, roughly; its value, and q."""
        V = np.array([self.start, self.end])
        if B != 0.0 and np.isfinite(A / B):
            V = np.append(V, np.clip(self.loss.stationary_point(A, B), self.start, self.end))
        q = np.abs(self.loss.derivative(V))
        k = int(np.argmax(q * (A + B * V)))
        return float(V[k]), float(q[k] * (A + B * V[k])), float(q[k])


def _summit_bound(loss: Loss, A: float, B: float, ends: tuple[float, float], V0: float) -> float:
    """An upper bound on ``q(V) (A + B V)`` between the ends, for any V0 between them."""
    V = Interval.of(ends)
    line, q = Interval.of(A) + Interval.of(B) * V, loss.steepness(V)
    top = float(line.upper.max())
    if top <= 0.0:
        return float((q * line).upper.max())
    bound = float((Interval.of(q.upper.max()) * top).upper)  # q is monotone
    place = Interval.of(V0)
    height, share = Interval.of(A) + Interval.of(B) * place, loss.steepness(place)
    if height.lower > 0.0 and share.lower > 0.0:
        growth = ((Interval.of(B) / height - loss.decay_rate(place)) * (V - place)).upper.max()
        if np.isfinite(growth):
            bound = min(bound, float((share * height * exp(Interval.of(growth))).upper))
    return bound
