"""Shared parts of ``train``, ``certify`` and ``poison``: images, a network by name, the device."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from convexpoison.cli.input import exactly_one
from convexpoison.cli.objects import find_object
from convexpoison.cli.options import together
from convexpoison.cli.rows import read_npz
from convexpoison.errors import optional_import

if TYPE_CHECKING:
    from torch import nn

network_options = together(
    click.option("--dataset", metavar="NAME", help="digits, mnist, fashion_mnist or cifar10."),
    click.option(
        "--data", type=Path, metavar="FILE.npz",
        help="Your images: X of shape (n, channels, height, width) in [0, 1], and y with classes from 0.",
    ),
    click.option(
        "--network", required=True, metavar="NAME",
        help="lenet, pacd_mnist, resnet18, resnet20, resnet56, resnet110; or package.module:factory, a function "
        "without arguments that builds a torch module (looked for in the current folder as well).",
    ),
    click.option(
        "--n-classes", type=click.IntRange(min=2), default=10, show_default=True, help="Outputs of a network given by name."
    ),
    click.option("--device", metavar="NAME", help="cpu, cuda or cuda:1 [default: cuda if available]."),
    click.option("--seed", type=int, default=0, show_default=True, help="Seed of all random draws."),
)  # fmt: skip


def need_torch(purpose: str) -> None:
    """Check that torch is installed before any other work; the error names the extra to install.

    Raises
    ------
    MissingDependencyError
        If torch or safetensors is missing.
    """
    for module in ("torch", "safetensors.torch"):
        optional_import(module, "neural", purpose)


def numbers(kind: type) -> Callable[[click.Context, click.Parameter, str | None], tuple[Any, ...] | None]:
    """Return a callback for options like ``0,0.25,0.5``."""

    def read(ctx: click.Context, option: click.Parameter, text: str | None) -> tuple[Any, ...] | None:
        try:
            return None if text is None else tuple(kind(part) for part in text.split(",") if part.strip())
        except ValueError:
            raise click.BadParameter(f"{text!r} must be numbers separated by commas") from None

    return read


def load_part(dataset: str | None, data: Path | None, part: str) -> tuple[np.ndarray, np.ndarray, str]:
    """Return images, labels and a description: "train" or "test" of a data set of the library, or all of a file.

    Raises
    ------
    click.UsageError, ValueError, FileNotFoundError
        If neither or both are given, or the images cannot be read.
    """
    exactly_one(dataset=dataset, data=data)
    if data is not None:
        if not data.is_file():
            raise FileNotFoundError(f"{data} is not a file")
        arrays = read_npz(data, ("X", "y"))
        return arrays["X"], arrays["y"], str(data)
    from convexpoison.datasets.images import load_images

    assert dataset is not None
    images = load_images(dataset)
    return getattr(images, f"X_{part}"), getattr(images, f"y_{part}"), f"{dataset} ({part})"


def build(name: str, n_classes: int, device: str | None, seed: int) -> nn.Module:
    """Build a fresh network on its device.

    Raises
    ------
    ValueError, TypeError
        If there is no such network or device.
    """
    import torch

    from convexpoison.neural.training.networks import make_network

    where = device_of(device)
    network = make_network(factory_of(name, n_classes), seed)
    if not isinstance(network, torch.nn.Module):
        raise TypeError(f"--network {name} returned a {type(network).__name__}; it must return a torch.nn.Module")
    return network.to(where)


def factory_of(name: str, n_classes: int) -> Any:
    """Return the network of ``--network`` and ``--n-classes``, as an argument of :func:`convexpoison.neural.make_network`."""
    from convexpoison.neural.training.networks import NETWORKS

    if ":" in name:
        return _factory(name)
    return partial(NETWORKS[name], n_classes) if name in NETWORKS and n_classes != 10 else name


def check_fit(network: nn.Module, X: np.ndarray, y: np.ndarray) -> None:
    """Check that the network accepts such images and has an output for every label.

    Raises
    ------
    ValueError
        If it does not; the message names the mismatch.
    """
    from convexpoison.neural.smoothing.classifier import SmoothedClassifier

    if not len(X):
        raise ValueError("no images are left; select more of them")
    probe = SmoothedClassifier(network, 1.0, random_state=0)
    probe.images(X[:1])
    assert probe.n_classes is not None
    if y.dtype.kind not in "iu" or len(y) != len(X) or y.min() < 0 or y.max() >= probe.n_classes:
        raise ValueError(
            f"y must contain {len(X)} integers from 0 to {probe.n_classes - 1}, the network's classes; it has shape "
            f"{y.shape}, {y.dtype}, from {y.min()} to {y.max()}"
        )


def device_of(name: str | None) -> Any:
    """Return the device of ``--device``; default: the GPU if there is one, else the CPU.

    Raises
    ------
    ValueError
        If there is no such device.
    """
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"--device {name}: {error}") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"--device {name}: this machine has no CUDA device that torch can use; use --device cpu")
    return device


def _factory(name: str) -> Callable[[], Any]:
    found = find_object(name, "--network")
    if not callable(found):
        raise ValueError(f"--network {name} is a {type(found).__name__}; it must be a function that builds a network")
    return found  # type: ignore[no-any-return]
