"""Model-targeted poisoning by following the leader (MTP, Algorithm 1).

Retrain on all rows so far; add the point on which the loss of the model exceeds that of the target most; repeat. Every
model on the way is a comparison model for Theorem 2.
"""

from __future__ import annotations

import sys

import numpy as np
from tqdm import tqdm

from convexpoison.attacks.base import Budget
from convexpoison.attacks.evaluate import Recorder
from convexpoison.bounds.theorem2 import z
from convexpoison.errors import UnattainableTargetError
from convexpoison.loss_difference.query import Difference
from convexpoison.poison import Poison, Status
from convexpoison.problem import Problem


def follow_the_leader(problem: Problem, budget: Budget) -> Poison:
    """Run Algorithm 1; Ctrl-C and the time limit end it with the best model so far.

    Raises
    ------
    UnattainableTargetError
        If the clean model already proves that no number of points reproduces the target.
    """
    recorder = Recorder(problem, budget)
    _refuse_unattainable(problem, budget)
    _loop(recorder)
    run = recorder.run
    assert run.reason is not None
    points = np.array(run.points).reshape(len(run.points), problem.data.n_features)
    return Poison(points, np.array(run.labels), np.array(run.counts, dtype=np.int64), run.reason, trace=recorder)


def _loop(recorder: Recorder) -> None:
    budget, run = recorder.budget, recorder.run
    bar = tqdm(desc="points", unit="", disable=budget.hidden, file=sys.stderr, total=budget.max_points)
    try:
        while not (reason := _reason_to_stop(recorder, difference := recorder.record())):
            copies = _copies(recorder)
            recorder.add(difference.point, difference.label, copies)
            bar.update(copies)
            bar.set_postfix_str(f"difference {difference.value:.4g}, bound {recorder.best_bound:.5g}", refresh=False)
        run.reason = reason
    except KeyboardInterrupt:
        run.reason = "interrupted"
    finally:
        bar.close()


def _reason_to_stop(recorder: Recorder, difference: Difference) -> Status | None:
    budget = recorder.budget
    if np.isinf(recorder.best_bound):
        return "unattainable"
    if difference.upper <= max(budget.eps if budget.eps is not None else 0.0, 1e-12):
        return "close"
    if budget.goal is not None and budget.goal(recorder.trainer.model):
        return "goal"
    if budget.max_points is not None and recorder.run.n_points >= budget.max_points:
        return "budget"
    if budget.time_limit_s is not None and recorder.seconds >= budget.time_limit_s:
        return "time limit"
    return None


def _copies(recorder: Recorder) -> int:
    """Return the copies of the next point, as far as the budget allows."""
    budget = recorder.budget
    limit = budget.max_points
    return budget.copies if limit is None else min(budget.copies, limit - recorder.run.n_points)


def _refuse_unattainable(problem: Problem, budget: Budget) -> None:
    """Apply Theorem 2 to the clean model and to models between it and the target, before any point is looked for."""
    clean = problem.clean
    for fraction in (1.0, 0.1, 0.01):
        theta = problem.target.between(clean, fraction)
        if not np.isfinite(z(problem, theta, solver=budget.solver)):
            raise UnattainableTargetError(
                "no number of added points reproduces this target: by Theorem 2 of MTP the clean data prefer another "
                "model by more than any points of the space can make up for. Choose a target of smaller norm "
                f"(this one has |coef| = {np.linalg.norm(problem.target.coef):.4g}, the clean model "
                f"{np.linalg.norm(clean.coef):.4g}), enlarge the space, or regularise less"
            )
