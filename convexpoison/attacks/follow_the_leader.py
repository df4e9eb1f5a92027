"""Model-targeted poisoning by following the leader (MTP, Algorithm 1).

Retrain on all rows so far; add the point on which the loss of the model exceeds that of the target most; repeat. Every
model on the way is a witness for Theorem 2.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from convexpoison.bounds import Bound, BoundProblem, quotient
from convexpoison.data import TrainingData
from convexpoison.difference import Difference, Question, answer
from convexpoison.errors import UnattainableTargetError
from convexpoison.goals import Goal
from convexpoison.losses import FloatArray
from convexpoison.model import LinearModel
from convexpoison.training import Trainer

HISTORY = ("n_points", "max_loss_difference", "distance", "lower_bound", "accuracy", "seconds")
_WITNESSES = 256
"""How many of the models on the way are kept for the bound on the induced model, evenly over the run."""


@dataclass(frozen=True, eq=False)
class Stop:
    """When to end; what is None does not end it.

    Attributes
    ----------
    eps : float or None
        Maximum loss difference to the target at which the model counts as close (in units of the loss).
    max_points : int or None
    goal : callable or None
        ``goal(model) -> bool``.
    time_limit_s : float or None
    """

    eps: float | None = None
    max_points: int | None = None
    goal: Goal | None = None
    time_limit_s: float | None = None


@dataclass(frozen=True, eq=False)
class Setting:
    """The problem: who is attacked, with what, towards what.

    Attributes
    ----------
    problem : BoundProblem
        Victim, clean rows, target, space and solver.
    stop : Stop
    copies : int
        Copies of each point added per step (MTP, Section 4.1).
    test : TrainingData or None
        Rows on which the accuracy of each model is recorded.
    progress : bool or None
        Progress bar on stderr; None: on a terminal only.
    """

    problem: BoundProblem
    stop: Stop
    copies: int = 1
    test: TrainingData | None = None
    progress: bool | None = None


@dataclass(eq=False)
class Run:
    """What has happened so far; one entry of ``history`` for each model, the clean one first.

    ``models`` keeps some of the models with their ``F`` on the clean rows.
    ``reason`` is why it ended: "close", "goal", "budget", "time limit", "interrupted", "unattainable".
    """

    points: list[FloatArray] = field(default_factory=list)
    labels: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    history: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in HISTORY})
    models: list[tuple[LinearModel, float]] = field(default_factory=list)
    reason: str = ""
    difference: Difference | None = None
    witness: LinearModel | None = None
    best: int = 0

    @property
    def n_points(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True, eq=False)
class Outcome:
    """The end of a run: the points that are kept, the model that they induce, and the two bounds."""

    run: Run
    n_steps: int
    model: LinearModel
    clean: LinearModel
    gap: float
    bound: Bound
    induced_bound: Bound
    seconds: float


def follow_the_leader(setting: Setting) -> Outcome:
    """Run Algorithm 1; Ctrl-C and the time limit end it with the best model so far.

    Raises
    ------
    UnattainableTargetError
        If the clean model already proves that no number of points reproduces the target.
    """
    with threadpool_limits(1, user_api="blas"):  # the matrices are small: threads would only wait for each other
        return _run(setting)


def _run(setting: Setting) -> Outcome:
    start = perf_counter()
    problem = setting.problem
    trainer = problem.victim.trainer(problem.data)
    clean = trainer.model
    _refuse_unattainable(problem, clean)
    run = _Loop(setting, trainer, start).run()
    n_steps, model, gap = len(run.points), trainer.model, trainer.gap
    if run.reason in ("time limit", "interrupted") and run.best < n_steps:
        n_steps, model, gap = run.best, *_replay(problem, run, run.best)
    bound = problem.best([run.witness] if run.witness is not None else [])
    if run.reason == "unattainable":
        bound = _proof(problem, trainer.model)
    induced = BoundProblem(problem.victim, problem.data, model, problem.space, problem.solver)
    induced_bound = induced.best(_best_witnesses(induced, run.models)) if n_steps else induced.best([])
    return Outcome(run, n_steps, model, clean, gap, bound, induced_bound, perf_counter() - start)


def _refuse_unattainable(problem: BoundProblem, clean: LinearModel) -> None:
    """Theorem 2 with the clean model and with models between it and the target, before any point is looked for."""
    for fraction in (1.0, 0.1, 0.01):
        theta = problem.target.between(clean, fraction)
        if not np.isfinite(problem.z(theta)[0]):
            raise UnattainableTargetError(
                "no number of added points reproduces this target: by Theorem 2 of MTP the clean data prefer another "
                "model by more than any points of the space can make up for. Choose a target of smaller norm "
                f"(this one has |coef| = {np.linalg.norm(problem.target.coef):.4g}, the clean model "
                f"{np.linalg.norm(clean.coef):.4g}), enlarge the space, or regularise less"
            )


def _proof(problem: BoundProblem, witness: LinearModel) -> Bound:
    value, solver = problem.z(witness)
    return Bound(value, problem.target, witness, True, "theorem_2", solver, 1)


class _Loop:
    """Algorithm 1, step by step."""

    def __init__(self, setting: Setting, trainer: Trainer, start: float) -> None:
        self.setting, self.trainer, self.started = setting, trainer, start
        self.problem = setting.problem
        self.n_clean = self.problem.data.n_rows
        self.state = Run()
        self.best_bound, self.best_difference = 0.0, np.inf
        self.stride = 1

    def run(self) -> Run:
        shown = None if self.setting.progress is None else not self.setting.progress
        bar = tqdm(desc="points", unit="", disable=shown, file=sys.stderr, total=self.setting.stop.max_points)
        try:
            while not self._done(difference := self._look()):
                copies = self._copies()
                self.trainer.add(difference.point, difference.label, copies)
                self._keep(difference, copies)
                bar.update(copies)
                bar.set_postfix_str(f"difference {difference.value:.4g}, bound {self.best_bound:.5g}", refresh=False)
        except KeyboardInterrupt:
            self.state.reason = "interrupted"
        finally:
            bar.close()
        return self.state

    def _look(self) -> Difference:
        """Ask for the point, and write down where the model stands."""
        victim, model, target = self.problem.victim, self.trainer.model, self.problem.target
        difference = answer(Question(victim.loss, model, target, self.problem.space), solver=self.problem.solver)
        objective = self.trainer.clean_loss() + victim.rho(self.n_clean) * victim.penalty(model)
        z = quotient(victim, model, target, objective, self.problem.target_objective, difference.upper)
        state, test = self.state, self.setting.test
        state.difference = difference
        if z > self.best_bound:
            self.best_bound, state.witness = z, model
        if difference.value < self.best_difference:
            self.best_difference, state.best = difference.value, len(state.points)
        row = {
            "n_points": state.n_points,
            "max_loss_difference": difference.value,
            "distance": model.distance(target),
            "lower_bound": self.best_bound,
            "accuracy": np.nan
            if test is None
            else float(np.mean((model.decision_function(test.X) > 0) == (test.y > 0))),
            "seconds": perf_counter() - self.started,
        }
        for name, value in row.items():
            state.history[name].append(value)
        self._keep_witness(model, objective)
        return difference

    def _done(self, difference: Difference) -> bool:
        stop, state = self.setting.stop, self.state
        if np.isinf(self.best_bound):
            state.reason = "unattainable"
        elif difference.upper <= max(stop.eps if stop.eps is not None else 0.0, 1e-12):
            state.reason = "close"
        elif stop.goal is not None and stop.goal(self.trainer.model):
            state.reason = "goal"
        elif stop.max_points is not None and state.n_points >= stop.max_points:
            state.reason = "budget"
        elif stop.time_limit_s is not None and perf_counter() - self.started >= stop.time_limit_s:
            state.reason = "time limit"
        return bool(state.reason)

    def _copies(self) -> int:
        limit = self.setting.stop.max_points
        return self.setting.copies if limit is None else min(self.setting.copies, limit - self.state.n_points)

    def _keep(self, difference: Difference, copies: int) -> None:
        self.state.points.append(difference.point)
        self.state.labels.append(difference.label)
        self.state.counts.append(copies)

    def _keep_witness(self, model: LinearModel, objective: float) -> None:
        """Every ``stride``-th model, thinned by half whenever there are too many."""
        if len(self.state.points) % self.stride == 0:
            self.state.models.append((model, objective))
        if len(self.state.models) > 2 * _WITNESSES:
            self.state.models = self.state.models[::2]
            self.stride *= 2


def _replay(problem: BoundProblem, run: Run, n_steps: int) -> tuple[LinearModel, float]:
    """The model after the first steps of a run, trained afresh."""
    trainer = problem.victim.trainer(problem.data)
    for x, y, count in zip(run.points[:n_steps], run.labels, run.counts, strict=False):
        trainer.add(x, y, count)
    return trainer.model, trainer.gap


def _best_witnesses(problem: BoundProblem, models: list[tuple[LinearModel, float]], most: int = 3) -> list[LinearModel]:
    """The models with the largest z for the induced model."""
    values = [(problem.z(model, objective)[0], k) for k, (model, objective) in enumerate(models)]
    return [models[k][0] for value, k in sorted(values, reverse=True)[:most] if value > 0 and np.isfinite(value)]
