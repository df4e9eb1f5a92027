"""The front door: a target and data in, an attack or a bound out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from convexpoison.approximate import ApproximateBound, ball_bound, eps_close_bound
from convexpoison.attacks.follow_the_leader import follow_the_leader
from convexpoison.attacks.run import Outcome, Setting, Stop, replay
from convexpoison.bounds import Bound, BoundProblem
from convexpoison.data import TrainingData
from convexpoison.errors import UnattainableTargetError
from convexpoison.estimators import ReadTarget, read_target
from convexpoison.goal_bounds.bounds import GoalBound, goal_bound
from convexpoison.goals import Flip, Goal, Misclassify
from convexpoison.guarantee import guarantee
from convexpoison.mass.tight import tight_bound
from convexpoison.model import LinearModel
from convexpoison.result import AttackResult, provenance
from convexpoison.spaces import Space
from convexpoison.victim import Victim

DEFAULT_EPS = 0.1
"""Closeness at which an attack stops when nothing else was asked for: MTP's choice for MNIST, in units of the loss."""


def attack(
    target: Any,
    data: Any,
    *,
    victim: Victim | None = None,
    space: Space | None = None,
    method: str = "follow_the_leader",
    test_data: Any = None,
    solver: str = "auto",
    eps: float | None = None,
    max_points: int | None = None,
    goal: Goal | None = None,
    copies: int = 1,
    time_limit_s: float | None = None,
    sample_weight: ArrayLike | None = None,
    progress: bool | None = None,
) -> AttackResult:
    """Poison that makes the victim learn the target (MTP, Algorithm 1), and what it must cost at least (Theorem 2).

    Parameters
    ----------
    target : fitted estimator, Pipeline, LinearModel or pair (coef, intercept)
        LinearSVC, SVC(kernel="linear"), LogisticRegression, SGDClassifier, LinearRegression, Ridge, or a Pipeline that
        ends in one of them: poison is then found in the space of the final step.
    data : pair (X, y)
        Clean training data: arrays, sparse matrix or DataFrame of shape (n_samples, n_features); any two labels.
    victim : Victim, optional
        How the victim learns; read from the estimator where not given.
    space : Space, optional
        Where poison may lie; inferred from the data where not given (:meth:`Space.infer`).
    method : {"follow_the_leader", "optimal", "nearest"}
        "follow_the_leader": MTP's Algorithm 1, which comes close to the target point by point. "optimal": the least number
        of points that reproduces the target itself (:mod:`convexpoison.attacks.optimal`); eps, max_points, goal and copies
        do not apply. "nearest": the model nearest to the target that ``max_points`` points induce, or the fewest points found
        that induce a model ``eps``-close to it (:mod:`convexpoison.approximate`).
    test_data : pair (X, y), optional
        Rows on which the accuracy of every model is recorded.
    solver : str
        See :func:`max_loss_difference`.
    eps : float, optional
        Stop when the maximum loss difference to the target is at most this. 0.1 where neither eps, max_points nor goal
        is given.
    max_points : int, optional
        Budget; as many points as clean rows where not given.
    goal : callable, optional
        Stop when ``goal(model)`` is true, for example :class:`convexpoison.goals.ErrorRate`.
    copies : int
        Copies of each point added per step.
    time_limit_s : float, optional
        Stop after that many seconds, with the best model so far; Ctrl-C does the same.
    sample_weight : array of shape (n_samples,), optional
        Weights of the clean rows.
    progress : bool, optional
        Progress bar; on a terminal only, where not given.

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
    if method not in _METHODS:
        raise ValueError(f"unknown method {method!r}; choose one of {list(_METHODS)}")
    if method == "optimal" and (eps, max_points, goal, copies) != (None, None, None, 1):
        raise ValueError("method='optimal' reproduces the target itself: eps, max_points, goal and copies do not apply")
    if method == "nearest" and (goal is not None or copies != 1):
        raise ValueError("method='nearest' takes eps or max_points; goal and copies do not apply")
    if eps is None and max_points is None and goal is None and method != "optimal":
        eps = DEFAULT_EPS
    problem = _problem(target, data, victim, space, solver, sample_weight)
    stop = Stop(eps, max_points if max_points is not None else problem.bounds.data.n_samples, goal, time_limit_s)
    _check_stop(stop, copies)
    test = None if test_data is None else problem.test(test_data)
    setting = Setting(problem.bounds, stop, copies, test, progress)
    return _result(problem, _METHODS[method](setting), stop)


def _optimal(setting: Setting) -> Outcome:
    from convexpoison.attacks.optimal import optimal

    problem, limit = setting.problem, setting.stop.time_limit_s
    with threadpool_limits(1, user_api="blas"):
        bound = tight_bound(problem.mass, time_limit_s=limit)
        found = optimal(problem.mass, time_limit_s=limit, bound=bound)
        poison = zip(found.points, found.labels.tolist(), found.counts.tolist(), strict=True)
        return replay(setting, poison, found.status, problem.proven(bound))


def _nearest(setting: Setting) -> Outcome:
    from convexpoison.approximate import close_attack, nearest_model

    mass, stop = setting.problem.mass, setting.stop
    assert stop.max_points is not None
    with threadpool_limits(1, user_api="blas"):
        if stop.eps is None:
            found = nearest_model(mass, stop.max_points)
        else:
            found = close_attack(mass, stop.eps, max_points=stop.max_points)
        poison = zip(found.points, found.labels.tolist(), found.counts.tolist(), strict=True)
        close = stop.eps is not None and found.difference.upper <= stop.eps
        return replay(setting, poison, "close" if close else "budget")


_METHODS = {"follow_the_leader": follow_the_leader, "optimal": _optimal, "nearest": _nearest}


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
) -> Bound | ApproximateBound | GoalBound:
    """How many points it takes at least to make the victim learn the target, or to reach a goal.

    Parameters
    ----------
    target : as in :func:`attack`, or a goal
        With :class:`convexpoison.goals.Flip` or :class:`~convexpoison.goals.Misclassify` the bound holds for every model that
        reaches the goal; ``victim`` is needed then.
    data, victim, space, solver, sample_weight, progress
        As in :func:`attack`.
    eps : float, optional
        Bound the points behind every model that is eps-close to the target, not the target alone.
    delta : float, optional
        The same for every model within that Euclidean distance of ``(coef, intercept)``: the honest statement for a target
        that was fitted to a tolerance.
    method : {"tight", "theorem_2"}
        "tight": the supremum of Theorem 2 of MTP, which is the least mass of points that reproduces the target, by
        linear programming (:mod:`convexpoison.mass.tight`). "theorem_2": MTP's way, at the models that Algorithm 1 passes
        through, and in their directions. A space with constraints of your own takes the second way.
    max_points : int, optional
        For "theorem_2": length of the run; a shorter run is a weaker bound, not a wrong one.
    time_limit_s : float, optional
        The bound reached by then is returned.

    Returns
    -------
    Bound, ApproximateBound (with eps or delta) or GoalBound (for a goal)
        ``float(bound)``, ``bound.n_points``; infinite if no number of points reproduces the target.

    Raises
    ------
    ValueError, TypeError
        If something given cannot be used.
    """
    if method not in ("tight", "theorem_2"):
        raise ValueError(f"unknown method {method!r}; choose 'tight' or 'theorem_2'")
    if isinstance(target, (Flip, Misclassify)):
        if victim is None or eps is not None or delta is not None:
            raise ValueError("a goal is not a model: pass victim=, and neither eps nor delta")
        return goal_bound(target, victim, data, space, sample_weight=sample_weight)
    if eps is not None and delta is not None:
        raise ValueError("give eps or delta, not both")
    problem = _problem(target, data, victim, space, solver, sample_weight).bounds
    stop = Stop(None, max_points if max_points is not None else problem.data.n_samples, None, time_limit_s)
    _check_stop(stop, 1)
    with threadpool_limits(1, user_api="blas"):
        if eps is not None:
            return eps_close_bound(problem.mass, eps, time_limit_s=time_limit_s)
        if delta is not None:
            return ball_bound(problem.mass, delta, time_limit_s=time_limit_s)
        if method == "tight" and problem.has_tight_bound:
            return problem.tight(time_limit_s)
    try:
        return follow_the_leader(Setting(problem, stop, 1, None, progress, 0.0)).bound
    except UnattainableTargetError:
        clean = problem.victim.trainer(problem.data).model
        return problem.along([clean, problem.target.between(clean, 0.01)])


@dataclass(frozen=True, eq=False)
class _Problem:
    """A bound problem together with what leads from the user's terms to it and back."""

    bounds: BoundProblem
    read: ReadTarget

    def test(self, test_data: Any) -> TrainingData:
        rows, labels = test_data
        classes = self.bounds.data.classes
        if classes is None:
            raise ValueError("test_data records an accuracy, which a regression target does not have; leave it out")
        return _training_data((rows, labels), self.read, self.bounds.victim, classes, None, both_classes=False)


