"""The min-max attack: whichever point hurts the learner most, added again and again, and what no poison can exceed.

Steinhardt, Koh and Liang, "Certified defenses for data poisoning attacks" (NeurIPS 2017), Algorithm 1: the largest training
loss that k points can cause is the value of a game between points and model. A learner that has little regret plays the
model; the points that answer it are the attack, and every model on the way proves an upper bound on every attack
(:mod:`convexpoison.attacks.damage_bound`). Here the points may lie anywhere in the space (the paper's feasible set of a defence
that was fitted to clean data), and the training loss includes the victim's own regulariser.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Literal

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from convexpoison._utils.types import FloatArray
from convexpoison.adapters.estimators import as_model
from convexpoison.attacks.base import Budget
from convexpoison.attacks.damage_bound import damage_bound, loss_upper
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.trainers import Trainer
from convexpoison.loss_difference.query import Difference, Question
from convexpoison.loss_difference.solve import answer
from convexpoison.poison import Poison, Status
from convexpoison.problem import Problem
from convexpoison.spaces.space import Space
from convexpoison.targets.rows import appended

_RECENT = 256
"""Models, of the last quarter of the run, whose mean is tried for the bound."""


def min_max(
    problem: Problem,
    budget: Budget,
    *,
    learner: Literal["leader", "dual_averaging"] = "leader",
    radius: float | None = None,
    step_size: float | None = None,
    copies: int = 1,
    decoy: Any = None,
    decoy_quantile: float = 0.1,
) -> Poison:
    """Points of largest loss under a learner's models, and a certified bound on the damage of any points.

    Parameters
    ----------
    problem : Problem
    budget : Budget
        A classifier. The goal, where there is one, ends the attack of the "leader" as soon as it is reached.
    learner : {"leader", "dual_averaging"}
        "leader": the victim itself, retrained exactly after every point. "dual_averaging": the paper's regularised dual
        averaging, one gradient a step; the victim's regulariser shrinks it where the paper relies on ``radius`` alone.
    radius : float, optional
        For "dual_averaging": models stay in the ball ``|theta|_R <= radius``; where not given, in that which the victim
        cannot leave, ``sqrt(2 phi(0) (n + k) / rho(n + k))``.
    step_size : float, optional
        For "dual_averaging" (eta of the paper, for gradients of the loss divided by n): none is needed where the victim is
        regularised.
    copies : int
        Copies of each point: fewer and larger steps.
    decoy : LinearModel, fitted estimator or pair (coef, intercept), optional
        A model that errs as the attacker wishes: points are taken only where their loss under it is small, which costs training
        loss and gains test error (Koh, Steinhardt and Liang, "Stronger data poisoning attacks break data sanitization
        defenses", 2022). With MTP's target of 11.2 % error, 650, 1,951 and 3,902 points leave a test accuracy of 96.8, 94.2
        and 91.5 % on MNIST 1-7 (MTP, Table 6: 97.0, 93.9, 92.9 %), without a decoy 97.5, 97.0 and 96.2 %. The certified
        bound holds for all points as before, but is looser: its models did not meet the worst ones.
    decoy_quantile : float
        Small is a margin under the decoy of at least this quantile of those of the clean rows of the point's label (for the
        hinge no more than 1); 0.1 is the paper's 90th percentile of the losses.

    Returns
    -------
    Poison
        ``info``, all in units of the loss and divided by the number of clean rows (the sum of their weights):

        - "upper_bound": certified, rounding included. No ``max_points`` points of the space, or fewer, make the mean loss
          of the victim's model on the clean rows larger, nor its whole training objective (losses on all rows plus
          regulariser);
        - "objective": the training objective that these points cause: no more than "upper_bound", and near it where the
          attack is near the worst;
        - "clean_loss": the mean loss on the clean rows that they cause.

    Raises
    ------
    ValueError
        A regression; an unknown learner; a learner without regularisation, step size or radius; dual averaging with a
        free intercept; a space that no solver takes, or that has no point of small loss under the decoy.
    """
    _check(problem, budget, learner, copies, radius, step_size)
    with threadpool_limits(1, user_api="blas"):  # the matrices are small: threads would only wait for each other
        game = _Game(problem, budget, copies, _regions(problem, budget, decoy, decoy_quantile))
        players = _leader(game) if learner == "leader" else _dual_averaging(game, radius, step_size)
        status = _play(game, players, watch_goal=learner == "leader")
        return game.poison(status)


@dataclass(eq=False)
class _Game:
    """The points so far, and the model that proves the least upper bound."""

    problem: Problem
    budget: Budget
    copies: int
    regions: list[Space]
    points: list[FloatArray] = field(default_factory=list)
    labels: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    best: tuple[float, LinearModel, float] | None = None
    recent: deque[LinearModel] = field(init=False)
    started: float = field(default_factory=perf_counter)
    trainer: Trainer = field(init=False)
    n_trained: int = 0

    def __post_init__(self) -> None:
        self.trainer = self.problem.trainer()
        self.recent = deque(maxlen=max(1, min(_RECENT, self.budget.n_points // (4 * self.copies))))

    @property
    def n_points(self) -> int:
        return sum(self.counts)

    def answer(self, model: LinearModel) -> Difference:
        """The point of largest loss; the bound that the model proves is noted."""
        victim, data, k = self.problem.victim, self.problem.data, self.budget.n_points
        # Compared with the model 0, under which all points have the same loss.
        nothing = LinearModel(np.zeros(data.n_features))
        found = answer(Question(victim.loss, model, nothing, self.problem.space))
        largest = float(np.nextafter(found.upper + loss_upper(victim.loss, np.zeros(1))[0], np.inf))
        value = victim.data_loss(model, data) + k * largest + victim.rho(data.n_rows + k) * victim.penalty(model)
        if self.best is None or value < self.best[0]:
            self.best = (value, model, largest)
        return found

    def hardest(self, model: LinearModel) -> Difference:
        """The point that is added next."""
        found = self.answer(model)
        if self.regions:
            nothing = LinearModel(np.zeros(model.n_features))
            answers = [answer(Question(self.problem.victim.loss, model, nothing, region)) for region in self.regions]
            found = max(answers, key=lambda one: one.value)
        return found

    def add(self, difference: Difference, count: int) -> None:
        """The point, ``count`` times."""
        self.points.append(difference.point)
        self.labels.append(difference.label)
        self.counts.append(count)

    def retrain(self) -> Trainer:
        """The victim's trainer with all points in it."""
        for i in range(self.n_trained, len(self.points)):
            self.trainer.add(self.points[i], self.labels[i], self.counts[i])
            self.n_trained = i + 1
        return self.trainer

    def poison(self, status: Status) -> Poison:
        """What is returned, once the victim has been trained on it."""
        victim, data = self.problem.victim, self.problem.data
        points = np.array(self.points).reshape(-1, data.n_features)
        labels, counts = np.array(self.labels), np.array(self.counts, dtype=np.int64)
        rows = appended(data, points, labels, counts)
        # An interrupted trainer may be half-way through a step, and that of dual averaging has none of the points.
        stale = status == "interrupted" or self.n_trained == 0
        model = victim.trainer(rows).model if stale else self.retrain().model
        # The bound is convex in the model, so a mean is often better; 0 is for a learner that went astray.
        for candidate in (
            model,
            LinearModel(np.zeros(data.n_features)),
            *([_mean(self.recent)] if self.recent else []),
        ):
            self.answer(candidate)
        assert self.best is not None
        _, witness, largest = self.best
        info = {
            "upper_bound": damage_bound(victim, data, witness, self.budget.n_points, largest),
            "objective": victim.objective(model, rows) / data.n_rows,
            "clean_loss": victim.data_loss(model, data) / data.n_rows,
        }
        return Poison(points, labels, counts, status, info=info)


