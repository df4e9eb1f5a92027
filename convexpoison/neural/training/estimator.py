"""Training and smoothing with the interface of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from torch import nn

from convexpoison.neural.smoothing.certification import Certification
from convexpoison.neural.smoothing.classifier import SmoothedClassifier
from convexpoison.neural.smoothing.inputs import check_count
from convexpoison.neural.training.fit import Recipe, fit, n_outputs
from convexpoison.neural.training.networks import make_network
from convexpoison.neural.training.objectives import GaussianAugmentation, Objective
from convexpoison.neural.training.seeding import seed_of


class SmoothedNetworkClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A network, trained with an objective, that predicts by randomized smoothing.

    Parameters
    ----------
    network : str or callable
        A name in ``convexpoison.neural.training.networks.NETWORKS``, or a function without arguments that builds a module.
    objective : Objective, optional
        Default: ``GaussianAugmentation(0.5)``.
    sigma : float, optional
        Noise level of prediction; default: that of the objective.
    recipe : Recipe, optional
    n : int
        Noise draws per prediction.
    alpha : float
        Error probability of the certificate of each image.
    image_shape : tuple (channels, height, width), optional
        Shape to which flat rows are reshaped.
    device : str, optional
    random_state : int or None
        None: a seed is drawn and stored in ``random_state_``.

    Attributes
    ----------
    network_ : Module
        If built by name, it has one output per class.
    smoothed_ : SmoothedClassifier
    classes_ : array of shape (n_classes,)
    losses_ : list of float, one entry per epoch
    random_state_ : int

    Notes
    -----
    ``predict`` returns the class with the most votes, even if the test is inconclusive, since scikit-learn's interface does not
    provide for abstention; :meth:`certify` abstains with -1.
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
        random_state: int | None = 0,
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
        """Train on images in [0, 1] of shape (n, channels, height, width), or flat rows and ``image_shape``.

        Raises
        ------
        ValueError
            As in :func:`convexpoison.neural.fit`; if there are fewer than two classes, or the number of outputs differs.
        """
        objective = self.objective if self.objective is not None else GaussianAugmentation(0.5)
        sigma = self.sigma if self.sigma is not None else objective.sigma
        if not sigma > 0:
            raise ValueError(
                f"the objective trains without noise; pass sigma=, the noise level of prediction (got {sigma})"
            )
        images, (classes, codes) = self._images(X), np.unique(np.asarray(y), return_inverse=True)
        if len(images) and len(classes) < 2:
            raise ValueError(f"a classifier needs at least two classes; y has {classes.tolist()}")
        seed = seed_of(self.random_state)
        network = make_network(self.network, seed, max(2, len(classes)))
        if len(images) and images.ndim == 4:  # fit rejects other inputs
            found = n_outputs(network, torch.from_numpy(images[:1]))
            if found != len(classes):
                raise ValueError(
                    f"the network has {found} outputs and y {len(classes)} classes; build it with {len(classes)} outputs"
                )
        trained = fit(network, objective, images, codes, self.recipe, random_state=seed, device=self.device)
        self.classes_, self.network_, self.losses_, self.random_state_ = classes, network, trained.losses, seed
        self.smoothed_ = SmoothedClassifier(network, sigma, random_state=seed)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predict the label of each image."""
        check_is_fitted(self)
        images = self.smoothed_.images(self._images(X))
        sizes = np.full(len(images), check_count("n", self.n))
        return np.asarray(self.classes_[self.smoothed_.draw(images, "predict", sizes).top()])

    def certify(self, X: Any, n0: int = 100, n: int = 100_000) -> Certification:
        """Certify classes (indices into ``classes_``; -1: abstained) and radii; see :meth:`SmoothedClassifier.certify`."""
        check_is_fitted(self)
        return self.smoothed_.certify(self._images(X), n0=n0, n=n, alpha=self.alpha)

    def _images(self, X: Any) -> np.ndarray:
        images = np.asarray(X.numpy(force=True) if isinstance(X, torch.Tensor) else X, dtype=np.float32)
        if images.ndim == 2 and self.image_shape is not None:
            return images.reshape(len(images), *self.image_shape)
        return images
