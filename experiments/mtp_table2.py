"""MTP's Table 2: indiscriminate attacks on MNIST 1-7 and Dogfish, follow-the-leader against KKT, with bounds.

python experiments/mtp_table2.py --scale paper
"""

from __future__ import annotations

from typing import Any

from mtp import LOSSES, STAND_IN, compare, table

PAPER = {
    ("hinge", 0.05): ("1,737", "874"),
    ("hinge", 0.10): ("5,458", "3,850"),
    ("hinge", 0.15): ("6,192", "4,904"),
    ("logistic", 0.05): ("756", "none"),
    ("logistic", 0.10): ("2,113", "none"),
    ("logistic", 0.15): ("3,907", "none"),
}
DOGFISH = {
    ("hinge", 0.10): ("32", "15"),
    ("hinge", 0.20): ("89", "45"),
    ("hinge", 0.30): ("169", "83"),
    ("logistic", 0.10): ("62", "none"),
    ("logistic", 0.20): ("120", "none"),
    ("logistic", 0.30): ("181", "none"),
}
MNIST_GRID = {"dataset": ["mnist_17"], "loss": list(LOSSES), "level": [0.05, 0.10, 0.15]}
DOGFISH_GRID = {"dataset": ["dogfish"], "loss": list(LOSSES), "level": [0.10, 0.20, 0.30]}
WORDS = [
    "Test accuracies. Targets are made by MTP's own heuristic from test rows, and agree with MTP's to about 1 point of accuracy "
    "but not bit by bit. Both bounds are for the model that our points induce. MTP reports accuracies of KKT and of its attack "
    "at parts of the points as well; the order of these columns cannot be read off our copy of the text, so they are left out.",
    "",
    "MTP's clean models have 98.9 % (SVM) and 99.1 % (LR). With C_R = 0.09 logistic regression has 98.0 % on these rows, and "
    "99.1 % with C_R = 0.01: what MTP used is not established. MTP's SVM targets have 94.0, 88.8 and 83.3 %; at 10 % our "
    "heuristic finds one of less clean loss (4,050 against 4,941).",
    "",
    f"Rows of Dogfish need the user's feature files; where they are missing, a {STAND_IN} takes their place, whose figures "
    "cannot be compared with MTP's. Algorithm 1 ends there after 400 points at the latest, more than twice what MTP used: it "
    "does not come as close to LR's targets as MTP asks on Dogfish (eps = 1), although it has their error long before. The "
    "box there is wide relative to the data: the bounds, and KKT for LR, show that far fewer points could have the effect of "
    "Algorithm 1's.",
]


def row(params: dict[str, Any], random_state: int) -> dict[str, Any]:
    """Compute our columns and add the paper's."""
    known = {"mnist_17": PAPER, "dogfish": DOGFISH}.get(params["dataset"], {})
    points, bound = known.get((params["loss"], params["level"]), ("none", "none"))
    return {"data": params["dataset"]} | compare(params, random_state) | {"MTP: points": points, "MTP: bound": bound}


if __name__ == "__main__":
    smoke = {"dataset": ["digits_17"], "loss": ["hinge"], "level": [0.10]}
    grids = {"smoke": [smoke], "paper": [MNIST_GRID, DOGFISH_GRID]}
    table("mtp_table2", "MTP, Table 2: indiscriminate attacks", WORDS, row, grids, __doc__ or "")
