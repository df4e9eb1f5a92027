"""Subpopulations: rows of one label that lie together, for attacks that are to go unnoticed elsewhere (MTP, Section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convexpoison.data.training_data import TrainingData
from convexpoison.goals import Misclassify
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Victim
from convexpoison.targets.label_flip import Candidate, label_flip

QUANTILES = (0.30, 0.35, 0.40, 0.45, 0.50, 0.55, 0.8, 1.0)
COPIES = (1, 2, 3, 5, 8, 10, 12, 15, 20, 25, 30, 50, 80, 100)


@dataclass(frozen=True, eq=False)
class Subpopulation:
    """Rows of one label.

    Attributes
    ----------
    X : array or CSR matrix of shape (n_rows, n_features)
    label : label
        In the user's own terms.
    index : int array of shape (n_rows,)
        Which rows of the data they are.
    cluster : int or None
        None where the caller chose the rows.
    """

    X: Any
    label: Any
    index: np.ndarray
    cluster: int | None = None

    @property
    def rows(self) -> tuple[Any, np.ndarray]:
        """``(X, y)``."""
        return self.X, np.full(self.index.size, self.label)

    @property
    def goal(self) -> Misclassify:
        """All of them wrong: 0 % accuracy."""
        return Misclassify(*self.rows)

    def accuracy(self, model: LinearModel) -> float:
        """Return the share of the rows that the model has right."""
        return model.accuracy(*self.rows)


def subpopulations(
    X: Any,
    y: ArrayLike,
    *,
    label: Any = None,
    n_clusters: int = 20,
    min_rows: int = 1,
    random_state: int | None = 0,
) -> list[Subpopulation]:
    """Return the rows of one label, cluster by cluster (KMeans on the features of all rows, as in MTP's code).

    Parameters
    ----------
    X : array or sparse matrix of shape (n_samples, n_features)
    y : labels of shape (n_samples,)
    label : label, optional
        Default: the first in sorted order, which is the class -1 (MTP's choice).
    n_clusters : int
    min_rows : int
        Smaller ones are left out.
    random_state : int or None

    Returns
    -------
    list of Subpopulation
        In the order of the clusters.

    Raises
    ------
    ValueError
        If no row has that label, or there are more clusters than rows.
    """
    from sklearn.cluster import KMeans

    data = TrainingData.from_user((X, y))
    label, chosen = _rows_of(data, label)
    if not 1 <= n_clusters <= data.n_samples:
        raise ValueError(f"n_clusters must lie between 1 and the number of rows, {data.n_samples}; got {n_clusters}")
    clusters = KMeans(n_clusters, random_state=random_state, n_init=10).fit_predict(data.X)
    found = []
    for k in range(n_clusters):
        index = np.flatnonzero(chosen & (clusters == k))
        if index.size >= max(1, min_rows):
            found.append(Subpopulation(data.X[index], label, index, k))
    return found


def subpopulation(X: Any, y: ArrayLike, mask: ArrayLike) -> Subpopulation:
    """Return the rows that a mask chooses; they must have one label.

    Raises
    ------
    ValueError
        If the mask has another length, chooses no row, or rows of both labels.
    """
    data = TrainingData.from_user((X, y))
    chosen = np.asarray(mask)
    if chosen.dtype != bool or chosen.shape != (data.n_samples,):
        raise ValueError(f"mask must be {data.n_samples} truth values; got {chosen.dtype} of shape {chosen.shape}")
    index = np.flatnonzero(chosen)
    if np.unique(data.y[index]).size != 1:
        raise ValueError(
            f"a subpopulation has rows of one label; the mask chooses {index.size} rows, of none or of both"
        )
    classes = data.classes or (-1, 1)
    return Subpopulation(data.X[index], classes[int(data.y[index[0]] > 0)], index)


def best_classified(found: Sequence[Subpopulation], model: LinearModel, n_best: int = 3) -> list[Subpopulation]:
    """Sort subpopulations by the accuracy of the model, the highest first; equals stay in order (MTP attacks the best three)."""
    return sorted(found, key=lambda group: -group.accuracy(model))[:n_best]


def subpopulation_target(
    victim: Victim,
    data: Any,
    group: Subpopulation,
    *,
    quantiles: Sequence[float] = QUANTILES,
    copies: Sequence[int] = COPIES,
    improved: bool = False,
    progress: bool | None = None,
) -> Candidate:
    """Find the label-flip target with 0 % accuracy on a subpopulation and the least clean loss, over MTP's grid for Adult.

    Raises
    ------
    ValueError
        If no combination gets all rows wrong.
    """
    return label_flip(
        victim,
        data,
        error=1.0,
        flip=group.rows,
        quantiles=quantiles,
        copies=copies,
        improved=improved,
        progress=progress,
    )


def _rows_of(data: TrainingData, label: Any) -> tuple[Any, np.ndarray]:
    """Return the label in the user's terms, and the mask of its rows."""
    classes = data.classes or (-1, 1)
    if label is None:
        label = classes[0]
    if label not in classes:
        raise ValueError(f"no row has the label {label!r}; the labels are {list(classes)}")
    return label, (data.y > 0) == (label == classes[1])
