"""PACD's Table 6 and D.2: two isotropic Gaussians, in closed form and by the exact attack.

    python experiments/pacd_table6.py --scale paper

Every model is trained exactly by the convex core, every hypergradient is the implicit one, radii are distances to the hyperplane.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from common import write
from scipy.stats import norm
from smoothing import parse

import convexpoison as cp
from convexpoison.neural.theory.linear import two_gaussians
from convexpoison.neural.theory.linear_attack import attack_linear, average_radius

MEANS, SPREAD, EPS = (0.2, 0.8), 0.3, 0.1
TABLE_6 = {"0.25": (0.4047, 0.3585), "0.50": (0.4139, 0.3587), "0.75": (0.4123, 0.3544)}
VICTIMS = {
    "least squares": cp.Victim("squared", C=np.inf, intercept="free"),
    "logistic regression": cp.Victim("logistic", C=1e8, intercept="free"),
}


@dataclass(frozen=True)
class Size:
    """Nodes of a coordinate, rows of a class, and samples."""

    nodes: int
    rows: int
    samples: int


SIZES = {"smoke": Size(6, 50, 2), "small": Size(12, 250, 5), "paper": Size(20, 1000, 10)}


def nodes(n: int) -> np.ndarray:
    """Return equally likely nodes of a two-dimensional standard Gaussian, n for each coordinate."""
    return np.array(list(itertools.product(norm.ppf((np.arange(n) + 0.5) / n), repeat=2)))


def centre(model: cp.LinearModel) -> float:
    """Return the certified radius of the negative class's mean: the number of D.2."""
    return average_radius(model, [[MEANS[0]] * 2], [-1])


def d2(size: Size) -> list[dict[str, Any]]:
    """Compute the radius of the mean before and after: the paper, the closed form, the attack on equally likely nodes."""
    theory, grid = two_gaussians(*MEANS, SPREAD, EPS), SPREAD * nodes(size.nodes)
    rows = [
        _line("D.2, radius of the mean: paper", 0.4243, 0.3546),
        _line("D.2, radius of the mean: closed form", theory.clean.mean_radius, theory.best.mean_radius),
    ]
    for name, victim in VICTIMS.items():
        minus, plus = MEANS[0] + grid, MEANS[1] + grid
        clean = victim.fit(np.vstack([minus, plus]), np.repeat([-1.0, 1.0], len(grid)))
        poisoned = attack_linear(victim, minus, plus, EPS).model
        rows.append(_line(f"D.2, radius of the mean: attack on {name}", centre(clean), centre(poisoned)))
    return rows


def table_6(size: Size) -> list[dict[str, Any]]:
    """Compute the ACR of the negative class on fresh draws: Table 6, the closed form, the attack on samples."""
    theory = two_gaussians(*MEANS, SPREAD, EPS)
    rows = [_line(f"Table 6, ACR: paper, sigma = {sigma}", *pair) for sigma, pair in TABLE_6.items()]
    rows.append(_line("Table 6, ACR: closed form", theory.clean.radius, theory.best.radius))
    for name, victim in VICTIMS.items():
        pairs = np.array([_sampled(victim, size.rows, seed) for seed in range(size.samples)])
        (before, after), (off, off_after) = pairs.mean(0), pairs.std(0, ddof=1)
        title = f"Table 6, ACR: attack on {name}, {size.samples} samples"
        rows.append({"what": title, "clean": f"{before:.4f} ± {off:.4f}", "poisoned": f"{after:.4f} ± {off_after:.4f}"})
    return rows


def _sampled(victim: cp.Victim, n: int, seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    minus, plus, test = (mean + SPREAD * rng.normal(size=(n, 2)) for mean in (*MEANS, MEANS[0]))
    clean = victim.fit(np.vstack([minus, plus]), np.repeat([-1.0, 1.0], n))
    poisoned = attack_linear(victim, minus, plus, EPS).model
    labels = -np.ones(n)
    return average_radius(clean, test, labels), average_radius(poisoned, test, labels)


def _line(what: str, before: float, after: float) -> dict[str, Any]:
    return {"what": what, "clean": f"{before:.4f}", "poisoned": f"{after:.4f}"}


def main() -> None:
    scale = parse(__doc__ or "").scale
    size = SIZES[scale]
    words = [
        f"From `python experiments/pacd_table6.py --scale {scale}`. Means {MEANS}, standard deviation {SPREAD}, eps {EPS} in "
        "every coordinate.",
        "",
        "The paper prints 0.3546 for the poisoned radius of D.2. Its own formula, 0.4243 less eps / sqrt(2), gives 0.3536, as do "
        "the closed form and the attack; the last digit but one seems to be a misprint. D.2's number is the radius of the "
        "class's mean; the ACR, which Table 6 estimates on a sample of unstated size, counts misclassified points as 0 and "
        "is somewhat larger. The attack moves every point by itself, and is not constrained to move them all alike.",
    ]
    print(
        write(
            f"pacd_table6_{scale}", "Two isotropic Gaussians (PACD, D.2 and Table 6)", words, d2(size) + table_6(size)
        )
    )


if __name__ == "__main__":
    main()
