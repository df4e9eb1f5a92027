"""Gradient ascent on a few poison points until the victim reaches a goal with a given number of copies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import minimize

from convexpoison._utils.deadline import Clock
from convexpoison._utils.types import FloatArray
from convexpoison.attacks.goal_surrogate import GoalSurrogate
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.implicit.best_response import Response
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Victim
from convexpoison.spaces.space import Space

Surrogate = Literal["share_wrong", "nearest_wrong"]
"""The functions of :class:`~convexpoison.attacks.goal_surrogate.GoalSurrogate` that an ascent maximises."""

_TEMPERATURE: dict[Surrogate, float] = {"share_wrong": 0.15, "nearest_wrong": 0.05}
_MEMORY = 20
"""Steps in the memory of L-BFGS: two points of 784 pixels are many variables, and evaluations are expensive."""
_AGAIN = 5
"""Evaluations between two checks with the exact victim."""
_BLENDS = (0.5, 0.0)
_SHARES = (0.1, 0.5, 0.9)


@dataclass(frozen=True, eq=False)
class Iterate:
    """One point for each label, and how the copies are divided over them.

    Attributes
    ----------
    points : array of shape (n_labels, n_features)
    shares : array of shape (n_labels,)
        Of all copies; they sum to 1.
    objective : float
        The surrogate at its last evaluation.
    """

    points: FloatArray
    shares: FloatArray
    objective: float = -np.inf

    def counts(self, n: int) -> np.ndarray:
        """Return integer numbers of copies, n in all."""
        first = int(np.round(n * self.shares[0]))
        return np.array([first, n - first][: self.shares.size], dtype=np.int64)


class _Reached(Exception):
    """Ends an ascent."""


class Ascent:
    """Maximisation of a surrogate over the points and their shares of the copies.

    Parameters
    ----------
    victim, data
        Victim and clean rows.
    space : Space
        A bounded box.
    surrogate : GoalSurrogate
    reached : callable
        ``reached(model)`` for the smooth model, which is cheap.
    clock : Clock
    """

    def __init__(
        self,
        victim: Victim,
        data: TrainingData,
        space: Space,
        surrogate: GoalSurrogate,
        reached: Callable[[LinearModel], bool],
        clock: Clock,
    ) -> None:
        self.labels = np.array(space.labels, dtype=np.float64)
        self._response = Response(victim, data, self.labels)
        self._clean = self._response.theta.copy()
        self._data, self._surrogate, self._reached, self._clock = data, surrogate, reached, clock
        self._lower, self._extent = space.lower, space.upper - space.lower

    # ---------------------------------------------------------------- initial points

    def initial_points(self) -> list[Iterate]:
        """Return the means of the other class, alone and half-way to the best corners of the box, in several shares."""
        centres = np.array([self._mean(-y) for y in self.labels])
        shares = [np.array([1.0 - s, s]) for s in _SHARES] if self.labels.size == 2 else [np.ones(1)]
        corners = self._corners(centres)
        return [Iterate((1.0 - w) * centres + w * corners, share) for w in _BLENDS for share in shares]

    def _mean(self, label: float) -> FloatArray:
        chosen = self._data.sample_weight * (self._data.y == label)
        mean = self._data.rows.transposed_dot(chosen) / max(float(chosen.sum()), 1e-300)
        return np.clip(mean, self._lower, self._lower + self._extent)

    def _corners(self, centres: FloatArray) -> FloatArray:
        """Return the best first point of each label, to first order at the clean model."""
        self._response.put(centres, np.zeros(self.labels.size))
        gradient = self._surrogate.share_wrong(self._response.theta, 2.0 * _TEMPERATURE["share_wrong"])[1]
        slope = self.labels[:, None] * self._response.adjoint(gradient)[0][: centres.shape[1]]
        return np.where(slope > 0.0, self._lower + self._extent, np.where(slope < 0.0, self._lower, centres))

    # ---------------------------------------------------------------- ascent

    def ascend(
        self,
        start: Iterate,
        n: float,
        surrogate: Surrogate,
        max_iter: int,
        accept: Callable[[Iterate], bool] | None = None,
    ) -> tuple[Iterate, bool]:
        """Maximise the surrogate with n copies in all; stop at an iterate that ``accept`` accepts.

        ``accept`` is called on iterates at which the smooth model reaches the goal.

        Returns
        -------
        Iterate
            The accepted one, or the best.
        bool
            Whether it was accepted.
        """
        best, asked = start, -_AGAIN
        used = 0

        def evaluate(z: FloatArray) -> tuple[float, FloatArray]:
            nonlocal best, asked, used
            used += 1
            here = self._read(z)
            value, gradient = self._evaluate(here, n, surrogate)
            here = Iterate(here.points, here.shares, value)
            if value > best.objective or best is start:
                best = here
            if accept is not None and used - asked >= _AGAIN and self._reached(self.smooth_model):
                asked = used
                if accept(here):
                    best = here
                    raise _Reached
            if self._clock.over:
                raise TimeoutError
            return -value, -gradient

        options = {"maxiter": max_iter, "maxfun": 2 * max_iter, "maxcor": _MEMORY}
        accepted = False
        try:
            minimize(evaluate, self._flat(start), jac=True, method="L-BFGS-B", bounds=self._bounds(), options=options)
        except _Reached:
            accepted = True
        except TimeoutError:
            pass
        return best, accepted

    @property
    def smooth_model(self) -> LinearModel:
        """The model of the last evaluation."""
        return self._response.model

    def _evaluate(self, here: Iterate, n: float, surrogate: Surrogate) -> tuple[float, FloatArray]:
        response = self._response
        response.put(here.points, n * here.shares)
        value, gradient = getattr(self._surrogate, surrogate)(response.theta, _TEMPERATURE[surrogate])
        slope = response.slope(gradient)
        flat = (slope.points * self._extent).ravel()
        return value, np.append(flat, n * (slope.counts[1:] - slope.counts[0]))

    # Variables: the points in units of the box, then the share of the second label where there is one.

    def _flat(self, here: Iterate) -> FloatArray:
        extent = np.where(self._extent > 0.0, self._extent, 1.0)
        return np.append(((here.points - self._lower) / extent).ravel(), here.shares[1:])

    def _read(self, z: FloatArray) -> Iterate:
        k = self.labels.size
        size = k * self._extent.size
        points = self._lower + np.clip(z[:size], 0.0, 1.0).reshape(k, -1) * self._extent
        second = np.clip(z[size:], 0.0, 1.0)
        return Iterate(points, np.append(1.0 - second.sum(), second))

    def _bounds(self) -> list[tuple[float, float]]:
        k = self.labels.size
        box = [(0.0, 1.0) if extent > 0.0 else (0.0, 0.0) for extent in self._extent.tolist()]
        return box * k + [(0.0, 1.0)] * (k - 1)
