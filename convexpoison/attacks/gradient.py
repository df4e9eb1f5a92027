"""Gradient attacks: points move up the gradient of the validation loss, one after another.

Biggio, Nelson and Laskov (ICML 2012) for the SVM, the derivative through its support set; Demontis et al. (USENIX Security
2019) for logistic regression; Jagielski et al. (IEEE S&P 2018) for squared loss, where the response moves with the
point. Every point starts at a clean row with its label flipped, and carries as many copies as is asked.

Approximate: these attacks find local maxima, and nothing bounds how far from the best they are. The derivative is exact (through
the exact optimum), so is the retraining; the papers' own figures depend on their splits and step sizes, and are not reproduced.
"""

from __future__ import annotations

import sys

import numpy as np
from tqdm import tqdm

from convexpoison.attacks.base import Budget
from convexpoison.attacks.gradient_ascent import Attacker, Pace, Place, check_count
from convexpoison.poison import Poison, Status
from convexpoison.problem import Problem


def gradient(
    problem: Problem,
    budget: Budget,
    *,
    n_restarts: int = 1,
    max_iter: int = 30,
    step: float = 1.0,
    tol: float = 1e-4,
    jointly: bool = False,
    copies: int = 1,
) -> Poison:
    """Poison by projected gradient ascent on the victim's loss over ``budget.rows``, with exact derivatives.

    Parameters
    ----------
    problem : Problem
    budget : Budget
        With rows. Integer columns and one-hot groups are relaxed on the way, and rounded when a point is finished: the
        nearest whole numbers or a random rounding, whichever does more (``info["rounded"]``).
    n_restarts : int
        Random starts of every point (of all points, if jointly); the best end is kept.
    max_iter : int
        Steps of one ascent at most.
    step : float
        Length of the first trial of an ascent, in units of the largest distance of a clean row from their mean; a line
        search finds the others.
    tol : float
        An ascent ends with the first step whose relative gain is smaller.
    jointly : bool
        All points at once, after they have been placed. One after another otherwise: every point stays where its ascent ended.
    copies : int
        Of every point, at most (MTP, Table 6, repeats points 10 to 100 times to be done in time).

    Returns
    -------
    Poison
        ``info``: "validation_loss" (clean, then after every point; jointly: at the start and after every step), "n_steps"
        (accepted steps in all), "rounded".

    Raises
    ------
    ValueError
        If an option is not positive, the budget names no rows, or no clean row can be a start.
    """
    check_count("n_restarts", n_restarts)
    check_count("copies", copies)
    pace = Pace(step, max_iter, tol)
    attacker = Attacker(problem, budget)
    run = _Run(attacker, pace, n_restarts, _shares(budget.n_points, copies))
    status = run.jointly() if jointly else run.one_by_one()
    poison, rounded = attacker.settled, "integer" in problem.space.parts
    info = {"validation_loss": run.losses, "n_steps": run.n_steps, "rounded": rounded}
    return Poison(poison.points, poison.labels, poison.counts, status, info=info)


class _Run:
    """The losses on the way, and how many steps they took."""

    def __init__(self, attacker: Attacker, pace: Pace, n_restarts: int, counts: np.ndarray) -> None:
        self.attacker, self.pace, self.n_restarts, self.counts = attacker, pace, n_restarts, counts
        self.losses = [attacker.loss]
        self.n_steps = 0

    def one_by_one(self) -> Status:
        """Settle points until the budget is used, the goal reached or the time up."""
        attacker, budget = self.attacker, self.attacker.budget
        hidden = budget.hidden
        try:
            for count in tqdm(self.counts, desc="points", unit="", disable=hidden, file=sys.stderr):
                if attacker.reached(attacker.model):
                    return "goal"
                if attacker.clock.over:
                    return "time limit"
                attacker.settle(self._best(np.array([count])))
                self.losses.append(attacker.loss)
        except KeyboardInterrupt:
            return "interrupted"
        return "goal" if attacker.reached(attacker.model) else "budget"

    def jointly(self) -> Status:
        """One ascent for the whole budget; interrupted, nothing has been settled."""
        attacker = self.attacker
        try:
            best = self._best(self.counts)
        except KeyboardInterrupt:
            return "interrupted"
        self.losses += best.losses
        attacker.settle(best)
        if attacker.reached(attacker.model):
            return "goal"
        return "time limit" if attacker.clock.over else "budget"

    def _best(self, counts: np.ndarray) -> Place:
        """The best end of the ascents from random starts, rounded."""
        attacker, best = self.attacker, None
        for restart in range(self.n_restarts):
            if restart and attacker.clock.over:
                break
            start = attacker.start(counts)
            climbed = attacker.climb(start, self.pace)
            self.n_steps += len(climbed.losses) - 1
            end = attacker.whole(climbed, start)
            best = end if best is None or end.loss > best.loss else best
        assert best is not None
        return best


def _shares(budget: int, copies: int) -> np.ndarray:
    """Copies of each point: as many as allowed, the last point what is left."""
    full, left = divmod(budget, int(copies))
    return np.array([copies] * full + ([left] if left else []), dtype=np.int64)
