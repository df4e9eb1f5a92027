"""Training and smoothing behind scikit-learn's interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from torch import nn

from convexpoison.neural.certification import Certification
from convexpoison.neural.networks import make_network
from convexpoison.neural.objectives import GaussianAugmentation, Objective
from convexpoison.neural.smoothing import SmoothedClassifier
from convexpoison.neural.training import Recipe, fit


class SmoothedNetworkClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A network that is trained by an objective and predicts through randomized smoothing.

    Parameters
    ----------
    network : str or callable
        A name of ``convexpoison.neural.networks.NETWORKS``, or a function without arguments that builds a fresh module.
    objective : Objective, optional
        ``GaussianAugmentation(0.5)`` where not given.
    sigma : float, optional
        Noise at prediction; that of the objective where not given.
    recipe : Recipe, optional
    n : int
        Noise draws a prediction.
    alpha : float
        With at most this probability a prediction that does not abstain is not the smoothed classifier's.
    image_shape : tuple (channels, height, width), optional
        Where rows are flat, the shape that they are given.
    device : str, optional
    random_state : int

    Attributes
    ----------
    network_ : Module
    smoothed_ : SmoothedClassifier
    classes_ : array of shape (n_classes,)
    losses_ : list of float, one entry an epoch

    Notes
    -----
    Where the draws leave the class open, ``predict`` falls back on the class with the most votes, since scikit-learn has no
    word for abstaining; :meth:`certify` abstains with -1.
    """

    def __init__(
        self,
        network: str | Callable[[], nn.Module] = "lenet",
        objective: Objective | None = None,
        sigma: float | None = None,
        recipe: Recipe | None = None,
        n: int = 1000,
        alpha: float = 0.001,
        image_shape: tuple[int, int, int] | None = None,
        device: str | None = None,
        random_state: int = 0,
    ) -> None:
        self.network = network
        self.objective = objective
        self.sigma = sigma
        self.recipe = recipe
        self.n = n
        self.alpha = alpha
        self.image_shape = image_shape
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> SmoothedNetworkClassifier:
        """Train on images in [0, 1] of shape (n, channels, height, width), or flat rows and ``image_shape``."""
        objective = self.objective if self.objective is not None else GaussianAugmentation(0.5)
        sigma = self.sigma if self.sigma is not None else objective.sigma
        if not sigma > 0:
            raise ValueError(f"the objective trains without noise; pass sigma=, the noise at prediction (got {sigma})")
        self.classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        self.network_ = make_network(self.network, self.random_state)
        trained = fit(
            self.network_,
            objective,
            self._images(X),
            codes,
            self.recipe,
            random_state=self.random_state,
            device=self.device,
        )
        self.losses_ = trained.losses
        self.smoothed_ = SmoothedClassifier(self.network_, sigma, random_state=self.random_state)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The label of each image."""
        check_is_fitted(self)
        found = self.smoothed_.predict(self._images(X), n=self.n, alpha=self.alpha)
        open_ = np.flatnonzero(found < 0)
        if open_.size:
            found = found.copy()
            found[open_] = self.smoothed_.predict(self._images(X)[open_], n=self.n, alpha=1.0 - 1e-9)
            found[found < 0] = 0
        return np.asarray(self.classes_[found])

    def certify(self, X: Any, n0: int = 100, n: int = 100_000) -> Certification:
        """Classes (as positions in ``classes_``; -1 abstains) and radii; see :meth:`SmoothedClassifier.certify`."""
        check_is_fitted(self)
        return self.smoothed_.certify(self._images(X), n0=n0, n=n, alpha=self.alpha)

    def _images(self, X: Any) -> np.ndarray:
        images = np.asarray(X.numpy(force=True) if isinstance(X, torch.Tensor) else X, dtype=np.float32)
        if images.ndim == 2 and self.image_shape is not None:
            return images.reshape(len(images), *self.image_shape)
        return images
