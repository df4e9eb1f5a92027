"""Draws that end as soon as they show on which side of a limit a probability lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from convexpoison.losses import FloatArray
from convexpoison.neural.smoothing.sampling import Tally, tally
from convexpoison.neural.smoothing.sequential import log_mixture

if TYPE_CHECKING:
    from convexpoison.neural.smoothing.classifier import SmoothedClassifier

_GROWTH = 0.25
"""Draws of an undecided image until the next look, as a part of those so far."""


def until_decided(
    classifier: SmoothedClassifier, images: torch.Tensor, top: np.ndarray, needed: FloatArray, n_max: int, alpha: float
) -> tuple[Tally, np.ndarray, np.ndarray]:
    """Draw for all open images together, in rounds that grow, until each has its answer or ``n_max`` draws.

    Parameters
    ----------
    classifier : SmoothedClassifier
    images : tensor of shape (n_images, ...)
    top : int array of shape (n_images,)
        The class in question; chosen by other draws.
    needed : float array of shape (n_images,)
        The limit of its probability.
    n_max : int
    alpha : float

    Returns
    -------
    drawn : Tally
    above, below : bool arrays
        Where the probability was shown to lie, each wrongly with probability at most ``alpha``.
    """
    streams = [classifier.stream(image, "decide", classifier.sigma) for image in images]
    shape, n_classes = tuple(images.shape[1:]), classifier.n_classes or 2
    none = np.zeros((len(images), n_classes))
    drawn = Tally(np.zeros(len(images), dtype=np.int64), none, none)
    above, below = np.zeros(len(images), dtype=bool), needed >= 1.0
    with classifier.forward.open() as forward:
        while (which := np.flatnonzero(~above & ~below & (drawn.n < n_max))).size:
            # Whole blocks, so that an image's noise does not depend on when it was looked at.
            step = forward.block * np.maximum(1, np.ceil(_GROWTH * drawn.n[which] / forward.block)).astype(np.int64)
            sizes = np.minimum(step, n_max - drawn.n[which])
            asked = [streams[i] for i in which]
            more = tally(forward, asked.__getitem__, sizes.tolist(), shape, n_classes, classifier.soft_beta)
            drawn = drawn.plus(more, which)
            votes, n, p = drawn.total[which, top[which]], drawn.n[which], needed[which]
            clear = log_mixture(votes, n, p) >= -np.log(alpha)
            above[which] = clear & (votes > p * n)
            below[which] = clear & (votes <= p * n)
    return drawn, above, below
