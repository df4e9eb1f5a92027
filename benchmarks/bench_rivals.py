"""Ratios of the rival attacks against plain versions of the same attack with scikit-learn and cvxpy, side by side in one run.

Needs ``CONVEXPOISON_DATA`` with ``mnist.npz``. Each competitor runs the whole attack; they take turns, and medians are compared.
What they find is compared as well: a fast answer that is worse is no gain. Prints a table and writes
``benchmarks/results/rivals.md`` and ``rivals.json``. To add a rival: a function that returns a :class:`Case`, and a line in
``CASES``.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cvxpy
import numpy as np
from bench_core import C_R, take_turns
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

import convexpoison as cp
from convexpoison.attacks.base import Budget
from convexpoison.attacks.kkt import kkt
from convexpoison.attacks.label_flip import label_flip
from convexpoison.attacks.min_max import min_max
from convexpoison.data.training_data import TrainingData
from convexpoison.poison import Poison
from convexpoison.problem import Problem
from convexpoison.targets.rows import appended
from convexpoison.threats import AddRows

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Case:
    """An attack in two versions; each returns the ``measure`` of its poison."""

    title: str
    measure: str
    ours: Callable[[], float]
    theirs: Callable[[], float]
    turns: tuple[int, int] = (5, 3)


@dataclass(frozen=True, eq=False)
class Instance:
    """MNIST 1-7, the victim of MTP, and a target."""

    X: np.ndarray
    y: np.ndarray
    data: TrainingData
    victim: cp.Victim
    target: cp.LinearModel

    @classmethod
    def mnist(cls) -> Instance:
        mnist, victim = cp.datasets.load("mnist_17"), cp.Victim("hinge", C_R=C_R)
        target = cp.targets.label_flip(
            victim, mnist.train, error=0.1, flip=mnist.test, quantiles=(0.2,), copies=(25,), progress=False
        ).model
        data = TrainingData.from_user(mnist.train)
        return cls(mnist.X_train, data.y, data, victim, target)

    def task(self, n_points: int) -> tuple[Problem, Budget]:
        return (
            Problem(self.victim, self.data, AddRows(cp.Space.box(0, 1, 784)), self.target),
            Budget(n_points, progress=False),
        )

    def objective(self, poison: Poison) -> float:
        """Return the victim's training objective on the poisoned rows, per clean row."""
        trainer = self.victim.trainer(appended(self.data, poison.points, poison.labels, poison.counts))
        return trainer.objective / self.data.n_rows

    def svc(self, points: list[np.ndarray], labels: list[float], counts: list[int]) -> LinearSVC:
        """Train a fresh LinearSVC as in MTP's code: tol 1e-8, 1,000 iterations, copies as rows."""
        X = np.vstack([self.X, *(np.repeat(x[None], n, axis=0) for x, n in zip(points, counts, strict=True))])
        y = np.concatenate([self.y, *(np.full(n, label) for label, n in zip(labels, counts, strict=True))])
        model = LinearSVC(loss="hinge", tol=1e-8, max_iter=1000, C=1 / (C_R * len(y)), random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it does not converge in 1,000 iterations
            return model.fit(X, y)


def kkt_case(problem: Instance) -> Case:
    """Return the case of the KKT attack. Plain: the authors' loop, a cone program built anew and a LinearSVC for each split."""
    n, k, theta, b = len(problem.y), 1301, problem.target.coef, problem.target.intercept

    def theirs() -> float:
        active = problem.y * (problem.X @ theta + b) < 1
        gradient = -(problem.y[active] @ problem.X[active]) + C_R * (n + k) * theta
        found = []
        for n_positive in np.linspace(0, k, 7).round().astype(int).tolist():
            plus, minus = cvxpy.Variable(784), cvxpy.Variable(784)
            inside = [plus >= 0, plus <= 1, minus >= 0, minus <= 1, theta @ plus + b <= 1, theta @ minus + b >= -1]
            norm = cvxpy.norm((gradient - n_positive * plus + (k - n_positive) * minus) / n, 2)
            cvxpy.Problem(cvxpy.Minimize(norm), inside).solve(solver="CLARABEL")
            model = problem.svc([plus.value, minus.value], [1.0, -1.0], [n_positive, k - n_positive])
            found.append(float(np.hypot(np.linalg.norm(model.coef_[0] - theta), model.intercept_[0] - b)))
        return min(found)

    def ours() -> float:
        return float(kkt(*problem.task(k)).info["distance"])

    return Case(f"KKT attack, {k:,} points, 7 splits", "distance to the target", ours, theirs, (3, 2))


def min_max_case(problem: Instance, k: int = 30) -> Case:
    """Return the case of min-max. Plain: retraining from scratch, and a cvxpy program a label for the point of largest loss."""

    def theirs() -> float:
        points, labels = [], []
        for _ in range(k):
            model = problem.svc(points, labels, [1] * len(points))
            w, b, best = model.coef_[0], model.intercept_[0], -np.inf
            for label in (-1.0, 1.0):
                x = cvxpy.Variable(784)
                search = cvxpy.Problem(cvxpy.Maximize(-label * (w @ x)), [x >= 0, x <= 1])
                search.solve(solver="HIGHS")
                if search.value + 1 - label * b > best:
                    best, point, sign = search.value + 1 - label * b, x.value, label
            points.append(point)
            labels.append(sign)
        return problem.objective(Poison(np.array(points), np.array(labels), np.ones(k, dtype=np.int64)))

    def ours() -> float:
        return float(min_max(*problem.task(k)).info["objective"])

    return Case(f"min-max attack, {k} points", "training objective a clean row", ours, theirs, (3, 2))


def label_flip_case(problem: Instance, k: int = 1301) -> Case:
    """Return the case of label flips. Plain: a clean model, the rows nearest to its hyperplane, and the poisoned model."""

    def theirs() -> float:
        clean = problem.svc([], [], [])
        near = np.argsort(np.abs(clean.decision_function(problem.X)), kind="stable")[:k]
        problem.svc([*problem.X[near]], [*-problem.y[near]], [1] * k)
        return problem.objective(Poison(problem.X[near], -problem.y[near], np.ones(k, dtype=np.int64)))

    def ours() -> float:
        return problem.objective(label_flip(*problem.task(k), choose="nearest"))

    return Case(f"label flips next to the hyperplane, {k:,} points", "training objective a clean row", ours, theirs)


CASES: tuple[Callable[[Instance], Case], ...] = (kkt_case, min_max_case, label_flip_case)


def measure(case: Case) -> dict[str, object]:
    seconds = take_turns(
        {"ours": case.ours, "theirs": case.theirs}, dict(zip(("ours", "theirs"), case.turns, strict=True))
    )
    return {
        "title": case.title,
        "seconds": seconds,
        "ratio": seconds["theirs"] / seconds["ours"],
        "measure": case.measure,
        "found": {"ours": case.ours(), "theirs": case.theirs()},
    }


def report(found: list[dict]) -> str:
    """Format the figures as Markdown."""
    lines = [
        "# Rival attacks against plain versions of them",
        "",
        f"MNIST 1-7 (13,007 x 784), hinge, mean convention, C_R = {C_R}. Plain: scikit-learn's LinearSVC and cvxpy.",
        "",
        "| attack | ours, s | plain, s | ratio | compared by | ours | plain |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in found:
        seconds, values = row["seconds"], row["found"]
        lines.append(
            f"| {row['title']} | {seconds['ours']:.2f} | {seconds['theirs']:.2f} | {row['ratio']:.1f} | {row['measure']} "
            f"| {values['ours']:.4f} | {values['theirs']:.4f} |"
        )
    return "\n".join([*lines, ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="run only the cases whose function's name contains this text", default="")
    only = parser.parse_args().only
    problem = Instance.mnist()
    with threadpool_limits(1, user_api="blas"):
        found = [measure(case(problem)) for case in CASES if only in case.__name__]
    text = report(found)
    if not only:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "rivals.json").write_text(json.dumps(found, indent=2) + "\n")
        (RESULTS / "rivals.md").write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
