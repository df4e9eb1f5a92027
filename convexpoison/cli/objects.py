"""Objects of the user's own: ``package.module:object``, and estimators in files."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from convexpoison.cli.rows import read_npz
from convexpoison.errors import MissingDependencyError, optional_import


def look_here() -> None:
    """Add the current folder to the module search path, as ``python -m`` does."""
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())


def is_object(name: str) -> bool:
    """Return whether a name is written as ``package.module:object`` and is not a file."""
    module, colon, attribute = name.partition(":")
    return bool(colon) and attribute.isidentifier() and not Path(name).exists() and "/" not in module


def find_object(name: str, option: str) -> Any:
    """Return the object that ``package.module:object`` names.

    Raises
    ------
    ValueError
        If the module cannot be imported or has no such object; ``option`` is named in the message.
    """
    look_here()
    module, _, attribute = name.partition(":")
    try:
        found = import_module(module)
    except (ImportError, ValueError) as error:
        raise ValueError(f"{option} {name}: the module {module!r} cannot be imported ({error})") from error
    if not hasattr(found, attribute):
        raise ValueError(f"{option} {name}: {module} has no object {attribute!r}")
    return getattr(found, attribute)


def load_target(name: str) -> Any:
    """Load a model to induce: coefficients (.npz), a fitted estimator in a file (.skops, or joblib's), or ``module:object``.

    Raises
    ------
    FileNotFoundError, ValueError
        If it does not exist or cannot be read.
    MissingDependencyError
        If skops is not installed and the file is a skops file.
    """
    if is_object(name):
        found = find_object(name, "--target")
        return found() if callable(found) and not isinstance(found, type) and not hasattr(found, "coef_") else found
    path = Path(name)
    if not path.is_file():
        raise FileNotFoundError(f"{name} is not a file, and is not written as package.module:object")
    if path.suffix == ".npz":
        arrays = read_npz(path, ("coef", "intercept"))
        return arrays["coef"], arrays["intercept"]
    return _load_skops(path) if path.suffix == ".skops" else _load_joblib(path)


def _load_joblib(path: Path) -> Any:
    import joblib

    try:
        return joblib.load(path)
    except Exception as error:  # a broken pickle can raise anything
        raise ValueError(f"{path} cannot be read as an estimator saved by joblib.dump ({error})") from error


def _load_skops(path: Path) -> Any:
    skops = optional_import("skops.io", "skops", "reading an estimator from a skops file")
    try:
        strange = skops.get_untrusted_types(file=path)
        if strange:
            raise ValueError(f"it contains the types {', '.join(strange)}, which skops does not trust by default")
        return skops.load(path, trusted=[])
    except MissingDependencyError:
        raise
    except Exception as error:  # a broken archive can raise anything
        raise ValueError(f"{path} cannot be read as an estimator saved by skops.io.dump ({error})") from error
