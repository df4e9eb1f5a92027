"""The front door: a target and data in, an attack or a bound out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from convexpoison.adapters.estimators import as_model
from convexpoison.adapters.read import Scenario, read_scenario
from convexpoison.attacks.base import Budget, bound_time_limit, check_arguments, find_method
from convexpoison.attacks.evaluate import Outcome, evaluate
from convexpoison.attacks.follow_the_leader import follow_the_leader
from convexpoison.bounds.bound import Bound
from convexpoison.bounds.convergence import guarantee
from convexpoison.bounds.goal import goal_bound
from convexpoison.bounds.near_target import ball_bound, eps_close_bound
from convexpoison.bounds.target import has_tight_bound, tight_target_bound
from convexpoison.bounds.theorem2 import theorem_2_bound
from convexpoison.errors import UnattainableTargetError
from convexpoison.goals import Flip, Goal, Misclassify
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.losses.base import Loss
from convexpoison.learners.losses.registry import get_loss
from convexpoison.learners.victim import Victim
from convexpoison.loss_difference.query import Difference, Question
from convexpoison.loss_difference.solve import answer, check
from convexpoison.poison import Poison
from convexpoison.results.attack_result import AttackResult, provenance
from convexpoison.spaces.space import Space

DEFAULT_EPS = 0.1
"""Closeness at which an attack stops when nothing else was asked for: MTP's choice for MNIST, in units of the loss."""


def attack(
    target: Any,
    data: Any,
    *,
    victim: Victim | None = None,
    space: Space | None = None,
    method: str | Callable[..., Poison] | None = None,
    validation: Any = None,
    test_data: Any = None,
    solver: str = "auto",
    eps: float | None = None,
    max_points: int | None = None,
    goal: Goal | None = None,
    copies: int = 1,
    time_limit_s: float | None = None,
    bound_time_limit_s: float | None = None,
    sample_weight: ArrayLike | None = None,
    random_state: int | None = 0,
    progress: bool | None = None,
    **options: Any,
) -> AttackResult:
    """Poison that makes the victim learn a target or reach a goal, and what it must cost at least.

    Parameters
    ----------
    target : fitted estimator, Pipeline, LinearModel, pair (coef, intercept), or goal
        The model to induce: LinearSVC, SVC(kernel="linear"), LogisticRegression, SGDClassifier, LinearRegression, Ridge, or
        a Pipeline that ends in one of them (poison is then found in the space of the final step, and told in the columns of
        the Pipeline's input too: ``original_points``; the earlier steps count as fixed). Or the outcome to reach:
        a goal of :mod:`convexpoison.goals`, or any ``goal(model) -> bool``.
    data : pair (X, y)
        Clean training data: arrays, sparse matrix or DataFrame (pandas or polars) of shape (n_samples, n_features); any two
        labels.
    victim : Victim, optional
        How the victim learns; read from the estimator where not given.
    space : Space, optional
        Where poison may lie; inferred from the data where not given (:meth:`Space.infer`; :meth:`Space.behind` a Pipeline's
        steps).
    method : str or callable, optional
        For a model (default "follow_the_leader"):

        - "follow_the_leader": MTP's Algorithm 1, which comes close to the target point by point;
        - "optimal": the least number of points that reproduces the target itself (:mod:`convexpoison.attacks.optimal`); eps,
          max_points, goal and copies do not apply;
        - "nearest": the model nearest to the target that ``max_points`` points induce, or the fewest points found that
          induce a model ``eps``-close to it (:mod:`convexpoison.bounds`);
        - "kkt": the KKT attack of Koh et al. (:mod:`convexpoison.attacks.kkt`).

        For a goal, the default is "fewest_points": the fewest points that a search finds
        (:mod:`convexpoison.attacks.fewest_points`). With a budget of ``max_points``: "label_flip", "min_max", "gradient",
        "influence", "minimax" (modules of :mod:`convexpoison.attacks` of these names). The points end where the goal is
        reached; ``target`` of the result is the model that they induce.

        Or an attack of your own: a function ``run(problem, budget, *, option=...) -> Poison`` (see
        :mod:`convexpoison.attacks.base`), or the name of an entry point of the group ``convexpoison.attacks``.
    validation : pair (X, y), optional
        For methods with a goal: rows on which the attacker wants errors, with their right labels; those of the goal where
        not given.
    test_data : pair (X, y), optional
        Rows on which the accuracy of every model is recorded.
    solver : str
        See :func:`max_loss_difference`.
    eps : float, optional
        Stop when the maximum loss difference to the target is at most this. 0.1 where neither eps, max_points nor goal
        is given.
    max_points : int, optional
        Budget; as many points as clean rows where not given. Methods for goals, and "kkt", need it.
    goal : callable, optional
        On the way to a model: stop when ``goal(model)`` is true, for example :class:`convexpoison.goals.ErrorRate`.
    copies : int
        Copies of each point added per step; of each point, for methods for goals that repeat theirs.
    time_limit_s : float, optional
        Stop after that many seconds, with the best model so far; Ctrl-C does the same.
    bound_time_limit_s : float, optional
        Seconds that each of the two bounds at the end may take. Where not given, as many as the attack, and 60 at most. 0: the
        attack alone; the bounds are then what the models on its way prove (MTP's Theorem 2).
    sample_weight : array of shape (n_samples,), optional
        Weights of the clean rows.
    random_state : int or None
        For methods that draw.
    progress : bool, optional
        Progress bar; on a terminal only, where not given.
    **options
        What the method takes besides (the keyword arguments of the function of its name); others are refused.

    Returns
    -------
    AttackResult

    Raises
    ------
    ValueError, TypeError
        If something given cannot be used; the message says what and how to mend it.
    UnattainableTargetError
        If no number of points reproduces the target.

    Examples
    --------
    >>> from sklearn.svm import LinearSVC
    >>> import convexpoison as cp
    >>> digits = cp.datasets.load("digits_17")
    >>> X, y = digits.X_train, digits.y_train
    >>> wrong = LinearSVC(loss="hinge", C=0.01).fit(X, [8 - label if i % 5 == 0 else label for i, label in enumerate(y)])
    >>> result = cp.attack(wrong, (X, y), max_points=20)
    >>> result.n_points
    20
    """
    if isinstance(method, str):
        find_method(method, True)  # an unknown name is refused before anything is fitted
    scenario = read_scenario(target, data, victim, space, solver, sample_weight)
    problem, has_target = scenario.problem, scenario.problem.has_target
    name, found = find_method(method, has_target)
    if copies != 1 and "copies" in found.options:
        options, copies = options | {"copies": copies}, 1
    given = {"max_points": max_points, "eps": eps, "goal": goal, "copies": copies if copies != 1 else None}
    check_arguments(name, found, has_target, given, options, validation is not None)
    if "eps" in found.takes and has_target and (eps, max_points, goal) == (None, None, None):
        eps = DEFAULT_EPS
    if max_points is None and not found.needs_budget and "max_points" in found.takes:
        max_points = problem.data.n_samples
    budget = Budget(
        max_points=max_points,
        eps=eps,
        goal=goal,
        copies=copies,
        rows=scenario.goal_rows() if validation is None else scenario.rows(validation, "validation"),
        time_limit_s=time_limit_s,
        bound_time_limit_s=bound_time_limit(time_limit_s, bound_time_limit_s),
        random_state=random_state,
        progress=progress,
        solver=solver,
        test=None if test_data is None else scenario.rows(test_data, "test_data"),
    )
    with threadpool_limits(1, user_api="blas"):  # the matrices are small: threads would only wait for each other
        poison = found.load()(problem, budget, **options)
        outcome = evaluate(problem, poison, budget)
    return _result(scenario, outcome, poison, budget)


