"""How many added points it takes at least to reach a goal: flip a prediction, get a whole set of rows wrong.

A bound for a target model says what *that* model costs. A goal is reached by many models, and a bound for it must hold for
all of them: with fewer than ``bound.n_points`` added points **no** optimum of the victim reaches the goal, so the
prediction survives any ``bound.n_points - 1`` points. The argument is in :mod:`convexpoison.certificates.goal_dual_function`, its
check in interval arithmetic in :mod:`convexpoison.certificates.goal_check`, and what makes it strong is found in
:mod:`convexpoison.bounds.goal_search`. The bound may be far from the cheapest attack, but it is never
above it.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from convexpoison._utils.integers import whole_points
from convexpoison._utils.types import FloatArray
from convexpoison.bounds.bound import Bound, ReachedGoal
from convexpoison.bounds.goal_fit import GoalFitter
from convexpoison.bounds.goal_search import Search, Stretch
from convexpoison.bounds.robustness import Robustness
from convexpoison.certificates.goal import certify_goal
from convexpoison.data.training_data import check_rows
from convexpoison.goals import Flip, Misclassify
from convexpoison.learners.victim import Victim
from convexpoison.spaces.space import Space


def goal_bound(
    goal: Flip | Misclassify,
    victim: Victim,
    data: Any,
    space: Space | None = None,
    *,
    rounds: int = 3,
    sample_weight: Any = None,
) -> Bound:
    """How many added points it takes at least before any optimum of the victim reaches the goal.

    Parameters
    ----------
    goal : Flip or Misclassify
    victim : Victim
        A classifier with regularisation.
    data : pair (X, y) or TrainingData
        The clean rows.
    space : Space, optional
        Where added points may lie; inferred from X where not given. Integer columns count as intervals, balls and slabs as
        far as they bound the box, and the user's own constraints not at all: the bound stays valid and may be weaker.
    rounds : int
        How often the reference model is improved.

    Returns
    -------
    Bound

    Raises
    ------
    ValueError, TypeError
        If something given cannot be used.

    Notes
    -----
    Without regularisation or in an unbounded space nothing is proven, and the bound is 0.

    Examples
    --------
    >>> import convexpoison as cp
    >>> from convexpoison.bounds.goal import goal_bound
    >>> digits = cp.datasets.load("digits_17")
    >>> victim = cp.Victim("hinge", C_R=0.05)
    >>> bound = goal_bound(cp.goals.Flip(digits.X_test[60]), victim, digits.train, digits.space)
    >>> bound.n_points
    13
    """
    if not isinstance(goal, (Flip, Misclassify)):
        raise TypeError(
            f"a bound needs a goal that is convex in the model: Flip or Misclassify; got {type(goal).__name__}"
        )
    _check_rounds(rounds)
    start = perf_counter()
    with threadpool_limits(1, user_api="blas"):  # the matrices are small: threads would only wait for each other
        search = Search.of(victim, data, space, sample_weight)
        return _bound(search, goal.bind(search.clean), rounds, start)


def certified_robustness(
    X: Any,
    victim: Victim,
    data: Any,
    space: Space | None = None,
    *,
    rounds: int = 1,
    n_jobs: int | None = None,
    sample_weight: Any = None,
) -> Robustness:
    """How many added points the victim's prediction of every row survives at least.

    The same bounds as ``goal_bound(Flip(row), ...)``, with the clean fit shared.

    Parameters
    ----------
    X : array, sparse matrix or DataFrame of shape (n_rows, n_features)
    victim, data, space, rounds : see :func:`goal_bound`
    n_jobs : int, optional
        Processes, as in joblib.

    Raises
    ------
    ValueError, TypeError
        If something given cannot be used.
    """
    from joblib import Parallel, delayed, effective_n_jobs

    start = perf_counter()
    _check_rounds(rounds)
    with threadpool_limits(1, user_api="blas"):
        search = Search.of(victim, data, space, sample_weight)
    rows, _ = check_rows(X, search.ground.data.n_features)
    parts = np.array_split(np.arange(rows.shape[0]), min(rows.shape[0], 4 * effective_n_jobs(n_jobs)))
    done = Parallel(n_jobs=n_jobs)(delayed(_bounds_of)(search, rows[part], rounds) for part in parts)
    values = np.concatenate([part[0] for part in done])
    return Robustness(
        n_points=np.array([whole_points(value) for value in values], dtype=np.int64),
        values=values,
        margins=np.abs(search.clean.decision_function(rows)),
        predictions=search.clean.predict(rows),
        certified=all(part[1] for part in done),
        seconds=perf_counter() - start,
    )


def _bounds_of(search: Search, rows: Any, rounds: int) -> tuple[FloatArray, bool]:
    with threadpool_limits(1, user_api="blas"):
        dense = rows.toarray() if hasattr(rows, "toarray") else rows
        fitter = search.fitter(1)
        found = [_bound(search, Flip(row).bind(search.clean), rounds, perf_counter(), fitter) for row in dense]
    return np.array([float(bound) for bound in found]), all(bound.certified for bound in found)


def _check_rounds(rounds: int) -> None:
    if rounds != int(rounds) or rounds < 0:
        raise ValueError(f"rounds must be a whole number and not negative; got {rounds}")


def _bound(
    search: Search, goal: Flip | Misclassify, rounds: int, start: float, fitter: GoalFitter | None = None
) -> Bound:
    X, labels = goal.half_spaces(search.ground.data)
    stretches: tuple[Stretch, ...] = ()
    constrained = None
    if search.provable and (labels * search.clean.decision_function(X) > 0.0).any():
        stretches, constrained = search.ascend(fitter or search.fitter(labels.size), X, labels, rounds)
    certificate = certify_goal([(part.barrier, part.first, part.last) for part in stretches])
    return Bound(
        0.0 if certificate is None else certificate.value,
        ReachedGoal(goal, search.clean),
        certificate,
        "trivial" if certificate is None else "reference_model",
        constrained=constrained,
        seconds=perf_counter() - start,
    )
