"""Images in the layout of deep networks: (n, channels, height, width), float32 in [0, 1], all classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convexpoison._utils.files import Arrays, read_npz
from convexpoison.datasets.files import Home, known_file, locate, not_found, read_images

NAMES = ("digits", "mnist", "fashion_mnist", "cifar10")


@dataclass(frozen=True, eq=False)
class Images:
    """A data set of images.

    Attributes
    ----------
    name : str
    X_train, X_test : float32 arrays of shape (n, channels, height, width), in [0, 1]
    y_train, y_test : int64 arrays of shape (n,)
    description : str
    """

    name: str
    X_train: np.ndarray
    y_train: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    description: str

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return int(self.y_train.max()) + 1

    def subset(self, n_train: int | None = None, n_test: int | None = None, random_state: int = 0) -> Images:
        """Return fewer images, drawn at random; None keeps all."""
        rng = np.random.default_rng(random_state)
        train, test = (
            np.sort(rng.permutation(total)[: total if n is None else n])
            for total, n in ((len(self.y_train), n_train), (len(self.y_test), n_test))
        )
        parts = (self.X_train[train], self.y_train[train], self.X_test[test], self.y_test[test])
        return Images(self.name, *parts, f"{self.description}; {len(train):,} and {len(test):,} of them")

    def of_classes(self, classes: Sequence[int]) -> Images:
        """Return the images of some classes, relabelled 0, 1, ... in the given order."""
        code = {int(c): k for k, c in enumerate(classes)}
        train, test = np.isin(self.y_train, list(code)), np.isin(self.y_test, list(code))
        y_train, y_test = (np.array([code[int(c)] for c in y]) for y in (self.y_train[train], self.y_test[test]))
        name = f"{self.name}_{'_'.join(map(str, classes))}"
        return Images(name, self.X_train[train], y_train, self.X_test[test], y_test, f"{self.description}; {name}")


def load_images(name: str, *, data_home: Home = None) -> Images:
    """Load a data set of images by name.

    Parameters
    ----------
    name : {"digits", "mnist", "fashion_mnist", "cifar10"}
        ``digits`` is bundled with scikit-learn (8 x 8, every pixel enlarged to 4 x 4, and cut to 28 x 28); the others are read
        from ``data_home`` or the folder named in ``CONVEXPOISON_DATA`` (MNIST and Fashion-MNIST also from OpenML).
        ``cifar10`` reads the user's ``cifar10.npz`` with all images, or ``cifar10_subset.npz`` with fewer; ``description``
        gives the numbers of images.
    data_home : path, optional

    Raises
    ------
    ValueError
        If there is no data set of that name.
    FileNotFoundError
        If its file is missing.
    """
    if name not in NAMES:
        raise ValueError(f"unknown images {name!r}; choose one of {list(NAMES)}")
    if name == "digits":
        arrays, scale, words = _digits(), 16.0, "scikit-learn's handwritten digits"
    elif name == "cifar10":
        arrays, words = _cifar10(data_home)
        scale = 255.0
    else:
        arrays, scale, words = read_images(f"{name}.npz", data_home), 255.0, f"{name}, 28 x 28"
    X = {part: _channels_first(arrays[f"x_{part}"]) / np.float32(scale) for part in ("train", "test")}
    y = {part: arrays[f"y_{part}"].astype(np.int64).ravel() for part in ("train", "test")}
    return Images(name, X["train"], y["train"], X["test"], y["test"], words)


def available(*, data_home: Home = None) -> list[tuple[str, bool]]:
    """Return the names of the data sets, each with whether its files are on this machine (unchecked)."""
    files: dict[str, tuple[str, ...]] = {name: (f"{name}.npz",) for name in NAMES if name != "digits"}
    files["cifar10"] = ("cifar10.npz", "cifar10_subset.npz")
    here = {name: any(locate(file, data_home) is not None for file in either) for name, either in files.items()}
    return [(name, here.get(name, True)) for name in NAMES]


def _channels_first(images: np.ndarray) -> np.ndarray:
    images = images.astype(np.float32)
    return images[:, None] if images.ndim == 3 else np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _digits() -> Arrays:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    X, y = load_digits(return_X_y=True)
    large = X.reshape(-1, 8, 8).repeat(4, axis=1).repeat(4, axis=2)[:, 2:30, 2:30]
    split = train_test_split(large, y, test_size=0.3, stratify=y, random_state=0)
    return dict(zip(("x_train", "x_test", "y_train", "y_test"), split, strict=True))


def _cifar10(data_home: Home) -> tuple[Arrays, str]:
    for path in (locate("cifar10.npz", data_home), known_file("cifar10_subset.npz", data_home)):
        if path is not None:
            arrays = read_npz(path)
            return arrays, f"CIFAR-10, {len(arrays['y_train']):,} training and {len(arrays['y_test']):,} test images"
    why = "make one with keys x_train (n, 32, 32, 3) uint8, y_train, x_test, y_test from the CIFAR-10 archive"
    raise not_found(("cifar10.npz",), data_home, why)