def lower_bound(
    target: Any,
    data: Any,
    *,
    victim: Victim | None = None,
    space: Space | None = None,
    eps: float | None = None,
    delta: float | None = None,
    method: str = "tight",
    solver: str = "auto",
    max_points: int | None = None,
    time_limit_s: float | None = None,
    sample_weight: ArrayLike | None = None,
    progress: bool | None = None,
) -> Bound:
    """How many points it takes at least to make the victim learn the target, or to reach a goal.

    Parameters
    ----------
    target : as in :func:`attack`, or a goal
        With :class:`convexpoison.goals.Flip` or :class:`~convexpoison.goals.Misclassify` the bound holds for every model that
        reaches the goal; ``victim`` is needed then.
    data, victim, space, sample_weight, progress
        As in :func:`attack`.
    solver : str
        For "theorem_2", as in :func:`max_loss_difference`. The tight bound has programs of its own, for HiGHS (cvxpy where the
        space has balls); whoever proposes them, the certificate is checked without a solver.
    eps : float, optional
        Bound the points behind every model that is eps-close to the target, not the target alone.
    delta : float, optional
        The same for every model within that Euclidean distance of ``(coef, intercept)``: the honest statement for a target
        that was fitted to a tolerance.
    method : {"tight", "theorem_2"}
        "tight": the supremum of Theorem 2 of MTP, which is the least mass of points that reproduces the target, by
        linear programming (:mod:`convexpoison.bounds.tight`). "theorem_2": MTP's way, at the models that Algorithm 1 passes
        through, and in their directions. A space with constraints of your own takes the second way.
    max_points : int, optional
        For "theorem_2": length of the run; a shorter run is a weaker bound, not a wrong one.
    time_limit_s : float, optional
        The bound reached by then is returned.

    Returns
    -------
    Bound
        ``float(bound)``, ``bound.n_points``, ``bound.certificate``; infinite if no number of points is enough. ``bound.about``
        is the target, the models near it (with eps or delta), or the goal.

    Raises
    ------
    ValueError, TypeError
        If something given cannot be used.

    Examples
    --------
    Two rows, a linear SVM without an intercept whose coefficient is 1, and an attacker who wants it to be 0.5:

    >>> import convexpoison as cp
    >>> victim, space = cp.Victim("hinge", C=1.0, intercept="none"), cp.Space.box(-1.0, 1.0, 1)
    >>> bound = cp.lower_bound(([0.5], 0.0), ([[0.5], [-0.5]], [1, -1]), victim=victim, space=space)
    >>> round(float(bound), 6), bound.n_points, bound.certified
    (0.5, 1, True)
    >>> bound.certificate.verify(([[0.5], [-0.5]], [1, -1])).holds
    True
    """
    if method not in ("tight", "theorem_2"):
        raise ValueError(f"unknown method {method!r}; choose 'tight' or 'theorem_2'")
    if isinstance(target, (Flip, Misclassify)):
        if victim is None or eps is not None or delta is not None:
            raise ValueError("a goal is not a model: pass victim=, and neither eps nor delta")
        if (method, solver, max_points, time_limit_s) != ("tight", "auto", None, None):
            raise ValueError(
                "the bound for a goal has one method and no limits: leave out method, solver, max_points, time_limit_s"
            )
        return goal_bound(target, victim, data, space, sample_weight=sample_weight)
    if callable(target):
        raise TypeError(
            f"a bound needs a model, or a goal that is convex in the model (Flip, Misclassify); got {type(target).__name__}"
        )
    if eps is not None and delta is not None:
        raise ValueError("give eps or delta, not both")
    problem = read_scenario(target, data, victim, space, solver, sample_weight).problem
    budget = Budget(
        max_points if max_points is not None else problem.data.n_samples,
        time_limit_s=time_limit_s, bound_time_limit_s=0.0, progress=progress, solver=solver,
    )  # fmt: skip
    with threadpool_limits(1, user_api="blas"):
        if eps is not None:
            return eps_close_bound(problem, eps, time_limit_s=time_limit_s)
        if delta is not None:
            return ball_bound(problem, delta, time_limit_s=time_limit_s)
        if method == "tight" and has_tight_bound(problem):
            return tight_target_bound(problem, time_limit_s)
        try:
            return evaluate(problem, follow_the_leader(problem, budget), budget).bound
        except UnattainableTargetError:
            clean = problem.clean
            return theorem_2_bound(problem, [clean, problem.target.between(clean, 0.01)], solver=solver)


