"""How much faster a sweep is with two workers than with one, on tasks of some seconds.

Needs ``CONVEXPOISON_DATA`` with ``mnist.npz``, and two cores that do nothing else. Each task runs Algorithm 1 for 1,200 points
against an SVM on MNIST 1-7 and proves Theorem 2's bound from it; unlike an attack it has no part with a time limit, which
would make tasks that wait for a core look quick. One worker and two take turns, and each run starts its workers afresh.
Prints a table and writes ``benchmarks/results/sweep.md`` and ``sweep.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
from pathlib import Path
from time import perf_counter

import joblib
import numpy as np
from joblib.externals.loky import get_reusable_executor

import convexpoison as cp

RESULTS = Path(__file__).parent / "results"


def grid(n_points: int) -> dict[str, list[object]]:
    """Return eight tasks: two targets and four strengths of regularisation."""
    mnist = cp.datasets.load("mnist_17")
    victim = cp.Victim("hinge", C_R=0.09)
    wrong = [np.where(np.arange(len(mnist.y_train)) % k == 0, 8 - mnist.y_train, mnist.y_train) for k in (3, 4)]
    targets = [victim.fit(mnist.X_train, y) for y in wrong]
    return {
        "dataset": ["mnist_17"],
        "loss": ["hinge"],
        "C_R": [0.06, 0.08, 0.10, 0.12],
        "target": targets,
        "method": ["theorem_2"],
        "max_points": [n_points],
    }


def processor() -> float:
    """Return the processor seconds of this process and of the workers that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def measure(tasks: dict[str, list[object]], n_jobs: int) -> tuple[float, float, list[float], object]:
    """Return the seconds of the sweep, its processor seconds, the seconds of each task, and the bounds."""
    start, busy = perf_counter(), processor()
    result = cp.sweep(tasks, "lower_bound", n_jobs=n_jobs, progress=False)
    seconds = perf_counter() - start
    get_reusable_executor().shutdown(wait=True)
    busy = processor() - busy
    if result.failed:
        raise RuntimeError(result.failed[0].error)
    frame = result.to_frame()
    return seconds, busy, frame["seconds"].tolist(), frame["value"].tolist()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=1200)
    parser.add_argument("--repetitions", type=int, default=1)
    arguments = parser.parse_args()
    tasks = grid(arguments.points)
    runs: dict[int, list[float]] = {1: [], 2: []}
    busies: dict[int, list[float]] = {1: [], 2: []}
    tasks_s: dict[int, list[float]] = {1: [], 2: []}
    values = []
    load = [os.getloadavg()[0]]
    for _ in range(arguments.repetitions):
        for n_jobs in runs:
            seconds, busy, each, found = measure(tasks, n_jobs)
            runs[n_jobs].append(seconds)
            busies[n_jobs].append(busy)
            tasks_s[n_jobs] += each
            values.append(found)
            load.append(os.getloadavg()[0])
    assert all(found == values[0] for found in values), "the results depend on the number of workers"
    medians = {n_jobs: statistics.median(seconds) for n_jobs, seconds in runs.items()}
    found = {
        "points": arguments.points,
        "seconds": runs,
        "median seconds a task": {n_jobs: statistics.median(each) for n_jobs, each in tasks_s.items()},
        "median processor seconds": {n_jobs: statistics.median(busy) for n_jobs, busy in busies.items()},
        "speed-up": medians[1] / medians[2],
        "cores": joblib.cpu_count(),
        "load average, one minute": [round(value, 1) for value in load],
    }
    text = report(found, medians)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "sweep.json").write_text(json.dumps(found, indent=2) + "\n")
    (RESULTS / "sweep.md").write_text(text)
    print(text)
    return 0


def report(found: dict, medians: dict[int, float]) -> str:
    """Format the figures as Markdown."""
    lines = [
        "# A sweep with one worker and with two, measured by `python benchmarks/bench_sweep.py`",
        "",
        f"Eight tasks on MNIST 1-7 (13,007 x 784), hinge, {found['points']} points each; {found['cores']} cores.",
        "",
        "| workers | median s, the sweep | median s, a task | median processor s, all processes |",
        "| --- | --- | --- | --- |",
    ]
    each, busy = found["median seconds a task"], found["median processor seconds"]
    lines += [f"| {n} | {medians[n]:.1f} | {each[n]:.1f} | {busy[n]:.1f} |" for n in medians]
    load = ", ".join(map(str, found["load average, one minute"]))
    lines += [
        "",
        f"Speed-up: {found['speed-up']:.2f}, the start of the workers counted. All runs give the same bounds.",
        f"Load average before and after each run: {load}; more than the number of workers means that others ran as well.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
