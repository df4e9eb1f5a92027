"""The victim: what is minimised on the poisoned data.

The victim minimises ``L(theta; D) + rho(n) * R(theta)`` with ``n`` the number of rows (the sum of the sample weights),
``L`` the *sum* of the losses and ``R = (|w|**2 + (b / s)**2) / 2`` (the intercept's term only where the intercept is
regularised). ``rho(n) = rho_0 + kappa * n``:

- sum convention (scikit-learn's ``C`` held fixed while the data grow): ``rho_0 = 1 / C``, ``kappa = 0``;
- mean convention (MTP, Eq. 1: mean loss plus ``C_R * R``): ``rho_0 = 0``, ``kappa = C_R``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from threadpoolctl import threadpool_limits

from convexpoison._utils.types import FloatArray
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.losses.base import Loss
from convexpoison.learners.losses.registry import get_loss

if TYPE_CHECKING:
    from convexpoison.data.training_data import TrainingData
    from convexpoison.learners.trainers import Trainer

Intercept = Literal["regularized", "free", "none"]
_INTERCEPTS = ("regularized", "free", "none")


@dataclass(frozen=True)
class Victim:
    """A convex learner: loss, regularisation, convention, intercept.

    Parameters
    ----------
    loss : {"hinge", "squared_hinge", "logistic", "squared"} or Loss
    C : float, optional
        Sum convention: ``sum(loss) + R / C``. ``inf`` means no regularisation.
    C_R : float, optional
        Mean convention: ``mean(loss) + C_R * R`` (MTP, Eq. 1). Give exactly one of C and C_R.
    intercept : {"regularized", "free", "none"}
        Whether the intercept is part of the regulariser (``LinearSVC``, MTP's code), free (``LogisticRegression``'s
        default, ``SVC``, ``Ridge``) or absent.
    intercept_scaling : float
        ``s`` in the regulariser ``(b / s)**2 / 2``, as in ``LinearSVC``.

    Raises
    ------
    ValueError
        If not exactly one of C and C_R is given or one is not positive; unknown loss or intercept.

    Examples
    --------
    >>> from convexpoison import Victim
    >>> model = Victim("hinge", C=1.0, intercept="none").fit([[0.5], [-0.5]], ["spam", "ham"])
    >>> model.coef.tolist(), model.predict([[2.0], [-1.0]]).tolist()
    ([1.0], ['spam', 'ham'])
    """

    loss: Loss
    C: float | None = None
    C_R: float | None = None
    intercept: Intercept = "regularized"
    intercept_scaling: float = 1.0

    def __init__(
        self,
        loss: str | Loss = "hinge",
        *,
        C: float | None = None,
        C_R: float | None = None,
        intercept: Intercept = "regularized",
        intercept_scaling: float = 1.0,
    ) -> None:
        if (C is None) == (C_R is None):
            raise ValueError(
                f"give exactly one of C (sum of losses + R / C) and C_R (mean loss + C_R * R); got C={C}, C_R={C_R}"
            )
        for name, number in (("C", C), ("C_R", C_R), ("intercept_scaling", intercept_scaling)):
            if number is not None and not number > 0:
                raise ValueError(f"{name} must be positive; got {number}")
        for name, number in (("C_R", C_R), ("intercept_scaling", intercept_scaling)):
            if number is not None and not np.isfinite(number):
                raise ValueError(f"{name} must be finite; got {number}")
        if intercept not in _INTERCEPTS:
            raise ValueError(f"intercept must be one of {_INTERCEPTS}; got {intercept!r}")
        for name, value in (
            ("loss", get_loss(loss)),
            ("C", None if C is None else float(C)),
            ("C_R", None if C_R is None else float(C_R)),
            ("intercept", intercept),
            ("intercept_scaling", float(intercept_scaling)),
        ):
            object.__setattr__(self, name, value)

    def to_dict(self) -> dict[str, Any]:
        """Return the parameters for JSON, the loss by its name."""
        names = ("C", "C_R", "intercept", "intercept_scaling")
        return {"loss": self.loss.name, **{name: getattr(self, name) for name in names}}

    @classmethod
    def from_dict(cls, parameters: Mapping[str, Any]) -> Victim:
        """Build the victim of :meth:`to_dict`, every parameter checked."""
        return cls(**parameters)

    @property
    def kappa(self) -> float:
        """What each added row adds to the regularisation: ``C_R`` (mean) or 0 (sum)."""
        return self.C_R if self.C_R is not None else 0.0

    @property
    def rho_0(self) -> float:
        """The part of the regularisation that does not grow with the data: ``1 / C`` (sum) or 0 (mean)."""
        return 1.0 / self.C if self.C is not None else 0.0

    @property
    def convention(self) -> Literal["mean", "sum"]:
        return "mean" if self.C_R is not None else "sum"

    def rho(self, n_rows: float) -> float:
        """Weight of the regulariser when the data have n rows (a sum of sample weights counts as n)."""
        return self.rho_0 + self.kappa * n_rows

    @property
    def intercept_weight(self) -> float:
        """Factor of ``b**2 / 2`` in R: ``1 / s**2`` where the intercept is regularised, else 0."""
        return 1.0 / self.intercept_scaling**2 if self.intercept == "regularized" else 0.0

    def penalty(self, model: LinearModel) -> float:
        """``R(theta)``."""
        return 0.5 * float(model.coef @ model.coef + self.intercept_weight * model.intercept**2)

    def penalty_gradient(self, model: LinearModel) -> tuple[FloatArray, float]:
        """``dR/dw`` of shape (n_features,) and ``dR/db``."""
        return np.array(model.coef), self.intercept_weight * model.intercept

    def data_loss(self, model: LinearModel, data: TrainingData) -> float:
        """``L(theta; D)``: the (weighted) sum of the losses."""
        argument = self.loss.argument(model.decision_function(data.X), data.y)
        return float(data.sample_weight @ self.loss.value(argument))

    def objective(self, model: LinearModel, data: TrainingData) -> float:
        """``F(theta) = L(theta; D) + rho(n) R(theta)``."""
        return self.data_loss(model, data) + self.rho(data.n_rows) * self.penalty(model)

    def trainer(self, data: TrainingData) -> Trainer:
        """An exact, warm trainer on the data, to which rows can be added."""
        from convexpoison.learners.trainers import make_trainer

        return make_trainer(self, data)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> LinearModel:
        """The exact minimiser on ``(X, y)``; labels of any two classes, as in scikit-learn.

        Raises
        ------
        ValueError
            If the data are not usable (see :class:`~convexpoison.data.training_data.TrainingData`).
        """
        from convexpoison.data.training_data import TrainingData

        data = TrainingData.from_user((X, y), regression=not self.loss.classification, sample_weight=sample_weight)
        with threadpool_limits(1, user_api="blas"):  # the matrices are small: threads would only wait for each other
            return self.trainer(data).model
