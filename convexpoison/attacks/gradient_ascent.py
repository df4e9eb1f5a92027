"""Projected gradient ascent on the attacker's loss, with the victim retrained exactly at every trial."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from convexpoison._utils.deadline import Clock
from convexpoison._utils.types import FloatArray
from convexpoison.attacks.base import Budget
from convexpoison.attacks.projection import Projection, roundings
from convexpoison.learners.implicit.at_optimum import AtOptimum, Block, Slope, mean_loss
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.losses.base import Loss
from convexpoison.learners.trainers import Trainer
from convexpoison.problem import Problem

_SUFFICIENT = 1e-4
"""Share of the gain that the gradient promises which a step must bring (Armijo)."""
_SHORTER, _LONGER = 0.25, 2.0
_SHORTEST = 1e-5
"""Length of a trial, relative to the first one, under which the ascent has arrived."""
_FLAT = 1e-12
"""Relative rise over the reach of the data under which a slope counts as none: a hinge optimum that as many rows hold on the
margin as there are parameters does not move at all."""
_DRAWS = 8
"""Randomised roundings that are tried besides the nearest one."""


@dataclass(frozen=True)
class Pace:
    """How far to go.

    Attributes
    ----------
    step : float
        Length of the first trial, in units of the largest distance of a clean row from their mean.
    max_iter : int
        Accepted steps at most.
    tol : float
        Relative gain of a step under which the ascent has arrived.
    exact : bool
        The gradient is that of the loss itself, so that a step must bring what it promises; else any rise will do.
    """

    step: float
    max_iter: int
    tol: float
    exact: bool = True

    def __post_init__(self) -> None:
        if not (np.isfinite(self.step) and self.step > 0):
            raise ValueError(f"step must be positive and finite; got {self.step}")
        if not (np.isfinite(self.tol) and self.tol >= 0):
            raise ValueError(f"tol must be finite and not negative; got {self.tol}")
        check_count("max_iter", self.max_iter)


@dataclass(frozen=True, eq=False)
class Place:
    """Where an ascent stands; ``losses`` after every accepted step, the first at the start.

    ``trainer`` has the block at ``places``, besides all that is settled.
    """

    block: Block
    trainer: Trainer
    places: np.ndarray
    losses: tuple[float, ...]

    @property
    def model(self) -> LinearModel:
        return self.trainer.model

    @property
    def loss(self) -> float:
        return self.losses[-1]


class Attacker:
    """The victim on the clean rows and the points that are settled, and what moving further points does to it.

    Parameters
    ----------
    problem : Problem
    budget : Budget
    inner : Loss, optional
        As in :class:`~convexpoison.learners.implicit.at_optimum.AtOptimum`.
    fixed_response : bool
        Whether the response of a point stays what it was at the start (regression).

    Raises
    ------
    ValueError
        If the budget names no rows to look at, or no clean row to start from.
    """

    def __init__(
        self, problem: Problem, budget: Budget, inner: Loss | None = None, *, fixed_response: bool = False
    ) -> None:
        if budget.rows is None:
            raise ValueError(
                "this attack raises the loss on given rows: pass validation=(X, y), or a goal that has rows of its own"
            )
        self.problem, self.budget, self._outer = problem, budget, budget.rows
        self.clock = Clock("attack", budget.time_limit_s)
        self.rng = np.random.default_rng(budget.random_state)
        self.response = _response(problem, budget)
        self._fixed_response = fixed_response
        self.project = Projection(problem.space)
        self.settled = Block.empty(problem.data.n_features)
        self._flipped, self._starts = _starts(problem, budget, self.response)
        self._trainer = problem.trainer()
        self._implicit = AtOptimum(problem.victim, problem.data, self._outer, inner)
        self._reach = _reach(problem.data.X)

    # ---------------------------------------------------------------- the victim

    @property
    def model(self) -> LinearModel:
        """The victim on the clean rows and the settled points."""
        return self._trainer.model

    @property
    def loss(self) -> float:
        """The attacker's loss at :attr:`model`."""
        return mean_loss(self.problem.victim, self.model, self._outer)

    def reached(self, model: LinearModel) -> bool:
        """Return whether the model reaches the goal."""
        return self.problem.goal is not None and self.problem.goal(model)

    def stand(self, block: Block, earlier: Place | None = None) -> Place:
        """Where the victim ends up if the block is added; ``earlier``: where it was with the block's points elsewhere."""
        trainer = deepcopy(self._trainer if earlier is None else earlier.trainer)
        if earlier is None:
            places = trainer.place(block.points, block.labels, block.counts)
        else:
            places = earlier.places
            trainer.move(places, block.points, block.labels)
        loss = mean_loss(self.problem.victim, trainer.model, self._outer)
        return Place(block, trainer, places, (*(() if earlier is None else earlier.losses), loss))

    def settle(self, place: Place) -> None:
        """Add its block for good."""
        self._trainer = place.trainer
        self.settled = self.settled + place.block

    def slope(self, place: Place) -> Slope:
        """Derivative of the loss with respect to the block."""
        found, n = self._implicit.at(place.model, self.settled + place.block), len(self.settled)
        return Slope(found.points[n:], found.labels[n:])

    # ---------------------------------------------------------------- starts

    def start(self, counts: np.ndarray, labels: FloatArray | None = None) -> Block:
        """Random clean rows with their labels flipped; ``labels``: what the flipped ones must be.

        A response goes to the end of its range that is farther away.
        """
        chosen = [self._draw(None if labels is None else float(labels[k])) for k in range(counts.size)]
        return Block(self.problem.data.rows.take(np.array(chosen)), self._flipped[chosen], counts)

    def _draw(self, label: float | None) -> int:
        eligible = self._starts if label is None else self._starts[self._flipped[self._starts] == label]
        if not eligible.size:
            raise ValueError(
                f"no clean row of the space gets the label {label:g} when it is flipped; restrict the labels"
            )
        return int(self.rng.choice(eligible))

    # ---------------------------------------------------------------- ascent

    def climb(self, start: Block, pace: Pace) -> Place:
        """Ascend from there until no step brings anything; the loss rises with every accepted step."""
        place = self.stand(start)
        length: float | None = None
        for _ in range(pace.max_iter):
            if self.clock.over:
                break
            slope = self.slope(place)
            steepest = float(np.linalg.norm(np.column_stack([slope.points, slope.labels]), axis=1).max())
            if steepest * self._reach <= _FLAT * place.loss:
                break
            longest = pace.step * self._reach / steepest
            better, length = self._advance(place, slope, longest if length is None else length, longest, pace)
            if better is None:
                break
            idle = better.loss - place.loss <= pace.tol * abs(place.loss)
            place = better
            if idle:
                break
        return place

    def _advance(
        self, place: Place, slope: Slope, length: float, longest: float, pace: Pace
    ) -> tuple[Place | None, float]:
        """The first trial that brings enough, ever shorter ones; and the length to go on with."""
        while length > _SHORTEST * longest and not self.clock.over:
            block = self._moved(place.block, slope, length)
            if block is not None:
                gain = float(np.sum(slope.points * (block.points - place.block.points)))
                gain += float(slope.labels @ (block.labels - place.block.labels))
                if gain <= 0.0:
                    return None, length
                trial = self.stand(block, place)
                if trial.loss > place.loss and (not pace.exact or trial.loss >= place.loss + _SUFFICIENT * gain):
                    return trial, _LONGER * length
            length *= _SHORTER
        return None, length

    def _moved(self, block: Block, slope: Slope, length: float) -> Block | None:
        """The block that far up the slope, or None where it could not be kept in the space."""
        points = self.project(block.points + length * slope.points)
        if not self.project.inside(points):
            return None
        if self.response is None or self._fixed_response:
            return replace(block, points=points)
        return replace(block, points=points, labels=np.clip(block.labels + length * slope.labels, *self.response))

    def whole(self, place: Place, start: Block) -> Place:
        """With whole numbers where the space wants them: the best of a few roundings that lie in the space, or the start."""
        space = self.problem.space
        if "integer" not in space.parts:
            return place
        candidates = (self.stand(block, place) for block in self._roundings(place.block, start))
        return max(candidates, key=lambda candidate: candidate.loss)

    def _roundings(self, block: Block, start: Block) -> Iterator[Block]:
        space = self.problem.space
        for points in roundings(space, block.points, _DRAWS, self.rng):
            inside = space.contains(points)[:, None]
            yield replace(block, points=np.where(inside, points, start.points))


