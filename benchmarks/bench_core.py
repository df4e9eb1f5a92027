"""Ratios of the convex core against other implementations, measured in one run.

Run by ``make bench``; needs ``CONVEXPOISON_DATA`` with ``mnist.npz``. Every figure is a median over several repetitions in
which the competitors take turns, because machines are noisy. Prints a table and writes ``benchmarks/results/core.md`` and
``core.json``.
"""

from __future__ import annotations

import json
import platform
import resource
import statistics
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import cvxpy
import numpy as np
import sklearn
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

import convexpoison as cp
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.losses import Hinge
from convexpoison.loss_difference.query import Question
from convexpoison.loss_difference.solve import answer

RESULTS = Path(__file__).parent / "results"
C_R = 0.09


def four_cvxpy_problems(w, b, w_ref, b_ref, low, high):
    """Compute the maximum hinge-loss difference as MTP's code does: per label, one problem with both losses active and one
    with only the first, each built anew."""
    best, best_point = -np.inf, None
    for y in (1, -1):
        for both in (True, False):
            x = cvxpy.Variable(w.size)
            first, second = 1 - y * (w @ x + b), 1 - y * (w_ref @ x + b_ref)
            objective = first - second if both else first
            inside = [x >= low, x <= high, first >= 0, second >= 0 if both else second <= 0]
            problem = cvxpy.Problem(cvxpy.Maximize(objective), inside)
            problem.solve(solver=cvxpy.HIGHS)
            if problem.status in ("optimal", "optimal_inaccurate") and problem.value > best:
                best, best_point = float(problem.value), (x.value, y)
    return best, best_point


