"""Rows from the files of the command line: npz, parquet or CSV, dense or sparse, optionally with weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from convexpoison._utils import files
from convexpoison.errors import optional_import

_CSR = ("data", "indices", "indptr", "shape")
"""The arrays that :func:`scipy.sparse.save_npz` writes."""


def read_rows(path: Path, label: str | None) -> tuple[Any, Any]:
    """Read ``(X, y)`` from a file; ``label`` names the column of a table, or the array of an npz file (default: y).

    Raises
    ------
    ValueError
        If the arrays or the label column are missing.
    FileNotFoundError
        If the file does not exist.
    MissingDependencyError
        If the file is a table and pandas or pyarrow is not installed.
    """
    return read_weighted_rows(path, label)[:2]


def read_weighted_rows(path: Path, label: str | None) -> tuple[Any, Any, np.ndarray | None]:
    """Read ``(X, y, sample_weight)``; the weights are None if the file has none.

    Raises
    ------
    ValueError, FileNotFoundError, MissingDependencyError
        As :func:`read_rows`.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file")
    if path.suffix != ".npz":
        return *_read_table(path, label), None
    label = label or "y"
    arrays = read_npz(path, (label,))
    if "X" in arrays:
        return arrays["X"], arrays[label], arrays.get("sample_weight")
    if not all(name in arrays for name in _CSR):
        raise ValueError(
            f"{path} must contain the array X, or {', '.join(_CSR)} of a CSR matrix; it contains {', '.join(arrays)}"
        )
    data, indices, indptr, shape = (arrays[name] for name in _CSR)
    X = sp.csr_matrix((data, indices, indptr), shape=tuple(shape.tolist()))
    X.check_format(full_check=True)  # column numbers out of range would be read from elsewhere in memory
    return X, arrays[label], arrays.get("sample_weight")


def read_npz(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Read the arrays of a file, which must include these names.

    Raises
    ------
    ValueError
        If a name is missing, or the file is not an npz file of plain arrays.
    """
    try:
        arrays = files.read_npz(path)
    except files.NOT_NPZ as error:
        raise ValueError(f"{path} is not an npz file of plain arrays ({error})") from error
    missing = [name for name in names if name not in arrays]
    if missing:
        raise ValueError(
            f"{path} must contain the arrays {', '.join(names)}; it contains {', '.join(arrays) or 'none'}"
        )
    return arrays


def _read_table(path: Path, label: str | None) -> tuple[Any, Any]:
    parquet = path.suffix in (".parquet", ".pq")
    kind = "parquet" if parquet else "CSV"
    pandas = optional_import("pandas", "frame", f"reading a {kind} file")
    if parquet:
        optional_import("pyarrow", "frame", "reading a parquet file")
    try:
        table = pandas.read_parquet(path) if parquet else pandas.read_csv(path)
    except ValueError as error:  # the base class of ParserError, UnicodeDecodeError and ArrowInvalid
        raise ValueError(f"{path} cannot be read as a {kind} file ({error})") from error
    if label is None or label not in table.columns:
        columns = ", ".join(map(str, table.columns[:12])) + (", ..." if len(table.columns) > 12 else "")
        raise ValueError(f"--label must name the column of {path} with the labels; its columns are {columns}")
    return table.drop(columns=label), table[label].to_numpy()
