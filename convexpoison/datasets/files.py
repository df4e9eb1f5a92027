"""Data files: their locations, their SHA-256, and the downloads of those with a stable public source."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from convexpoison._utils.files import Arrays, read_npz

ENVIRONMENT_VARIABLE = "CONVEXPOISON_DATA"
Home = str | os.PathLike[str] | None

_SHA256 = {
    "mnist.npz": "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64",
    "fashion_mnist.npz": "5b6d2c4c694a91887af8ab7d039c04f80af3c29378d731c93a538d2e831aa469",
    "adult_57.npz": "afde7ac33d3ececa203f55131a8738e8f7c52073a339a40089a5bef79c8d66f1",
    "adult_train.csv.gz": "fe24177a5b0df1874e6afc5748b7d9e547ca25880a84c4310f39b7ccf1b0da37",
    "adult_test.csv.gz": "e809ea7e82c113838d8ca6ff3cb3557a163ddce5ece7785639e9fb3e533bb347",
    "cifar10_subset.npz": "4550eb7618f9f1d58344e65df208c48e9ee10c092b5521a4851841c8d96bda06",
    "enron1.npz": "e75452d6a48bee2ad572b2703ba2f5a85ecc5e7785deae809b242e7bb999737d",
}
"""SHA-256 of complete files."""

_OPENML = {
    "mnist.npz": (554, "06b0d1f124c4e5fa796686ade41a9b778edacc8622f2195a352ef479ad44fc16"),
    "fashion_mnist.npz": (40996, "ca3ab2a37f845e1b8ae23cab1b51749a3011ba3bf1d9016176d75cbaabac376f"),
}
"""OpenML's number for the same images; SHA-256 of the bytes of x_train, y_train, x_test, y_test in that order."""

_UCI = "https://archive.ics.uci.edu/ml/machine-learning-databases/adult/"
_UCI_SHA256 = {
    "adult.data": "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
    "adult.test": "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
}


def locate(file: str, data_home: Home) -> Path | None:
    """Return the path of a file, unchecked; None if it is in none of the folders."""
    return next((folder / file for folder in _folders(data_home) if (folder / file).is_file()), None)


def known_file(file: str, data_home: Home) -> Path | None:
    """Return the path of a file after a check of its SHA-256; None if it is in none of the folders.

    Raises
    ------
    ValueError
        If the SHA-256 is not the known one.
    """
    path = locate(file, data_home)
    if path is not None:
        stat = path.stat()
        found = _file_sha256(path, stat.st_size, stat.st_mtime_ns)
        if found != _SHA256[file]:
            raise ValueError(
                f"{path} is damaged or another file of that name: its SHA-256 is {found}, not {_SHA256[file]}. "
                "Replace it, or move it out of that folder"
            )
    return path


def read_images(file: str, data_home: Home) -> Arrays:
    """Read x_train, y_train, x_test, y_test of 28 x 28 images, uint8, from a file or from OpenML.

    Raises
    ------
    FileNotFoundError
        If the file is in none of the folders and OpenML cannot be reached.
    ValueError
        If the data are not the known ones.
    """
    path = known_file(file, data_home)
    if path is not None:
        return read_npz(path)
    from sklearn.datasets import fetch_openml

    number, digest = _OPENML[file]
    parser = "pandas" if find_spec("pandas") else "liac-arff"
    try:
        bunch = fetch_openml(data_id=number, as_frame=False, parser=parser, data_home=data_home, n_retries=1)
    except OSError as exc:
        raise not_found((file,), data_home, f"downloading OpenML's data set {number} failed ({exc})") from exc
    X, y = bunch.data.astype(np.uint8).reshape(-1, 28, 28), bunch.target.astype(np.uint8)
    parts = {"x_train": X[:60_000], "y_train": y[:60_000], "x_test": X[60_000:], "y_test": y[60_000:]}
    found = hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts.values())).hexdigest()
    if found != digest:
        raise ValueError(f"OpenML's data set {number} is not the known {file}: its SHA-256 is {found}, not {digest}")
    return parts


def adult_texts(data_home: Home) -> list[Path]:
    """Return the paths of the train and test rows of UCI Adult as text files, from the folders or from UCI.

    Raises
    ------
    FileNotFoundError
        If they are in none of the folders and UCI cannot be reached.
    """
    train, test = (known_file(f"adult_{part}.csv.gz", data_home) for part in ("train", "test"))
    if train is not None and test is not None:
        return [train, test]
    try:
        from sklearn.datasets import fetch_file
    except ImportError as exc:  # before scikit-learn 1.6
        raise not_found(("adult_57.npz",), data_home, "downloading it needs scikit-learn 1.6 or newer") from exc
    try:
        return [
            Path(fetch_file(_UCI + file, data_home, sha256=digest, n_retries=0)) for file, digest in _UCI_SHA256.items()
        ]
    except OSError as exc:
        raise not_found(("adult_57.npz",), data_home, f"downloading {_UCI} failed ({exc})") from exc


def not_found(files: tuple[str, ...], data_home: Home, why: str) -> FileNotFoundError:
    """Return the error that names the missing files, the reason, and the place to put them."""
    looked = ", ".join(map(str, _folders(data_home))) or "no folder, since none is named"
    it, them = ("it", "the file") if len(files) == 1 else ("them", "the files")
    return FileNotFoundError(
        f"{' and '.join(files)} not found (looked in {looked}): {why}. Put {them} into a folder and name the "
        f"folder that holds {it} in the environment variable {ENVIRONMENT_VARIABLE}"
    )


def _folders(data_home: Home) -> list[Path]:
    named = [data_home, os.environ.get(ENVIRONMENT_VARIABLE) or None]
    return [Path(folder).expanduser() for folder in named if folder is not None]


@lru_cache
def _file_sha256(path: Path, size: int, mtime_ns: int) -> str:
    """Compute the SHA-256 of a file; size and time are part of the cache key, so that a changed file is read again."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
