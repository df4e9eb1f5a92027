"""A lower bound on the points that reach a goal, as a closed formula that needs no solver.

Here it is evaluated in double precision, for the search; what is told is evaluated again in interval arithmetic
(:mod:`convexpoison.certificates.goal_check`).

Let T be the cone of models with ``c_i @ theta <= 0``, ``c_i = y_i (x_i, 1)``: the rows i of the goal come out as not
``y_i``. Suppose m added points z_k make a model theta' in T the victim's optimum. Write ``rho_m = rho(N + m)`` and r for
the diagonal of the Hessian of R. For **every** reference model theta:

1. *Optimality.* theta' minimises ``L + sum l(.; z_k) + rho_m R``; zero is a sum of subgradients there, each of which supports
   its convex term, and R is quadratic, so

       L(theta') + rho_m <r theta', theta' - theta> - L(theta)  <=  sum_k l(theta; z_k) - l(theta'; z_k).

   (Comparing the two objectives alone would lose ``rho_m R(theta' - theta)``.)
2. *Clean rows.* ``phi(u) >= support(s) - s u`` for any slope s, so ``L(theta') >= K + G @ theta'``, K and G known.
3. *Added points.* With a line above ``phi`` over the margins u that theta can have in the space and a line below phi for
   theta', ``l(theta; z) - l(theta'; z) <= max(0, a - p u + q u')``. Hinge: ``a = 1 - q``, p = 1, any q in [0, 1]. Logistic:
   ``a = 0``, p = q = 1; or, as for every loss, the chord of phi for (a, p) and ``a`` less ``support(q)`` for any slope q.
4. *Both labels.* The right-hand side is linear in the masses of the two labels, so it is enough to contradict 1 when all m
   points have one label (or no excess at all: "a = p = q = 0").
5. *All points equal.* It is then largest when all sit at the same vertex x of the space, and the smallest

       K + G @ theta' + rho_m <r theta', theta' - theta> - L(theta) - m (a - p y <x, theta> + q y <x, theta'>)

   over theta' in T (multipliers nu >= 0) and x is a sum over columns, each the least of two parabolas' minima.

If that number, ``excess(m)``, is positive, no m points reach T. And if it is positive for m_1 and m_2 points with the same
reference, no number of points between reaches T: for every theta' what 1 says of it is affine in the number of points, so a
contradiction at both ends is one between.

Step 1 without the quadratic term and with q = 0 compares the least clean objective that reaches the goal with the largest
poisoned one (the upper bound of Steinhardt, Koh and Liang, "Certified Defenses for Data Poisoning Attacks", 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import TrainingData
from convexpoison.geometry.weak_duality import bounded_box
from convexpoison.learners.victim import Victim
from convexpoison.spaces.space import Space

_SHARES = np.array([0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
"""Slopes q that are tried; every one is valid."""
_HALVINGS = 16
_ROUNDING = 1e-11


@dataclass(frozen=True, eq=False)
class Ground:
    """Victim, clean rows and space in the terms of the formula: columns of the models, the intercept last.

    Attributes
    ----------
    lower, upper : arrays of shape (n_parameters,)
        The box of ``(x, 1)``; balls and slabs count as far as they bound it, the user's own constraints not at all.
    metric : array of shape (n_parameters,)
        r: the Hessian of R; 0 for a free intercept.
    """

    victim: Victim
    data: TrainingData
    space: Space

    @cached_property
    def metric(self) -> FloatArray:
        d = np.ones(self.data.n_features)
        return d if self.victim.intercept == "none" else np.append(d, self.victim.intercept_weight)

    @cached_property
    def box(self) -> tuple[FloatArray, FloatArray]:
        lower, upper = bounded_box(self.space)
        one = np.ones(self.metric.size - lower.size)
        return np.concatenate([lower, one]), np.concatenate([upper, one])

    @property
    def bounded(self) -> bool:
        return bool(np.isfinite(self.box).all())

    def lift(self, X: FloatArray) -> FloatArray:
        """Rows with their 1 for the intercept."""
        return X if self.victim.intercept == "none" else np.column_stack([X, np.ones(len(X))])

    def scores(self, theta: FloatArray) -> FloatArray:
        d = self.data.n_features
        return np.asarray(self.data.X @ theta[:d] + theta[d:].sum()).ravel()

    def ridge(self, m: float) -> FloatArray:
        return self.victim.rho(self.data.n_rows + m) * self.metric

    def least(self, at_lower: FloatArray, at_upper: FloatArray) -> FloatArray:
        """The least over the vertices of the space of a sum of costs of the columns, shape (..., n_parameters)."""
        cost = np.minimum(at_lower, at_upper)
        for group in self.space.one_hot:
            columns = list(group.columns)
            gain = (at_upper - at_lower)[..., columns].min(axis=-1)
            cost[..., columns] = at_lower[..., columns]
            cost[..., columns[0]] += np.minimum(gain, 0.0) if group.at_most_one else gain
        return cost

    def highest(self, at_lower: FloatArray, at_upper: FloatArray) -> np.ndarray:
        """Where the vertex of :meth:`least` has the upper side, bool array."""
        up = at_upper < at_lower
        for group in self.space.one_hot:
            columns = np.array(group.columns)
            gain = (at_upper - at_lower)[..., columns]
            best = gain.argmin(axis=-1)[..., None]
            hot = np.arange(columns.size) == best
            up[..., columns] = hot & ((np.take_along_axis(gain, best, -1) < 0.0) | (not group.at_most_one))
        return up


class Case(NamedTuple):
    """One pair of lines of step 3."""

    excess: bool
    """False for the case without any: "a = p = q = 0"."""
    label: float
    p: float
    q: float


@dataclass(frozen=True, eq=False)
class Lines:
    """The lines of step 3: one entry a case; ``owner`` numbers the alternatives of which all have to be excluded."""

    owner: np.ndarray
    label: FloatArray
    a: FloatArray
    p: FloatArray
    q: FloatArray

    @classmethod
    def of(cls, ground: Ground, theta: FloatArray) -> Lines:
        """Every case for this reference: no excess (owner 0), then one owner a label."""
        rows = [(0, 1.0, 0.0, 0.0, 0.0)]
        loss = ground.victim.loss
        low, high = ground.box
        for owner, y in enumerate(ground.space.labels, start=1):
            known = [(p, q, loss.difference_height(p, q)) for p, q in loss.difference_lines(_SHARES)]
            if loss.smooth:
                ends = np.array([ground.least(s * theta * low, s * theta * high).sum() * s for s in (y, -y)]) * y
                values = loss.value(ends)
                p = float((values[0] - values[1]) / (ends[1] - ends[0])) if ends[1] > ends[0] else 0.0
                a = float(values[0] + p * ends[0])
                slopes = min(loss.lipschitz(np.inf), 2.0) * _SHARES
                rows += [(owner, float(y), a - h, p, q) for q, h in zip(slopes, loss.support_line(slopes), strict=True)]
            rows += [(owner, float(y), float(height.upper), p, q) for p, q, height in known if height is not None]
        columns = [np.array(column, dtype=np.float64) for column in zip(*rows, strict=True)]
        return cls(columns[0].astype(np.intp), *columns[1:])


@dataclass(frozen=True, eq=False)
class Barrier:
    """What keeps attacks with some numbers of points out of a goal.

    Attributes
    ----------
    half_spaces : pair of arrays of shapes (n_goal_rows, n_features) and (n_goal_rows,)
        Rows and labels: the goal is reached only where ``labels * scores <= 0``.
    theta : array of shape (n_parameters,)
        The reference model.
    slopes : array of shape (n_samples,)
        Slopes of step 2.
    multipliers : array of shape (n_goal_rows,)
        nu, up to a factor for the rows of either label.
    """

    ground: Ground
    half_spaces: tuple[FloatArray, FloatArray]
    theta: FloatArray
    slopes: FloatArray
    multipliers: FloatArray

    @cached_property
    def pulls(self) -> FloatArray:
        """``sum nu_i c_i`` over the goal's rows of label +1, and over those of label -1, shape (2, n_parameters)."""
        rows, labels = self.half_spaces
        c = labels[:, None] * self.ground.lift(rows)
        return np.array([np.where(labels == y, self.multipliers, 0.0) @ c for y in (1.0, -1.0)])

    @cached_property
    def plane(self) -> tuple[float, FloatArray]:
        """K less the loss of the reference, and G."""
        g, data = self.ground, self.ground.data
        weight = data.sample_weight * self.slopes
        pull = weight * data.y
        G = -np.asarray(data.X.T @ pull).ravel()
        if g.metric.size > data.n_features:
            G = np.append(G, -pull.sum())
        loss = g.victim.loss
        own = float(data.sample_weight @ loss.value(data.y * g.scores(self.theta)))
        K = float(data.sample_weight @ loss.support_line(self.slopes))
        return K - own - _ROUNDING * (abs(K) + own + float(np.abs(weight).sum())), G

    @cached_property
    def _lines(self) -> Lines:
        return Lines.of(self.ground, self.theta)

    def excess(self, m: float) -> float:
        """Step 5's number for m points: positive if no m points reach the goal."""
        values = self._values(m)[0]
        return min(float(values[of_owner].max()) for of_owner in self._owners)

    def best_cases(self, m: float) -> list[tuple[Case, float]]:
        """The best case for each alternative that has to be excluded, and its t."""
        lines, (values, t) = self._lines, self._values(m)
        best = [of_owner[int(np.argmax(values[of_owner]))] for of_owner in self._owners]
        return [(Case(k > 0, float(lines.label[k]), float(lines.p[k]), float(lines.q[k])), float(t[k])) for k in best]

    @cached_property
    def _owners(self) -> list[np.ndarray]:
        owner = self._lines.owner
        return [np.flatnonzero(owner == k) for k in range(int(owner.max()) + 1)]

    def _values(self, m: float) -> tuple[FloatArray, FloatArray]:
        """The number for every case with the best multipliers, and these."""
        g, lines = self.ground, self._lines
        K, G = self.plane
        ridge = g.ridge(m)
        held = ridge > 0.0  # all columns but a free intercept
        low, high = g.box
        signed = (m * lines.p * lines.label)[:, None] * self.theta
        start, along, t_low, feasible = self._multipliers(m, G, held)
        base = (G - ridge * self.theta + start)[:, held]
        along = along[:, held]
        push = (m * lines.q * lines.label)[:, None]
        q_low, q_high = base - push * low[held], base - push * high[held]
        flat = (signed[:, held] * low[held], signed[:, held] * high[held])
        bend = 0.25 / ridge[held]
        wide = Held(g, held, flat, (q_low, q_high), along, bend)
        t = wide.best(t_low)
        cost, size = wide.value(t)
        value = K - m * lines.a + cost + signed[:, ~held].sum(axis=1)
        allowance = _ROUNDING * (size + m * np.abs(lines.a) + np.abs(signed).sum(axis=1))
        return np.where(feasible, value - allowance, -np.inf), t

    def _multipliers(
        self, m: float, G: FloatArray, held: np.ndarray
    ) -> tuple[FloatArray, FloatArray, FloatArray, np.ndarray]:
        """``sum nu_i c_i = start + t * along`` for every case, the least t allowed, and whether there is any.

        A free intercept fixes one combination: its own coefficient has to vanish.
        """
        lines, (plus, minus) = self._lines, self.pulls
        n = lines.q.size
        yes = np.ones(n, dtype=bool)
        if held.all():
            return np.zeros((n, plus.size)), np.tile(plus + minus, (n, 1)), np.zeros(n), yes
        need = m * lines.q * lines.label - G[-1]
        if plus[-1] > 0.0 and minus[-1] < 0.0:
            start = np.outer(need / plus[-1], plus)
            along = np.tile(minus - minus[-1] / plus[-1] * plus, (n, 1))
            return start, along, np.maximum(0.0, need / minus[-1]), yes
        one = plus if plus[-1] > 0.0 else minus
        if one[-1] == 0.0:
            return np.zeros((n, one.size)), np.zeros((n, one.size)), np.zeros(n), need == 0.0
        share = need / one[-1]
        return np.outer(share, one), np.zeros((n, one.size)), np.zeros(n), share >= 0.0


