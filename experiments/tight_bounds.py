"""MTP's Tables 1 and 2 with the tight bound and the attack that meets it.

    python experiments/tight_bounds.py --scale paper

For each target: MTP's points and lower bound, the points that follow-the-leader uses here until it is as close as in MTP, the
best value of Theorem 2 at its iterates (MTP's way), the tight bound, and the points of the optimal attack, which reproduces the
target itself: the residual of stationarity there (KKT residual), and the difference to the target of the victim that is
retrained on them from scratch.

Adult appears twice at paper scale: over the relaxed box, and with its 53 indicator columns as integers ("integer columns",
``--only integer``), where Algorithm 1 is not run.
"""

from __future__ import annotations

from itertools import chain
from time import perf_counter

from common import Instance, follow_the_leader, instances, integer_instances, options, title, write

import convexpoison as cp


def row(instance: Instance) -> dict[str, object]:
    """Compute one line of the table."""
    start = perf_counter()
    optimal = cp.attack(instance.target, instance.data, victim=instance.victim, space=instance.space, method="optimal")
    seconds = perf_counter() - start
    check = optimal.reproduction
    assert check is not None
    # Over integer columns every step of Algorithm 1 is a mixed-integer program: hours for the table.
    whole = "integer" in instance.space.parts
    leader = None if whole else follow_the_leader(instance)
    return {
        "target": instance.name,
        "test accuracy": f"{instance.target.accuracy(*instance.test):.4f}",
        "MTP: points": instance.paper_points,
        "MTP: lower bound": instance.paper_bound,
        "eps": instance.eps,
        "follow the leader, eps-close": leader and leader.n_points,
        "Theorem 2 on the way": leader and f"{leader.history['lower_bound'][-1]:.1f}",
        "tight bound": f"{float(optimal.bound):.2f}",
        "optimal attack": optimal.n_points,
        "gap": f"{optimal.n_points - optimal.bound.n_points:.0f}",
        "reproduces": f"{optimal.stop_reason}{', proven least' if check.proven_least else ''}",
        "KKT residual": f"{check.residual:.1e}",
        "its difference to the target": f"{check.difference:.1e}",
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
        "",
        '"exact": the KKT residual is rounding. "approximate": integer numbers of points, or integer columns, do not '
        "reproduce the target exactly; the difference, a proven upper bound on the maximum loss difference of the retrained "
        "victim to the target, says by how much. The bound then holds for the target, and the points induce a model near it.",
    ]
    both = (makers(arguments.scale, arguments.only) for makers in (instances, integer_instances))
    for instance in chain.from_iterable(both):
        rows.append(row(instance))
        page = write(name, "The tight bound and the optimal attack", words, rows)
    print(page)


if __name__ == "__main__":
    main()
