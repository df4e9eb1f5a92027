"""MTP's Tables 1 and 2 with the tight bound and the attack that meets it.

    python experiments/tight_bounds.py --scale paper

For each target: MTP's points and lower bound, the points that follow-the-leader uses here until it is as close as MTP asks,
the best value of Theorem 2 at the models that it passes through (MTP's way), the tight bound, and the points of the optimal
attack, which reproduces the target itself.
"""

from __future__ import annotations

from time import perf_counter

from common import Instance, instances, options, title, write

import convexpoison as cp


def row(instance: Instance) -> dict[str, object]:
    """One line of the table."""
    common = {"victim": instance.victim, "space": instance.space}
    start = perf_counter()
    optimal = cp.attack(instance.target, instance.data, method="optimal", **common)
    seconds = perf_counter() - start
    leader = cp.attack(instance.target, instance.data, eps=instance.eps, test_data=instance.test, **common)
    return {
        "target": instance.name,
        "test accuracy": f"{instance.target.accuracy(*instance.test):.4f}",
        "MTP: points": instance.paper_points,
        "MTP: lower bound": instance.paper_bound,
        "eps": instance.eps,
        "follow the leader, eps-close": leader.n_points,
        "Theorem 2 on the way": f"{leader.history['lower_bound'][-1]:.1f}",
        "tight bound": f"{float(optimal.bound):.2f}",
        "optimal attack": optimal.n_points,
        "gap": f"{optimal.n_points - optimal.bound.n_points:.0f}",
        "its difference to the target": f"{optimal.history['max_loss_difference'][-1]:.1e}",
        "seconds, bound and attack": f"{seconds:.1f}",
    }


def main() -> None:
    arguments = options(__doc__ or "")
    rows = []
    name, command = title("tight_bounds", arguments)
    words = [
        f"From {command}.",
        "",
        "Our targets are made by MTP's heuristic and differ a little from MTP's own, so its columns are for orientation. The "
        "tight bound and the optimal attack are for the target itself; follow-the-leader stops near it, which can take fewer "
        "points than the target does.",
    ]
    for instance in instances(arguments.scale, arguments.only):
        rows.append(row(instance))
        page = write(name, "The tight bound and the optimal attack", words, rows)
    print(page)


if __name__ == "__main__":
    main()
