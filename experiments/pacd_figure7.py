"""PACD's Figure 7: poison made against one network, retrained on with others; Gaussian augmentation, sigma = 0.5.

    python experiments/pacd_figure7.py --scale paper --data cifar10    (a GPU)

The paper goes from ResNet-20 to ResNet-56 and ResNet-110 on CIFAR-10. On MNIST, where it has no such figure, ours goes from its
convolutional network to the same without dropout, and to a perceptron.
"""

from __future__ import annotations

from pacd import job
from pacd_pages import clean_and_poisoned, data_name, fetch, missing, parse, publish

NETWORKS = {"mnist": ("pacd_mnist", "lenet", "mlp"), "cifar10": ("resnet20", "resnet56", "resnet110")}


def main() -> None:
    arguments = parse(__doc__ or "")
    grid = [(d, network) for d in arguments.data for network in NETWORKS[d]]
    jobs = [
        job(d, arguments.scale, kind, "ga", 0.5, network="" if network == NETWORKS[d][0] else network)
        for d, network in grid
        for kind in ("clean", "poisoned")
    ]
    found = fetch(jobs)
    rows = [
        clean_and_poisoned({"data": data_name(arguments, data), "network": network}, clean, poisoned)
        for (data, network), clean, poisoned in zip(grid, found[::2], found[1::2], strict=True)
    ]
    rows += missing(arguments, rows)
    words = "The first network of each data set is the one that the attack was made against. The paper's figure has no numbers."
    publish(arguments, "pacd_figure7", "PACD, Figure 7: transfer between networks", rows, words)


if __name__ == "__main__":
    main()