def _play(game: _Game, models: Iterator[LinearModel], watch_goal: bool) -> Status:
    problem, budget = game.problem, game.budget
    hidden = budget.hidden
    bar = tqdm(desc="points", unit="", disable=hidden, file=sys.stderr, total=budget.n_points)
    try:
        for model in models:
            if watch_goal and problem.goal is not None and problem.goal(model):
                return "goal"
            if game.points and budget.time_limit_s is not None and perf_counter() - game.started >= budget.time_limit_s:
                return "time limit"
            count = min(game.copies, budget.n_points - game.n_points)
            if count == 0:
                return "budget"
            game.recent.append(model)
            game.add(game.hardest(model), count)
            bar.update(count)
    except KeyboardInterrupt:
        return "interrupted"
    finally:
        bar.close()
    return "budget"


def _mean(models: Collection[LinearModel]) -> LinearModel:
    return LinearModel(np.mean([m.coef for m in models], axis=0), float(np.mean([m.intercept for m in models])))


def _leader(game: _Game) -> Iterator[LinearModel]:
    """The victim's model on the clean rows and the points so far."""
    while True:
        yield game.retrain().model


def _dual_averaging(game: _Game, radius: float | None, step_size: float | None) -> Iterator[LinearModel]:
    """``theta = -(sum of the losses' subgradients) / lambda``, all k points at the last one's place.

    In the coordinates ``(w, b / s)``, in which R is half the squared norm. A regulariser of weight sigma adds sigma to lambda at
    every step (Xiao, "Dual averaging methods for regularized stochastic learning", JMLR 2010); without one, and with a step
    size, it is the paper's Algorithm 1.
    """
    victim, data, k = game.problem.victim, game.problem.data, game.budget.n_points
    scale = victim.intercept_scaling if victim.intercept == "regularized" else 0.0
    sigma, n = victim.rho(data.n_rows + k) / data.n_rows, data.n_rows
    if radius is None:
        radius = float(np.sqrt(2.0 * victim.loss.value(0.0) * (1.0 + k / n) / sigma)) if sigma > 0 else np.inf
    lam = 0.0 if step_size is None else 1.0 / step_size
    total, theta = np.zeros(data.n_features + 1), np.zeros(data.n_features + 1)
    while True:
        model = LinearModel(theta[:-1], scale * theta[-1])
        yield model
        pull = data.sample_weight * data.y * victim.loss.derivative(data.y * model.decision_function(data.X))
        x, y = game.points[-1], game.labels[-1]
        share = k * y * float(victim.loss.derivative(y * (x @ model.coef + model.intercept)))
        total -= np.append(data.rows.transposed_dot(pull) + share * x, scale * (pull.sum() + share)) / n
        lam = max(lam + sigma, float(np.linalg.norm(total)) / radius)
        theta = total / lam