@dataclass(frozen=True, eq=False)
class Held:
    """The concave function of t that is left: ``sum over columns, least over vertices, flat - bend * (q + t along)^2``."""

    ground: Ground
    held: np.ndarray
    flat: tuple[FloatArray, FloatArray]
    q: tuple[FloatArray, FloatArray]
    along: FloatArray
    bend: FloatArray

    def _costs(self, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        move = t[:, None] * self.along
        low, high = (flat - self.bend * (q + move) ** 2 for flat, q in zip(self.flat, self.q, strict=True))
        return low, high

    def value(self, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The value for every case, and the size of what it was summed from."""
        low, high = self._costs(t)
        return self.ground.least(low, high).sum(axis=1), np.maximum(np.abs(low), np.abs(high)).sum(axis=1)

    def _rise(self, t: FloatArray) -> FloatArray:
        q = np.where(self.ground.highest(*self._costs(t)), self.q[1], self.q[0]) + t[:, None] * self.along
        return np.asarray(-2.0 * (self.bend * q * self.along).sum(axis=1))

    def best(self, least: FloatArray) -> FloatArray:
        """The best t >= least of every case: the rise falls at least as fast as one parabola's."""
        fall = 2.0 * (self.bend * self.along**2).sum(axis=1)
        if not fall.any():
            return least
        low, high = least, least + np.maximum(self._rise(least), 0.0) / np.where(fall > 0.0, fall, np.inf)
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            up = self._rise(middle) > 0.0
            low, high = np.where(up, middle, low), np.where(up, high, middle)
        return 0.5 * (low + high)
