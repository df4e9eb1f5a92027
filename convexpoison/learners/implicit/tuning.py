"""What the defender tunes, and the scaling of the regulariser, written once.

RMD (Carnerero-Cano et al., 2021, Section 3) adds ``(exp(lambda) / 2) |w|**2`` to "the loss". Here that loss is the *sum*
over the rows, so that ``lambda`` is the logarithm of the weight of the regulariser in
:class:`~convexpoison.learners.victim.Victim`'s
objective ``F = L + rho R``:

- sum convention: ``exp(lambda) = 1 / C``;
- mean convention: ``exp(lambda) = n C_R``, with n the number of rows, poison included.

The paper does not say sum or mean. Its step sizes do: descent on the mean of the losses plus ``(exp(lambda) / 2) |w|**2``
diverges where ``eta exp(lambda) > 2``, and its settings have ``eta exp(lambda)`` up to 20 (MNIST: 0.1 * 200), 32 (Fashion-MNIST)
and 1,000 (ImageNet); with that objective divided by the 512 rows, ImageNet's largest value is 1.95. Nor does it say whether the
intercept is regularised; here that is the victim's ``intercept``, "regularized" being the literal reading.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Literal

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.learners.victim import Victim

Tune = Literal["l2", "per_class", "per_feature"]


class Tuning(ABC):
    """Hyperparameters ``lambda``: the weights of the rows and the ridge that they make.

    The inner objective is ``sum_i weight_i phi_i + sum_j ridge_j theta_j**2 / 2``.

    Parameters
    ----------
    victim : Victim
    weight, y : arrays of shape (n_rows,)
        Sample weights and labels of all rows, poison included.
    n_features : int
    """

    size: int

    def __init__(self, victim: Victim, weight: FloatArray, y: FloatArray, n_features: int) -> None:
        self._weight, self._y, self._n_features = weight, y, n_features
        self._metric = np.ones(n_features + (victim.intercept != "none"))
        self._metric[n_features:] = victim.intercept_weight
        self._rho = victim.rho(float(weight.sum()))

    def initial(self) -> FloatArray:
        """The lambda that is the victim's own regularisation, shape (size,); -inf where it has none."""
        with np.errstate(divide="ignore"):
            return np.full(self.size, np.log(self._rho))

    def weight(self, lam: FloatArray) -> FloatArray:
        """Weights of the rows, shape (n_rows,)."""
        return self._weight

    @abstractmethod
    def ridge(self, lam: FloatArray) -> FloatArray:
        """Weights of the squared parameters, shape (n_parameters,)."""

    @abstractmethod
    def product(self, ridge: FloatArray, theta: FloatArray, v: FloatArray, pulls: FloatArray) -> FloatArray:
        """Derivative of ``v @ gradient`` by lambda, shape (size,); ``pulls`` are the rows' parts of ``v @ gradient``."""


class L2(Tuning):
    """One lambda: ``exp(lambda) R(theta)``."""

    size = 1

    def ridge(self, lam: FloatArray) -> FloatArray:
        return np.asarray(np.exp(lam[0]) * self._metric)

    def product(self, ridge: FloatArray, theta: FloatArray, v: FloatArray, pulls: FloatArray) -> FloatArray:
        return np.array([v @ (ridge * theta)])


class PerFeature(Tuning):
    """One lambda for each feature's coefficient; a regularised intercept keeps the victim's own weight."""

    def __init__(self, victim: Victim, weight: FloatArray, y: FloatArray, n_features: int) -> None:
        super().__init__(victim, weight, y, n_features)
        self.size = n_features

    def ridge(self, lam: FloatArray) -> FloatArray:
        return np.concatenate([np.exp(lam), self._rho * self._metric[self._n_features :]])

    def product(self, ridge: FloatArray, theta: FloatArray, v: FloatArray, pulls: FloatArray) -> FloatArray:
        return np.asarray((v * ridge * theta)[: self._n_features])


class PerClass(Tuning):
    """One lambda for the rows of each class: ``sum_c exp(-lambda_c) L_c + R``, that is one ``C`` a class.

    With both equal it is :class:`L2`. ``lambda[0]`` belongs to label -1, ``lambda[1]`` to +1.
    """

    size = 2

    def weight(self, lam: FloatArray) -> FloatArray:
        return np.asarray(self._weight * np.exp(-lam[(self._y > 0).astype(int)]))

    def ridge(self, lam: FloatArray) -> FloatArray:
        return self._metric

    def product(self, ridge: FloatArray, theta: FloatArray, v: FloatArray, pulls: FloatArray) -> FloatArray:
        return np.array([-pulls[self._y < 0].sum(), -pulls[self._y > 0].sum()])


_TUNINGS: dict[str, type[Tuning]] = {"l2": L2, "per_class": PerClass, "per_feature": PerFeature}


def make_tuning(tune: str, victim: Victim, weight: FloatArray, y: FloatArray, n_features: int) -> Tuning:
    """The hyperparameters of that name.

    Raises
    ------
    ValueError
        If the name is unknown, or there are no classes to tune one by one.
    """
    if tune not in _TUNINGS:
        raise ValueError(f"tune must be one of {sorted(_TUNINGS)} (or None: nothing is tuned); got {tune!r}")
    if tune == "per_class" and not victim.loss.classification:
        raise ValueError("tune='per_class' needs classes; a regression victim has 'l2' and 'per_feature'")
    return _TUNINGS[tune](victim, weight, y, n_features)


def tuned_victim(victim: Victim, lam: float, n_rows: float) -> Victim:
    """The victim with that one lambda on that many rows, in its own convention (see the module docstring).

    Examples
    --------
    >>> from convexpoison import Victim
    >>> tuned_victim(Victim("logistic", C=1.0), 0.0, 600).C
    1.0
    >>> tuned_victim(Victim("logistic", C_R=0.1), 0.0, 100).C_R
    0.01
    """
    if victim.convention == "sum":
        return _with(victim, C=float(np.exp(-lam)), C_R=None)
    return _with(victim, C=None, C_R=float(np.exp(lam) / n_rows))


def _with(victim: Victim, *, C: float | None, C_R: float | None) -> Victim:
    return replace(victim, C=C, C_R=C_R)