def _problem(
    target: Any, data: Any, victim: Victim | None, space: Space | None, solver: str, sample_weight: ArrayLike | None
) -> _Problem:
    """Check everything at the door."""
    from convexpoison.solvers import backend

    if solver != "auto":
        backend(solver)
    read = read_target(target)
    victim = victim if victim is not None else read.victim
    if victim is None:
        raise ValueError(
            "a target given as (coef, intercept) does not say how the victim learns; pass victim=, for example "
            "Victim('hinge', C=1.0) for LinearSVC(loss='hinge') or Victim('logistic', C=1.0, intercept='free')"
        )
    clean = _training_data(data, read, victim, read.model.classes, sample_weight)
    if read.model.n_features != clean.n_features:
        raise ValueError(f"the target has {read.model.n_features} features and the data have {clean.n_features}")
    if victim.intercept == "none" and read.model.intercept != 0.0:
        raise ValueError(f"the victim has no intercept, but the target has one of {read.model.intercept:g}")
    if space is None:
        space = Space.infer(_rows_seen(data, read), None if victim.loss.classification else clean.y)
    else:
        if space.n_features != clean.n_features:
            raise ValueError(f"the space has {space.n_features} columns and the data have {clean.n_features}")
        space.check_domain(clean.X)
    if not victim.loss.classification and space.response is None:
        space = space.with_response(float(clean.y.min()), float(clean.y.max()))
    model = replace(read.model, classes=clean.classes)
    return _Problem(BoundProblem(victim, clean, model, space, solver), read)


