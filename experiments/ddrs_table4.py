"""DDRS's Table 4: uniform noise and l1 radii on CIFAR-10, fixed and data-dependent.

python experiments/ddrs_table4.py --scale paper    (a GPU)
"""

from __future__ import annotations

import numpy as np
from smoothing import line, parse, publish, sweep

PAPER = {"fixed": 0.775, "own": 0.946}
"""ACR of Yang and of Yang-DS."""


def main() -> None:
    scale = parse(__doc__ or "").scale
    # lambda in {0.25, 0.5, 1} of DDRS, as standard deviations: sigma = lambda / sqrt(3)
    sigmas = [float(round(value / np.sqrt(3), 6)) for value in (0.25, 0.5, 1.0)]
    grid = {
        "data": ["cifar10"], "scale": [scale], "method": ["ga"], "sigma": sigmas, "noise": ["uniform"], "seed": [0],
    }  # fmt: skip
    runs = [r for _, r in sweep("ddrs_table4", scale, [grid])]
    rows = [
        {
            "certified with": {"fixed": "one lambda", "own": "each image's own"}[way],
            **line(max(r[way]["acr"] for r in runs), np.max([r[way]["accuracies"] for r in runs], axis=0).tolist()),
            **({} if scale == "smoke" else {"DDRS: ACR": PAPER[way]}),
        }
        for way in ("fixed", "own")
        if runs
    ]
    words = [
        "Networks are trained with Gaussian noise of the same standard deviation (DDRS takes Yang et al.'s networks, trained "
        "with uniform noise and more).",
    ]
    publish("ddrs_table4", scale, "DDRS, Table 4: l1 radii", words, rows, "cifar10")


if __name__ == "__main__":
    main()
