"""Model-targeted poisoning by following the leader (MTP, Algorithm 1).

Retrain on all rows so far; add the point on which the loss of the model exceeds that of the target most; repeat. Every
model on the way is a witness for Theorem 2.
"""

from __future__ import annotations

import sys

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from convexpoison.attacks.evaluate import Outcome, Recorder, Setting
from convexpoison.bounds.theorem2 import z
from convexpoison.errors import UnattainableTargetError
from convexpoison.learners.linear_model import LinearModel
from convexpoison.loss_difference.query import Difference


def follow_the_leader(setting: Setting) -> Outcome:
    """Run Algorithm 1; Ctrl-C and the time limit end it with the best model so far.

    Raises
    ------
    UnattainableTargetError
        If the clean model already proves that no number of points reproduces the target.
    """
    with threadpool_limits(1, user_api="blas"):  # the matrices are small: threads would only wait for each other
        recorder = Recorder(setting)
        _refuse_unattainable(setting, recorder.clean)
        _loop(recorder)
        return recorder.finish()


def _loop(recorder: Recorder) -> None:
    setting, run = recorder.setting, recorder.run
    hidden = None if setting.progress is None else not setting.progress
    bar = tqdm(desc="points", unit="", disable=hidden, file=sys.stderr, total=setting.stop.max_points)
    try:
        while not (reason := _reason_to_stop(recorder, difference := recorder.look())):
            copies = _copies(recorder)
            recorder.add(difference.point, difference.label, copies)
            bar.update(copies)
            bar.set_postfix_str(f"difference {difference.value:.4g}, bound {recorder.best_bound:.5g}", refresh=False)
        run.reason = reason
    except KeyboardInterrupt:
        run.reason = "interrupted"
    finally:
        bar.close()


def _reason_to_stop(recorder: Recorder, difference: Difference) -> str:
    stop = recorder.setting.stop
    if np.isinf(recorder.best_bound):
        return "unattainable"
    if difference.upper <= max(stop.eps if stop.eps is not None else 0.0, 1e-12):
        return "close"
    if stop.goal is not None and stop.goal(recorder.trainer.model):
        return "goal"
    if stop.max_points is not None and recorder.run.n_points >= stop.max_points:
        return "budget"
    if stop.time_limit_s is not None and recorder.seconds >= stop.time_limit_s:
        return "time limit"
    return ""


def _copies(recorder: Recorder) -> int:
    """As many as asked for, and as the budget leaves."""
    setting = recorder.setting
    limit = setting.stop.max_points
    return setting.copies if limit is None else min(setting.copies, limit - recorder.run.n_points)


def _refuse_unattainable(setting: Setting, clean: LinearModel) -> None:
    """Theorem 2 with the clean model and with models between it and the target, before any point is looked for."""
    problem = setting.problem
    for fraction in (1.0, 0.1, 0.01):
        theta = problem.target.between(clean, fraction)
        if not np.isfinite(z(problem, theta, solver=setting.solver)):
            raise UnattainableTargetError(
                "no number of added points reproduces this target: by Theorem 2 of MTP the clean data prefer another "
                "model by more than any points of the space can make up for. Choose a target of smaller norm "
                f"(this one has |coef| = {np.linalg.norm(problem.target.coef):.4g}, the clean model "
                f"{np.linalg.norm(clean.coef):.4g}), enlarge the space, or regularise less"
            )
