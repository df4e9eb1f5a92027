"""The influence attack: a few distinct points with many copies each, all moved at once.

Koh and Liang (ICML 2017, Section 5.2) and Koh, Steinhardt and Liang ("Stronger data poisoning attacks break data
sanitization defenses", Machine Learning 2022). Unlike :mod:`~convexpoison.attacks.gradient`, the labels and how the budget is
shared between them are fixed beforehand, a distinct point stands for a share of the budget (by default one point a class),
all points move together, and the hinge is smoothed where the derivative of the optimum is taken: its copies make a point so
heavy that it often stops on the margin, where the exact derivative jumps.

Approximate: it finds local maxima, and the smoothed derivative is not that of the loss. A step is kept only if it raises the loss
after exact retraining with the unsmoothed loss (a fixed step size in the papers, whose figures are not reproduced here). Feasible
sets (balls, slabs) enter through the space.
"""

from __future__ import annotations

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.attacks.base import Budget
from convexpoison.attacks.gradient_ascent import Attacker, Pace, Place, check_count
from convexpoison.learners.losses.smooth_hinge import SmoothHinge
from convexpoison.poison import Poison, Status
from convexpoison.problem import Problem


def influence(
    problem: Problem,
    budget: Budget,
    *,
    n_distinct: int = 2,
    positive_share: float = 0.5,
    n_restarts: int = 3,
    max_iter: int = 50,
    step: float = 1.0,
    tol: float = 1e-4,
    smoothing: float = 1e-3,
) -> Poison:
    """Poison by influence functions: a few points with many copies.

    Parameters
    ----------
    problem : Problem
    budget : Budget
        With rows. Integer columns and one-hot groups are relaxed on the way and rounded at the end (``info["rounded"]``).
    n_distinct : int
        Distinct points; 2 are Koh et al.'s one point a class.
    positive_share : float
        Share of the budget that carries the label +1 (the larger response), where the space allows both labels.
    n_restarts : int
        Random starts; the best end is kept.
    max_iter : int
        Steps of one ascent at most.
    step : float
        Length of the first trial, in units of the largest distance of a clean row from their mean.
    tol : float
        An ascent ends with the first step whose relative gain is smaller.
    smoothing : float
        Temperature of the smoothed hinge (Koh and Liang take 0.001); of no effect for other losses.

    Returns
    -------
    Poison
        ``info``: "validation_loss" (clean, then at the best run's start, after each of its steps, and after rounding where the
        space wants whole numbers), "rounded", "smoothing" (None where nothing was smoothed).

    Raises
    ------
    ValueError
        If an option is out of its range, the budget names no rows, or no clean row can be a start.
    """
    check_count("n_distinct", n_distinct)
    check_count("n_restarts", n_restarts)
    if not 0.0 <= positive_share <= 1.0:
        raise ValueError(f"positive_share is a fraction between 0 and 1; got {positive_share}")
    if not (np.isfinite(smoothing) and smoothing > 0):
        raise ValueError(f"smoothing must be positive and finite; got {smoothing}")
    smooth = problem.victim.loss.smooth
    pace = Pace(step, max_iter, tol, exact=smooth)
    attacker = Attacker(problem, budget, None if smooth else SmoothHinge(smoothing), fixed_response=True)
    losses = [attacker.loss]
    best, interrupted = _best(attacker, _groups(attacker, n_distinct, positive_share), pace, n_restarts)
    status: Status = "interrupted" if interrupted else "time limit" if attacker.clock.over else "budget"
    if best is not None:
        attacker.settle(best)
        losses += best.losses
        status = "goal" if attacker.reached(best.model) else status
    rounded, poison = "integer" in problem.space.parts, attacker.settled
    info = {"validation_loss": losses, "rounded": rounded, "smoothing": None if smooth else smoothing}
    return Poison(poison.points, poison.labels, poison.counts, status, info=info)


def _best(
    attacker: Attacker, groups: tuple[FloatArray, np.ndarray], pace: Pace, n_restarts: int
) -> tuple[Place | None, bool]:
    """The best end of the ascents from random starts, rounded; and whether the user interrupted."""
    best: Place | None = None
    try:
        for restart in range(n_restarts):
            if restart and attacker.clock.over:
                break
            start = attacker.start(groups[1], groups[0])
            end = attacker.whole(attacker.climb(start, pace), start)
            best = end if best is None or end.loss > best.loss else best
    except KeyboardInterrupt:
        return best, True
    return best, False


def _groups(attacker: Attacker, n_distinct: int, positive_share: float) -> tuple[FloatArray, np.ndarray]:
    """Labels of the distinct points and copies of each."""
    problem, budget, ends = attacker.problem, attacker.budget, attacker.response or (-1.0, 1.0)
    total, labels = budget.n_points, problem.space.labels
    n = min(n_distinct, total)
    if attacker.response is None and len(labels) == 1:
        positive_share = float(labels[0] > 0)
    if n == 1:
        positive_share = float(positive_share >= 0.5)
    copies = round(positive_share * total)
    # Both labels get a point where both get copies, and no point is left without a copy.
    high = min(max(round(positive_share * n), int(copies > 0)), n - int(copies < total), copies)
    low = min(n - high, total - copies)
    counts = [*_shared(total - copies, low), *_shared(copies, high)]
    return np.repeat(ends, (low, high)), np.array(counts, dtype=np.int64)


def _shared(total: int, parts: int) -> list[int]:
    """Whole numbers as equal as they can be."""
    return [total // parts + (k < total % parts) for k in range(parts)]
