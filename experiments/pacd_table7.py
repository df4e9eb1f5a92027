"""PACD's Table 7: weight regularisation, with and without Gaussian augmentation; digit 8, sigma = 0.5, eps = 0.1.

python experiments/pacd_table7.py --scale paper    (a GPU)
"""

from __future__ import annotations

from pacd import job
from pacd_pages import fall, fetch, parse, publish, spread

PAPER = {
    ("standard", "clean"): ("0.95±0.10", "0.89±0.06", "0.87±0.11", "0.82±0.04"),
    ("standard", "poisoned"): ("0.01±0.01", "0.03±0.05", "0.37±0.06", "0.68±0.05"),
    ("ga", "clean"): ("1.48±0.02", "1.49±0.03", "1.29±0.15", "0.85±0.09"),
    ("ga", "poisoned"): ("0.73±0.10", "0.62±0.02", "0.58±0.11", "0.72±0.08"),
}
"""ACR with no regularisation, 1e-4, 1e-2 and 1e-1."""
DECAYS = (0.0, 1e-4, 1e-2, 1e-1)
NAMES = {"standard": "without GA", "ga": "with GA"}


def main() -> None:
    arguments = parse(__doc__ or "")
    grid = [(method, kind, decay) for method, kind in PAPER for decay in DECAYS]
    how = {"against": "ga"}
    outcomes = dict(
        zip(grid, fetch([job("mnist", arguments.scale, k, m, 0.5, weight_decay=d, **how) for m, k, d in grid]), strict=True)
    )  # fmt: skip
    rows = []
    for method, kind, decay in grid:
        found, clean = outcomes[method, kind, decay], outcomes[method, "clean", decay]
        rows.append(
            {
                "training": NAMES[method], "trained on": kind, "weight decay": f"{decay:g}", "ACR": spread(found, "acr"),
                "fall of ACR": fall(found, clean), "paper's ACR": PAPER[method, kind][DECAYS.index(decay)],
            }
        )  # fmt: skip
    words = (
        "All poison is Table 2's, made against Gaussian augmentation without regularisation. The weight decay is Adam's, added "
        "to the gradient: lambda / 2 times the squared norm of the weights in the loss. The paper does not name its form."
    )
    publish(arguments, "pacd_table7", "PACD, Table 7: weight regularisation", rows, words)


if __name__ == "__main__":
    main()
