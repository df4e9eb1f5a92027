"""Training and smoothing behind scikit-learn's interface."""

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
    """A network that is trained by an objective and predicts through randomized smoothing.

    Parameters
    ----------
    network : str or callable
        A name of ``convexpoison.neural.training.networks.NETWORKS``, or a function without arguments that builds a fresh module.
    objective : Objective, optional
        ``GaussianAugmentation(0.5)`` where not given.
    sigma : float, optional
        Noise at prediction; that of the objective where not given.
    recipe : Recipe, optional
    n : int
        Noise draws a prediction.
    alpha : float
        Probability of a wrong certificate, for each image.
    image_shape : tuple (channels, height, width), optional
        Where rows are flat, the shape that they are given.
    device : str, optional
    random_state : int or None
        None: a seed is drawn, and kept in ``random_state_``.

    Attributes
    ----------
    network_ : Module
        A named one has as many outputs as there are classes.
    smoothed_ : SmoothedClassifier
    classes_ : array of shape (n_classes,)
    losses_ : list of float, one entry an epoch
    random_state_ : int

    Notes
    -----
    ``predict`` answers with the class that has the most votes, also where the draws leave it open, since scikit-learn has no
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
            As :func:`convexpoison.neural.fit`; fewer than two classes; a network with another number of outputs.
        """
        objective = self.objective if self.objective is not None else GaussianAugmentation(0.5)
        sigma = self.sigma if self.sigma is not None else objective.sigma
        if not sigma > 0:
            raise ValueError(f"the objective trains without noise; pass sigma=, the noise at prediction (got {sigma})")
        images, (classes, codes) = self._images(X), np.unique(np.asarray(y), return_inverse=True)
        if len(images) and len(classes) < 2:
            raise ValueError(f"a classifier needs at least two classes; y holds {classes.tolist()}")
        seed = seed_of(self.random_state)
        network = make_network(self.network, seed, max(2, len(classes)))
        if len(images) and images.ndim == 4:  # anything else fit refuses
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
        """The label of each image."""
        check_is_fitted(self)
        images = self.smoothed_.images(self._images(X))
        sizes = np.full(len(images), check_count("n", self.n))
        return np.asarray(self.classes_[self.smoothed_.draw(images, "predict", sizes).top()])

    def certify(self, X: Any, n0: int = 100, n: int = 100_000) -> Certification:
        """Classes (as positions in ``classes_``; -1 abstains) and radii; see :meth:`SmoothedClassifier.certify`."""
        check_is_fitted(self)
        return self.smoothed_.certify(self._images(X), n0=n0, n=n, alpha=self.alpha)

    def _images(self, X: Any) -> np.ndarray:
        images = np.asarray(X.numpy(force=True) if isinstance(X, torch.Tensor) else X, dtype=np.float32)
        if images.ndim == 2 and self.image_shape is not None:
            return images.reshape(len(images), *self.image_shape)
        return images
