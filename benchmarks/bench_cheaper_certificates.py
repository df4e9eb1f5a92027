"""The cost of certificates: a fixed number of draws, a tenth of it, a number for each image, and draws that stop early.

``python benchmarks/bench_cheaper_certificates.py``; needs torch, and ``mnist.npz`` in the folder that ``CONVEXPOISON_DATA``
names. One LeNet is trained with Gaussian noise; then the same test images are certified in several ways, and the certified
accuracies and the draws are compared. Prints a table and writes ``benchmarks/results/cheaper_certificates.md``.
"""

from __future__ import annotations

import argparse
import platform
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from scipy.stats import norm

from convexpoison import neural
from convexpoison.datasets.images import load_images

RESULTS = Path(__file__).parent / "results" / "cheaper_certificates.md"
SIGMA = 0.5
RADII = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
ALPHA = 0.001
"""The default of ``certify``."""
N_FEW = 4
"""Number of radii, from the first, that are also certified alone."""


@dataclass(frozen=True)
class Way:
    """One way to certify: share of right and certified images, and draws an image, at the first radii; processor seconds."""

    name: str
    accuracy: list[float]
    draws: list[float]
    seconds: float


@dataclass(frozen=True)
class Bench:
    """A network, images, and the seed of all noise."""

    net: torch.nn.Module
    X: np.ndarray
    y: np.ndarray
    seed: int

    def classifier(self) -> neural.SmoothedClassifier:
        return neural.SmoothedClassifier(self.net, SIGMA, random_state=self.seed)

    def certified(self, name: str, at: tuple[float, ...], n: int, n0: int = 100, **options: Any) -> Way:
        """Compute one certificate for each image, evaluated at these radii."""
        began = process_time()
        found = self.classifier().certify(self.X, n0=n0, n=n, **options)
        right = found.prediction == self.y
        accuracy = [float(np.mean(right & (found.radius >= r))) for r in at]
        return Way(name, accuracy, [float(found.n.mean()) + n0] * len(at), process_time() - began)

    def decided(self, name: str, radii: tuple[float, ...], n: int) -> Way:
        """Compute a decision for each image and radius, with separate draws."""
        began = process_time()
        found = [self.classifier().certify_radius(self.X, r, n0=100, n_max=n) for r in radii]
        accuracy = [float(np.mean(d.prediction == self.y)) for d in found]
        return Way(name, accuracy, [float(d.n.mean()) + 100 for d in found], process_time() - began)

    def ways(self, n: int, tolerance: float | None) -> list[Way]:
        """Return the results of all ways, the fixed number of draws first: the others are compared with it."""
        few = RADII[:N_FEW]
        ways = [
            self.certified(f"n = {n:,} fixed", RADII, n),
            self.certified("a tenth of it, fixed", RADII, n // 10),
            self.decided("one radius at a time", few, n),
            self.certified(f"radii up to {few[-1]:g} together", few, n, radii=few),
            self.certified("all radii together", RADII, n, radii=RADII),
        ]
        if tolerance is not None:
            name = f"n by the image, tolerance {tolerance:g} sigma"
            ways.append(self.certified(name, RADII, n, n0=200, tolerance=tolerance))
        return ways


def table(ways: list[Way]) -> list[str]:
    lines = [
        "| certificate | " + " | ".join(f"accuracy, draws at {r:g}" for r in RADII) + " | processor s |",
        "|" + "---|" * (len(RADII) + 2),
    ]
    for way in ways:
        cells = [f"{100 * a:.1f} %, {d:,.0f}" for a, d in zip(way.accuracy, way.draws, strict=True)]
        cells += ["not asked"] * (len(RADII) - len(cells))
        lines.append(f"| {way.name} | {' | '.join(cells)} | {way.seconds:.1f} |")
    return lines


def fewest(base: Way, n: int) -> str:
    """Describe the least number of draws of any certificate at this level: all vote for the class, ``p**draws <= alpha``."""
    draws = np.ceil(np.log(ALPHA) / norm.logcdf(np.array(RADII) / SIGMA))
    largest = np.array(base.accuracy) - np.array([*base.accuracy[1:], 0.0])  # images whose largest radius this is
    return (
        f"An image whose draws all vote for one class needs {', '.join(f'{d:,.0f}' for d in draws)} of them to be certified at "
        f"these radii, whatever the method; for the certificates of the first line that is {100 * largest @ draws / n:.0f} % of "
        "its draws."
    )


def verdict(ways: list[Way]) -> list[str]:
    """Describe the loss and the saving of each way, and whether they are within a point and at least nine tenths."""
    base, lines = ways[0], []
    for way in ways[1:]:
        k = len(way.accuracy)
        loss = [100 * (b - a) for a, b in zip(way.accuracy, base.accuracy[:k], strict=True)]
        share = [d / b for d, b in zip(way.draws, base.draws[:k], strict=True)]
        kept = all(abs(v) <= 1.0 + 1e-9 for v in loss) and all(v <= 0.1 + 1e-9 for v in share)
        lines.append(
            f"- {way.name}: {'yes' if kept else 'no'}. It loses {', '.join(f'{v:.1f}' for v in loss)} points at the radii in "
            f"turn, with {', '.join(dict.fromkeys(f'{100 * v:.1f} %' for v in share))} of the draws."
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=int, default=10_000)
    parser.add_argument("--test", type=int, default=300)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--n", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument(
        "--tolerance", type=float, help="add a way: tolerated loss of radius, in units of sigma, for example 0.1"
    )
    parser.add_argument("--random-state", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    seed = options.random_state
    data = load_images("mnist").subset(options.train, options.test, random_state=seed)
    net = neural.make_network("lenet", seed)
    recipe = neural.Recipe(options.epochs)
    neural.fit(net, neural.GaussianAugmentation(SIGMA), data.X_train, data.y_train, recipe, random_state=seed)
    bench = Bench(net, data.X_test, data.y_test, seed)
    lines = [
        "# What certificates cost\n",
        f"LeNet, Gaussian noise of {SIGMA:g}, {options.epochs} epochs on {len(data.X_train):,} images of MNIST; {len(bench.X)} "
        f"test images, so that one image is {100 / len(bench.X):.2f} points; alpha {ALPHA} for each image. Draws are means over "
        "the images and count those that choose the class. A fixed number, one by the image, and radii together serve all their "
        "columns at once; one radius at a time draws anew for each, and its seconds are those of all columns. One thread, "
        f"{platform.machine()}, torch {torch.__version__}.\n",
    ]
    for n in options.n:
        ways = bench.ways(n, options.tolerance)
        question = "Within one point of the fixed number's accuracies, at a tenth of its draws or less?"
        lines += [
            f"## At most {n:,} draws\n",
            *table(ways),
            "",
            fewest(ways[0], n),
            "",
            question,
            "",
            *verdict(ways),
            "",
        ]
    RESULTS.write_text("\n".join(lines).rstrip() + "\n")
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
