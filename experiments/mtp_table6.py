"""MTP's Table 6: attacks on MNIST 1-7 at poisoning ratios of 5, 15 and 30 %, against objective-driven rivals.

python experiments/mtp_table6.py --scale paper
"""

from __future__ import annotations

from typing import Any

from mtp import LOSSES, rows, table, target, victim
from sklearn.model_selection import train_test_split

import convexpoison as cp

PAPER = {
    ("min_max", "hinge"): ("97.0", "93.9", "92.9"),
    ("gradient", "hinge"): ("98.7", "98.2", "96.8"),
    ("influence", "hinge"): ("98.7", "98.0", "97.2"),
    ("follow_the_leader", "hinge"): ("96.2", "88.6", "84.3"),
    ("gradient", "logistic"): ("98.2", "97.6", "95.7"),
    ("follow_the_leader", "logistic"): ("96.5", "89.1", "83.1"),
}
NAMES = {
    "min_max": "min-max (Steinhardt et al.)",
    "gradient": "gradient (Biggio et al., Demontis et al.)",
    "influence": "influence (Koh & Liang)",
    "follow_the_leader": "Algorithm 1, improved target of 15 % error",
    "least_mass": "target of least mass",
}
RATIOS = (0.05, 0.15, 0.30)
ERRORS = {
    "hinge": (0.05, 0.07, 0.15, 0.17, 0.25, 0.30),
    "logistic": (0.05, 0.07, 0.10, 0.12, 0.14, 0.20, 0.25, 0.28),
}
"""Goals of least mass from which the largest error within the budget is taken."""
COPIES = {"hinge": 100, "logistic": 10}
"""Copies of each point of the gradient attacks, as in MTP."""


def _grid(loss: str) -> str:
    return f"{', '.join(f'{100 * e:.0f}' for e in ERRORS[loss])} %"


WORDS = [
    "Test accuracies. Min-max, gradient and influence attacks steer by 30 % of the training rows, the gradient attacks with "
    "repeated points, as in MTP. Algorithm 1 goes towards MTP's improved target of 15 % error, which was made from the test "
    "rows, as in MTP. A target of least mass is searched with the test rows too, and counts with the largest error of a grid "
    f"({_grid('hinge')} for the SVM, {_grid('logistic')} for LR) whose points fit into the budget.",
    "",
    "The gradient and influence attacks are computed for the victim that is attacked, which trains on all clean rows; MTP's "
    "assume training on the other 70 %. Ours take derivatives at the exact optimum, and keep only steps "
    "that raise the loss.",
    "",
    "On MNIST the improved target of 15 % error that our heuristic picks lies farther off than MTP's (Table 4 has the points "
    "that either takes), and Algorithm 1 does its damage late on the way there: MTP's column of the SVM is ahead of ours.",
]


def row(params: dict[str, Any], random_state: int) -> dict[str, Any]:
    """Compute the accuracy at each ratio."""
    dataset, (method, loss) = params["dataset"], params["attack"]
    r = rows(dataset)
    budgets = [round(ratio * len(r.train[1])) for ratio in RATIOS]
    paper = PAPER.get((method, loss), ("", "", ""))
    if method == "follow_the_leader":
        found = _towards(dataset, loss, r, budgets)
    elif method == "least_mass":
        found = _least_mass(dataset, loss, r, budgets)
    else:
        found = [_rival(method, dataset, loss, r, n, random_state) for n in budgets]
    out = {"attack": NAMES[method], "victim": LOSSES[loss]}
    for ratio, accuracy, theirs in zip(RATIOS, found, paper, strict=True):
        out[f"{100 * ratio:.0f} %"] = f"{accuracy:.1f}"
        out[f"MTP at {100 * ratio:.0f} %"] = theirs if dataset == "mnist_17" else ""
    return out


def _towards(dataset: str, loss: str, r: Any, budgets: list[int]) -> list[float]:
    aim = target(dataset, loss, 0.15, improved=True).model
    run = cp.attack(aim, r.train, victim=victim(dataset, loss), space=r.space, max_points=budgets[-1], test_data=r.test)
    return [100 * float(run.history["accuracy"][min(n, run.n_points)]) for n in budgets]


def _least_mass(dataset: str, loss: str, r: Any, budgets: list[int]) -> list[float]:
    who = victim(dataset, loss)
    found = [(0, who.fit(*r.train).accuracy(*r.test))]
    for error in ERRORS[loss]:
        goal = cp.goals.ErrorRate(error, *r.test)
        try:
            aim = cp.attack(
                goal, r.train, victim=who, space=r.space, flip=r.test, max_points=budgets[-1], bound_time_limit_s=0
            )
        except ValueError:  # not reached with the largest budget
            break
        found.append((aim.n_points, aim.model.accuracy(*r.test)))
    return [100 * min(accuracy for n, accuracy in found if n <= budget) for budget in budgets]


def _rival(method: str, dataset: str, loss: str, r: Any, n: int, random_state: int) -> float:
    X, y = r.train
    _, X_validation, _, y_validation = train_test_split(X, y, test_size=0.3, random_state=random_state, stratify=y)
    options: dict[str, Any] = {}
    if method == "gradient":
        options = {"copies": min(COPIES[loss], max(1, n // 4)), "max_iter": 10}
    if method == "min_max":
        options = {"copies": 10}
    result = cp.attack(
        cp.goals.ErrorRate(1.0, X_validation, y_validation), r.train, victim=victim(dataset, loss), space=r.space,
        method=method, max_points=n, random_state=random_state, **options,
    )  # fmt: skip
    return 100 * result.model.accuracy(*r.test)


if __name__ == "__main__":
    attacks = [*PAPER, ("least_mass", "hinge"), ("least_mass", "logistic")]
    grids = {
        "smoke": [{"dataset": ["digits_17"], "attack": [list(a) for a in attacks]}],
        "paper": [{"dataset": ["mnist_17"], "attack": [list(a) for a in attacks]}],
    }
    table("mtp_table6", "MTP, Table 6: objective-driven attacks", WORDS, row, grids, __doc__ or "")
