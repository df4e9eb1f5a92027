"""PACD's Table 5: how far projected gradient descent must move a test image of the target class before the smoothed
classifier errs, trained with Gaussian augmentation on clean and on poisoned data.

python experiments/pacd_table5.py --scale paper --data mnist cifar10    (a GPU)
"""

from __future__ import annotations

from pacd import SIZES, job
from pacd_pages import data_name, fall, fetch, is_run, parse, publish, shown, spread

PAPER = {
    ("mnist", 0.25): ("3.271±0.10", "1.339±0.16"),
    ("mnist", 0.5): ("3.637±0.15", "2.170±0.09"),
    ("mnist", 0.75): ("3.961±0.18", "2.213±0.31"),
    ("cifar10", 0.25): ("1.754±0.17", "0.132±0.04"),
    ("cifar10", 0.5): ("1.996±0.09", "0.367±0.06"),
}
"""Mean l2 distortion on clean and poisoned data."""


def main() -> None:
    arguments = parse(__doc__ or "")
    lines = [line for line in PAPER if shown(arguments, *line)]
    jobs = [
        job(data, arguments.scale, kind, "ga", sigma, distortion=True) if is_run(arguments, data, sigma) else None
        for data, sigma in lines
        for kind in ("clean", "poisoned")
    ]  # fmt: skip
    found = fetch(jobs)
    rows = []
    for (data, sigma), clean, poisoned in zip(lines, found[::2], found[1::2], strict=True):
        theirs = PAPER[data, sigma]
        rows.append(
            {
                "data": data_name(arguments, data), "sigma": sigma, "clean": spread(clean, "distortion"),
                "poisoned": spread(poisoned, "distortion"), "fall": fall(poisoned, clean, "distortion"),
                "paper's clean": theirs[0], "paper's poisoned": theirs[1],
            }
        )  # fmt: skip
    size = SIZES[arguments.scale]
    words = (
        f"Mean over {size.moved} test images at most; {size.budgets} budgets from 0.25 to 10 are tried in turn, with 100 steps "
        "and 20 draws each. Images that are misclassified as they are count as 0, those that withstand every budget not at all."
    )
    publish(arguments, "pacd_table5", "PACD, Table 5: mean l2 distortion of adversarial images", rows, words)


if __name__ == "__main__":
    main()
