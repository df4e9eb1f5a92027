"""Victims, spaces and targets of the experiments on MTP (Suya et al., ICML 2021), and the sweep that runs a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from common import SUBPOPULATION_COPIES, SUBPOPULATION_QUANTILES, options, title, write
from sklearn.cluster import KMeans
from stand_in import dog_ship

import convexpoison as cp

SEEDS = (12, 23, 34, 45)
"""MTP's seeds, for random choices. Targets and our attacks are deterministic, so their rows are one run."""
FRACTIONS = (0.2, 0.4, 0.6, 0.8, 1.0)
LOSSES = {"hinge": "SVM", "logistic": "LR"}
EPS = {
    ("mnist_17", "hinge"): 0.1,
    ("mnist_17", "logistic"): 0.1,
    ("adult", "hinge"): 0.01,
    ("adult", "logistic"): 0.05,
    ("digits_17", "hinge"): 0.1,
    ("digits_17", "logistic"): 0.1,
    ("dogfish", "hinge"): 2.0,
    ("dogfish", "logistic"): 1.0,
}
C_R = {"mnist_17": 0.09, "adult": 0.09, "digits_17": 0.05, "dogfish": 1.1}
STAND_IN = "stand-in for Dogfish (CIFAR-10 dog-ship, 2,048 k-means features; not MTP's data)"
_CACHE = Path(__file__).parent / "runs"


@dataclass(frozen=True, eq=False)
class Rows:
    """Training rows, the rows on which success is measured, and the box of the poison.

    ``measured`` are the test rows, or those of them that lie in the subpopulation.
    """

    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    measured: tuple[np.ndarray, np.ndarray]
    space: cp.Space
    subpopulation: Any = None


@lru_cache(maxsize=2)
def rows(dataset: str, loss: str = "hinge", cluster: int | None = None) -> Rows:
    """Return a data set; of Adult, one of the three subpopulations that the clean model classifies best."""
    data = _stand_in() if dataset == "dogfish" and not _have_dogfish() else cp.datasets.load(dataset)
    space = data.space.relax()
    if cluster is None:
        return Rows(data.train, data.test, data.test, space)
    X, y = data.train
    kmeans = KMeans(20, random_state=0, n_init=10).fit(X)
    clean = victim(dataset, loss).fit(X, y)
    groups = [
        cp.targets.subpopulation(X, y, (kmeans.labels_ == k) & (y == 0))
        for k in range(20)
        if ((kmeans.labels_ == k) & (y == 0)).sum() >= 50
    ]
    chosen = cp.targets.best_classified(groups, clean)[cluster]
    number = kmeans.labels_[chosen.index[0]]
    inside = (kmeans.predict(data.X_test) == number) & (data.y_test == 0)
    return Rows(data.train, data.test, (data.X_test[inside], data.y_test[inside]), space, chosen)


def victim(dataset: str, loss: str) -> cp.Victim:
    """Return MTP's victim: mean of the losses, intercept regularised."""
    return cp.Victim(loss, C_R=C_R[dataset])


def target(dataset: str, loss: str, level: float | int, improved: bool = False) -> Any:
    """Make MTP's target: an error rate by flips of test rows, or a whole subpopulation wrong (a ``Candidate``)."""
    if dataset == "adult":
        r = rows(dataset, loss, int(level))
        return cp.targets.subpopulation_target(
            victim(dataset, loss),
            r.train,
            r.subpopulation,
            quantiles=SUBPOPULATION_QUANTILES,
            copies=SUBPOPULATION_COPIES,
            improved=improved,
        )
    r = rows(dataset, loss)
    return cp.targets.label_flip(victim(dataset, loss), r.train, error=level, flip=r.test, improved=improved)


def approach(dataset: str, loss: str, aim: cp.LinearModel, r: Rows, **limits: Any) -> cp.AttackResult:
    """Run Algorithm 1 towards a target until it is as close as in MTP."""
    most = 400 if dataset == "dogfish" else 4 * len(r.train[1])
    limits = limits or {"eps": EPS[dataset, loss], "max_points": most}
    return cp.attack(
        aim, r.train, victim=victim(dataset, loss), space=r.space, test_data=r.measured, solver="auto", **limits
    )


