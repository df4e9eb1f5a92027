"""Upper bounds on linear functions over a space that need no solver: weak duality, evaluated in closed form.

A linear function ``c @ x`` over the space is bounded by moving its slabs (multiplier ``nu``, any sign) and balls
(multiplier ``beta >= 0``) into the objective:

    c @ x <= (c - nu g) @ x + max(nu upper, nu lower)                         for lower <= g @ x <= upper,
    c @ x <= c @ x - beta / 2 (|x - m|**2 - r**2)                             for |x - m| <= r,

and what is left is a sum over columns, each a parabola or line over an interval. A one-hot group is treated the same
way with one more multiplier, the best value of which is known: the largest entry, or the threshold of a projection on
the simplex. **Every** choice of multipliers gives a valid bound, so the search for good ones needs no trust; it
minimises a convex function of a handful of variables (:mod:`convexpoison.numerics.ellipsoid_method`). A rounding
allowance is added.

Integer columns count as intervals and the user's own constraints are left out: the bound stays valid and may be loose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.numerics.ellipsoid_method import minimize
from convexpoison.spaces.parts import OneHot
from convexpoison.spaces.space import Space

_EPS = float(np.finfo(np.float64).eps)
TIGHT = 1e-9


def linear_upper_bound(space: Space, c: FloatArray) -> float:
    """An upper bound on ``c @ x`` over the space, with the same multipliers and the same omissions."""
    return linear_maximum(Domain.of(space), np.asarray(c, dtype=np.float64))


def linear_maximum(domain: Domain, c: FloatArray) -> float:
    """Return an upper bound on ``c @ x`` over a relaxed space, with the best multipliers that are found."""

    def oracle(z: FloatArray) -> tuple[float, FloatArray]:
        value, _, gradient = domain.bound(c, np.abs(c), z)
        return value, gradient

    radii, lower, upper = domain.multipliers(c)
    return minimize(oracle, np.zeros(radii.size), radii, lower, upper, tol=0.1 * TIGHT)


# -------------------------------------------------------------------- the relaxed space


@dataclass(frozen=True, eq=False)
class Domain:
    """A space without integers and constraints: its box (cut by balls and slabs where that bounds it), one-hot hulls,
    slabs as rows of ``normals`` and balls as rows of ``centers``."""

    lower: FloatArray
    upper: FloatArray
    groups: tuple[OneHot, ...]
    normals: FloatArray
    sides: FloatArray
    centers: FloatArray
    radii: FloatArray

    @classmethod
    def of(cls, space: Space) -> Domain:
        slabs = tuple(slab for slab in space.slabs if np.isfinite([slab.lower, slab.upper]).any())
        lower, upper = bounded_box(space)
        return cls(
            lower,
            upper,
            space.one_hot,
            np.array([slab.direction for slab in slabs]).reshape(-1, space.n_features),
            np.array([[slab.lower, slab.upper] for slab in slabs]).reshape(-1, 2),
            np.array([ball.center for ball in space.balls]).reshape(-1, space.n_features),
            np.array([ball.radius for ball in space.balls]),
        )

    def multipliers(self, c: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Guesses of the multipliers' sizes (slabs first, then balls) for a coefficient vector, and their bounds."""
        size = max(float(np.linalg.norm(c)), 1e-9)
        norms = np.maximum(np.linalg.norm(self.normals, axis=1), 1e-300)
        radii = np.concatenate([size / norms, size / self.radii])
        # A slab without a lower side takes no negative multiplier, one without an upper side no positive one.
        lower = np.concatenate([np.where(np.isfinite(self.sides[:, 0]), -np.inf, 0.0), np.zeros(self.radii.size)])
        upper = np.concatenate([np.where(np.isfinite(self.sides[:, 1]), np.inf, 0.0), np.full(self.radii.size, np.inf)])
        return radii, lower, upper

    def bound(self, c: FloatArray, sizes: FloatArray, z: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Bound on ``c @ x`` by the multipliers z, the x that attains it, and its subgradient with respect to z.

        ``sizes`` are the magnitudes that c was computed from, for the rounding allowance.
        """
        nu, beta = z[: len(self.normals)], z[len(self.normals) :]
        q = c - nu @ self.normals
        if np.isinf(np.where(q > 0, self.upper, np.where(q < 0, self.lower, 0.0))).any():
            return np.inf, np.zeros_like(c), np.zeros_like(z)
        free, point, curvature = self._maximum(q, beta)
        along = self.normals @ point
        # At nu = 0 any side in between is a subgradient; this one says "leave nu alone" where the slab holds anyway.
        ends = np.where(nu > 0, self.sides[:, 1], np.where(nu < 0, self.sides[:, 0], np.clip(along, *self.sides.T)))
        outside = 0.5 * (((point - self.centers) ** 2).sum(axis=1) - self.radii**2)
        # Without curvature the square of a distance was dropped: still a bound, and the same for beta = 0.
        curved = beta @ (outside if curvature else -0.5 * self.radii**2)
        magnitude = (sizes + np.abs(nu) @ np.abs(self.normals)) @ np.abs(point) + np.abs(nu * ends).sum()
        magnitude += abs(free) + beta @ (np.abs(outside) + self.radii**2)
        value = free + nu @ ends - curved + (point.size + 16) * _EPS * magnitude
        return float(value), point, np.concatenate([ends - along, -outside])

    def _maximum(self, q: FloatArray, beta: FloatArray) -> tuple[float, FloatArray, bool]:
        """Maximum of ``q @ x`` less the parabolas of the balls over box and one-hot hulls, as the bound needs it
        (without the parabolas), where it is, and whether the parabolas were curved enough to count."""
        pulled, total = q + beta @ self.centers, float(beta.sum())
        curvature = total * float(self.radii.max(initial=0.0)) > 1e-12 * float(np.abs(q).max(initial=0.0))
        total = total if curvature else 0.0
        pulled = pulled if curvature else q
        prices, paid = np.zeros_like(q), 0.0
        for group in self.groups:
            columns = list(group.columns)
            price = _price(pulled[columns], total, group.at_most_one)
            prices[columns], paid = price, paid + price
        rest = pulled - prices
        if curvature:
            point = np.clip(rest / total, self.lower, self.upper)
            return float((q - prices) @ point + paid), point, True
        point = np.where(rest > 0, self.upper, np.where(rest < 0, self.lower, np.clip(0.0, self.lower, self.upper)))
        value = float(rest @ point + paid)
        for group in self.groups:
            columns = list(group.columns)
            best = int(np.argmax(q[columns]))
            point[columns] = 0.0
            # The relaxed group's own maximiser, which the subgradients need.
            point[columns[best]] = float(q[columns[best]] > 0 or not group.at_most_one)
        return value, point, False


def _price(p: FloatArray, curvature: float, at_most_one: bool) -> float:
    """The multiplier of ``sum(x) = 1`` (``<= 1``) for ``max p @ x - curvature / 2 |x|^2`` over ``x >= 0``."""
    if curvature == 0.0:
        price = float(p.max())
    else:
        falling = np.sort(p)[::-1]
        levels = (np.cumsum(falling) - curvature) / np.arange(1, p.size + 1)
        price = float(levels[np.flatnonzero(falling > levels)[-1]])
    return max(price, 0.0) if at_most_one else price


def bounded_box(space: Space) -> tuple[FloatArray, FloatArray]:
    """The box, with each infinite side replaced by what balls and slabs leave of it."""
    lower, upper = space.lower.copy(), space.upper.copy()
    if np.isfinite(lower).all() and np.isfinite(upper).all():
        return lower, upper
    for ball in space.balls:
        reach = ball.radius + 4.0 * _EPS * (ball.radius + np.abs(ball.center))
        lower = np.where(np.isinf(lower), ball.center - reach, lower)
        upper = np.where(np.isinf(upper), ball.center + reach, upper)
    # What one slab says of a column may help the next one; columns that need more rounds stay unbounded.
    for slab in 3 * space.slabs:
        for g, side in ((slab.direction, slab.upper), (-slab.direction, -slab.lower)):
            low, high = _sides_left(g, side, lower, upper)
            lower, upper = np.where(np.isinf(lower), low, lower), np.where(np.isinf(upper), high, upper)
    return lower, upper


def _sides_left(g: FloatArray, side: float, lower: FloatArray, upper: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What ``g @ x <= side`` says of each column when the others take their least."""
    least = np.zeros_like(g)
    used = g != 0
    least[used] = g[used] * np.where(g > 0, lower, upper)[used]
    without = np.array([least[:j].sum() + least[j + 1 :].sum() for j in range(g.size)])
    low, high = np.full_like(g, -np.inf), np.full_like(g, np.inf)
    allowance = 4.0 * g.size * _EPS * (abs(side) + np.abs(least[np.isfinite(least)]).sum())
    with np.errstate(invalid="ignore"):
        room = np.where(used, (side - without + allowance) / np.where(used, np.abs(g), 1.0), np.inf)
    high[g > 0], low[g < 0] = room[g > 0], -room[g < 0]
    return low, high
