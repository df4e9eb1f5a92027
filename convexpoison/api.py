"""The front door: a target and data in, an attack or a bound out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from convexpoison.adapters.estimators import as_model
from convexpoison.adapters.read import Scenario, read_scenario
from convexpoison.attacks.base import METHODS, USUAL_FOR_GOALS, Task, takes
from convexpoison.attacks.carry_out import carry_out
from convexpoison.attacks.evaluate import Outcome, Setting, Stop, bound_time_limit, check_stop, replay
from convexpoison.attacks.follow_the_leader import follow_the_leader
from convexpoison.bounds.bound import Bound
from convexpoison.bounds.convergence import guarantee
from convexpoison.bounds.goal import goal_bound
from convexpoison.bounds.near_target import ball_bound, eps_close_bound
from convexpoison.bounds.target import certify_tight, has_tight_bound, tight_target_bound
from convexpoison.bounds.theorem2 import theorem_2_bound
from convexpoison.bounds.tight import tight_bound
from convexpoison.errors import UnattainableTargetError
from convexpoison.goals import Flip, Goal, Misclassify
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.losses.base import Loss
from convexpoison.learners.losses.registry import get_loss
from convexpoison.learners.victim import Victim
from convexpoison.loss_difference.query import Difference, Question
from convexpoison.loss_difference.solve import answer, check
from convexpoison.problem import Problem
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
    method: str | None = None,
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
    method : str, optional
        For a model (default "follow_the_leader"):

        - "follow_the_leader": MTP's Algorithm 1, which comes close to the target point by point;
        - "optimal": the least number of points that reproduces the target itself (:mod:`convexpoison.attacks.optimal`); eps,
          max_points, goal and copies do not apply;
        - "nearest": the model nearest to the target that ``max_points`` points induce, or the fewest points found that
          induce a model ``eps``-close to it (:mod:`convexpoison.bounds`);
        - "kkt": the KKT attack of Koh et al. (:mod:`convexpoison.attacks.kkt`).

        For a goal, the default is "least_mass": the cheapest model that reaches it, as far as a search finds it, and the points
        that it costs (:func:`convexpoison.targets.least_mass`). With a budget of ``max_points``: "label_flip",
        "min_max",
        "gradient", "influence", "minimax" (modules of :mod:`convexpoison.attacks` of these names). The points stop where the
        goal is reached; ``target`` of the result is the model that they induce.
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
    known = [*TOWARDS_A_MODEL, *METHODS]
    if method is not None and method not in known:
        raise ValueError(f"unknown method {method!r}; choose one of {known}")
    scenario = read_scenario(target, data, victim, space, solver, sample_weight)
    method = method or _usual_method(scenario)
    test = None if test_data is None else scenario.rows(test_data, "test_data")
    bound_limit = bound_time_limit(time_limit_s, bound_time_limit_s)
    if method in METHODS:
        if max_points is None and METHODS[method].frugal:
            max_points = scenario.data.n_samples
        if copies != 1 and takes(method, "copies"):
            options, copies = options | {"copies": copies}, 1
        _check_rival(method, scenario, validation, eps, goal, copies, max_points)
        check_stop(Stop(None, max_points, None, time_limit_s), 1)
        assert max_points is not None
        rows = scenario.goal_rows() if validation is None else scenario.rows(validation, "validation")
        s = scenario
        task = Task(s.victim, s.data, s.space, max_points, s.target, s.goal, rows, random_state, time_limit_s, progress)
        problem, outcome, poison = carry_out(method, task, options, test, solver, bound_limit)
        result = _result(scenario, problem, outcome, None, time_limit_s, solver)
        return replace(result, info=poison.info, note="; ".join(filter(None, (poison.note, result.note))))
    if options or validation is not None:
        given = ", ".join([*options, *(["validation"] if validation is not None else [])])
        raise TypeError(f"method={method!r} does not take {given}")
    stop = _stop(method, scenario, eps, max_points, goal, copies, time_limit_s)
    setting = Setting(scenario.problem, stop, solver, copies, test, progress, bound_limit)
    return _result(scenario, scenario.problem, TOWARDS_A_MODEL[method](setting), stop.eps, time_limit_s, solver)


def _stop(
    method: str,
    scenario: Scenario,
    eps: float | None,
    max_points: int | None,
    goal: Goal | None,
    copies: int,
    time_limit_s: float | None,
) -> Stop:
    """When an attack on a model ends; what does not go together is refused."""
    if scenario.target is None:
        raise ValueError(f"method={method!r} aims at a model, and a goal was given; methods for goals: {_for('goal')}")
    if method == "optimal" and (eps, max_points, goal, copies) != (None, None, None, 1):
        raise ValueError("method='optimal' reproduces the target itself: eps, max_points, goal and copies do not apply")
    if method == "nearest" and (goal is not None or copies != 1):
        raise ValueError("method='nearest' takes eps or max_points; goal and copies do not apply")
    if eps is None and max_points is None and goal is None and method != "optimal":
        eps = DEFAULT_EPS
    stop = Stop(eps, max_points if max_points is not None else scenario.data.n_samples, goal, time_limit_s)
    check_stop(stop, copies)
    return stop


def _usual_method(scenario: Scenario) -> str:
    return USUAL_FOR_GOALS if scenario.target is None else "follow_the_leader"


def _for(aim: str) -> list[str]:
    return [name for name, method in METHODS.items() if method.aims_at == aim]


def _check_rival(
    method: str,
    scenario: Scenario,
    validation: Any,
    eps: float | None,
    goal: Goal | None,
    copies: int,
    max_points: int | None,
) -> None:
    """Methods with a budget: what they aim at must be there, and what they do not know must not."""
    aim = METHODS[method].aims_at
    if (aim == "target") != (scenario.target is not None):
        needed = (
            "a model as target" if aim == "target" else "a goal, for example convexpoison.goals.ErrorRate(0.2, X, y)"
        )
        raise ValueError(f"method={method!r} needs {needed} as its first argument")
    if eps is not None or goal is not None or copies != 1:
        raise ValueError(f"method={method!r} has a budget: give max_points; eps, goal and copies do not apply")
    if max_points is None:
        raise ValueError(f"method={method!r} has a budget; pass max_points")
    if validation is not None and aim == "target":
        raise ValueError(f"method={method!r} aims at a model; validation does not apply")


def _optimal(setting: Setting) -> Outcome:
    from convexpoison.attacks.optimal import optimal

    problem, limit = setting.problem, setting.stop.time_limit_s
    with threadpool_limits(1, user_api="blas"):
        bound = tight_bound(problem, time_limit_s=limit)
        found = optimal(problem, time_limit_s=limit, bound=bound)
        poison = zip(found.points, found.labels.tolist(), found.counts.tolist(), strict=True)
        proven = certify_tight(problem, bound)
        least = found.status == "exact" and found.n_points <= proven.n_points
        outcome = replay(setting, poison, found.status, proven)
        return replace(outcome, reproduction=replace(found.reproduction, proven_least=least))


def _nearest(setting: Setting) -> Outcome:
    from convexpoison.attacks.nearest import close_attack, nearest_model

    problem, stop = setting.problem, setting.stop
    assert stop.max_points is not None
    with threadpool_limits(1, user_api="blas"):
        if stop.eps is None:
            found = nearest_model(problem, stop.max_points)
        else:
            found = close_attack(problem, stop.eps, max_points=stop.max_points)
        poison = zip(found.points, found.labels.tolist(), found.counts.tolist(), strict=True)
        close = stop.eps is not None and found.difference.upper <= stop.eps
        return replay(setting, poison, "close" if close else "budget")


TOWARDS_A_MODEL = {"follow_the_leader": follow_the_leader, "optimal": _optimal, "nearest": _nearest}


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
    stop = Stop(None, max_points if max_points is not None else problem.data.n_samples, None, time_limit_s)
    check_stop(stop, 1)
    with threadpool_limits(1, user_api="blas"):
        if eps is not None:
            return eps_close_bound(problem, eps, time_limit_s=time_limit_s)
        if delta is not None:
            return ball_bound(problem, delta, time_limit_s=time_limit_s)
        if method == "tight" and has_tight_bound(problem):
            return tight_target_bound(problem, time_limit_s)
    try:
        return follow_the_leader(Setting(problem, stop, solver, 1, None, progress, 0.0)).bound
    except UnattainableTargetError:
        clean = problem.victim.trainer(problem.data).model
        return theorem_2_bound(problem, [clean, problem.target.between(clean, 0.01)], solver=solver)


def _result(
    scenario: Scenario, bounds: Problem, outcome: Outcome, eps: float | None, time_limit_s: float | None, solver: str
) -> AttackResult:
    run = outcome.run
    d, n = bounds.data.n_features, outcome.n_steps
    points = np.array(run.points[:n]).reshape(n, d)
    signed = np.array(run.labels[:n])
    classes = bounds.data.classes
    original, note = (None, "") if scenario.original is None else scenario.original.rows(points)
    clean: LinearModel = outcome.clean
    return AttackResult(
        points=points,
        labels=signed if classes is None else np.asarray(np.where(signed > 0, classes[1], classes[0])),
        counts=np.array(run.counts[:n], dtype=np.int64),
        model=outcome.model,
        target=bounds.target,
        clean=clean,
        victim=bounds.victim,
        bound=outcome.bound,
        induced_bound=outcome.induced_bound,
        eps=eps,
        stop_reason=run.reason,
        history={name: np.array(values, dtype=np.float64) for name, values in run.history.items()},
        guarantee=guarantee(
            bounds.victim, bounds.data, bounds.target, clean, bounds.space, bound_time_limit(time_limit_s)
        ),
        reproduction=outcome.reproduction,
        gap=outcome.gap,
        original_points=original,
        note=note,
        seconds=outcome.seconds,
        provenance=provenance(solver=run.difference.solver if run.difference is not None else solver),
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
