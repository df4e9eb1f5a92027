"""Training data, checked once at the door: rows, signed labels, weights, and the way back to the user's labels."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from convexpoison._utils.types import FloatArray
from convexpoison.data.frames import as_floats, column_names, faster_storage

if TYPE_CHECKING:
    from convexpoison.data.row_operator import RowOperator

Classes = tuple[Any, Any]


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Rows and responses in the library's own terms.

    Attributes
    ----------
    X : array or CSR matrix of shape (n_samples, n_features), float64
        Whichever is multiplied faster.
    y : array of shape (n_samples,)
        -1 and +1 (classification) or the response (regression).
    sample_weight : array of shape (n_samples,)
    classes : pair of labels or None
        ``classes[0]`` stands for -1, ``classes[1]`` for +1; None for regression.
    columns : tuple of str or None
        Column names of a DataFrame.
    """

    X: Any
    y: FloatArray
    sample_weight: FloatArray
    classes: Classes | None = None
    columns: tuple[str, ...] | None = None

    @property
    def n_samples(self) -> int:
        return int(self.X.shape[0])

    @property
    def n_features(self) -> int:
        return int(self.X.shape[1])

    @property
    def n_rows(self) -> float:
        """Sum of the sample weights: what counts as n in the mean convention."""
        return float(self.sample_weight.sum())

    @cached_property
    def rows(self) -> RowOperator:
        """Products with X. To add rows or a column of ones, take ``rows.growing(intercept)``: this one stays as it is."""
        from convexpoison.data.row_operator import RowOperator  # a checker does without

        return RowOperator(self.X)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields alone, so that a pickle or a hash does not depend on what is cached."""
        return {field.name: self.__dict__[field.name] for field in fields(self)}

    def with_rows(self, X: Any, y: FloatArray, sample_weight: FloatArray) -> TrainingData:
        """Return the data with further rows behind them, sparse if either are."""
        if sp.issparse(self.X) or sp.issparse(X):
            stacked = sp.vstack([sp.csr_matrix(self.X), sp.csr_matrix(X)], format="csr")
        else:
            stacked = np.vstack([self.X, X])
        y, weight = np.concatenate([self.y, y]), np.concatenate([self.sample_weight, sample_weight])
        return TrainingData(stacked, y, weight, self.classes, self.columns)

    def subset(self, index: np.ndarray) -> TrainingData:
        """Return the data of those rows, in that order."""
        return replace(self, X=self.X[index], y=self.y[index], sample_weight=self.sample_weight[index])

    @classmethod
    def from_user(
        cls,
        data: Any,
        *,
        regression: bool = False,
        classes: Classes | None = None,
        sample_weight: ArrayLike | None = None,
        both_classes: bool = True,
    ) -> TrainingData:
        """Check ``(X, y)`` and translate the labels.

        Parameters
        ----------
        data : pair (X, y) or TrainingData
            X: array, scipy sparse matrix or DataFrame (pandas or polars); y: two classes of any type, or numbers for regression.
        classes : pair of labels, optional
            Which label is -1 and which +1; the sorted labels of y where not given (scikit-learn's order).
        both_classes : bool
            Whether rows of both classes must be there; rows to test or to flip may all be of one.

        Raises
        ------
        TypeError
            If data is not a pair.
        ValueError
            NaN or infinity, shapes that do not match, one class only, more than two classes.
        """
        if isinstance(data, TrainingData):
            if sample_weight is not None or classes not in (None, data.classes):
                raise ValueError(
                    "TrainingData bring their own weights and classes; build them with from_user((X, y), ...)"
                )
            return data
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            raise TypeError(f"data must be a pair (X, y); got {type(data).__name__}")
        X, columns = check_rows(data[0])
        y = np.asarray(data[1])
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        if y.ndim != 1 or y.shape[0] != X.shape[0]:
            raise ValueError(f"X has {X.shape[0]} rows, so y must have shape ({X.shape[0]},); got {y.shape}")
        X = faster_storage(X)
        weights = _check_weights(sample_weight, X.shape[0])
        if regression:
            return cls(X, _check_response(y), weights, None, columns)
        signed, classes = sign_labels(y, classes)
        if both_classes and np.unique(signed[weights > 0]).size < 2:
            raise ValueError(
                f"y holds one class only among rows of positive weight ({_show(np.unique(y[weights > 0]))}); training data "
                "need rows of both classes"
            )
        return cls(X, signed, weights, classes, columns)


def check_rows(X: Any, n_features: int | None = None) -> tuple[Any, tuple[str, ...] | None]:
    """Rows as float64 (dense, or CSR where sparse), and the column names of a DataFrame.

    Raises
    ------
    ValueError
        Not two-dimensional, empty, not numbers, NaN or infinity, another number of features.
    """
    columns = column_names(X)
    if sp.issparse(X):
        X = sp.csr_matrix(X, dtype=np.float64)
        values = X.data
    else:
        try:
            X = as_floats(X)
        except (TypeError, ValueError) as exc:
            raise ValueError(
                f"X holds values that are not numbers ({exc}); encode text columns first, for example with a "
                "scikit-learn OneHotEncoder in a Pipeline"
            ) from exc
        values = X
    if X.ndim != 2 or 0 in X.shape:
        raise ValueError(f"X must be two-dimensional with at least one row and one column; got shape {X.shape}")
    if not np.isfinite(values).all():
        raise ValueError("X holds NaN or infinity; impute or drop those rows first")
    if n_features is not None and X.shape[1] != n_features:
        raise ValueError(f"X has {X.shape[1]} features where {n_features} are needed")
    return X, columns


def sign_labels(y: ArrayLike, classes: Classes | None = None) -> tuple[FloatArray, Classes]:
    """Labels as -1 and +1, and the pair of labels that they stand for.

    Raises
    ------
    ValueError
        If y holds labels that are not in ``classes``, or not two classes.
    """
    y = np.asarray(y)
    present = np.unique(y[~_missing(y)])
    if _missing(y).any():
        raise ValueError("y holds missing labels; drop those rows first")
    if classes is None:
        if present.size > 2:
            raise ValueError(
                f"y holds {present.size} classes ({_show(present)}); a linear target separates two. Keep the rows of "
                "one pair of classes, or make it one class against the rest: attack((coef_[k], intercept_[k]), (X, y == k))"
            )
        if present.size < 2:
            raise ValueError(f"y holds one class only ({_show(present)}); rows of both classes are needed")
        classes = (present[0].item(), present[1].item()) if hasattr(present[0], "item") else (present[0], present[1])
    positive, negative = y == classes[1], y == classes[0]
    if not np.all(positive | negative):
        strangers = [label for label in present if label not in classes]
        raise ValueError(
            f"y holds labels {_show(strangers)} that the target does not know; its classes are {list(classes)}"
        )
    return np.where(positive, 1.0, -1.0), classes


def _missing(y: np.ndarray) -> np.ndarray:
    """Where a label is NaN or None (anything that does not equal itself, or is None)."""
    if y.dtype == object:
        return np.array([label is None or label != label for label in y], dtype=bool)
    return np.asarray(np.isnan(y)) if y.dtype.kind == "f" else np.zeros(y.shape, dtype=bool)


def _check_response(y: np.ndarray) -> FloatArray:
    try:
        y = y.astype(np.float64)
    except (TypeError, ValueError) as exc:
        raise ValueError(f"a regression target needs numbers in y; got values of type {y.dtype}") from exc
    if not np.isfinite(y).all():
        raise ValueError("y holds NaN or infinity; impute or drop those rows first")
    return y


def _check_weights(sample_weight: ArrayLike | None, n_samples: int) -> FloatArray:
    if sample_weight is None:
        return np.ones(n_samples)
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != (n_samples,):
        raise ValueError(f"sample_weight must have shape ({n_samples},); got {weights.shape}")
    if not np.isfinite(weights).all() or (weights < 0).any() or weights.sum() == 0:
        raise ValueError("sample_weight must be finite, not negative, and not all zero")
    return weights


def _show(labels: Any, most: int = 6) -> str:
    shown = ", ".join(repr(label.item() if hasattr(label, "item") else label) for label in labels[:most])
    return shown + (", ..." if len(labels) > most else "")
