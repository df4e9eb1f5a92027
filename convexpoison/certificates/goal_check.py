"""The number of :mod:`convexpoison.certificates.goal_dual_function` in interval arithmetic, and the numbers of points
that it excludes.

References, slopes, multipliers, lines and the share t of each label's multipliers come from floating-point searches; any will
do, since what is needed of them is checked here: slopes in their range, multipliers and their factors not negative, lines on
the right side of the loss. With a free intercept its own coefficient has to vanish exactly; that equation defines one of the
two factors, of which an enclosure is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.certificates.goal_dual_function import Barrier, Case
from convexpoison.learners.penalty_enclosures import regularisation
from convexpoison.numerics.interval_matrix import Matrix
from convexpoison.numerics.intervals import Interval
from convexpoison.threats.support_bound import Hull

_NOTHING = Interval.of(-np.inf)


@dataclass(frozen=True, eq=False)
class Proof:
    """A barrier, evaluated rigorously.

    Attributes
    ----------
    barrier : Barrier
    rows : Matrix
        Its clean rows.
    """

    barrier: Barrier
    rows: Matrix

    def excess(self, m: float) -> Interval:
        """Enclose the dual bound for m points; if positive, m points cannot reach the goal.

        Every alternative has to be excluded: no excess at all, and all m points of one label, for each label of the space. They
        are listed here; the search only proposes a line and a multiplier for each.
        """
        labels = [float(y) for y in self.barrier.ground.space.labels]
        with np.errstate(all="ignore"):  # overflows widen an interval, and that is all
            proposed = {case.label if case.excess else None: (case, t) for case, t in self.barrier.best_cases(m)}
            values = [
                self._value(m, label, *proposed[label]) if label in proposed else _NOTHING for label in (None, *labels)
            ]
        return min(values, key=lambda value: float(value.lower))

    # ---------------------------------------------------------------- the clean rows

    @cached_property
    def _plane(self) -> tuple[Interval, Interval]:
        """K less the loss of the reference, and G."""
        barrier, data = self.barrier, self.barrier.ground.data
        loss, weight = barrier.ground.victim.loss, data.sample_weight
        w, b = self._reference
        margins = (self.rows.dot(w) + b) * data.y
        K = (loss.support_line(Interval.of(barrier.slopes)) * weight).sum()
        pull = Interval.of(weight) * barrier.slopes * data.y
        G = -self.rows.transposed_dot(pull)
        if self._has_intercept:
            G = _append(G, -pull.sum())
        return K - (loss.value_enclosure(margins) * weight).sum(), G

    @cached_property
    def _reference(self) -> tuple[FloatArray, float]:
        theta, d = self.barrier.theta, self.barrier.ground.data.n_features
        return theta[:d], float(theta[d:].sum())

    @property
    def _has_intercept(self) -> bool:
        return self.barrier.ground.victim.intercept != "none"

    @cached_property
    def _goal_pulls(self) -> list[Interval]:
        """``sum nu_i c_i`` over the goal's rows of label +1, and over those of label -1."""
        rows, labels = self.barrier.half_spaces
        matrix, out = Matrix(self.barrier.ground.lift(rows)), []
        for y in (1.0, -1.0):
            nu = Interval.of(np.where(labels == y, self.barrier.multipliers, 0.0))
            total = matrix.transposed_dot(nu)
            if self._has_intercept:  # a sum of numbers, which may have to be exactly 0
                total = _append(_part(total, slice(-1)), nu.sum())
            out.append(total * y)
        return out

    # ---------------------------------------------------------------- one case

    def _value(self, m: float, label: float | None, case: Case, t: float) -> Interval:
        sign, slopes = (0.0, (0.0, 0.0)) if label is None else (label, (case.p, case.q))
        victim, data = self.barrier.ground.victim, self.barrier.ground.data
        K, G = self._plane
        theta, (low, high) = self.barrier.theta, self.barrier.ground.box
        p, q = (Interval.of(m) * sign * share for share in slopes)
        free = victim.intercept == "free"
        factors = self._factors((q - _part(G, -1)) if free else None, t)
        a = Interval.of(0.0) if label is None else self._height(label, case.p, case.q)
        if factors is None or a is None:
            return _NOTHING
        plus, minus = self._goal_pulls
        ridge = self._ridge(regularisation(victim, data.sample_weight, m))
        base = G + plus * factors[0] + minus * factors[1] - ridge * theta
        held = slice(-1) if free else slice(None)
        ends = []
        for side in (low, high):
            Q = _part(base - q * side, held)
            square = (Q * Q).at_least(0.0)
            ends.append(_part(p * (Interval.of(theta) * side), held) - square / (4.0 * _part(ridge, held)))
        total = K - Interval.of(m) * a + self._least(*ends)
        total = total + p * float(theta[-1]) if free else total
        return _NOTHING if np.isnan(total.lower) else total  # inf - inf: no comparison would see it

    def _factors(self, need: Interval | None, t: float) -> tuple[Interval, Interval] | None:
        """Factors of the two labels' multipliers, not negative; with a free intercept they have to meet its need."""
        if need is None:
            return Interval.of(max(t, 0.0)), Interval.of(max(t, 0.0))
        plus, minus = (_part(pull, -1) for pull in self._goal_pulls)
        zero = Interval.of(0.0)
        if plus.lower > 0.0:
            second = zero
            if minus.upper < 0.0:
                # The least t that keeps the first factor from being negative, where the search has ended on it.
                second = Interval.of(max(t, 0.0, float((-need / -minus).upper) * (1.0 + 1e-12)))
            first = (need - second * minus) / plus
            return (first, second) if first.lower >= 0.0 else None
        if minus.upper < 0.0:
            second = -need / -minus
            return (zero, second) if second.lower >= 0.0 else None
        return (zero, zero) if need.lower == need.upper == 0.0 else None

    def _height(self, label: float, p: float, q: float) -> Interval | None:
        """The least a for which ``phi(u) - phi(u') <= a - p u + q u'``, u a margin of the reference in the space."""
        loss = self.barrier.ground.victim.loss
        if (known := loss.difference_height(p, q)) is not None:
            return known
        if not 0.0 <= q <= loss.lipschitz(np.inf):
            return None
        # phi is convex: a line that is above it at both ends is above it in between.
        u = self._margins(label)
        above = loss.value_enclosure(u) + Interval.of(p) * u
        return Interval.of(above.upper.max()) - loss.support_line(Interval.of(q))

    def _margins(self, label: float) -> Interval:
        """The least and the largest margin that the reference can have in the space (two numbers)."""
        w, b = self._reference
        hull = Hull.of(self.barrier.ground.space)
        above, below = (hull.highest(Interval.of(s * label * w)) for s in (1.0, -1.0))
        shift = Interval.of(label * b)
        return Interval.of(np.array([float((shift - below).lower), float((shift + above).upper)]))

    def _ridge(self, rho: Interval) -> Interval:
        """``rho_m r``; 0 for a free intercept."""
        victim, d = self.barrier.ground.victim, self.barrier.ground.data.n_features
        ridge = rho * np.ones(d)
        if victim.intercept == "none":
            return ridge
        scale = Interval.of(victim.intercept_scaling)
        return _append(ridge, rho / (scale * scale) if victim.intercept == "regularized" else Interval.of(0.0))

    def _least(self, at_lower: Interval, at_upper: Interval) -> Interval:
        """The least over the vertices of the space of a sum of costs of the columns (each end of it for itself)."""
        groups = self.barrier.ground.space.one_hot
        alone = np.ones(at_lower.lower.size, dtype=bool)
        for group in groups:
            alone[list(group.columns)] = False
        ends = []
        for low, high in ((at_lower.lower, at_upper.lower), (at_lower.upper, at_upper.upper)):
            total = Interval.of(np.where(alone, np.minimum(low, high), low)).sum()
            for group in groups:
                columns = list(group.columns)
                gain = Interval.of(high[columns]) - low[columns]
                cap = 0.0 if group.at_most_one else np.inf
                total = total + Interval(np.minimum(gain.lower.min(), cap), np.minimum(gain.upper.min(), cap))
            ends.append(total)
        return Interval(ends[0].lower, ends[1].upper)


def _append(vector: Interval, number: Interval) -> Interval:
    return Interval(np.append(vector.lower, number.lower), np.append(vector.upper, number.upper))


def _part(vector: Interval, index: slice | int) -> Interval:
    return Interval(np.asarray(vector.lower[index]), np.asarray(vector.upper[index]))
