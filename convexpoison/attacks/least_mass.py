"""The former interface of the attack ``fewest_points``, for one release: :func:`convexpoison.targets.least_mass`."""

from __future__ import annotations

import warnings
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
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Victim
from convexpoison.spaces.space import Space
from convexpoison.targets.rows import is_integer


@dataclass(frozen=True, eq=False)
class LeastMassTarget(Shown):
    """A target, and poison that induces it.

    Attributes
    ----------
    model : LinearModel
        The victim's model on the clean rows and the poison, trained exactly.
    points : array of shape (n_distinct, n_features)
    labels : array of shape (n_distinct,)
        In the user's own terms.
    counts : int array of shape (n_distinct,)
        Copies of each point.
    bound : float
        Certified in interval arithmetic (:class:`~convexpoison.certificates.target.TargetCertificate`): no points with a smaller
        total reproduce ``model``; the bound does not apply to other models. 0 if time or solver did not suffice.
    mass : float
        Size of the smallest fractional attack found on ``model``, which the bound cannot exceed; ``inf`` if there is none.
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
        """Return the main numbers in words."""
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
        """Return the history as a pandas DataFrame."""
        return frame_of(self.history, "LeastMassTarget.to_frame")

    def plot(self, ax: Any = None) -> Any:
        """Plot the numbers of points in the order in which they were tried, and which of them reached the goal."""
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
    """Return a model that reaches the goal, and the fewest points that a local search finds for it.

    .. deprecated:: 0.1
        Use :func:`convexpoison.attack` with the goal; its options are the ones of
        :func:`convexpoison.attacks.fewest_points.fewest_points`.

    Parameters
    ----------
    goal : ErrorRate, Misclassify or Flip
        The requirement on the retrained victim: an error rate on given rows, all rows of a subpopulation wrong, one row flipped.
    data : pair (X, y) or TrainingData
        Clean training data.
    victim : Victim
        A classifier.
    space : Space, optional
        A bounded box, in one or both labels; default: inferred from the data.
    flip, start, n_starts, max_iter
        See :func:`convexpoison.attacks.fewest_points.fewest_points`.
    max_points, time_limit_s, progress
        See :class:`convexpoison.attacks.base.Budget`.

    Returns
    -------
    LeastMassTarget

    Raises
    ------
    ValueError, TypeError
        If an argument cannot be used, the clean model reaches the goal already, or no attack is found.
    """
    warnings.warn(
        "targets.least_mass(goal, ...) is attack(goal, ...) now; the old name goes with the next release",
        DeprecationWarning,
        stacklevel=2,
    )
    if max_points is not None and not is_integer(max_points, 1):
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
