"""PACD's Figure 5: clean images above, poisoned ones below, for all classes whose poison Figure 6 made.

python experiments/pacd_figure5.py --scale paper    (a GPU, or the poison of Figure 6 in experiments/runs)
"""

from __future__ import annotations

import numpy as np
from common import RESULTS
from matplotlib.figure import Figure
from pacd import job, poison
from pacd_figure6 import CLASSES, SIGMAS
from pacd_pages import parse, publish

COLUMNS = 8


def main() -> None:
    arguments = parse(__doc__ or "")
    scale, rows = arguments.scale, []
    for data in arguments.data:
        made = [poison(job(data, scale, "poisoned", "ga", SIGMAS[data], target=c)) for c in CLASSES[scale]]
        height = 2 * len(made)
        axes = Figure((COLUMNS * 0.9, height * 0.95), layout="constrained").subplots(height, COLUMNS, squeeze=False)
        for k, result in enumerate(made):
            result.plot(COLUMNS, axes[2 * k : 2 * k + 2])
            moved = np.abs(result.images - result.base_images)
            rows.append(
                {
                    "class": int(result.labels[0]), "images": result.n_points, "largest change": f"{moved.max():.3f}",
                    "mean change": f"{moved.mean():.3f}", "mean l2": f"{result.distances('l2').mean():.2f}",
                }
            )  # fmt: skip
        axes[0, 0].figure.savefig(RESULTS / f"pacd_figure5_{data}_{scale}.png", dpi=120)
    words = "Changes of a pixel, on the scale from 0 to 1; classes that are missing were not attacked at this size."
    publish(arguments, "pacd_figure5", "PACD, Figure 5: how much the poison changes", rows, words)


if __name__ == "__main__":
    main()
