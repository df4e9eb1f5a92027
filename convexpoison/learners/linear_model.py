"""The linear model: a coefficient vector and an intercept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convexpoison._utils.types import FloatArray


@dataclass(frozen=True, eq=False)
class LinearModel:
    """A linear model ``score(x) = coef @ x + intercept``.

    Parameters
    ----------
    coef : array of shape (n_features,)
    intercept : float
    classes : pair of labels or None
        Labels in the user's own terms; ``classes[1]`` is predicted where the score is positive, ``classes[0]``
        elsewhere (scikit-learn's order). None: a regressor, or a classifier whose labels are -1 and +1.

    Raises
    ------
    ValueError
        If the coefficients are not one finite vector or the intercept is not one finite number.
    """

    coef: FloatArray
    intercept: float = 0.0
    classes: tuple[Any, Any] | None = None

    def __post_init__(self) -> None:
        coef = np.array(self.coef, dtype=np.float64)
        if coef.ndim == 2 and coef.shape[0] == 1:
            coef = coef[0]
        if coef.ndim != 1 or coef.size == 0:
            raise ValueError(
                f"a linear model needs one coefficient vector of shape (n_features,); got shape {coef.shape}. "
                "For a multi-class model pass one row of coef_ and one entry of intercept_ at a time."
            )
        intercept = np.asarray(self.intercept, dtype=np.float64)
        if intercept.size != 1:
            raise ValueError(f"a linear model needs one intercept; got {intercept.size} values")
        if not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
            raise ValueError("coef and intercept hold NaN or infinity; refit the model on clean numbers")
        coef.setflags(write=False)
        object.__setattr__(self, "coef", coef)
        object.__setattr__(self, "intercept", float(intercept.item()))

    @property
    def n_features(self) -> int:
        return self.coef.size

    @property
    def n_outputs(self) -> int:
        """Number of scores per row: 1 for two classes and regressions."""
        return 1

    @property
    def parameters(self) -> FloatArray:
        """Coefficients and intercept of every output, shape (n_outputs, n_features + 1)."""
        return np.append(self.coef, self.intercept)[None]

    def decision_function(self, X: Any) -> FloatArray:
        """Scores of the rows of X, shape (n_rows,); X may be a scipy sparse matrix."""
        return np.asarray(X @ self.coef + self.intercept).reshape(-1)

    def predict(self, X: Any) -> np.ndarray:
        """Predicted labels (in the user's own terms where ``classes`` is set), shape (n_rows,)."""
        positive = self.decision_function(X) > 0
        negative_label, positive_label = self.classes if self.classes is not None else (-1, 1)
        return np.where(positive, positive_label, negative_label)

    def accuracy(self, X: Any, y: ArrayLike) -> float:
        """Fraction of rows whose label is predicted; y in the same terms as ``predict``."""
        return float(np.mean(self.predict(X) == np.asarray(y)))

    def distance(self, other: LinearModel) -> float:
        """Euclidean distance of ``(coef, intercept)``."""
        return float(np.hypot(np.linalg.norm(self.coef - other.coef), self.intercept - other.intercept))

    def between(self, other: LinearModel, fraction: float) -> LinearModel:
        """The model ``(1 - fraction) * self + fraction * other``."""
        return LinearModel(
            self.coef + fraction * (other.coef - self.coef),
            self.intercept + fraction * (other.intercept - self.intercept),
            self.classes,
        )
