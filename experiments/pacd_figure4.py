"""PACD's Figure 4: poison made against one objective, retrained on with another.

    python experiments/pacd_figure4.py --scale paper --data mnist cifar10    (a GPU)

sigma = 0.5 on MNIST, 0.25 on CIFAR-10. The diagonal is that of Tables 2 to 4.
"""

from __future__ import annotations

from pacd import NAMES, job
from pacd_pages import data_name, fall, fetch, missing, parse, publish, spread

METHODS = ("ga", "macer", "smoothadv")
SIGMAS = {"mnist": 0.5, "cifar10": 0.25}


def main() -> None:
    arguments = parse(__doc__ or "")
    grid = [(d, against, trains) for d in arguments.data for against in ("", *METHODS) for trains in METHODS]
    jobs = [
        job(d, arguments.scale, "poisoned" if against else "clean", trains, SIGMAS[d], against=against)
        for d, against, trains in grid
    ]  # fmt: skip
    outcomes = dict(zip(grid, fetch(jobs), strict=True))
    rows = []
    for (data, against, trains), found in outcomes.items():
        clean = outcomes[data, "", trains]
        rows.append(
            {
                "data": data_name(arguments, data), "poison against": NAMES[against] if against else "clean data",
                "trained with": NAMES[trains], "ACR": spread(found, "acr"), "fall of ACR": fall(found, clean),
                "ACA %": spread(found, "aca", 100.0, 1),
            }
        )  # fmt: skip
    rows += missing(arguments, rows)
    words = "The paper's figure has no numbers."
    publish(arguments, "pacd_figure4", "PACD, Figure 4: transfer between objectives", rows, words)


if __name__ == "__main__":
    main()
