"""A set of models around a target, and how far it lets the parts of a direction bound move.

For a model ``theta' = theta_p + Delta`` that points of total mass m induce, stationarity gives for any direction v (see
:mod:`convexpoison.learners.subdifferential`; ``x~ = (x, 1)``, ``J`` is the second derivative of R)

    -<dL(theta'; D_c) + rho grad R(theta'), v>  =  sum m_k <a'(z_k), v>  <=  m * max over z of <a'(z), v>

with a' evaluated at theta'. A lower bound on the left and an upper bound on the maximum that hold for every Delta of a
set N bound m for every model of the set. N has to say three things:

- how far the score of each clean row may fall and rise: phi' is monotone, so it lies between its values at the ends of the
  row's interval, and each row takes the worse end (a hinge row whose interval holds margin 1 may have any share of its
  gradient);
- an upper bound on ``phi'(argument') slope <x~, v>`` over all points (:meth:`Neighbourhood.dearest`);
- the *sway* ``max over Delta of <J Delta, v>``: rho times it is lost on the left, kappa times it is gained on the right.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.certificates.near_target_sets import Combination
from convexpoison.geometry.support_function import Price, dearest
from convexpoison.geometry.weak_duality import bounded_box
from convexpoison.learners.dual_vector import DualVector
from convexpoison.problem import Problem
from convexpoison.spaces.space import Space


@dataclass(frozen=True, eq=False)
class Sway:
    """An upper bound on ``max over Delta in N of <J Delta, v>``.

    Attributes
    ----------
    v : DualVector
        The direction that it is proven for: next to the one that was asked for.
    value : float
        ``inf`` where nothing is proven.
    move : DualVector or None
        A Delta at which the maximum is (nearly) attained; None where there is none.
    combination : Combination or None
        What makes J v of points of the space, where that is what proves it.
    """

    v: DualVector
    value: float
    move: DualVector | None
    combination: Combination | None = None


@dataclass(frozen=True, eq=False)
class Neighbourhood(ABC):
    """A set N of models around the target of a problem; see the module docstring."""

    problem: Problem

    @property
    @abstractmethod
    def reach(self) -> float:
        """Radius or eps."""

    @abstractmethod
    def score_moves(self) -> tuple[FloatArray, FloatArray]:
        """By how much the score of each clean row may fall and rise, two arrays of shape (n_samples,); may be infinite."""

    @abstractmethod
    def shift(self, label: int) -> float:
        """An s such that every point of this label that has a slope under some model of N has there at least its margin
        under the target less s. Regression: a score falls (label 1) or rises (label -1) by at most s."""

    @abstractmethod
    def steepening(self, label: int, margin: float) -> float:
        """By how much a point of this label and margin may fall: only where directions are proposed."""

    @abstractmethod
    def sway(self, v: DualVector) -> Sway:
        """How far the regulariser's gradient may move along v."""

    def dearest(self, v: DualVector) -> Price:
        """A bound (``upper``) on ``phi'(argument') slope <x~, v>`` over the space and N, and a point where it is large.

        At a margin lowered by the shift the loss is as steep as it can be in N: the worst where ``slope <x~, v>`` is
        negative, and where it is not, 0 is a bound. In regression phi' is linear, so an end of its interval is the worst.
        """
        return self._dearest(v, {sign: self.shift(sign) for sign in (-1, 1)})

    def _dearest(self, v: DualVector, shift: dict[int, float]) -> Price:
        victim, target, space = replace(self.problem.victim, C=1.0, C_R=None), self.problem.target, self.problem.space
        signs = space.labels if victim.loss.classification else (-1, 1)
        moved = {sign: replace(target, intercept=target.intercept - sign * shift[sign]) for sign in signs}
        if not victim.loss.classification:
            return max((dearest(victim, model, space, v) for model in moved.values()), key=_upper)
        prices = [dearest(victim, moved[y], space.with_labels([y]), v) for y in space.labels]
        return max(*prices, Price(0.0, 0.0, None, 0.0, 0.0), key=_upper)


@dataclass(frozen=True, eq=False)
class Ball(Neighbourhood):
    """All models with ``|(w, b) - (w_p, b_p)|_2 <= radius``; w alone where the victim has no intercept.

    By Cauchy-Schwarz a score moves by at most ``radius |x~|``, that of a poison point by at most ``radius * B`` with B the
    largest ``|x~|`` in the space, and the sway is ``radius |J v|``.
    """

    radius: float

    @property
    def reach(self) -> float:
        return self.radius

    def score_moves(self) -> tuple[FloatArray, FloatArray]:
        moves = self.radius * np.sqrt(self.problem.data.rows.squared_norms() + self._constant**2)
        return moves, moves

    def shift(self, label: int) -> float:
        return self.radius * longest(self.problem.space, self._constant)

    def steepening(self, label: int, margin: float) -> float:
        return self.shift(label)

    def sway(self, v: DualVector) -> Sway:
        stretched = second_derivative(self.problem, v)
        length = float(np.hypot(np.linalg.norm(stretched.w), stretched.b))
        if length == 0.0:
            return Sway(v, 0.0, None)
        scale = self.radius / length
        return Sway(v, self.radius * length, DualVector(scale * stretched.w, scale * stretched.b))

    @property
    def _constant(self) -> float:
        return 1.0 if self.problem.victim.intercept != "none" else 0.0


def _upper(price: Price) -> float:
    return price.upper


def second_derivative(problem: Problem, v: DualVector) -> DualVector:
    """``J v``."""
    return DualVector(v.w, problem.victim.intercept_weight * v.b)


def longest(space: Space, constant: float) -> float:
    """The largest ``|(x, constant)|`` over the box and the one-hot hulls of a space."""
    squares = np.max(np.square(bounded_box(space)), axis=0)
    for group in space.one_hot:
        squares[list(group.columns)] = 0.0  # a hull's corners have length 1, or 0
    return float(np.sqrt(squares.sum() + len(space.one_hot) + constant**2))
