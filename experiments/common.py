"""Options, targets and tables that the experiments share."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import convexpoison as cp

RESULTS = Path(__file__).parent / "results"
_SUM = {"C": 1.0}
_INTEGER = " / integer columns"
SUBPOPULATION_QUANTILES = (0.30, 0.35, 0.40, 0.45, 0.50, 0.55, 0.8, 1.0)
SUBPOPULATION_COPIES = (1, 2, 3, 5, 8, 10, 12, 15, 20, 25, 30, 50, 80, 100)


@dataclass(frozen=True, eq=False)
class Instance:
    """One target on one data set.

    Attributes
    ----------
    name : str
    victim : Victim
    data : pair (X, y)
    test : pair (X, y)
    space : Space
        Integer columns relaxed to intervals, as in MTP's "conservative" bound; as they are in :func:`integer_instances`.
    target : LinearModel
    eps : float
        MTP's closeness for that data set.
    paper_points, paper_bound : int or None
        MTP's own columns, Tables 1 and 2.
    """

    name: str
    victim: cp.Victim
    data: Any
    test: Any
    space: cp.Space
    target: cp.LinearModel
    eps: float
    paper_points: int | None = None
    paper_bound: int | None = None


def options(description: str, parallel: bool = False) -> argparse.Namespace:
    """Parse ``--scale smoke`` (seconds, bundled data) or ``paper``; ``--n-jobs`` for scripts that can run tasks in parallel."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--scale", choices=("smoke", "paper"), default="smoke")
    parser.add_argument("--only", help="run only the instances whose name contains this text", default="")
    if parallel:
        parser.add_argument("--n-jobs", type=int, default=1, help="number of rows to run in parallel")
    return parser.parse_args()


def title(stem: str, arguments: argparse.Namespace) -> tuple[str, str]:
    """Return the name of the result files and the command that wrote them."""
    only = f' --only "{arguments.only}"' if arguments.only else ""
    slug = "".join(c if c.isalnum() else "_" for c in arguments.only)
    name = "_".join(part for part in (stem, arguments.scale, slug) if part)
    return name, f"`python experiments/{stem}.py --scale {arguments.scale}{only}`"


def instances(scale: str, only: str = "") -> Iterator[Instance]:
    """Yield targets on digits and, at paper scale, those of MTP's Tables 1 and 2 for which there are data."""
    for maker in [_digits] if scale == "smoke" else [_digits, _adult, _mnist]:
        yield from maker(only)


def integer_instances(scale: str, only: str = "") -> Iterator[Instance]:
    """Yield, at paper scale, the targets on Adult over its true space: 53 columns are 0 or 1."""
    if scale == "paper":
        yield from _adult(only, _INTEGER)


def follow_the_leader(instance: Instance) -> cp.AttackResult:
    """Run Algorithm 1 until it is eps-close or has used ten points a clean row."""
    budget = 10 * len(instance.data[1])
    return cp.attack(
        instance.target,
        instance.data,
        victim=instance.victim,
        space=instance.space,
        eps=instance.eps,
        max_points=budget,
    )


def _digits(only: str) -> Iterator[Instance]:
    """Yield targets for both losses in both conventions: losses averaged (C_R, as in MTP) and summed (C, as in scikit-learn)."""
    digits = cp.datasets.load("digits_17")
    for loss, strength in (("hinge", {"C_R": 0.05}), ("logistic", {"C_R": 0.02}), ("hinge", _SUM), ("logistic", _SUM)):
        name = f"{loss}{' C=1' if strength is _SUM else ''} / digits 1-7 / 10 % error"
        if only in name:
            victim = cp.Victim(loss, **strength)
            target = cp.targets.label_flip(victim, digits.train, error=0.10, evaluate=digits.test).model
            yield Instance(name, victim, digits.train, digits.test, digits.space.relax(), target, 0.05)


_MNIST = {
    "hinge": ((0.05, 1737, 874), (0.10, 5458, 3850), (0.15, 6192, 4904)),
    "logistic": ((0.05, 756, None), (0.10, 2113, None), (0.15, 3907, None)),
}


def _mnist(only: str) -> Iterator[Instance]:
    """Yield targets made by label flips of test rows, as MTP's are."""
    mnist = cp.datasets.load("mnist_17")
    for loss, rows in _MNIST.items():
        victim = cp.Victim(loss, C_R=0.09)
        for error, points, bound in rows:
            name = f"{loss} / MNIST 1-7 / {100 * error:.0f} % error"
            if only in name:
                target = cp.targets.label_flip(victim, mnist.train, error=error, flip=mnist.test).model
                space = mnist.space
                yield Instance(name, victim, mnist.train, mnist.test, space, target, 0.1, points, bound)


_ADULT = {"hinge": ((1866, 1667), (2097, 1831), (2163, 1863)), "logistic": ((2005, None), (1630, None), (2428, None))}


def _adult(only: str, suffix: str = "") -> Iterator[Instance]:
    """Yield subpopulation targets: of the clusters of KMeans(20) with label 0, the three that the clean model classifies best."""
    if not any(only in f"{loss} / Adult / cluster {k}{suffix}" for loss in _ADULT for k in range(3)):
        return
    adult = cp.datasets.load("adult")
    X, y = adult.train
    groups = cp.targets.subpopulations(X, y, min_rows=50)
    for loss, rows in _ADULT.items():
        victim = cp.Victim(loss, C_R=0.09)
        clean = victim.fit(X, y)
        for k, ((points, bound), chosen) in enumerate(
            zip(rows, cp.targets.best_classified(groups, clean), strict=True)
        ):
            name = f"{loss} / Adult / cluster {k}{suffix}"
            if only in name:
                candidate = cp.targets.subpopulation_target(
                    victim, adult.train, chosen, quantiles=SUBPOPULATION_QUANTILES, copies=SUBPOPULATION_COPIES
                )
                eps = 0.01 if loss == "hinge" else 0.05
                space = adult.space if suffix else adult.space.relax()
                yield Instance(name, victim, adult.train, adult.test, space, candidate.model, eps, points, bound)


def write(name: str, title: str, words: Sequence[str], rows: list[dict[str, Any]]) -> str:
    """Write the rows as CSV and, with title and words, as a Markdown page in ``experiments/results``; return the page."""
    RESULTS.mkdir(exist_ok=True)
    columns = list(rows[0])
    with open(RESULTS / f"{name}.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    table = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    table += ["| " + " | ".join("" if row[c] is None else str(row[c]) for c in columns) + " |" for row in rows]
    page = "\n".join([f"# {title}", "", *words, "", *table, ""])
    (RESULTS / f"{name}.md").write_text(page)
    return page
