"""Copies of rows with the wrong label: the simplest poison, and the baseline of every stronger one."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Literal

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.attacks.base import Budget
from convexpoison.attacks.projection import Projection, roundings
from convexpoison.data.training_data import TrainingData
from convexpoison.poison import Poison
from convexpoison.problem import Problem

Choice = Literal["random", "nearest", "farthest", "lowest_margin", "subpopulation"]
_Keys = Callable[[FloatArray, FloatArray, np.random.Generator], FloatArray]

_ORDERS: dict[str, _Keys] = {
    "random": lambda scores, y, rng: rng.random(y.size),
    "nearest": lambda scores, y, rng: np.abs(scores),
    "farthest": lambda scores, y, rng: -np.abs(scores),
    "lowest_margin": lambda scores, y, rng: y * scores,
    "subpopulation": lambda scores, y, rng: rng.random(y.size),
}
"""What rows are sorted by, from their scores under the clean model and their labels."""


def label_flip(
    problem: Problem,
    budget: Budget,
    *,
    choose: Choice = "random",
    pool: Literal["clean", "rows"] | None = None,
    fraction: float = 1.0,
) -> Poison:
    """Rows with their labels flipped, added to the training data; the whole budget is spent.

    The rows are sorted as ``choose`` says, the first ``fraction`` of them is kept, and copies of these are added in rounds, the
    first rows once more where the budget is no multiple. Rows outside the space are moved to its nearest point, then whole
    numbers and one-hot groups are rounded; rows that are still outside (rounding may leave a ball or slab), or whose flipped
    label the space does not allow, are left out.

    Parameters
    ----------
    problem : Problem
    budget : Budget
        ``rows`` is needed for the pool "rows".
    choose : {"random", "nearest", "farthest", "lowest_margin", "subpopulation"}
        - "random": in random order (the baseline of Biggio, Nelson and Laskov, "Support vector machines under adversarial
          label noise", ACML 2011, and of Koh, Steinhardt and Liang, 2018);
        - "nearest", "farthest": by the distance to the clean model's hyperplane, rising or falling (the nearest-first and
          farthest-first flips of Xiao, Xiao and Eckert, "Adversarial label flips attack on support vector machines", ECAI
          2012; there the labels of the training rows themselves are changed);
        - "lowest_margin": by the margin under the clean model, rising. With the pool "rows", a quantile as ``fraction`` and
          a budget of that many rows times a number of copies it is the attack of MTP, Table 5, which takes it from Koh et
          al.; :func:`convexpoison.targets.label_flip` searches over both. On MNIST 1-7 the published 6,510, 10,825 and 8,648
          points (quantiles 0.1, 0.2 and 0.5) give the published accuracies of the targets, 94.0, 88.8 and 83.3 %: the table
          has the last two counts the other way round;
        - "subpopulation": rows of the subpopulation (``budget.rows``) in random order (Jagielski, Severi, Pousette Harger and
          Oprea, "Subpopulation data poisoning attacks", CCS 2021; MTP, Table 7). These are best rows of the training
          distribution, not those that the attack is judged on.
    pool : {"clean", "rows"}, optional
        Where the rows come from: the clean training rows, or ``budget.rows``; the latter for "subpopulation".
    fraction : float
        In (0, 1].

    Returns
    -------
    Poison
        ``info``: "n_pool" (rows to choose from), "n_moved" (points that the space has moved from where their rows are).

    Raises
    ------
    ValueError
        A regression; an unknown choice or pool; rows that are needed and not given; a space that refuses every row.
    """
    source = _source(problem, budget, choose, pool)
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction is a share of the rows between 0 and 1, 0 left out; got {fraction}")
    clean = problem.clean
    keys = _ORDERS[choose](clean.decision_function(source.X), source.y, np.random.default_rng(budget.random_state))
    order = np.argsort(keys, kind="stable")
    # Those strictly below the quantile, as MTP counts them.
    first = order if fraction == 1.0 else order[: max(1, ceil(fraction * (source.n_samples - 1)))]
    rows = first[np.isin(-source.y[first], problem.space.labels)]
    points, kept = _inside(problem, budget, source, rows)
    if not kept.size:
        raise ValueError(
            f"the space allows none of {first.size} rows with its label flipped; widen it, allow both labels, or name other rows"
        )
    rounds, more = divmod(budget.n_points, kept.size)
    counts = np.full(kept.size, rounds, dtype=np.int64)
    counts[:more] += 1
    info = {"n_pool": int(first.size), "n_moved": int((points != source.rows.take(kept)).any(axis=1).sum())}
    return Poison(points, -source.y[kept], counts, info=info)


def _inside(problem: Problem, budget: Budget, source: TrainingData, rows: np.ndarray) -> tuple[FloatArray, np.ndarray]:
    """The first of these rows, as many as the budget has points, moved into the space; and which they are."""
    space, most = problem.space, budget.n_points
    points, kept = np.zeros((0, source.n_features)), np.zeros(0, dtype=np.intp)
    onto, rng = Projection(space), np.random.default_rng(budget.random_state)
    for start in range(0, rows.size, most):
        some = rows[start : start + most]
        moved = source.rows.take(some)
        outside = ~space.contains(moved, tol=0.0)
        moved[outside] = next(roundings(space, onto(moved[outside]), 0, rng))
        there = space.contains(moved)
        points, kept = np.vstack([points, moved[there]])[:most], np.append(kept, some[there])[:most]
        if kept.size == most:
            break
    return points, kept


def _source(problem: Problem, budget: Budget, choose: str, pool: str | None) -> TrainingData:
    if not problem.victim.loss.classification:
        raise ValueError("label flipping poisons classifiers; this victim is a regression")
    if choose not in _ORDERS:
        raise ValueError(f"choose must be one of {list(_ORDERS)}; got {choose!r}")
    if pool not in (None, "clean", "rows"):
        raise ValueError(f"pool must be 'clean' or 'rows'; got {pool!r}")
    if choose == "subpopulation" and pool == "clean":
        raise ValueError("choose='subpopulation' takes its rows from the subpopulation; leave pool out")
    if pool != "rows" and choose != "subpopulation":
        live = np.flatnonzero(problem.data.sample_weight > 0)
        return problem.data.subset(live)
    if budget.rows is None:
        raise ValueError("these flips need rows to flip: pass a goal that names rows, or validation rows")
    return budget.rows
