"""Targets of least mass: the model that reaches a goal with the fewest poison points that a search finds.

MTP picks, among label-flip models that reach the goal, the one of least clean loss. What a target costs is its least mass
(:mod:`convexpoison.bounds`), and the attacker needs no model in particular: so the mass itself is brought down. For the hinge
over a convex space two distinct points, one of each label, are as good as any number of points inside the margin, since these
pull as their mean does. So places and shares of one point a label are moved by exact derivatives of the victim's optimum
(:mod:`convexpoison.learners.implicit.best_response`), with ever fewer copies, for as long as the retrained victim
reaches the goal.

The number of points found is an upper bound on what the goal costs, and nothing proves that it is the least: the search is local.
The bound that comes with it is that of the model found. :func:`convexpoison.lower_bound` of a goal holds for every model.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from convexpoison._utils.types import FloatArray
from convexpoison.adapters.read import read_scenario
from convexpoison.attacks.base import Budget
from convexpoison.attacks.fewest_points import run
from convexpoison.attacks.goal_surrogate import AnyGoal
from convexpoison.bounds.target import certify_tight
from convexpoison.display.curves import plot_curves
from convexpoison.display.shown import Facts, Shown, frame_of
from convexpoison.goals import ErrorRate, Flip, Misclassify
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Victim
from convexpoison.spaces.space import Space
from convexpoison.targets.rows import is_whole


@dataclass(frozen=True, eq=False)
class LeastMassTarget(Shown):
    """A target, and poison that makes the victim learn it.

    Attributes
    ----------
    model : LinearModel
        What the victim learns from the clean rows and the poison, trained exactly.
    points : array of shape (n_distinct, n_features)
    labels : array of shape (n_distinct,)
        In the user's own terms.
    counts : int array of shape (n_distinct,)
        Copies of each point.
    bound : float
        Certified in interval arithmetic (:class:`~convexpoison.certificates.target.TargetCertificate`): no points with a smaller
        total reproduce ``model``. It says nothing about other models. 0 where time or solver left nothing to prove it by.
    mass : float
        Least mass found for ``model``, which the bound cannot exceed; ``inf`` where time or solver left none.
    error : float
        Share of the goal's rows that the model has wrong.
    clean_loss : float
        ``F(model)`` on the clean rows.
    history : dict of arrays
        One entry for each number of points that was tried: "n_points", "reached" (0 or 1), "error" (NaN where not reached),
        "seconds".
    seconds : float
    """

    model: LinearModel
    points: FloatArray
    labels: np.ndarray
    counts: np.ndarray
    bound: float
    mass: float
    error: float
    clean_loss: float
    history: dict[str, FloatArray]
    seconds: float

    @property
    def n_points(self) -> int:
        """Poison points, copies counted."""
        return int(self.counts.sum())

    def facts(self) -> Facts:
        """The main numbers in words."""
        return {
            "poison points": self.n_points,
            "distinct": len(self.counts),
            "certified: this model needs at least": self.bound,
            "least mass found for this model": self.mass,
            "share of the goal's rows that are wrong": self.error,
            "loss on the clean rows": self.clean_loss,
            "seconds": self.seconds,
        }

    def to_frame(self) -> Any:
        """The history as a pandas DataFrame."""
        return frame_of(self.history, "LeastMassTarget.to_frame")

    def plot(self, ax: Any = None) -> Any:
        """Numbers of points in the order in which they were tried, and which of them reached the goal."""
        tried, reached = self.history["n_points"], self.history["reached"] > 0
        curves = {"tried": tried, "reached the goal": np.where(reached, tried, np.nan)}
        attempts, title = np.arange(1, len(tried) + 1), "Search for the fewest points"
        return plot_curves(attempts, curves, ax, xlabel="attempt", ylabel="poison points", title=title)


def least_mass(
    goal: AnyGoal,
    data: Any,
    *,
    victim: Victim,
    space: Space | None = None,
    flip: Any = None,
    start: Any = None,
    n_starts: int = 2,
    max_iter: int = 60,
    max_points: int | None = None,
    time_limit_s: float | None = None,
    progress: bool | None = None,
) -> LeastMassTarget:
    """A target that reaches the goal at the least cost that a local search finds.

    Parameters
    ----------
    goal : ErrorRate, Misclassify or Flip
        What the retrained victim has to do: an error rate on given rows, a whole subpopulation wrong, one row flipped.
    data : pair (X, y) or TrainingData
        Clean training data.
    victim : Victim
        A classifier.
    space : Space, optional
        A bounded box, in one or both labels; inferred from the data where not given.
    flip : pair (X, y), optional
        For an error rate: rows that the attacker steers by. The clean training rows where not given, so that the rows of the
        goal only tell whether it is reached; MTP gives the attacker the test rows themselves.
    start : LinearModel, fitted estimator, pair (coef, intercept) or "label_flip", optional
        A target to start from: its own least-mass attack is shrunk. "label_flip", for an error rate, is the cheapest of the
        label flips that reach it (:func:`label_flips`, :func:`cheapest`), where MTP takes the one of least clean loss; it
        flips the rows of ``flip``, or a sixth of the training rows.
    n_starts : int
        Without ``start``: how many of the starting points are followed to the goal.
    max_iter : int
        Steps of one ascent at most.
    max_points : int, optional
        Where the search gives up; as many as clean rows where not given.
    time_limit_s : float, optional
        After it the best target so far is returned, if there is one.
    progress : bool, optional
        Progress on stderr; on a terminal only, where not given.

    Returns
    -------
    LeastMassTarget

    Raises
    ------
    ValueError
        If an argument cannot be used, the clean model reaches the goal already, or no attack is found.
    """
    if not isinstance(goal, (ErrorRate, Misclassify, Flip)):
        raise TypeError(f"goal must be an ErrorRate, Misclassify or Flip; got {type(goal).__name__}")
    if max_points is not None and not is_whole(max_points, 1):
        raise ValueError(f"max_points must be a positive integer; got {max_points!r}")
    started = perf_counter()
    with threadpool_limits(1, user_api="blas"):  # the matrices are small: threads would only wait for each other
        problem = read_scenario(goal, data, victim, space, "auto", None).problem
        budget = Budget(max_points, time_limit_s=time_limit_s, progress=progress)
        search, found, poison = run(problem, budget, flip, start, n_starts, max_iter)
        bound = search.bound(found.model)
        proven = certify_tight(problem.towards(found.model), bound)
    negative, positive = problem.data.classes or (-1, 1)
    return LeastMassTarget(
        model=found.model,
        points=poison.points,
        labels=np.where(poison.labels > 0, positive, negative),
        counts=poison.counts,
        bound=proven.value,
        mass=bound.mass,
        error=search.error(found.model),
        clean_loss=poison.info["clean_loss"],
        history={name: np.array(values) for name, values in search.history.items()},
        seconds=perf_counter() - started,
    )
