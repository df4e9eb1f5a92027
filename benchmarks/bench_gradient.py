"""Seconds a poison point of the gradient and influence attacks, against a straightforward implementation, in one run.

Needs ``CONVEXPOISON_DATA`` with ``mnist.npz``. MNIST 1-7, 500 validation rows, C_R = 0.09, box [0, 1]; speed at 500 and at
5,000 training rows, effect at 500.
The straightforward implementation climbs from the same starts with the same line search, but refits scikit-learn from scratch
at every trial and builds the Hessian (hinge: the system of the rows on the margin) with numpy at every step. Machines are
noisy and shared: seconds are CPU seconds, and the competitors take turns. Writes ``benchmarks/results/gradient.md`` and
``gradient.json``.

secml 0.15 (which needs numpy < 2, so that it cannot run beside this package) was measured elsewhere at about 1.0 s a point for
SVM and 0.7 s for logistic regression, at 500 training points of MNIST.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import warnings
from pathlib import Path
from time import process_time

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

import convexpoison as cp
from convexpoison.attacks.base import Budget
from convexpoison.attacks.gradient import gradient
from convexpoison.attacks.gradient_ascent import Attacker, Pace, Place
from convexpoison.attacks.influence import influence
from convexpoison.attacks.kkt_check import Copies, poisoned
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.implicit.at_optimum import Block
from convexpoison.poison import Poison
from convexpoison.problem import Problem
from convexpoison.threats import AddRows

RESULTS = Path(__file__).parent / "results"
C_R = 0.09
N, N_VALIDATION = 500, 500
PACE = Pace(step=1.0, max_iter=30, tol=1e-4)


class Straightforward:
    """One point at a time: scikit-learn refitted at every trial, numpy's dense solver at every step."""

    def __init__(self, loss: str, X: np.ndarray, y: np.ndarray, rows: TrainingData, reach: float) -> None:
        self.loss, self.X, self.y, self.reach = loss, X, y, reach
        self.trials = 0
        self.rows_X, self.rows_y = np.asarray(rows.X.toarray()), rows.y

    def fit(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        self.trials += 1
        C = 1.0 / (C_R * len(y))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self.loss == "hinge":
                model = LinearSVC(loss="hinge", C=C, tol=1e-6, max_iter=10_000, random_state=0).fit(X, y)
            else:  # liblinear regularises the intercept, as the victim does
                model = LogisticRegression(C=C, solver="liblinear", tol=1e-8, max_iter=1000).fit(X, y)
        return np.append(model.coef_[0], model.intercept_[0])

    def validation_loss(self, theta: np.ndarray) -> float:
        margins = self.rows_y * (self.rows_X @ theta[:-1] + theta[-1])
        losses = np.maximum(0, 1 - margins) if self.loss == "hinge" else np.logaddexp(0, -margins)
        return float(losses.mean())

    def slope(self, theta: np.ndarray, x: np.ndarray, label: float) -> np.ndarray:
        X = np.column_stack([np.vstack([self.X, x]), np.ones(len(self.y) + 1)])
        y = np.append(self.y, label)
        margins, rho = y * (X @ theta), C_R * len(y)
        rows = np.column_stack([self.rows_X, np.ones(len(self.rows_y))])
        of_rows = self.rows_y * (rows @ theta)
        if self.loss == "hinge":
            g = -(self.rows_y * (of_rows < 1)) @ rows / len(of_rows)
            on = (y[:, None] * X)[np.abs(margins - 1) <= 1e-3]
            v = (g - on.T @ np.linalg.lstsq(on @ on.T, on @ g, rcond=None)[0]) / rho if len(on) else g / rho
            return label * v[:-1] if margins[-1] <= 1 else 0 * v[:-1]
        p, q = 1 / (1 + np.exp(margins)), 1 / (1 + np.exp(of_rows))
        v = np.linalg.solve((X.T * (p * (1 - p))) @ X + rho * np.eye(X.shape[1]), -(self.rows_y * q) @ rows / len(q))
        return label * p[-1] * v[:-1] - p[-1] * (1 - p[-1]) * (v @ X[-1]) * theta[:-1]

    def climb(self, x: np.ndarray, label: float) -> tuple[np.ndarray, float]:
        theta = self.fit(np.vstack([self.X, x]), np.append(self.y, label))
        loss, length = self.validation_loss(theta), None
        for _ in range(PACE.max_iter):
            slope = self.slope(theta, x, label)
            if not slope.any():
                break
            longest = PACE.step * self.reach / np.linalg.norm(slope)
            length = longest if length is None else length
            while length > 1e-5 * longest:
                trial = np.clip(x + length * slope, 0, 1)
                theta_trial = self.fit(np.vstack([self.X, trial]), np.append(self.y, label))
                loss_trial = self.validation_loss(theta_trial)
                if loss_trial > loss and loss_trial >= loss + 1e-4 * slope @ (trial - x):
                    break
                length *= 0.25
            else:
                break
            gain = loss_trial - loss
            x, theta, loss, length = trial, theta_trial, loss_trial, 2.0 * length
            if gain <= PACE.tol * abs(loss - gain):
                break
        return x, loss

    def settle(self, x: np.ndarray, label: float) -> None:
        self.X, self.y = np.vstack([self.X, x]), np.append(self.y, label)


def a_task(mnist: cp.datasets.Dataset, loss: str, seed: int, n_points: int, n: int = N) -> tuple[Problem, Budget]:
    order = np.random.default_rng(seed).permutation(len(mnist.y_train))
    data = TrainingData.from_user((mnist.X_train[order[:n]], mnist.y_train[order[:n]]))
    some = order[n : n + N_VALIDATION]
    rows = TrainingData.from_user((mnist.X_train[some], mnist.y_train[some]), classes=data.classes)
    victim = cp.Victim(loss, C_R=C_R)
    return (
        Problem(victim, data, AddRows(cp.Space.box(0, 1, 784))),
        Budget(n_points, rows=rows, random_state=seed, progress=False),
    )


class Counted(Attacker):
    """An attacker that counts the retrainings."""

    trials = 0

    def stand(self, block: Block, earlier: Place | None = None) -> Place:
        self.trials += 1
        return super().stand(block, earlier)


def bench_points(mnist: cp.datasets.Dataset, loss: str, n: int, n_points: int) -> dict[str, object]:
    """Measure both from the same starts, in turns; each keeps its own points."""
    task = a_task(mnist, loss, 0, n_points, n)
    ours = Counted(*task)
    theirs = Straightforward(loss, np.asarray(task[0].data.X.toarray()), task[0].data.y, task[1].rows, ours._reach)
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(n_points):
        start = ours.start(np.ones(1, dtype=np.int64))
        before = process_time()
        ours.settle(ours.climb(start, PACE))
        seconds["ours"].append(process_time() - before)
        before = process_time()
        x, their_loss = theirs.climb(start.points[0], float(start.labels[0]))
        theirs.settle(x, float(start.labels[0]))
        seconds["theirs"].append(process_time() - before)
    own, other = (float(np.median(seconds[name])) for name in ("ours", "theirs"))
    own_trial, other_trial = sum(seconds["ours"]) / ours.trials, sum(seconds["theirs"]) / theirs.trials
    return {
        "loss": loss,
        "rows": n,
        "points": n_points,
        "ours, CPU s a point": own,
        "straightforward": other,
        "times ours": other / own,
        "ours, CPU ms a trial": 1e3 * own_trial,
        "straightforward, CPU ms a trial": 1e3 * other_trial,
        "ours, validation loss at the end": ours.loss,
        "straightforward, at the end": their_loss,
    }


class Remembered(Attacker):
    """An attacker that records the place from which each trial was made."""

    def __init__(self, problem: Problem, budget: Budget) -> None:
        super().__init__(problem, budget)
        self.tried: list[tuple[Block, Place]] = []

    def stand(self, block: Block, earlier: Place | None = None) -> Place:
        if earlier is not None:
            self.tried.append((block, earlier))
        return super().stand(block, earlier)


def bench_moves(mnist: cp.datasets.Dataset, loss: str, copies: int, n_points: int) -> dict[str, object]:
    """Repeat the trials of an attack on all rows, with the point moved in a trained victim, and added to one without it."""
    task = a_task(mnist, loss, 0, copies * n_points, len(mnist.y_train) - N_VALIDATION)
    attacker = Remembered(*task)
    seconds = {"moved": 0.0, "put in": 0.0}
    apart, n = 0.0, 0
    for _ in range(n_points):
        attacker.tried.clear()
        end = attacker.climb(attacker.start(np.array([copies])), PACE)
        tried = list(attacker.tried)
        n += len(tried)
        for block, earlier in tried:
            ends = []
            for name, start in (("moved", earlier), ("put in", None)):
                before = process_time()
                ends.append(attacker.stand(block, start).loss)
                seconds[name] += process_time() - before
            apart = max(apart, abs(ends[0] / ends[1] - 1.0))
        attacker.settle(end)
    return {
        "loss": loss,
        "rows": task[0].data.n_samples,
        "points": n_points,
        "copies": copies,
        "trials": n,
        "moved, CPU ms a trial": 1e3 * seconds["moved"] / n,
        "put in, CPU ms a trial": 1e3 * seconds["put in"] / n,
        "times faster": seconds["put in"] / seconds["moved"],
        "largest relative difference of the losses": apart,
    }


def effect(mnist: cp.datasets.Dataset, loss: str, n_points: int, n_splits: int) -> list[dict[str, object]]:
    """Measure the test error before and after, each attack with its default options, beside random flips of as many rows."""
    found = []
    for seed in range(n_splits):
        task = a_task(mnist, loss, seed, n_points)
        test = TrainingData.from_user((mnist.X_test, mnist.y_test), classes=task[0].data.classes)
        flips = Attacker(*task).start(np.ones(n_points, dtype=np.int64))
        clean = test_error(task, test, Poison(flips.points[:0], flips.labels[:0], flips.counts[:0]))
        for name, method in (("random flips", None), ("gradient", gradient), ("influence", influence)):
            before = process_time()
            poison = Poison(flips.points, flips.labels, flips.counts) if method is None else method(*task)
            seconds = process_time() - before
            found.append(
                {
                    "loss": loss,
                    "split": seed,
                    "attack": name,
                    "points": n_points,
                    "clean test error": clean,
                    "test error": test_error(task, test, poison),
                    "CPU s": seconds,
                }
            )
    return found


def test_error(task: tuple[Problem, Budget], test: TrainingData, poison: Poison) -> float:
    copies = zip(poison.labels.tolist(), poison.points, poison.counts.tolist(), strict=True)
    model = task[0].victim.trainer(poisoned(task[0].data, tuple(Copies(*one) for one in copies))).model
    return float(np.mean((model.decision_function(test.X) > 0) != (test.y > 0)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=10, help="points of the comparison of speed")
    parser.add_argument("--budget", type=int, default=25, help="points of the attacks whose effect is measured")
    parser.add_argument("--splits", type=int, default=3)
    given = parser.parse_args()
    mnist = cp.datasets.load("mnist_17")
    with threadpool_limits(1):
        found = {
            "speed": [bench_points(mnist, loss, n, given.points) for n in (N, 5000) for loss in ("hinge", "logistic")],
            "moves": [bench_moves(mnist, loss, copies, 4) for loss, copies in (("hinge", 100), ("logistic", 10))],
            "effect": [
                row for loss in ("hinge", "logistic") for row in effect(mnist, loss, given.budget, given.splits)
            ],
            "machine": {
                "python": platform.python_version(),
                "numpy": np.__version__,
                "scikit-learn": sklearn.__version__,
            },
        }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "gradient.json").write_text(json.dumps(found, indent=2) + "\n")
    (RESULTS / "gradient.md").write_text(report(found))
    print(report(found))
    return 0


def report(found: dict) -> str:
    """Format the figures as Markdown."""
    lines = [f"# Gradient attacks, MNIST 1-7, {N_VALIDATION} validation rows, C_R = {C_R}", ""]
    for rows in (found["speed"], found["moves"], found["effect"]):
        lines += ["| " + " | ".join(rows[0]) + " |", "| --- " * len(rows[0]) + "|"]
        for row in rows:
            cells = (f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values())
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    versions = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    return "\n".join([*lines, f"Versions: {versions}.", ""])


if __name__ == "__main__":
    sys.exit(main())
