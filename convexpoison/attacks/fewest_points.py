"""The attack on a goal: the cheapest target that a search finds, and the points that it costs."""

from __future__ import annotations

from typing import Any

import numpy as np

from convexpoison.attacks.base import Task
from convexpoison.attacks.fewest_points_result import least_mass as search
from convexpoison.poison import Poison


def least_mass(task: Task, *, flip: Any = None, start: Any = None, n_starts: int = 2, max_iter: int = 60) -> Poison:
    """The poison of :func:`convexpoison.targets.least_mass`, which has the options.

    Parameters
    ----------
    task : Task
        With an ErrorRate, Misclassify or Flip. For an error rate the attacker steers by the clean training rows, or by
        ``flip``; the rows of the goal only tell whether it is reached.

    Returns
    -------
    Poison
        ``info``: "tight_bound", certified (interval arithmetic) for the model that the points induce, and "clean_loss" of
        that model.
    """
    found = search(
        task.goal,  # type: ignore[arg-type]  # the search says what it takes
        task.data,
        victim=task.victim,
        space=task.space,
        flip=flip,
        start=start,
        n_starts=n_starts,
        max_iter=max_iter,
        max_points=task.max_points,
        time_limit_s=task.time_limit_s,
        progress=task.progress,
    )
    classes = task.data.classes
    assert classes is not None
    signed = np.where(found.labels == classes[1], 1.0, -1.0)
    info = {"tight_bound": found.bound, "clean_loss": found.clean_loss}
    return Poison(found.points, signed, found.counts, "goal", info=info)
