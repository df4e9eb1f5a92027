"""The implicit hypergradient against reverse mode at RMD's settings, in one run.

    python benchmarks/bench_hypergradients.py

MNIST 0 against 8, 512 training and 171 validation rows, 17 points that move, T = 150, eta = 0.1 (RMD, Tables 1 and 2).
Needs ``CONVEXPOISON_DATA`` with ``mnist.npz``. With ``SECML_PYTHON``, an interpreter that has secml, its logistic poisoning
runs too. Seconds are those of the processor (one thread), medians of calls that take turns. Writes
``benchmarks/results/hypergradients.md`` and ``.json``.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from time import process_time

import numpy as np
from threadpoolctl import threadpool_limits

import convexpoison as cp
from convexpoison.attacks.base import Budget
from convexpoison.attacks.minimax import minimax
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.implicit import ImplicitGradient, InnerProblem, OuterLoss, reverse_mode
from convexpoison.problem import Problem
from convexpoison.threats import AddRows

RESULTS = Path(__file__).parent / "results"
T, ETA, N_POINTS, SEED = 150, 0.1, 17, 0
LAMBDAS = {"small": -8.0, "0": 0.0, "warm start, log 5": float(np.log(5)), "large, log 200": float(np.log(200))}
CALLS = 15


def task(lam: float) -> tuple[Problem, Budget]:
    """Return RMD's MNIST task with a victim of this lambda."""
    mnist, rng = cp.datasets.load("mnist_08"), np.random.default_rng(SEED)
    rows: tuple[list[int], list[int]] = ([], [])
    for k, label in enumerate((0, 8)):
        order = rng.permutation(np.flatnonzero(mnist.y_train == label))
        rows[0].extend(order[:256])
        rows[1].extend(order[256 : 256 + 85 + k])
    train, held_out = (TrainingData.from_user((mnist.X_train[part], mnist.y_train[part])) for part in rows)
    victim = cp.Victim("logistic", C=float(np.exp(-lam)))
    return (
        Problem(victim, train, AddRows(mnist.space)),
        Budget(N_POINTS, rows=held_out, random_state=SEED, progress=False),
    )


def bench_one(lam: float) -> dict[str, float]:
    """Measure seconds a hypergradient along an ascent (steps of a hundredth of the box), and the error of T steps."""
    given, rng = task(lam), np.random.default_rng(SEED)
    assert given[1].rows is not None
    chosen = rng.choice(given[1].rows.n_samples, N_POINTS, replace=False)
    X = given[1].rows.X[chosen]
    points = X.toarray() if hasattr(X, "toarray") else X
    problem = InnerProblem(given[0].victim, given[0].data, -given[1].rows.y[chosen])
    outer, at, seconds = OuterLoss(given[0].victim, given[1].rows), np.array([lam]), {"implicit": [], "reverse": []}
    problem.place(points)
    gradient = ImplicitGradient(problem, outer, precision=1e-3)  # as the attack asks for
    gradient(at)  # the first factor
    for _ in range(CALLS):
        start = process_time()
        found = gradient(at)
        seconds["implicit"].append(process_time() - start)
        start = process_time()
        unrolled = reverse_mode(problem, outer, at, steps=T, rate=ETA)
        seconds["reverse"].append(process_time() - start)
        points = np.clip(points + 0.01 * np.sign(found.points), 0.0, 1.0)
        problem.place(points)
    cosine = np.sum(found.points * unrolled.points) / np.linalg.norm(found.points) / np.linalg.norm(unrolled.points)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {**medians, "ratio": medians["reverse"] / medians["implicit"], "cosine": float(cosine)}


def attacked(lam: float, tune: str | None, hypergradient: str, iterations: int) -> dict[str, float]:
    """Run one attack; the objective is that of the exactly trained victim, whichever hypergradient was used."""
    given = task(lam)
    assert given[1].rows is not None
    start = process_time()
    poison = minimax(
        *given, tune=tune, iterations=iterations, hypergradient=hypergradient, inner_steps=T, inner_rate=ETA
    )
    seconds = process_time() - start
    problem = InnerProblem(given[0].victim, given[0].data, poison.labels)
    problem.place(poison.points)
    outer, found = OuterLoss(given[0].victim, given[1].rows), np.array(poison.info["lambda"])
    exact = ImplicitGradient(problem, outer, precision=1e-8)
    # Where lambda is learned, poison is measured against the defender's best reply, on one grid.
    lams = [found] if tune is None else [np.array([x]) for x in np.arange(-8.0, 5.3, 0.1)]
    return {
        "iterations": iterations,
        "seconds": seconds,
        "objective": min(exact.value(x) for x in lams),
        "after T steps": reverse_mode(problem, outer, found, steps=T, rate=ETA).value,
        "lambda": float(found[0]),
    }


def bench_attack(lam: float, tune: str | None) -> dict[str, dict[str, float]]:
    """Measure both at the paper's number of hyperiterations, and the shortest implicit attack as good as reverse mode."""
    out = {name: attacked(lam, tune, name, 100) for name in ("implicit", "reverse")}
    for iterations in (3, 5, 10, 20, 40, 70, 100):
        out["implicit, shorter"] = attacked(lam, tune, "implicit", iterations)
        if out["implicit, shorter"]["objective"] >= (1.0 - 1e-3) * out["reverse"]["objective"]:
            break
    return out