def _result(scenario: Scenario, outcome: Outcome, poison: Poison, budget: Budget) -> AttackResult:
    run, problem, n = outcome.run, outcome.problem, outcome.n_steps
    points = np.array(run.points[:n]).reshape(n, problem.data.n_features)
    signed, classes = np.array(run.labels[:n]), problem.data.classes
    original, note = (None, "") if scenario.original is None else scenario.original.rows(points)
    limit = bound_time_limit(budget.time_limit_s)
    return AttackResult(
        points=points,
        labels=signed if classes is None else np.asarray(np.where(signed > 0, classes[1], classes[0])),
        counts=np.array(run.counts[:n], dtype=np.int64),
        model=outcome.model,
        target=problem.target,
        clean=outcome.clean,
        victim=problem.victim,
        bound=outcome.bound,
        induced_bound=outcome.induced_bound,
        eps=budget.eps,
        stop_reason=run.reason or poison.status,
        history={name: np.array(values, dtype=np.float64) for name, values in run.history.items()},
        guarantee=guarantee(problem.victim, problem.data, problem.target, outcome.clean, problem.space, limit),
        reproduction=outcome.reproduction,
        gap=outcome.gap,
        original_points=original,
        note="; ".join(filter(None, (poison.note, note))),
        seconds=outcome.seconds,
        provenance=provenance(solver=run.difference.solver if run.difference is not None else budget.solver),
        info=poison.info,
    )


def max_loss_difference(
    model: LinearModel | tuple[object, object] | object,
    reference: LinearModel | tuple[object, object] | object,
    space: Space,
    *,
    loss: str | Loss = "hinge",
    solver: str = "auto",
    time_limit_s: float | None = None,
) -> Difference:
    """The largest loss difference of two models over a space (MTP, Definition 1).

    Parameters
    ----------
    model, reference : LinearModel, fitted scikit-learn estimator, or pair (coef, intercept)
    space : Space
    loss : str or Loss
    solver : {"auto", "polygon", "highs", "gurobi", "cvxpy"}
        "auto" takes the first backend that can answer, in that order, Gurobi left out.
    time_limit_s : float, optional
        Seconds for the solver.

    Returns
    -------
    Difference

    Raises
    ------
    ValueError
        Dimensions that differ, an unknown solver, a solver that cannot answer this question.
    SolverError, SolverTimeoutError
        If the solver has no point to offer.

    Examples
    --------
    >>> import convexpoison as cp
    >>> cp.max_loss_difference(([1.0, 0.0], 0.0), ([0.0, 1.0], 0.0), cp.Space.box(0, 1, 2)).value
    1.0
    """
    question = Question(get_loss(loss), as_model(model), as_model(reference), space)
    check(question)
    return answer(question, solver=solver, time_limit_s=time_limit_s)
