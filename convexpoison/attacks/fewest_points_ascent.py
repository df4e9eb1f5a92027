"""A few poison points, moved until the victim reaches a goal with a given number of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import minimize

from convexpoison._utils.deadline import Clock
from convexpoison._utils.types import FloatArray
from convexpoison.attacks.goal_surrogate import Aim
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.implicit.best_response import Response
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Victim
from convexpoison.spaces.space import Space

Height = Literal["share_wrong", "nearest_wrong"]
"""The functions of :class:`~convexpoison.attacks.goal_surrogate.Aim` that are climbed."""

_TEMPERATURE: dict[Height, float] = {"share_wrong": 0.15, "nearest_wrong": 0.05}
_MEMORY = 20
"""Steps that L-BFGS remembers: two points of 784 pixels are many variables, and evaluations are dear."""
_AGAIN = 5
"""Evaluations between two checks with the exact victim."""
_BLENDS = (0.5, 0.0)
_SHARES = (0.1, 0.5, 0.9)


@dataclass(frozen=True, eq=False)
class Place:
    """Where the poison stands.

    Attributes
    ----------
    points : array of shape (n_labels, n_features)
    shares : array of shape (n_labels,)
        Of all copies; they sum to 1.
    height : float
        What was climbed, at its last evaluation.
    """

    points: FloatArray
    shares: FloatArray
    height: float = -np.inf

    def counts(self, n: int) -> np.ndarray:
        """Whole numbers of copies, n in all."""
        first = int(np.round(n * self.shares[0]))
        return np.array([first, n - first][: self.shares.size], dtype=np.int64)


class _Reached(Exception):
    """Ends an ascent."""


class Climber:
    """Ascents on an aim, over the points' places and their shares of the copies.

    Parameters
    ----------
    victim, data
        Victim and clean rows.
    space : Space
        A bounded box.
    aim : Aim
    reached : callable
        ``reached(model)`` for the smooth model, which is cheap.
    clock : Clock
    """

    def __init__(
        self,
        victim: Victim,
        data: TrainingData,
        space: Space,
        aim: Aim,
        reached: Callable[[LinearModel], bool],
        clock: Clock,
    ) -> None:
        self.labels = np.array(space.labels, dtype=np.float64)
        self._response = Response(victim, data, self.labels)
        self._clean = self._response.theta.copy()
        self._data, self._aim, self._reached, self._clock = data, aim, reached, clock
        self._lower, self._extent = space.lower, space.upper - space.lower

    # ---------------------------------------------------------------- starts

    def starts(self) -> list[Place]:
        """Means of the other class, alone and half-way to the corners of the box that pull most, in several shares."""
        centres = np.array([self._mean(-y) for y in self.labels])
        shares = [np.array([1.0 - s, s]) for s in _SHARES] if self.labels.size == 2 else [np.ones(1)]
        corners = self._corners(centres)
        return [Place((1.0 - w) * centres + w * corners, share) for w in _BLENDS for share in shares]

    def _mean(self, label: float) -> FloatArray:
        chosen = self._data.sample_weight * (self._data.y == label)
        mean = self._data.rows.transposed_dot(chosen) / max(float(chosen.sum()), 1e-300)
        return np.clip(mean, self._lower, self._lower + self._extent)

    def _corners(self, centres: FloatArray) -> FloatArray:
        """What the first point of each label would be, to first order at the clean model."""
        self._response.put(centres, np.zeros(self.labels.size))
        gradient = self._aim.share_wrong(self._response.theta, 2.0 * _TEMPERATURE["share_wrong"])[1]
        pull = self.labels[:, None] * self._response.adjoint(gradient)[0][: centres.shape[1]]
        return np.where(pull > 0.0, self._lower + self._extent, np.where(pull < 0.0, self._lower, centres))

    # ---------------------------------------------------------------- ascent

    def climb(
        self,
        place: Place,
        n: float,
        height: Height,
        max_iter: int,
        accept: Callable[[Place], bool] | None = None,
    ) -> tuple[Place, bool]:
        """Ascend with n copies in all until ``accept`` says yes, which is asked where the smooth model reaches the goal.

        Returns
        -------
        Place
            Where it ended: accepted, or the highest.
        bool
            Whether it was accepted.
        """
        best, asked = place, -_AGAIN
        used = 0

        def evaluate(z: FloatArray) -> tuple[float, FloatArray]:
            nonlocal best, asked, used
            used += 1
            here = self._place(z)
            value, gradient = self._look(here, n, height)
            here = Place(here.points, here.shares, value)
            if value > best.height or best is place:
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
            minimize(evaluate, self._flat(place), jac=True, method="L-BFGS-B", bounds=self._bounds(), options=options)
        except _Reached:
            accepted = True
        except TimeoutError:
            pass
        return best, accepted

    @property
    def smooth_model(self) -> LinearModel:
        """The model of the last evaluation."""
        return self._response.model

    def _look(self, place: Place, n: float, height: Height) -> tuple[float, FloatArray]:
        response = self._response
        response.put(place.points, n * place.shares)
        value, gradient = getattr(self._aim, height)(response.theta, _TEMPERATURE[height])
        slope = response.slope(gradient)
        flat = (slope.points * self._extent).ravel()
        return value, np.append(flat, n * (slope.counts[1:] - slope.counts[0]))

    # Variables: the points in units of the box, then the share of the second label where there is one.

    def _flat(self, place: Place) -> FloatArray:
        extent = np.where(self._extent > 0.0, self._extent, 1.0)
        return np.append(((place.points - self._lower) / extent).ravel(), place.shares[1:])

    def _place(self, z: FloatArray) -> Place:
        k = self.labels.size
        size = k * self._extent.size
        points = self._lower + np.clip(z[:size], 0.0, 1.0).reshape(k, -1) * self._extent
        second = np.clip(z[size:], 0.0, 1.0)
        return Place(points, np.append(1.0 - second.sum(), second))

    def _bounds(self) -> list[tuple[float, float]]:
        k = self.labels.size
        box = [(0.0, 1.0) if extent > 0.0 else (0.0, 0.0) for extent in self._extent.tolist()]
        return box * k + [(0.0, 1.0)] * (k - 1)
