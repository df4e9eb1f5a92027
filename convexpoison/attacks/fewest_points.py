"""The attack on a goal with the fewest points that a search finds.

MTP picks, among label-flip models that reach the goal, the one of least clean loss. The number of points for a target is the
size of its smallest fractional attack (:mod:`convexpoison.bounds.tight`), and the attacker needs no model in particular: so that
size itself is minimised. For the hinge over a convex space two distinct points, one of each label, are as good as any number of
points inside the margin, since these act as their mean does. So places and shares of one point per label are moved by exact
derivatives of the victim's optimum (:mod:`convexpoison.learners.implicit.best_response`), with ever fewer copies, for as long as
the retrained victim reaches the goal.

The number of points found is an upper bound on the fewest, and nothing proves that it is the least: the search is local.
"""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

from convexpoison.attacks.base import Budget
from convexpoison.attacks.fewest_points_search import Found, Search
from convexpoison.poison import Poison
from convexpoison.problem import Problem
from convexpoison.targets.rows import is_whole


def fewest_points(
    problem: Problem, budget: Budget, *, flip: Any = None, start: Any = None, n_starts: int = 2, max_iter: int = 60
) -> Poison:
    """Return the fewest points found that reach an ErrorRate, Misclassify or Flip.

    Parameters
    ----------
    problem : Problem
        With such a goal, a classifier, and a bounded box as space.
    budget : Budget
        ``max_points`` (default: the number of clean rows) is where the search gives up; after the time limit it returns the
        best so far.
    flip : pair (X, y), optional
        For an error rate: rows that the attacker steers by (default: the clean training rows, so that the rows of the goal
        only decide whether it is reached; MTP gives the attacker the test rows themselves).
    start : LinearModel, fitted estimator, pair (coef, intercept) or "label_flip", optional
        A target to start from, whose own smallest attack is shrunk. "label_flip", for an error rate, is the cheapest of the
        label flips that reach it, where MTP takes the one of least clean loss; it flips the rows of ``flip``, or a sixth of the
        training rows.
    n_starts : int
        Without ``start``: number of starting points that are followed to the goal.
    max_iter : int
        Largest number of steps of one ascent.

    Returns
    -------
    Poison
        ``info["clean_loss"]`` is the objective of the model on the clean rows.

    Raises
    ------
    ValueError, TypeError
        If an argument cannot be used, or the clean model reaches the goal already.
    GoalNotReachedError
        If no attack is found.
    """
    return run(problem, budget, flip, start, n_starts, max_iter)[2]


def run(
    problem: Problem, budget: Budget, flip: Any, start: Any, n_starts: int, max_iter: int
) -> tuple[Search, Found, Poison]:
    """Search; return the search, what it has found, and that as poison."""
    for name, value in (("n_starts", n_starts), ("max_iter", max_iter)):
        if not is_whole(value, 1):
            raise ValueError(f"{name} must be a positive integer; got {value!r}")
    search = Search(problem, budget, flip, max_iter)
    with tqdm(desc="fewest points", unit=" tries", file=sys.stderr, disable=budget.hidden) as bar:
        search.bar = bar
        found = search.shrink(search.grow(n_starts) if start is None else search.from_target(start))
    counts = found.place.counts(found.n)
    used = counts > 0
    info = {"clean_loss": search.victim.objective(found.model, search.data)}
    return search, found, Poison(found.place.points[used], search.climber.labels[used], counts[used], "goal", info=info)
