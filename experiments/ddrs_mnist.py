"""GA, SmoothAdv and MACER on MNIST at sigma = 0.5, each with fixed sigma, DS and DS squared (DDRS): ACR over three seeds.

python experiments/ddrs_mnist.py --scale small
"""

from __future__ import annotations

from typing import Any

import numpy as np
from smoothing import NAMES, of_macer, parse, publish, sweep

WAYS = {("fixed", "fixed"): "fixed", ("fixed", "own"): "DS", ("own", "own"): "DS²"}
"""(sigma in training, sigma in certification)"""


def rows(runs: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return one line for each method and way: mean and standard deviation of the ACR over the seeds."""
    out = []
    for method, name in NAMES.items():
        for (trained, certified), way in WAYS.items():
            mine = [r for p, r in runs if p["method"] == method and p["trained"] == trained]
            acr = np.array([r[certified]["acr"] for r in mine])
            if acr.size:
                out.append(
                    {
                        "method": name,
                        "sigma": way,
                        "ACR": f"{acr.mean():.3f} ± {acr.std(ddof=min(1, acr.size - 1)):.3f}",
                        "certified accuracy at 0 / 0.5 / 1.0": " / ".join(
                            f"{np.mean([r[certified]['accuracies'][k] for r in mine]):.2f}" for k in (0, 2, 4)
                        ),
                        "seeds": acr.size,
                        "training, s": f"{np.mean([r['training_s'] for r in mine]):.0f}",
                    }
                )
    return out


def main() -> None:
    scale = parse(__doc__ or "").scale
    grid = {
        "data": ["mnist"], "scale": [scale], "method": list(NAMES), "sigma": [0.5], "trained": ["fixed", "own"],
        "seed": [0, 1, 2],
    }  # fmt: skip
    words = [
        of_macer("mnist", scale),
        "DS: the same network, certified with each image's own sigma through the memory; DS²: trained with it as well. The "
        "papers have GA below the other two, and DS above fixed.",
    ]
    runs = sweep("ddrs_mnist", scale, [grid])
    publish("ddrs_mnist", scale, "Training and data-dependent noise on MNIST", words, rows(runs), "mnist")


if __name__ == "__main__":
    main()