def _rows_seen(data: Any, read: ReadTarget) -> Any:
    """X as the final step sees it."""
    X = data.X if isinstance(data, TrainingData) else data[0]
    return X if read.steps is None else read.steps.transform(X)


def _training_data(
    data: Any,
    read: ReadTarget,
    victim: Victim,
    classes: tuple[Any, Any] | None,
    sample_weight: ArrayLike | None,
    both_classes: bool = True,
) -> TrainingData:
    if isinstance(data, (tuple, list)) and len(data) == 2 and read.steps is not None:
        data = (read.steps.transform(data[0]), data[1])
    regression = not victim.loss.classification
    return TrainingData.from_user(
        data, regression=regression, classes=classes, sample_weight=sample_weight, both_classes=both_classes
    )


def _check_stop(stop: Stop, copies: int) -> None:
    if stop.eps is not None and not stop.eps >= 0:
        raise ValueError(f"eps must not be negative; got {stop.eps}")
    for name, value in (("max_points", stop.max_points), ("copies", copies)):
        if value is not None and (value != int(value) or value < 1):
            raise ValueError(f"{name} must be a positive whole number; got {value}")
    if stop.goal is not None and not callable(stop.goal):
        raise TypeError(f"goal must be a callable goal(model) -> bool; got {type(stop.goal).__name__}")
    if stop.time_limit_s is not None and not stop.time_limit_s > 0:
        raise ValueError(f"time_limit_s must be positive; got {stop.time_limit_s}")


def _result(problem: _Problem, outcome: Outcome, stop: Stop) -> AttackResult:
    bounds, run = problem.bounds, outcome.run
    d, n = bounds.data.n_features, outcome.n_steps
    points = np.array(run.points[:n]).reshape(n, d)
    signed = np.array(run.labels[:n])
    classes = bounds.data.classes
    original, note = _before_the_steps(problem.read.steps, points)
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
        eps=stop.eps,
        stop_reason=run.reason,
        history={name: np.array(values, dtype=np.float64) for name, values in run.history.items()},
        guarantee=guarantee(bounds.victim, bounds.data, bounds.target, clean, bounds.space),
        gap=outcome.gap,
        original_points=original,
        note=note,
        seconds=outcome.seconds,
        provenance=provenance(solver=run.difference.solver if run.difference is not None else bounds.solver),
    )


def _before_the_steps(steps: Any, points: np.ndarray) -> tuple[Any, str]:
    """The points in the terms of a Pipeline's input, or why not."""
    if steps is None or not len(points):
        return None, ""
    try:
        return steps.inverse_transform(points), ""
    except (AttributeError, NotImplementedError):
        return None, "points are in the space of the Pipeline's final step: its earlier steps have no inverse_transform"
