"""Poison against a defender who re-tunes the regularisation: a minimax bilevel problem.

Carnerero-Cano, Munoz-Gonzalez, Spencer and Lupu (2021), RMD in the following, Eq. 1: ``min over lambda, max over the points`` of
the mean loss on trusted validation rows, at the model that the victim learns from clean rows and poison with the
regularisation lambda. Points by projected ascent, lambda by projected descent (Eq. 2), in turn (its Appendix C), in batches of
points; labels are fixed from the start. How lambda relates to a :class:`~convexpoison.learners.victim.Victim` is written in
:mod:`convexpoison.learners.implicit.tuning`.

Approximate: descent and ascent find a saddle point at best, and nothing bounds how far from the best it is.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from tqdm import tqdm

from convexpoison.attacks.base import Budget
from convexpoison.attacks.initial_points import Clones
from convexpoison.attacks.minimax_game import Batch, Game, Pace
from convexpoison.learners.implicit.tuning import tuned_victim
from convexpoison.learners.losses.hinge import Hinge
from convexpoison.learners.losses.smooth_hinge import SmoothHinge
from convexpoison.learners.victim import Victim
from convexpoison.poison import Poison, Status
from convexpoison.problem import Problem

_LAMBDA_RANGE = (-8.0, float(np.log(200.0)))
"""RMD, Table 2, for MNIST."""
_SEVERAL = (
    "the defender ends with several lambdas (info['lambda']), which no Victim has: the model is the given victim's"
)


def minimax(
    problem: Problem,
    budget: Budget,
    *,
    tune: Literal["l2", "per_class", "per_feature"] | None = "l2",
    lambda_range: tuple[float, float] = _LAMBDA_RANGE,
    initial_lambda: ArrayLike | None = None,
    batch_size: int = 17,
    iterations: int = 100,
    clean_iterations: int = 50,
    point_rate: float = 0.5,
    lambda_rate: float = 0.5,
    step: Literal["scaled", "gradient"] = "scaled",
    restarts: int = 0,
    hypergradient: Literal["implicit", "reverse"] = "implicit",
    inner_steps: int = 150,
    inner_rate: float = 0.1,
) -> Poison:
    """Flipped clones of validation rows, moved against a defender who tunes lambda on those rows (RMD, Eq. 1 and 2).

    Parameters
    ----------
    problem : Problem
    budget : Budget
        ``rows`` are the defender's validation rows; the whole budget is used, whatever the goal
        (:func:`convexpoison.attack` then keeps the first points that reach it). The hinge is differentiated, and trained
        with, in its smooth form (:class:`~convexpoison.learners.implicit.SmoothHinge`).
    tune : {"l2", "per_class", "per_feature"} or None
        What the defender tunes: one lambda, one for each class, one for each feature; None: nothing (lambda is fixed).
    lambda_range : pair of floats
        Where every lambda stays while it is tuned.
    initial_lambda : float or array, optional
        Where lambda starts; the victim's own where not given, moved into the range with a warning where it lies outside.
    batch_size : int
        Points that are moved together; then they stay, and the next batch begins.
    iterations : int
        Hyperiterations a batch (``T_mul``, or ``T_Dp`` where lambda is fixed): a step of the points, then one of lambda.
    clean_iterations : int
        Steps of lambda on the clean rows before the attack (``T_lambda``).
    point_rate, lambda_rate : float
        ``alpha`` and ``beta``, see ``step``.
    step : {"scaled", "gradient"}
        "gradient": ``alpha`` and ``beta`` times the hypergradient, as in Eq. 2. "scaled": the hypergradient of each point
        (measured in widths of the box), and that of lambda, is divided by its largest entry first, and the rates fall to
        0 over a batch, so that they need not be fitted to the data: alpha is the first move in widths of the box, beta in lambda.
    restarts : int
        Further starts (RMD, footnote 4) where lambda is fixed: of every batch, from other clones; and of the lambda that is
        learned on the clean rows, from 0.5 around it. The best end is kept.
    hypergradient : {"implicit", "reverse"}
        At the exact optimum of training, or through ``inner_steps`` (``T``) steps of gradient descent with ``inner_rate``
        (``eta``), RMD's Algorithm 1.

    Returns
    -------
    Poison
        Batch by batch. ``info``: "tune"; "lambda", as it ended; "victim", the same as C or C_R, where it is one number;
        "lambda_clean", after the steps on the clean rows; "lambda_trace" (the mean, where there are several) and
        "objective" (mean validation loss), before every step of the points; "batches": for each "n_points" so far,
        "lambda" and "objective" at its end.

    Raises
    ------
    ValueError
        If the range of lambda is empty, the validation rows are missing or of one class, the space has no bounded box,
        no validation row can be cloned, gradient descent diverges, or an option is out of its range.
    """
    own = tune is None and initial_lambda is None
    if own:  # fixed where the victim has it with all points in: the mean convention counts them
        rho = problem.victim.rho(problem.data.n_rows + budget.n_points)
        initial_lambda = float(np.log(rho)) if rho > 0 else None
    game = Game(
        _differentiable(problem),
        budget,
        Pace(iterations, clean_iterations, point_rate, lambda_rate, step),
        tune=tune,
        lambda_range=lambda_range,
        initial_lambda=initial_lambda,
        reverse=_inner(hypergradient, inner_steps, inner_rate),
    )
    _check_counts(batch_size=batch_size, restarts=restarts + 1)
    clones = Clones(problem, budget, game.project, game.rng)
    status = _play(game, clones, batch_size, restarts)
    counts = np.ones(len(game.labels), dtype=np.int64)
    tuned = None if own else _tuned(game, problem.victim)
    several = "" if tuned is not None or own else _SEVERAL
    return Poison(game.points, game.labels, counts, status, victim=tuned, note=several, info=_info(game, tune))


def _play(game: Game, clones: Clones, batch_size: int, restarts: int) -> Status:
    """Batch after batch until the budget is used or the time is up."""
    budget = game.budget
    hidden = budget.hidden
    try:
        game.tune_on_clean_rows(restarts)
        with tqdm(total=budget.n_points, desc="points", unit="", disable=hidden, file=sys.stderr) as bar:
            while len(game.labels) < budget.n_points:
                if game.clock.over:
                    return "time limit"
                n = min(batch_size, budget.n_points - len(game.labels))
                game.settle(_best_batch(game, clones, n, restarts))
                bar.update(n)
    except KeyboardInterrupt:
        return "interrupted"
    return "time limit" if game.clock.over else "budget"


def _best_batch(game: Game, clones: Clones, n: int, restarts: int) -> Batch:
    """The next points; where lambda is fixed, the best of several starts."""
    starts = restarts + 1 if game.fixed else 1
    ends: list[Batch] = []
    for _ in range(starts):
        if ends and game.clock.over:
            break
        points, labels = clones.draw(n)
        batch = game.play(points, labels)
        ends.append(replace(batch, points=clones.whole(batch.points, points)))
    return max(ends, key=lambda batch: batch.objective)


def _tuned(game: Game, victim: Victim) -> Victim | None:
    """What the defender ends up as, in the terms of Victim; lambdas of several kinds have no such form."""
    n_rows = game.problem.data.n_rows + len(game.labels)
    return tuned_victim(victim, float(game.lam[0]), n_rows) if game.lam.size == 1 else None


def _info(game: Game, tune: str | None) -> dict[str, Any]:
    tuned = _tuned(game, game.problem.victim)
    return {
        "tune": tune,
        "victim": None if tuned is None else {"C": tuned.C, "C_R": tuned.C_R},
        "lambda": game.lam.tolist(),
        "lambda_clean": game.lambda_clean.tolist(),
        "lambda_trace": game.lambda_trace,
        "objective": game.objectives,
        "batches": game.batches,
    }


def _differentiable(problem: Problem) -> Problem:
    if problem.victim.loss == Hinge():
        return replace(problem, victim=replace(problem.victim, loss=SmoothHinge()))
    return problem


def _inner(hypergradient: str, steps: int, rate: float) -> tuple[int, float] | None:
    if hypergradient not in ("implicit", "reverse"):
        raise ValueError(f"hypergradient must be 'implicit' or 'reverse'; got {hypergradient!r}")
    return (steps, rate) if hypergradient == "reverse" else None


def _check_counts(**counts: int) -> None:
    for name, value in counts.items():
        if value != int(value) or value < 1:
            least = 0 if name == "restarts" else 1
            raise ValueError(f"{name} must be a whole number of at least {least}; got {value - 1 + least}")