def _response(problem: Problem, budget: Budget) -> tuple[float, float] | None:
    """Range of the response; None for classes."""
    if problem.victim.loss.classification:
        return None
    return problem.space.response or (float(problem.data.y.min()), float(problem.data.y.max()))


def _starts(problem: Problem, budget: Budget, response: tuple[float, float] | None) -> tuple[FloatArray, np.ndarray]:
    """Flipped labels (responses) of all clean rows, and the numbers of those rows that may be starts."""
    if response is not None:
        low, high = response
        flipped = np.where(problem.data.y > 0.5 * (low + high), low, high)
        allowed = np.ones(problem.data.n_samples, dtype=bool)
    else:
        flipped = -problem.data.y
        allowed = np.isin(flipped, problem.space.labels)
    starts = np.flatnonzero(allowed & (problem.data.sample_weight > 0) & problem.space.contains(problem.data.X))
    if not starts.size:
        raise ValueError(
            f"the attack starts from clean rows with flipped labels, and none with a label out of {problem.space.labels} "
            "lies in the space; widen the space or allow the other label"
        )
    return flipped, starts


def _reach(X: object) -> float:
    """Largest distance of a row from the mean row."""
    rows = sp.csr_matrix(X)
    mean = np.asarray(rows.mean(axis=0)).ravel()
    squares = np.asarray(rows.multiply(rows).sum(axis=1)).ravel() - 2.0 * (rows @ mean) + mean @ mean
    return float(np.sqrt(max(squares.max(), 0.0))) or 1.0


def check_count(name: str, value: int) -> None:
    """Raise ValueError unless the option is a positive whole number."""
    if isinstance(value, bool) or value != int(value) or value < 1:
        raise ValueError(f"{name} must be a positive whole number; got {value}")
