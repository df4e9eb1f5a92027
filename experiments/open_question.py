"""Are there more efficient attacks than Algorithm 1? The tight bound for the models that it induces along its run.

    python experiments/open_question.py --scale paper

MTP finds a gap between the points that its attack uses and its lower bound, and asks whether more efficient attacks exist.
The tight bound of an induced model is the least cost of that model, and an attack attains it: the gap between it and the
points used is exactly the waste of Algorithm 1.
"""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from common import RESULTS, Instance, follow_the_leader, instances, options, title, write

import convexpoison as cp

_PARTS = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


def rows(instance: Instance) -> list[dict[str, object]]:
    """Return the tight bound after parts of the run."""
    common = {"victim": instance.victim, "space": instance.space}
    result = follow_the_leader(instance)
    X, y = instance.data
    out = []
    for part in _PARTS:
        n = max(1, round(part * len(result.counts)))
        points, counts = result.points[:n], result.counts[:n]
        poisoned = np.vstack([X, np.repeat(points, counts, axis=0)])
        labels = np.concatenate([y, np.repeat(result.labels[:n], counts)])
        model = instance.victim.fit(poisoned, labels)
        bound = cp.lower_bound(model, instance.data, **common)
        used = int(counts.sum())
        out.append(
            {
                "target": instance.name,
                "points used": used,
                "difference to the target": f"{result.history['max_loss_difference'][n]:.3f}",
                "Theorem 2 for the target on the way": f"{result.history['lower_bound'][n]:.1f}",
                "tight bound of the induced model": f"{float(bound):.2f}",
                "wasted, %": f"{100 * (1 - float(bound) / used):.2f}",
            }
        )
    return out


def plot(table: list[dict[str, object]], path: str) -> None:
    """Plot the points used against the tight bound of the induced model."""
    figure, axes = plt.subplots(figsize=(6, 5))
    for name in dict.fromkeys(row["target"] for row in table):
        mine = [row for row in table if row["target"] == name]
        used = [int(str(row["points used"])) for row in mine]
        axes.plot(used, [float(str(row["tight bound of the induced model"])) for row in mine], "o-", label=str(name))
    limits = axes.get_xlim()
    axes.plot(limits, limits, color="0.5", linewidth=1, label="nothing wasted")
    axes.set(xlabel="points used by Algorithm 1", ylabel="tight bound of the induced model")
    axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def main() -> None:
    arguments = options(__doc__ or "")
    name, command = title("open_question", arguments)
    words = [
        f"From {command}. The last column is the share of points that the attack could have saved on the model that it induced."
    ]
    table: list[dict[str, object]] = []
    for instance in instances(arguments.scale, arguments.only):
        table += rows(instance)
        page = write(name, "What Algorithm 1 wastes", words, table)
        plot(table, str(RESULTS / f"{name}.png"))
    print(page)


if __name__ == "__main__":
    main()
