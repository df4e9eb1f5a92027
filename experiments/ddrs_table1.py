"""DDRS's Tables 1 to 3: Cohen, SmoothAdv and MACER on CIFAR-10 with ResNet-18, with fixed sigma, DS and DS squared.

python experiments/ddrs_table1.py --scale paper    (a GPU)
"""

from __future__ import annotations

import numpy as np
from smoothing import NAMES, RADII, line, of_macer, parse, publish, sweep

PAPER = {
    ("ga", "fixed"): 0.591,
    ("ga", "DS"): 0.784,
    ("ga", "DS²"): 0.764,
    ("smoothadv", "fixed"): 0.681,
    ("smoothadv", "DS"): 0.799,
    ("smoothadv", "DS²"): 0.812,
    ("macer", "fixed"): 0.702,
    ("macer", "DS"): 0.841,
    ("macer", "DS²"): 0.807,
}
"""Best ACR."""
WAYS = {"fixed": ("fixed", "fixed"), "DS": ("fixed", "own"), "DS²": ("own", "own")}


def main() -> None:
    scale = parse(__doc__ or "").scale
    grid = {
        "data": ["cifar10"], "scale": [scale], "method": list(NAMES), "sigma": [0.12, 0.25, 0.5],
        "trained": ["fixed", "own"], "seed": [0],
    }  # fmt: skip
    runs = sweep("ddrs_table1", scale, [grid])
    rows = []
    for (method, way), acr in PAPER.items():
        trained, certified = WAYS[way]
        mine = [r[certified] for p, r in runs if p["method"] == method and p["trained"] == trained]
        if mine:
            best = np.max([r["accuracies"] for r in mine], axis=0)
            rows.append(
                {
                    "method": NAMES[method],
                    "sigma": way,
                    **line(max(r["acr"] for r in mine), best.tolist()),
                    **({} if scale == "smoke" else {"DDRS: ACR": acr}),
                }
            )
    words = [
        of_macer("cifar10", scale),
        f"Best certified accuracy at each radius ({RADII[0]:g} to {RADII[-1]:g}) and best ACR over the training sigmas, as "
        "in DDRS.",
    ]
    publish("ddrs_table1", scale, "DDRS, Tables 1 to 3: CIFAR-10", words, rows, "cifar10")


if __name__ == "__main__":
    main()
