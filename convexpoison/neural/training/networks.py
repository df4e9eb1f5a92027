"""The networks of the papers: from images in [0, 1] of shape (n, channels, height, width) to logits, normalisation included."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from convexpoison.neural.training.seeding import seed_of, seeded

CIFAR10_MEAN, CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


class Normalize(nn.Module):
    """Standardisation of each channel by a mean and a standard deviation.

    It is part of the network and not of the data, so that noise and radii are in the units of the images.

    Raises
    ------
    ValueError
        If the numbers of means and deviations differ, or a deviation is not positive; in the forward pass, if the number of
        channels differs, which broadcasting would hide.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std) or min(std) <= 0:
            raise ValueError(
                f"one mean and one positive std per channel are needed; got {tuple(mean)} and {tuple(std)}"
            )
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-3] != len(self.mean):
            raise ValueError(
                f"images of shape {tuple(x.shape[-3:])} have {x.shape[-3]} channels; this network expects "
                f"{len(self.mean)}: pass such images, or build it with other in_channels"
            )
        return (x - self.mean) / self.std


def lenet(n_classes: int = 10, *, in_channels: int = 1, dropout: float = 0.0) -> nn.Sequential:
    """Build MACER's network for MNIST (28 x 28): two 5 x 5 convolutions of 20 and 50 filters, 500 hidden units.

    Parameters
    ----------
    dropout : float
        Dropout rate after the second pooling; 0 for MACER and Cohen et al.
    """
    middle = [nn.Dropout(dropout)] if dropout > 0 else []
    return nn.Sequential(
        nn.Conv2d(in_channels, 20, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        *middle,
        nn.Flatten(),
        nn.Linear(50 * 4 * 4, 500),
        nn.ReLU(),
        nn.Linear(500, n_classes),
    )


def pacd_mnist(n_classes: int = 10) -> nn.Sequential:
    """Build PACD's network for MNIST (Appendix E.2): MACER's with dropout after the second pooling.

    The paper does not state the rate; 0.5 is used here.
    """
    return lenet(n_classes, dropout=0.5)


def mlp(n_classes: int = 10, *, n_inputs: int = 28 * 28, widths: Sequence[int] = (128, 64)) -> nn.Sequential:
    """Build a perceptron with ReLU; by default of three layers, as in MTP's Appendix F, which does not state widths."""
    sizes = (n_inputs, *widths)
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], n_classes))


class _Block(nn.Module):
    """A residual block of two 3 x 3 convolutions (He et al., 2016)."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width_in, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        same = stride == 1 and width_in == width
        self.shortcut: nn.Module = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(width_in, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


def _resnet(widths: Sequence[int], blocks: Sequence[int], n_classes: int, in_channels: int) -> nn.Sequential:
    rgb = in_channels == 3
    layers: list[nn.Module] = [
        Normalize(CIFAR10_MEAN if rgb else (0.5,) * in_channels, CIFAR10_STD if rgb else (0.5,) * in_channels),
        nn.Conv2d(in_channels, widths[0], 3, 1, 1, bias=False),
        nn.BatchNorm2d(widths[0]),
        nn.ReLU(),
    ]
    before = widths[0]
    for stage, (width, n) in enumerate(zip(widths, blocks, strict=True)):
        for k in range(n):
            layers.append(_Block(before, width, 2 if stage > 0 and k == 0 else 1))
            before = width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, n_classes)]
    network = nn.Sequential(*layers)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


def resnet_cifar(depth: int, n_classes: int = 10, *, in_channels: int = 3) -> nn.Sequential:
    """Build a ResNet of ``6 n + 2`` layers for 32 x 32 images (He et al., 2016, Section 4.2): 20, 56 or 110 in the papers.

    Raises
    ------
    ValueError
        If the depth is not of that form.
    """
    if depth < 8 or (depth - 2) % 6:
        raise ValueError(f"the depth of a CIFAR ResNet is 6 n + 2, for example 20, 56 or 110; got {depth}")
    n = (depth - 2) // 6
    return _resnet((16, 32, 64), (n, n, n), n_classes, in_channels)


def resnet20(n_classes: int = 10) -> nn.Sequential:
    """Build PACD's network for CIFAR-10."""
    return resnet_cifar(20, n_classes)


def resnet56(n_classes: int = 10) -> nn.Sequential:
    """Build the network for transfer between architectures (PACD, Appendix D.4)."""
    return resnet_cifar(56, n_classes)


def resnet110(n_classes: int = 10) -> nn.Sequential:
    """Build Cohen et al.'s and MACER's network for CIFAR-10."""
    return resnet_cifar(110, n_classes)


def resnet18(n_classes: int = 10, *, in_channels: int = 3) -> nn.Sequential:
    """Build a ResNet-18 with a 3 x 3 first layer for 32 x 32 images: DDRS's network for CIFAR-10."""
    return _resnet((64, 128, 256, 512), (2, 2, 2, 2), n_classes, in_channels)


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "lenet": lenet,
    "mlp": mlp,
    "pacd_mnist": pacd_mnist,
    "resnet18": resnet18,
    "resnet20": resnet20,
    "resnet56": resnet56,
    "resnet110": resnet110,
}


def make_network(
    network: str | Callable[[], nn.Module], random_state: int | None = 0, n_classes: int = 10
) -> nn.Module:
    """Build a network, from a name in ``NETWORKS`` or a function, with seeded weights.

    Parameters
    ----------
    network : str or callable
    random_state : int or None
        None: different weights in every call.
    n_classes : int
        Number of outputs of a network built by name; ignored for a function.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if isinstance(network, str) and network not in NETWORKS:
        raise ValueError(
            f"unknown network {network!r}; choose one of {sorted(NETWORKS)}, or pass a function that builds a network"
        )
    with seeded(seed_of(random_state)):
        return NETWORKS[network](n_classes) if isinstance(network, str) else network()