def bench_secml(n_points: int = 3, iterations: int = 100) -> dict[str, dict[str, float]] | None:
    """Measure secml 0.15's gradient attack on logistic regression (lambda = 0, intercept free) against ours with fixed lambda."""
    python = os.environ.get("SECML_PYTHON")
    if not python:
        return None
    given = task(0.0)
    problem = replace(given[0], victim=replace(given[0].victim, intercept="free"))
    given = problem, replace(given[1], max_points=n_points)
    assert given[1].rows is not None
    arrays = {"n_points": n_points, "C": 1.0, "iterations": iterations}
    for part, rows in (("", given[0].data), ("_val", given[1].rows)):
        arrays[f"X{part}"] = rows.X.toarray() if hasattr(rows.X, "toarray") else rows.X
        arrays[f"y{part}"] = rows.y
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(source, **arrays)
        script = Path(__file__).with_name("secml_logistic.py")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": ""}
        subprocess.run([python, script, source, target], check=True, env=environment, stdout=subprocess.DEVNULL)
        theirs = dict(np.load(target))
    start = process_time()
    ours = minimax(*given, tune=None, iterations=iterations)
    seconds = process_time() - start
    poisons = {
        "ours": (ours.points, ours.labels, seconds),
        "secml": (theirs["points"], theirs["labels"], float(theirs["seconds"])),
    }
    out = {}
    for name, (points, labels, taken) in poisons.items():
        problem = InnerProblem(given[0].victim, given[0].data, labels)
        problem.place(points)
        exact = ImplicitGradient(problem, OuterLoss(given[0].victim, given[1].rows), precision=1e-8)
        out[name] = {"points": n_points, "seconds": taken, "objective": exact.value(np.zeros(1))}
    return out


def main() -> int:
    with threadpool_limits(1):
        single = {name: bench_one(lam) for name, lam in LAMBDAS.items()}
        attacks = {
            f"{name}, lambda fixed": bench_attack(LAMBDAS[name], None)
            for name in ("0", "warm start, log 5", "large, log 200")
        }
        attacks["lambda learned"] = bench_attack(float(np.log(5)), "l2")
        secml = bench_secml()
    found = {"one hypergradient": single, "attack": attacks, "secml": secml}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "hypergradients.json").write_text(json.dumps(found, indent=2) + "\n")
    text = report(single, attacks) + report_secml(secml)
    (RESULTS / "hypergradients.md").write_text(text)
    print(text)
    return 0


def report(single: dict[str, dict[str, float]], attacks: dict[str, dict[str, dict[str, float]]]) -> str:
    """Format the figures as Markdown."""
    lines = [
        "# Implicit hypergradient against reverse mode",
        "",
        f"From `python benchmarks/bench_hypergradients.py`. MNIST 0-8, 512 training rows, {N_POINTS} points, T = {T}, "
        f"eta = {ETA}; processor time of one thread.",
        "",
        "## One hypergradient, warm along an ascent",
        "",
        "| lambda | implicit, ms | reverse mode, ms | ratio | cosine between the two |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {name} | {1e3 * row['implicit']:.1f} | {1e3 * row['reverse']:.1f} | {row['ratio']:.1f} | {row['cosine']:.3f} |"
        for name, row in single.items()
    ]
    lines += [
        "",
        "## A whole attack: 17 points",
        "",
        "The objective is the mean validation loss of the exactly trained victim (where lambda is learned, with the "
        "defender's best lambda of a grid); beside it, that of a victim trained by T steps of descent, which "
        'reverse mode optimises. "Shorter" is the shortest implicit attack tried that reaches the objective of reverse mode '
        "(to 0.1 %); the ratio is reverse mode's time by the row's.",
        "",
        "| lambda | by | hyperiterations | seconds | ratio | objective | after T steps | lambda at the end |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, runs in attacks.items():
        for how, row in runs.items():
            ratio = runs["reverse"]["seconds"] / row["seconds"]
            lines.append(
                f"| {name} | {how} | {row['iterations']} | {row['seconds']:.2f} | {ratio:.1f} | {row['objective']:.4f} | "
                f"{row['after T steps']:.4f} | {row['lambda']:.2f} |"
            )
    return "\n".join([*lines, ""])


def report_secml(found: dict[str, dict[str, float]] | None) -> str:
    """Format the comparison with secml as Markdown, or the reason why there is none."""
    if found is None:
        return "\nsecml was not run: SECML_PYTHON names no interpreter that has it.\n"
    lines = [
        "",
        "## secml 0.15's logistic poisoning",
        "",
        "lambda = 0 (C = 1), intercept free, 100 steps at most; the objective is that of the exactly trained victim.",
        "",
        "| by | points | seconds a point | objective |",
        "| --- | --- | --- | --- |",
    ]
    for name, row in found.items():
        lines.append(f"| {name} | {row['points']} | {row['seconds'] / row['points']:.3f} | {row['objective']:.4f} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
