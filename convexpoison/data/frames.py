"""Tables in, tables of the same kind out: arrays, scipy sparse matrices, pandas and polars frames, neither of them imported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from convexpoison._utils.types import FloatArray
from convexpoison.errors import optional_import

_SPARSE_BELOW = 0.25
"""Share of nonzeros under which a product with a CSR matrix is faster than with a dense one (measured on MNIST)."""


def is_frame(X: Any) -> bool:
    """Whether X has named columns with a type each."""
    return hasattr(X, "columns") and hasattr(X, "dtypes")


def as_table(X: Any) -> Any:
    """X itself where it has rows and columns already, CSR where sparse, else (lists, for example) an array."""
    return X.tocsr() if sp.issparse(X) else X if is_frame(X) else np.asarray(X)


def as_dense(X: Any) -> np.ndarray:
    """Return an array with the numbers of X, which may be sparse."""
    return X.toarray() if sp.issparse(X) else np.asarray(X)


def column_names(X: Any) -> tuple[str, ...] | None:
    """Names of a frame's columns; None for arrays."""
    return tuple(map(str, X.columns)) if is_frame(X) else None


def column(frame: Any, j: int) -> np.ndarray:
    """The values of one column of a frame, shape (n_rows,)."""
    return np.asarray((frame.iloc[:, j] if hasattr(frame, "iloc") else frame[frame.columns[j]]).to_numpy())


def columns_of(X: Any) -> list[np.ndarray]:
    """The values of all columns of a small table."""
    if is_frame(X):
        return [column(X, j) for j in range(X.shape[1])]
    return list(as_dense(X).T)


def whole_columns(X: Any, n_features: int) -> np.ndarray:
    """Which columns have an integer or boolean type and no value missing; shape (n_features,)."""
    if not is_frame(X):
        kind = np.dtype(getattr(X, "dtype", None) or np.asarray(X).dtype).kind
        return np.full(n_features, kind in "biu")
    return np.array([_is_whole(X, j) for j in range(n_features)], dtype=bool)


def _is_whole(X: Any, j: int) -> bool:
    if not hasattr(X, "iloc"):
        return column(X, j).dtype.kind in "biu"  # polars makes floats of integers where some are missing
    dtype = X.dtypes.iloc[j]
    dtype = getattr(dtype, "numpy_dtype", getattr(dtype, "subtype", dtype))  # nullable and sparse types hold another
    return isinstance(dtype, np.dtype) and dtype.kind in "biu" and not bool(X.iloc[:, j].isna().any())


def like(X: Any, columns: Sequence[np.ndarray]) -> Any:
    """A table of the kind of X with these columns; its names, and its types wherever they hold the values."""
    if not is_frame(X):
        return _array_like(X, columns)
    if hasattr(X, "iloc"):
        table = type(X)(dict(enumerate(columns)))
        fits = {j: dtype for j, dtype in enumerate(X.dtypes) if _fits(columns[j], _is_whole(X, j))}
        table = table.astype(fits)
        table.columns = X.columns
        return table
    schema = X.schema
    values = dict(zip(X.columns, columns, strict=True))
    kept = {name: schema[name] for j, name in enumerate(X.columns) if _fits(columns[j], _is_whole(X, j))}
    return type(X)({name: _plain(values[name]) for name in values}, schema_overrides=kept, strict=False)


def _array_like(X: Any, columns: Sequence[np.ndarray]) -> Any:
    dtype = X.dtype if hasattr(X, "dtype") else np.asarray(X).dtype
    whole = dtype.kind in "biu"
    dtype = dtype if all(_fits(values, whole) for values in columns) else np.dtype(np.float64)
    stacked = np.array(columns, dtype=dtype).T
    return sp.csr_matrix(stacked) if sp.issparse(X) else stacked


def _fits(values: np.ndarray, whole: bool) -> bool:
    """Whether a column of whole numbers can hold these; other types hold whatever they are given."""
    return not whole or values.dtype.kind not in "fc" or bool((values == np.round(values)).all())


def _plain(values: np.ndarray) -> Any:
    return values.tolist() if values.dtype == object else values


def appended(X: Any, rows: Any) -> Any:
    """X with further rows, given as a table of its kind or as an array, below."""
    if sp.issparse(X):
        return sp.vstack([X, sp.csr_matrix(rows)], format="csr")
    if not is_frame(X):
        return np.concatenate([np.asarray(X), np.asarray(rows)])
    if not is_frame(rows):
        rows = like(X, list(np.asarray(rows).T))
    if hasattr(X, "vstack"):
        return X.vstack(rows.cast(X.schema)) if rows.schema == X.schema else _by_column(X, rows)
    pandas = optional_import("pandas", "frame", "rows below a DataFrame")
    return pandas.concat([X, rows], ignore_index=True)


def _by_column(X: Any, rows: Any) -> Any:
    """polars: where types differ, because whole numbers do not hold the new values, columns are joined as values."""
    joined = {name: np.concatenate([X[name].to_numpy(), rows[name].to_numpy()]) for name in X.columns}
    return type(X)({name: _plain(values) for name, values in joined.items()}, strict=False)


def repeated(X: Any, counts: np.ndarray) -> Any:
    """Every row as often as its count says."""
    index = np.repeat(np.arange(counts.size), counts)
    return X.iloc[index] if hasattr(X, "iloc") else X[index]


def first_row(X: Any) -> Any:
    """The first row, as a table of the kind of X."""
    return X.iloc[:1] if hasattr(X, "iloc") else X[:1]


def as_floats(X: Any) -> FloatArray:
    """A frame's or an array's numbers, shape (n_rows, n_features).

    Raises
    ------
    TypeError, ValueError
        If there is something else in it.
    """
    if is_frame(X) and not hasattr(X, "iloc"):
        return np.column_stack([np.asarray(column(X, j), dtype=np.float64) for j in range(len(X.columns))])
    return np.ascontiguousarray(np.asarray(X, dtype=np.float64))


def faster_storage(X: Any) -> Any:
    """Return X (dense or CSR) in the storage that is multiplied faster."""
    if sp.issparse(X) or np.count_nonzero(X) >= _SPARSE_BELOW * X.size:
        return X
    return sp.csr_matrix(X)
