"""Rows with weights, dense or sparse, from the files that the command line is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from convexpoison.cli.input import read_npz, read_rows

_CSR = ("data", "indices", "indptr", "shape")
"""The arrays that :func:`scipy.sparse.save_npz` writes."""


def read_weighted_rows(path: Path, label: str | None) -> tuple[Any, Any, np.ndarray | None]:
    """``(X, y, sample_weight)``; the weights are None where the file has none.

    Raises
    ------
    ValueError, FileNotFoundError, MissingDependencyError
        If the file cannot be read.
    """
    if path.suffix != ".npz" or not path.is_file():
        return *read_rows(path, label), None
    arrays = read_npz(path, ("y",))
    if "X" in arrays:
        X: Any = arrays["X"]
    elif all(name in arrays for name in _CSR):
        data, indices, indptr, shape = (arrays[name] for name in _CSR)
        X = sp.csr_matrix((data, indices, indptr), shape=tuple(shape.tolist()))
        X.check_format(full_check=True)  # column numbers out of range would be read from elsewhere in memory
    else:
        raise ValueError(
            f"{path} must hold the array X, or {', '.join(_CSR)} of a CSR matrix; it holds {', '.join(arrays)}"
        )
    return X, arrays["y"], arrays.get("sample_weight")
