"""PACD's Figure 6: every class as the target, Gaussian augmentation.

    python experiments/pacd_figure6.py --scale paper --data mnist cifar10    (a GPU)

sigma = 0.5 on MNIST, 0.25 on CIFAR-10.
"""

from __future__ import annotations

from pacd import job
from pacd_pages import clean_and_poisoned, data_name, fetch, missing, parse, publish

SIGMAS = {"mnist": 0.5, "cifar10": 0.25}
CLASSES = {"smoke": (3, 8), "small": (8,), "paper": tuple(range(10))}
"""Classes that are run."""


def main() -> None:
    arguments = parse(__doc__ or "")
    scale, runs = arguments.scale, CLASSES[arguments.scale]
    grid = [(d, c) for d in arguments.data for c in (runs if scale == "smoke" else CLASSES["paper"])]
    jobs = [
        job(d, scale, kind, "ga", SIGMAS[d], target=c) if c in runs else None
        for d, c in grid
        for kind in ("clean", "poisoned")
    ]
    found = fetch(jobs)
    rows = [
        clean_and_poisoned({"data": data_name(arguments, data), "target": target}, clean, poisoned)
        for (data, target), clean, poisoned in zip(grid, found[::2], found[1::2], strict=True)
    ]
    rows += missing(arguments, rows)
    words = "The paper's figure has no numbers beside Table 2's for digit 8 and class ship."
    publish(arguments, "pacd_figure6", "PACD, Figure 6: all target classes", rows, words)


if __name__ == "__main__":
    main()