def accuracies(result: cp.AttackResult) -> list[float]:
    """Return the accuracies on the measured rows after the fractions of the points, in percent."""
    used = np.concatenate([[0], np.cumsum(result.counts)])
    places = [int(np.searchsorted(used, f * used[-1])) for f in FRACTIONS]
    return [100 * float(result.history["accuracy"][k]) for k in places]


def induced_bounds(result: cp.AttackResult, r: Rows) -> tuple[float, float]:
    """Return two bounds for the induced model: Theorem 2 along a second run of Algorithm 1 (as in MTP), and the tight one."""
    common = {"victim": result.victim, "space": r.space}
    budget = max(1, result.n_points)
    along = cp.lower_bound(result.model, r.train, method="theorem_2", max_points=budget, **common)
    return float(along), float(result.induced_bound)


def table(
    stem: str,
    heading: str,
    words: Sequence[str],
    task: Callable[[dict[str, Any], int], dict[str, Any]],
    grids: dict[str, list[dict[str, list[Any]]]],
    description: str,
) -> None:
    """Run a grid through the sweep (resumable: ``experiments/runs``) and write it as CSV and Markdown."""
    arguments = options(description, parallel=True)
    name, command = title(stem, arguments)
    store = _CACHE / name
    result = cp.sweep(grids[arguments.scale], task, store=store, random_state=SEEDS[0], n_jobs=arguments.n_jobs)
    for record in result.failed:
        print(record.error)
    found = [record.result for record in result.records if record.status == "ok"]
    missing = (
        [f"{len(result) - len(found)} of {len(result)} rows are missing: they failed or were not run."]
        if result.failed
        else []
    )
    minutes = sum(record.seconds or 0.0 for record in result.records) / 60
    took = f"The rows took {minutes:.0f} minutes in all, each of them on one core."
    print(write(name, heading, [f"From {command}.", "", *words, "", took, *missing], found))


def _have_dogfish() -> bool:
    return any(name == "dogfish" and there for name, there in cp.datasets.available())


def _stand_in() -> Any:
    """Return about as many rows as Dogfish has, and the box from the least to the largest value of each feature (as in MTP)."""
    X, y, X_test, y_test = dog_ship()
    chosen = np.random.default_rng(0).permutation(len(y))[:1800]
    both = np.vstack([X, X_test])
    space = cp.Space.box(both.min(axis=0), both.max(axis=0))
    return cp.datasets.Dataset("stand-in", X[chosen], y[chosen], X_test, y_test, space, STAND_IN)


def compare(params: dict[str, Any], random_state: int) -> dict[str, Any]:
    """Compute one row of Tables 1 and 2: Algorithm 1 until it is close, KKT at parts of its points, and the bounds."""
    dataset, loss, level = params["dataset"], params["loss"], params["level"]
    r = rows(dataset, loss, level if dataset == "adult" else None)
    candidate = target(dataset, loss, level)
    ours = approach(dataset, loss, candidate.model, r)
    theorem_2, tight = induced_bounds(ours, r)
    clean = 100 * ours.clean.accuracy(*r.test)
    out = {
        "victim": LOSSES[loss],
        "target": f"cluster {level}" if dataset == "adult" else f"{100 * level:.0f} % error",
        "clean accuracy, %": f"{clean:.2f}",
        "target accuracy, %": f"{100 * candidate.model.accuracy(*r.measured):.2f}",
        "points": ours.n_points,
        "Theorem 2, MTP's way": f"{theorem_2:.1f}",
        "tight bound": f"{tight:.2f}",
        "gap, %": f"{100 * (1 - tight / max(1, ours.n_points)):.2f}",
        "the target itself: bound": f"{float(ours.bound):.2f}",
    }
    for fraction, accuracy in zip(FRACTIONS, accuracies(ours), strict=True):
        n = max(1, round(fraction * ours.n_points))
        out[f"KKT at {fraction:g}"] = _kkt(dataset, loss, candidate.model, r, n, random_state)
        out[f"ours at {fraction:g}"] = f"{accuracy:.1f}"
    return out


def _kkt(dataset: str, loss: str, aim: cp.LinearModel, r: Rows, n: int, random_state: int) -> str:
    """Return the accuracy on the measured rows, in percent, after the KKT attack with ``n`` points."""
    result = cp.attack(
        aim, r.train, victim=victim(dataset, loss), space=r.space, method="kkt", max_points=n,
        random_state=random_state, bound_time_limit_s=0,
    )  # fmt: skip
    return f"{100 * result.model.accuracy(*r.measured):.1f}"