def _regions(problem: Problem, budget: Budget, decoy: Any, quantile: float) -> list[Space]:
    """For each label the part of the space where the decoy has little loss; none without a decoy."""
    if decoy is None:
        return []
    model, regions = as_model(decoy), []
    if model.n_features != problem.data.n_features:
        raise ValueError(f"the decoy has {model.n_features} features and the data have {problem.data.n_features}")
    if not 0 <= quantile <= 1:
        raise ValueError(f"decoy_quantile must be between 0 and 1; got {quantile}")
    margins = problem.data.y * model.decision_function(problem.data.X)
    for y in problem.space.labels:
        least = float(np.quantile(margins[problem.data.y == y], quantile))
        least = least if problem.victim.loss.smooth else min(least, 1.0)
        regions.append(problem.space.with_labels([y]).with_slab(y * model.coef, lower=least - y * model.intercept))
    return regions


def _check(
    problem: Problem, budget: Budget, learner: str, copies: int, radius: float | None, step_size: float | None
) -> None:
    if not problem.victim.loss.classification:
        raise ValueError("the min-max attack and its bound are for classifiers; this victim is a regression")
    if learner not in ("leader", "dual_averaging"):
        raise ValueError(f"learner must be 'leader' or 'dual_averaging'; got {learner!r}")
    if learner == "dual_averaging" and problem.victim.intercept == "free":
        raise ValueError("dual averaging needs an intercept that is regularised, or none; use learner='leader'")
    unbounded = problem.victim.rho(problem.data.n_rows) == 0.0 and (radius is None or step_size is None)
    if learner == "dual_averaging" and unbounded:
        raise ValueError(
            "without regularisation dual averaging needs step_size and radius; give both, or learner='leader'"
        )
    if copies != int(copies) or copies < 1:
        raise ValueError(f"copies must be a positive whole number; got {copies}")
    for name, value in (("radius", radius), ("step_size", step_size)):
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be positive; got {value}")
