"""PACD's Table 1: poison made against the accuracy of standard training (Eq. 4) does little to robust training.

    python experiments/pacd_table1.py --scale paper --data mnist cifar10    (a GPU)

Accuracy of the base classifier on the target class; the robust methods train with sigma = 0.25.
"""

from __future__ import annotations

from pacd import NAMES, job
from pacd_pages import data_name, fetch, is_run, parse, publish, shown, spread

SIGMA = 0.25
PAPER = {
    ("mnist", "standard"): ("99.28±0.01", "60.08±12.6"),
    ("mnist", "ga"): ("98.99±0.14", "98.31±1.65"),
    ("mnist", "smoothadv"): ("99.18±0.23", "99.31±0.29"),
    ("mnist", "macer"): ("99.21±0.56", "98.31±0.58"),
    ("cifar10", "standard"): ("92.71±1.31", "0.36±0.37"),
    ("cifar10", "ga"): ("88.84±2.39", "88.38±2.13"),
    ("cifar10", "smoothadv"): ("79.48±2.69", "74.95±3.45"),
    ("cifar10", "macer"): ("87.12±1.17", "88.54±4.52"),
}
"""Accuracy (%) on the target class, trained on clean and poisoned data."""


def main() -> None:
    arguments = parse(__doc__ or "")
    how = {"against": "standard", "goal": "accuracy", "own": True}
    lines = [(data, method) for data, method in PAPER if shown(arguments, data, SIGMA, SIGMA)]
    jobs = [
        job(data, arguments.scale, kind, method, SIGMA, **how) if is_run(arguments, data, SIGMA, SIGMA) else None
        for data, method in lines
        for kind in ("clean", "poisoned")
    ]  # fmt: skip
    found = fetch(jobs)
    rows = []
    for (data, method), clean, poisoned in zip(lines, found[::2], found[1::2], strict=True):
        theirs = PAPER[data, method]
        rows.append(
            {
                "data": data_name(arguments, data), "trained with": NAMES[method],
                "clean %": spread(clean, "accuracy", 100.0, 1), "poisoned %": spread(poisoned, "accuracy", 100.0, 1),
                "paper's clean %": theirs[0], "paper's poisoned %": theirs[1],
            }
        )  # fmt: skip
    words = (
        "Of the base classifier on test images of the target class; the attack is on the accuracy of standard training."
    )
    publish(arguments, "pacd_table1", "PACD, Table 1: poison against standard training", rows, words)


if __name__ == "__main__":
    main()
