"""Draws that end as soon as they show which limits a probability exceeds, or that more of them would hardly help."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.neural.smoothing.bounds import clopper_pearson_lower
from convexpoison.neural.smoothing.forward import Forward
from convexpoison.neural.smoothing.sampling import Stream, Tally, tally
from convexpoison.neural.smoothing.sequential import log_evidence

_GROWTH = 0.25
"""Draws of an undecided image until the next look, as a part of those so far."""
_DOUBT = 0.01
"""Level of the probability that giving up reckons with. It decides what a search costs and finds, not whether it is valid."""


def until_decided(
    forward: Forward, streams: Sequence[Stream], shape: tuple[int, ...], n_classes: int, beta: float | None,
    top: np.ndarray, limits: FloatArray, n_max: int, alpha: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Draw for all open images together, in rounds that grow, until each has its answers or ``n_max`` draws.

    An image's limits are tested in ascending order, each only if those before it are exceeded. So the first one that is not
    exceeded in truth has to be rejected for anything wrong to be said, and all of an image's answers hold together at the
    level of a single one. A limit is given up when it would not be passed after ``n_max`` draws even if the remaining ones
    came with the highest probability that those so far leave plausible.

    Parameters
    ----------
    forward : Forward
        Opened.
    streams : sequence of Stream
        One an image.
    shape, n_classes, beta
        As in :func:`~convexpoison.neural.smoothing.sampling.tally`.
    top : int array of shape (n_images,)
        The class in question; chosen by other draws.
    limits : float array of shape (n_images, n_limits)
        Of its probability, in ascending order; what no probability exceeds (1 and more) takes no draws.
    n_max : int
    alpha : float

    Returns
    -------
    n : int array of shape (n_images,)
        Draws.
    above : bool array of shape (n_images, n_limits)
        Where the probability exceeds the limit; for each image, any is wrong with probability at most ``alpha``.
    """
    none = np.zeros((len(streams), n_classes))
    drawn = Tally(np.zeros(len(streams), dtype=np.int64), none, none)
    above, given_up = np.zeros(limits.shape, dtype=bool), limits >= 1.0
    limits, needed = np.where(given_up, 0.5, limits), -np.log(alpha)
    while (which := np.flatnonzero(~(above | given_up).all(axis=1) & (drawn.n < n_max))).size:
        # Whole blocks, so that an image's noise does not depend on when it was looked at.
        step = forward.block * np.maximum(1, np.ceil(_GROWTH * drawn.n[which] / forward.block)).astype(np.int64)
        sizes = np.minimum(step, n_max - drawn.n[which])
        asked = [streams[i] for i in which.tolist()]
        more = tally(forward, asked.__getitem__, sizes.tolist(), shape, n_classes, beta)
        drawn = drawn.plus(more, which)
        votes, n, p = drawn.total[which, top[which], None], drawn.n[which, None], limits[which]
        passed = above[which] | ((log_evidence(votes, n, p) >= needed) & ~given_up[which])
        above[which] = np.logical_and.accumulate(passed, axis=1)
        given_up[which] |= ~above[which] & (log_evidence(_at_best(votes, n, n_max), n_max, p) < needed)
    return drawn.n, above


def _at_best(votes: FloatArray, n: np.ndarray, n_max: int) -> FloatArray:
    """Votes after ``n_max`` draws, should the others come with the highest plausible probability."""
    return np.asarray(votes + (n_max - n) * (1.0 - clopper_pearson_lower(n - votes, n, _DOUBT)))
