"""The dearest point for a direction: ``h(v) = max over z of <a(z), v>`` at a target.

``<a(z), v> = phi'(argument) * slope * (v_w @ x + v_b) + kappa <grad R, v>`` sees x through its score under the target and its
product with v, so the maximum lies on the boundary of the image of the space under these two:

- box, one-hot hulls (and integers, relaxed): one sort gives all of the boundary (:mod:`~convexpoison.geometry.lower_hull`), and
  on each of its edges the maximum is known (``support_peak`` of the loss);
- slabs and balls too: the boundary is enclosed as far as needed (:mod:`~convexpoison.geometry.outer_approximation`).

Either way ``upper`` is the library's own, rounding included; no solver is trusted. Integer columns count as intervals and
one-hot groups as their hulls, and the user's own constraints are left out: a larger space, which can only raise h.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.geometry.lower_hull import Region, Scores
from convexpoison.geometry.outer_approximation import sketch
from convexpoison.geometry.weak_duality import bounded_box, linear_upper_bound
from convexpoison.learners.dual_vector import BOUNDARY, DualVector
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.losses.edges import largest_fall
from convexpoison.learners.victim import Victim
from convexpoison.spaces.space import Space

_EPS = float(np.finfo(np.float64).eps)


class Side(NamedTuple):
    """One of the one-dimensional problems that a question falls into.

    Margins of label y are y times the scores, and the loss difference is greatest where the model's is least: the
    lower chain of sign y. A residual may be large on either side: both signs, for each end of the response.
    """

    sign: int
    response: float
    shift_u: float
    shift_v: float


@dataclass(frozen=True, eq=False)
class Price:
    """The dearest point.

    Attributes
    ----------
    value : float
        ``<a(z), v>`` there; what a bound divides by is ``upper``.
    upper : float
        Upper bound on h(v), rounding included.
    point : array of shape (n_features,) or None
        None where nothing is dearer than a point without loss.
    label : float
        -1 or +1, or the response; 0 for a point without loss.
    score : float
        ``target.coef @ point``.
    """

    value: float
    upper: float
    point: FloatArray | None
    label: float
    score: float


def dearest(victim: Victim, target: LinearModel, space: Space, v: DualVector) -> Price:
    """h(v) over the relaxed space.

    Parameters
    ----------
    victim : Victim
    target : LinearModel
    space : Space
        Without its integrality and its ``constraints`` it must be bounded.
    v : DualVector

    Raises
    ------
    ValueError
        If a column is unbounded.
    SolverError
        If a space with slabs or balls is empty.
    """
    found = prices(victim, target, space, v)
    return replace(max(found, key=lambda price: price.value), upper=max(price.upper for price in found))


def prices(victim: Victim, target: LinearModel, space: Space, v: DualVector) -> list[Price]:
    """The dearest point of every label (regression: of each end of the response and each side of it), and one without loss.

    The largest ``upper`` bounds h(v); a ``value`` of ``-inf`` means that no point of that label has loss.
    """
    if victim.loss.n_scores != 1:
        name, n = victim.loss.name, victim.loss.n_scores
        raise ValueError(f"the geometry of the plane needs a loss of one score a row; {name} has {n}")
    _check_bounded(space)
    penalty_w, penalty_b = victim.penalty_gradient(target)
    growth = victim.kappa * float(penalty_w @ v.w + penalty_b * v.b)
    sizes = victim.kappa * float(np.abs(penalty_w) @ np.abs(v.w) + abs(penalty_b * v.b))
    most = growth + (v.w.size + 8) * _EPS * sizes
    look = _enclosed if {"slab", "ball"} & space.parts else _exact
    found = [
        Price(value + growth, upper + most, point, side.response, float(target.coef @ point))
        for side, value, upper, point in look(victim, target, space, v)
    ]
    if not victim.loss.smooth and has_point_without_loss(target, space):
        found.append(Price(growth, most, None, 0.0, 0.0))
    return found


def _check_bounded(space: Space) -> None:
    bounded = np.isfinite(bounded_box(space)).all(axis=0)
    if not bounded.all():
        raise ValueError(
            f"column {int(np.argmin(bounded))} of the space is unbounded (constraints of your own are left out of a bound); "
            "give every column finite bounds with Space.box"
        )


def has_point_without_loss(target: LinearModel, space: Space) -> bool:
    """Whether some point of the relaxed space has a margin of 1 or more (up to rounding) under the target."""
    for y in space.labels:
        reach = linear_upper_bound(space, y * target.coef)
        if reach + y * target.intercept >= 1.0 - BOUNDARY * (1.0 + abs(reach) + abs(target.intercept)):
            return True
    return False


def score_range(target: LinearModel, space: Space) -> tuple[float, float]:
    """Least and largest ``coef @ x`` over the relaxed space, from outside."""
    return -linear_upper_bound(space, -target.coef), linear_upper_bound(space, target.coef)


# -------------------------------------------------------------------- one label at a time

_Look = Iterator[tuple[Side, float, float, FloatArray]]
"""For each side: the value without its constant part, an upper bound on it, and the point."""


def _sides(victim: Victim, target: LinearModel, space: Space, v: DualVector) -> list[Side]:
    """The one-dimensional problems; on each the chain's u is the product with v and its v the target's argument."""
    if victim.loss.classification:
        return [Side(int(y), float(y), y * v.b, y * target.intercept) for y in space.labels]
    assert space.response is not None
    return [Side(s, y, s * v.b, s * (target.intercept - y)) for y in dict.fromkeys(space.response) for s in (1, -1)]


def _exact(victim: Victim, target: LinearModel, space: Space, v: DualVector) -> _Look:
    region = Region.of(space)
    scores = Scores(v.w, target.coef)
    box = scores.box_chain(region)
    rounding = _Rounding.of(target, space, v)
    for side in _sides(victim, target, space, v):
        chain = scores.chain(box, region.groups, side.sign)
        product, argument = chain.u + side.shift_u, chain.v + side.shift_v
        value, edge, fraction = victim.loss.support_peak(product, argument)
        yield side, value, rounding.top(victim, product, argument), chain.point(edge, fraction)


def _enclosed(victim: Victim, target: LinearModel, space: Space, v: DualVector) -> _Look:
    rounding = _Rounding.of(target, space, v)
    peak = victim.loss.support_peak
    for side in _sides(victim, target, space, v):
        drawn = sketch(space, side.sign * v.w, side.sign * target.coef, peak, (side.shift_u, side.shift_v))
        yield side, drawn.value, rounding.top(victim, drawn.u, drawn.v), drawn.point


@dataclass(frozen=True)
class _Rounding:
    """By how much floating-point arithmetic may have moved the product with v and the argument of a point."""

    product: float
    argument: float
    reach: float
    """An upper bound on the size of the product."""

    @classmethod
    def of(cls, target: LinearModel, space: Space, v: DualVector) -> _Rounding:
        extent = np.max(np.abs(bounded_box(space)), axis=0)
        product, argument = (
            abs(b) + float(np.abs(w[w != 0]) @ extent[w != 0]) for w, b in ((v.w, v.b), (target.coef, target.intercept))
        )
        argument += max(map(abs, space.response or (1.0,)))
        unit = 4.0 * (space.n_features + 8) * _EPS
        return cls(unit * product, unit * argument, product)

    def top(self, victim: Victim, product: FloatArray, argument: FloatArray) -> float:
        """An upper bound on the peak of the true boundary, from that of the rounded one.

        Rounding moves a margin of 1 along the boundary, and where it is steep that counts: for the hinge the points a
        little beyond are let in.
        """
        loss = victim.loss
        kink = loss.active_range[1]
        active = largest_fall(product, argument - self.argument, kink).value + self.product
        if not loss.smooth:
            return active
        steep = float(np.abs(loss.derivative([argument.min(), argument.max()])).max())
        bend = float(loss.curvature(0.0))
        value = loss.support_peak(product, argument).value
        value += (steep + 1.0) * self.product + bend * self.argument * (self.reach + self.product)
        # Points with loss that all pull backwards, however little, are no dearer than those without.
        return min(value, 0.0) if kink < np.inf and active <= 0.0 else value