def take_turns(competitors: dict[str, Callable[[], object]], repetitions: dict[str, int]) -> dict[str, float]:
    """Return the median seconds of each competitor, interleaved."""
    seconds: dict[str, list[float]] = {name: [] for name in competitors}
    for call in competitors.values():  # warm up
        call()
    for turn in range(max(repetitions.values())):
        for name, call in competitors.items():
            if turn < repetitions[name]:
                start = perf_counter()
                call()
                seconds[name].append(perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def bench_difference(mnist: cp.datasets.Dataset, victim: cp.Victim, target: cp.LinearModel) -> dict[str, object]:
    """Measure (a): one maximum loss difference at d = 784."""
    clean = victim.fit(mnist.X_train, mnist.y_train)
    space = cp.Space.box(0, 1, 784)
    question = Question(Hinge(), clean, target, space)
    values = {name: answer(question, solver=name).value for name in ("polygon", "highs", "cvxpy")}
    arguments = (clean.coef, clean.intercept, target.coef, target.intercept, 0.0, 1.0)
    values["four cvxpy problems"] = four_cvxpy_problems(*arguments)[0]
    spread = max(values.values()) - min(values.values())
    assert spread <= 1e-7 * max(1.0, abs(values["polygon"])), values
    seconds = take_turns(
        {
            "polygon": lambda: answer(question, solver="polygon"),
            "highs": lambda: answer(question, solver="highs"),
            "four cvxpy problems": lambda: four_cvxpy_problems(*arguments),
        },
        {"polygon": 51, "highs": 11, "four cvxpy problems": 7},
    )
    return {"seconds": seconds, "ratio": ratios(seconds, "polygon"), "largest disagreement": spread}


def bench_step(mnist: cp.datasets.Dataset, victim: cp.Victim, target: cp.LinearModel) -> dict[str, object]:
    """Measure (b): one step of Algorithm 1 after 100 points, retraining and the search for the next point."""
    data = TrainingData.from_user((mnist.X_train, mnist.y_train))
    target = cp.LinearModel(target.coef, target.intercept)
    space = cp.Space.box(0, 1, 784)
    trainer = victim.trainer(data)
    added: list[tuple[np.ndarray, float]] = []

    def ours() -> None:
        difference = answer(Question(victim.loss, trainer.model, target, space))
        trainer.add(difference.point, difference.label)
        added.append((difference.point, difference.label))

    for _ in range(100):
        ours()
    X = np.vstack([mnist.X_train, *(x[None] for x, _ in added)])
    y = np.concatenate([data.y, [label for _, label in added]])

    def theirs() -> None:
        svc = LinearSVC(loss="hinge", tol=1e-8, max_iter=1000, C=1 / (C_R * len(y)), random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it does not converge in 1,000 iterations
            svc.fit(X, y)
        four_cvxpy_problems(svc.coef_[0], svc.intercept_[0], target.coef, target.intercept, 0.0, 1.0)

    seconds = take_turns(
        {"ours": ours, "fresh LinearSVC and four cvxpy problems": theirs},
        {"ours": 200, "fresh LinearSVC and four cvxpy problems": 9},
    )
    return {"seconds": seconds, "ratio": ratios(seconds, "ours")}


def bench_growth(mnist: cp.datasets.Dataset, victim: cp.Victim, target: cp.LinearModel) -> list[dict[str, float]]:
    """Measure (c): median milliseconds a step for parts of the rows, parts of the columns, and after more points."""
    rng = np.random.default_rng(0)
    out = []
    for rows, columns, points in (
        (13007, 784, 200),
        (6500, 784, 200),
        (3250, 784, 200),
        (13007, 392, 200),
        (13007, 196, 200),
        (13007, 784, 1000),
        (13007, 784, 2000),
    ):
        kept = np.sort(rng.permutation(13007)[:rows])
        some = np.sort(rng.permutation(784)[:columns])
        X, y = mnist.X_train[np.ix_(kept, some)], mnist.y_train[kept]
        model = target if columns == 784 else cp.LinearModel(target.coef[some], target.intercept)
        space = cp.Space.box(0, 1, columns)
        run = cp.attack(model, (X, y), victim=victim, space=space, max_points=points, progress=False)
        steps = np.diff(run.history["seconds"])[-100:]
        out.append({"rows": rows, "columns": columns, "points": points, "ms a step": 1e3 * float(np.median(steps))})
    return out


def ratios(seconds: dict[str, float], base: str) -> dict[str, float]:
    return {name: value / seconds[base] for name, value in seconds.items() if name != base}


def main() -> int:
    mnist = cp.datasets.load("mnist_17")
    victim = cp.Victim("hinge", C_R=C_R)
    flipped = np.where(np.arange(len(mnist.y_train)) % 3 == 0, 8 - mnist.y_train, mnist.y_train)
    target = victim.fit(mnist.X_train, flipped)
    with threadpool_limits(1, user_api="blas"):  # as attacks run, and as a sweep's workers do
        return measure(mnist, victim, target)


def measure(mnist: cp.datasets.Dataset, victim: cp.Victim, target: cp.LinearModel) -> int:
    found = {
        "difference": bench_difference(mnist, victim, target),
        "step": bench_step(mnist, victim, target),
        "growth": bench_growth(mnist, victim, target),
        "peak memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "machine": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scikit-learn": sklearn.__version__,
            "cvxpy": cvxpy.__version__,
        },
    }
    text = report(found)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "core.json").write_text(json.dumps(found, indent=2) + "\n")
    (RESULTS / "core.md").write_text(text)
    print(text)
    return 0


def report(found: dict) -> str:
    """Format the figures as Markdown."""
    lines = [
        "# The convex core, measured by `make bench`",
        "",
        "MNIST 1-7 (13,007 x 784), hinge, mean convention, C_R = 0.09.",
        "",
    ]
    for title, key in (("One maximum loss difference", "difference"), ("One follow-the-leader step", "step")):
        lines += [f"## {title}", "", "| what | median ms | times ours |", "| --- | --- | --- |"]
        ratio = found[key]["ratio"]
        lines += [
            f"| {name} | {1e3 * value:.3f} | {ratio.get(name, 1.0):.1f} |"
            for name, value in found[key]["seconds"].items()
        ]
        lines.append("")
    lines += [f"All answers agree to {found['difference']['largest disagreement']:.1e}.", ""]
    lines += [
        "## How the step grows",
        "",
        "| rows | columns | points so far | median ms a step |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row['rows']} | {row['columns']} | {row['points']} | {row['ms a step']:.2f} |" for row in found["growth"]
    ]
    versions = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    lines += ["", f"Peak memory of the whole run: {found['peak memory, MB']:.0f} MB. Versions: {versions}.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
