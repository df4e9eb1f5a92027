"""MACER's Appendix C.4: the effect of k, lambda, gamma and beta on CIFAR-10 (Tables 10 to 13).

python experiments/macer_c4.py --scale paper    (a GPU)
"""

from __future__ import annotations

from smoothing import line, parse, publish, sweep

EFFECTS = {
    "k": [1, 2, 4, 8, 16],
    "lam": [0.0, 1.0, 2.0, 4.0, 8.0, 16.0],
    "gamma": [2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0],
    "beta": [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0],
}
BASE = {"k": 16, "lam": 12.0, "gamma": 8.0, "beta": 16.0}


def main() -> None:
    scale = parse(__doc__ or "").scale
    options: list[dict[str, float]] = []
    for name, values in EFFECTS.items():
        options += [
            o for value in values if (o := BASE | {name: value}) not in options
        ]  # the base itself is in most tables
    if scale == "smoke":
        options = [BASE | {"k": 2}, BASE | {"k": 2, "lam": 0.0}]
    grid = {
        "data": ["cifar10"], "scale": [scale], "method": ["macer"], "sigma": [0.25, 0.5], "options": options, "seed": [0],
        "source": ["macer"],
    }  # fmt: skip
    rows = [
        {"sigma": p["sigma"], **p["options"], **line(r["fixed"]["acr"], r["fixed"]["accuracies"])}
        for p, r in sweep("macer_c4", scale, [grid])
    ]
    publish("macer_c4", scale, "MACER, Tables 10 to 13: effects of its settings", [], rows, "cifar10", "macer")


if __name__ == "__main__":
    main()
