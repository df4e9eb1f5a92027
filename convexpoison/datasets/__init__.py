"""Data sets of the poisoning literature, as arrays with the space of poison.

Files are looked up in the ``data_home`` argument, then in the folder named by the environment variable
``CONVEXPOISON_DATA``; data with a stable public source are downloaded otherwise. Every file with a known SHA-256 is checked
before use.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from convexpoison._utils.files import Arrays, read_npz
from convexpoison.datasets.files import (
    Home,
    adult_texts,
    known_file,
    locate,
    not_found,
    read_images,
)
from convexpoison.spaces.space import Space

_DOGFISH = tuple(f"dogfish_900_300_inception_features_{part}.npz" for part in ("train", "test"))


@dataclass(frozen=True, eq=False)
class Dataset:
    """Train and test rows of a binary classification problem.

    Attributes
    ----------
    name : str
    X_train, X_test : float64 arrays or CSR matrices of shape (n_samples, n_features)
    y_train, y_test : arrays of shape (n_samples,)
        The data set's own labels, for example 1 and 7.
    space : Space
        The space of poisoned rows.
    description : str
        Content and origin.
    feature_names : tuple of str or None
    image_shape : (height, width) or None
        The shape of a row, if rows are images.
    """

    name: str
    X_train: Any
    y_train: np.ndarray
    X_test: Any
    y_test: np.ndarray
    space: Space
    description: str
    feature_names: tuple[str, ...] | None = None
    image_shape: tuple[int, int] | None = None

    @property
    def train(self) -> tuple[Any, np.ndarray]:
        """``(X_train, y_train)``."""
        return self.X_train, self.y_train

    @property
    def test(self) -> tuple[Any, np.ndarray]:
        """``(X_test, y_test)``."""
        return self.X_test, self.y_test

    def __repr__(self) -> str:
        rows = f"{self.X_train.shape[0]} + {self.X_test.shape[0]} rows"
        return f"Dataset({self.name!r}, {rows}, {self.X_train.shape[1]} features)"


def load(name: str, *, data_home: Home = None) -> Dataset:
    """Load a data set by its name.

    Parameters
    ----------
    name : str
        - ``"digits_17"``: scikit-learn's bundled 8 x 8 digits, 1 against 7, pixels / 16 (any pair: ``"digits_3_8"``);
        - ``"mnist_17"``, ``"fashion_mnist_0_2"``: any pair of classes of MNIST or Fashion-MNIST, pixels / 255;
        - ``"adult"``: UCI Adult with 57 features, in the rows of the published experiments (:mod:`convexpoison.datasets.adult`);
          ``"adult_balanced"``: as many positive as negative rows;
        - ``"enron1"``: spam as sparse word counts, neither capped nor made binary; poison has integer counts, for each word
          at most its largest count in a training message;
        - ``"dogfish"``: 2,048 Inception features of dogs and fish, from the user's feature files.
    data_home : path, optional
        A folder to search before the one named by ``CONVEXPOISON_DATA``; downloads go there as well (default:
        scikit-learn's data folder).

    Returns
    -------
    Dataset

    Raises
    ------
    FileNotFoundError
        If a file is in none of the folders and cannot be downloaded; the message says which file to put where.
    ValueError
        If the name is unknown, or the SHA-256 or content of a file is not the known one.
    """
    source = SOURCES.get(name, Source(_pair) if _classes_in(name) else None)
    if source is None:
        known = ", ".join(SOURCES)
        raise ValueError(f"unknown data set {name!r}; choose one of {known}, or other classes, as in mnist_3_8")
    data = source.load(name, data_home)
    rows = data.X_train.shape[0], data.X_test.shape[0]
    if rows != (source.rows or rows):
        raise ValueError(f"{name} should have {source.rows} train and test rows; its files have {rows}")
    return data


def available(*, data_home: Home = None) -> list[tuple[str, bool]]:
    """Return the names of the data sets, each with whether its files are on this machine (unchecked)."""

    def here(files: tuple[str, ...]) -> bool:
        return all(locate(file, data_home) is not None for file in files)

    return [(name, any(map(here, source.files))) for name, source in SOURCES.items()]


# -------------------------------------------------------------------- the data sets


def _classes_in(name: str) -> tuple[str, tuple[int, int]] | None:
    """Return the source and classes of a name such as mnist_17 or mnist_1_7; None for other names."""
    pair = re.fullmatch(r"(digits|mnist|fashion_mnist)_(\d)_?(\d)", name)
    return None if pair is None or pair[2] == pair[3] else (pair[1], (int(pair[2]), int(pair[3])))


def _pair(name: str, data_home: Home) -> Dataset:
    """Load two classes of an image data set, in the original order of the rows."""
    found = _classes_in(name)
    assert found is not None
    source, classes = found
    if source == "digits":
        images, scale, title = _digits(classes), 16.0, "scikit-learn's 8 x 8 handwritten digits"
    else:
        images, scale = read_images(f"{source}.npz", data_home), 255.0
        title = {"mnist": "MNIST handwritten digits", "fashion_mnist": "Fashion-MNIST articles of clothing"}[source]

    def part(which: str) -> tuple[np.ndarray, np.ndarray]:
        chosen = np.isin(images[f"y_{which}"], classes)
        rows = images[f"x_{which}"][chosen].reshape(int(chosen.sum()), -1)
        return rows / scale, images[f"y_{which}"][chosen].astype(np.int64)

    (X_train, y_train), (X_test, y_test) = part("train"), part("test")
    space = Space.box(0.0, 1.0, X_train.shape[1])
    description = f"{title}, class {classes[0]} against {classes[1]}, pixels in [0, 1]"
    side = round(X_train.shape[1] ** 0.5)
    return Dataset(name, X_train, y_train, X_test, y_test, space, description, image_shape=(side, side))


def _digits(classes: tuple[int, int]) -> Arrays:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    X, y = load_digits(return_X_y=True)
    chosen = np.isin(y, classes)
    split = train_test_split(X[chosen], y[chosen], test_size=0.3, stratify=y[chosen], random_state=0)
    return dict(zip(("x_train", "x_test", "y_train", "y_test"), split, strict=True))


def _adult(name: str, data_home: Home) -> Dataset:
    from convexpoison.datasets import adult

    balanced = name == "adult_balanced"
    prepared = known_file("adult_57.npz", data_home)
    if prepared is not None:
        z, suffix = read_npz(prepared), "balanced" if balanced else "ascoded"
        rows = [(z[f"x_{part}"], z[f"y_{part}"], z[f"idx_{part}_{suffix}"]) for part in ("train", "test")]
        names = tuple(map(str, z["feature_names"]))
    else:
        *both, names = adult.build(*(adult.read_rows(path) for path in adult_texts(data_home)))
        rows = [(part.X, part.y, part.balanced if balanced else part.as_coded) for part in both]
    (X_train, y_train), (X_test, y_test) = ((X[i].astype(np.float64), y[i].astype(np.int64)) for X, y, i in rows)
    n_features = len(names)
    return Dataset(
        name, X_train, y_train, X_test, y_test,
        Space.box(0.0, 1.0, n_features).with_integer(range(adult.N_REAL, n_features)),
        f"UCI Adult (Becker and Kohavi, 1996), {'balanced rows' if balanced else 'rows as published'}; 1: income above "
        "50,000 dollars; 4 real columns in [0, 1] and 53 columns of 0 and 1",
        names,
    )  # fmt: skip


def _enron1(name: str, data_home: Home) -> Dataset:
    path = known_file("enron1.npz", data_home)
    if path is None:
        why = "these counts were computed from the enron1 mails of Enron-Spam, and are not published"
        raise not_found(("enron1.npz",), data_home, why)
    z = read_npz(path)
    counts = (z["data"].astype(np.float64), z["indices"].astype(np.int32), z["indptr"])
    X, y = sp.csr_matrix(counts, shape=tuple(z["shape"])), z["y"].astype(np.int64)
    X_train, X_test = X[z["idx_train"]], X[z["idx_test"]]
    space = Space.box(0.0, X_train.max(axis=0).toarray().ravel()).with_integer()
    return Dataset(
        name, X_train, y[z["idx_train"]], X_test, y[z["idx_test"]], space,
        "Enron1 messages (Metsis et al., 2006) as counts of 6,573 words; 1: spam", tuple(map(str, z["vocab"])),
    )  # fmt: skip


def _dogfish(name: str, data_home: Home) -> Dataset:
    (X_train, y_train), (X_test, y_test) = (_read_dogfish(file, data_home) for file in _DOGFISH)
    both = np.vstack([X_train, X_test])
    space = Space.box(both.min(axis=0), both.max(axis=0))
    description = "Inception-v3 features of ImageNet dogs (0) and fish (1); Koh and Liang (2017)"
    return Dataset(name, X_train, y_train, X_test, y_test, space, description)


def _read_dogfish(file: str, data_home: Home) -> tuple[np.ndarray, np.ndarray]:
    path = locate(file, data_home)
    if path is None:
        why = (
            "the ImageNet pictures may not be redistributed; make the files from synsets n02084071 (dog) and n02512053 "
            "(fish), 900 + 300 of each, with Keras' Inception-v3, keys 'inception_features_val' (n, 2048) and 'labels' "
            "(0 dog, 1 fish), as in Koh and Liang (2017), or take the files published with that paper"
        )
        raise not_found(_DOGFISH, data_home, why)
    z = read_npz(path)
    if not {"inception_features_val", "labels"} <= z.keys():
        raise ValueError(
            f"{path} must contain the arrays 'inception_features_val' and 'labels'; it contains {sorted(z)}"
        )
    return z["inception_features_val"].astype(np.float64), z["labels"].ravel().astype(np.int64)


@dataclass(frozen=True)
class Source:
    """The loader and the files of a data set.

    Attributes
    ----------
    load : callable
        ``load(name, data_home)`` returns the :class:`Dataset`.
    files : tuple of tuples of str
        The files to read, as alternatives: those of one tuple are enough.
    rows : pair of int or None
        The required numbers of train and test rows.
    """

    load: Callable[[str, Home], Dataset]
    files: tuple[tuple[str, ...], ...] = ((),)
    rows: tuple[int, int] | None = None


_ADULT = (("adult_57.npz",), ("adult_train.csv.gz", "adult_test.csv.gz"))
SOURCES: dict[str, Source] = {
    "digits_17": Source(_pair),
    "mnist_17": Source(_pair, (("mnist.npz",),), (13_007, 2_163)),
    "fashion_mnist_0_2": Source(_pair, (("fashion_mnist.npz",),)),
    "adult": Source(_adult, _ADULT, (15_682, 7_692)),
    "adult_balanced": Source(_adult, _ADULT, (15_682, 7_692)),
    "enron1": Source(_enron1, (("enron1.npz",),), (4_137, 1_035)),
    "dogfish": Source(_dogfish, (_DOGFISH,), (1_800, 600)),
}
"""Data sets by name, in the order in which they are listed."""
