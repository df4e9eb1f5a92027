"""What certificates cost: a fixed number of draws against a number for each image and against decisions about a radius.

``python benchmarks/bench_cheaper_certificates.py``; needs torch, and ``mnist.npz`` in the folder that ``CONVEXPOISON_DATA``
names. One LeNet is trained with Gaussian noise; then the same test images are certified in three ways, and the certified
accuracies and the draws are compared. Prints a table and writes ``benchmarks/results/cheaper_certificates.md``.
"""

from __future__ import annotations

import argparse
import platform
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import numpy as np
import torch

from convexpoison import neural
from convexpoison.datasets.images import load_images

RESULTS = Path(__file__).parent / "results" / "cheaper_certificates.md"
SIGMA = 0.5
RADII = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Way:
    """One way to certify: share of right and certified images at each radius, draws an image, processor seconds."""

    name: str
    accuracy: tuple[float, ...]
    draws: tuple[float, ...]
    seconds: float


def fixed(
    net: torch.nn.Module, X: np.ndarray, y: np.ndarray, n: int, tolerance: float | None, random_state: int
) -> Way:
    """One certificate an image, for all radii."""
    classifier, n0 = neural.SmoothedClassifier(net, SIGMA, random_state=random_state), 100 if tolerance is None else 200
    began = process_time()
    found = classifier.certify(X, n0=n0, n=n, tolerance=tolerance)
    right = found.prediction == y
    accuracy = tuple(float(np.mean(right & (found.radius >= r))) for r in RADII)
    name = "fixed" if tolerance is None else f"for each image, tolerance {tolerance:g} sigma"
    return Way(name, accuracy, (float(found.n.mean()) + n0,) * len(RADII), process_time() - began)


def decided(net: torch.nn.Module, X: np.ndarray, y: np.ndarray, n: int, random_state: int) -> Way:
    """A decision for each image and radius, with draws of its own."""
    classifier, began = neural.SmoothedClassifier(net, SIGMA, random_state=random_state), process_time()
    found = [classifier.certify_radius(X, r, n0=100, n_max=n) for r in RADII]
    accuracy = tuple(float(np.mean(d.certified & (d.prediction == y))) for d in found)
    draws = tuple(float(d.n.mean()) + 100 for d in found)
    return Way("decision about the radius", accuracy, draws, process_time() - began)


def table(ways: list[Way]) -> list[str]:
    lines = [
        "| certificate | " + " | ".join(f"accuracy, draws at {r:g}" for r in RADII) + " | processor s |",
        "|" + "---|" * (len(RADII) + 2),
    ]
    for way in ways:
        cells = (f"{100 * a:.1f} %, {d:,.0f}" for a, d in zip(way.accuracy, way.draws, strict=True))
        lines.append(f"| {way.name} | {' | '.join(cells)} | {way.seconds:.1f} |")
    return lines


def verdict(ways: list[Way]) -> list[str]:
    """The largest differences, said whether they please or not."""
    base, lines = ways[0], []
    for way in ways[1:]:
        gap = max(abs(a - b) for a, b in zip(way.accuracy, base.accuracy, strict=True))
        share = [f"{100 * d / b:.0f} %" for d, b in zip(way.draws, base.draws, strict=True)]
        lines.append(
            f"- {way.name}: certified accuracy differs from the fixed number's by at most {100 * gap:.1f} points; draws an "
            f"image, at the radii in turn: {', '.join(share)} of the fixed number's."
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=int, default=3000)
    parser.add_argument("--test", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--n", type=int, nargs="+", default=[5000])
    parser.add_argument("--tolerance", type=float, default=0.1, help="loss of radius, in units of sigma")
    parser.add_argument("--random-state", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = load_images("mnist").subset(options.train, options.test, random_state=options.random_state)
    net = neural.make_network("lenet", options.random_state)
    recipe = neural.Recipe(options.epochs)
    neural.fit(
        net, neural.GaussianAugmentation(SIGMA), data.X_train, data.y_train, recipe, random_state=options.random_state
    )
    X, y = data.X_test, data.y_test
    lines = [
        "# What certificates cost\n",
        f"LeNet, Gaussian noise of {SIGMA:g}, {options.epochs} epochs on {len(data.X_train):,} images of MNIST; {len(X)} test "
        f"images, so that one image is {100 / len(X):.1f} points; alpha 0.001 for each image. Draws are means over the images "
        "and count those that choose the class. A fixed number and one for each image serve all radii at once; decisions draw "
        "anew for each radius, and their seconds are those of all radii together. One thread, "
        f"{platform.machine()}, torch {torch.__version__}.\n",
    ]
    for n in options.n:
        seed = options.random_state
        ways = [
            fixed(net, X, y, n, None, seed),
            fixed(net, X, y, n, options.tolerance, seed),
            decided(net, X, y, n, seed),
        ]
        lines += [f"## At most {n:,} draws\n", *table(ways), "", *verdict(ways), ""]
    RESULTS.write_text("\n".join(lines).rstrip() + "\n")
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
