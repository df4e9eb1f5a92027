"""Early-stopped draws: until the limits that a probability exceeds are decided, or further draws are unlikely to help."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.neural.smoothing.bounds import clopper_pearson_lower
from convexpoison.neural.smoothing.forward import Forward
from convexpoison.neural.smoothing.sampling import Stream, Tally, tally
from convexpoison.neural.smoothing.sequential import log_evidence

_GROWTH = 0.25
"""Draws of an undecided image before the next test, as a fraction of its draws so far."""
_DOUBT = 0.01
"""Level of the bound used to give up on a limit. It affects the cost and the power of the test, not its validity."""


def until_decided(
    forward: Forward, streams: Sequence[Stream], shape: tuple[int, ...], n_classes: int, beta: float | None,
    top: np.ndarray, limits: FloatArray, n_max: int, alpha: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Draw for all undecided images together, in growing rounds, until each is decided or has ``n_max`` draws.

    The limits of an image are tested in ascending order, each only if all lower limits are exceeded (fixed-sequence
    testing). An error requires rejecting the first limit that is not truly exceeded, so all decisions of an image hold
    jointly at the level of a single test. A limit is given up when it would not be passed after ``n_max`` draws even if the
    remaining draws had the highest class probability that is plausible given the draws so far.

    Parameters
    ----------
    forward : Forward
        Opened.
    streams : sequence of Stream
        One per image.
    shape, n_classes, beta
        As in :func:`~convexpoison.neural.smoothing.sampling.tally`.
    top : int array of shape (n_images,)
        Class to test; selected by independent draws.
    limits : float array of shape (n_images, n_limits)
        Limits of the class probability, in ascending order. Limits of 1 or more take no draws.
    n_max : int
    alpha : float

    Returns
    -------
    n : int array of shape (n_images,)
        Number of draws.
    above : bool array of shape (n_images, n_limits)
        Whether the probability exceeds the limit. Per image, the probability of any false True is at most ``alpha``.
    """
    none = np.zeros((len(streams), n_classes))
    drawn = Tally(np.zeros(len(streams), dtype=np.int64), none, none)
    above, given_up = np.zeros(limits.shape, dtype=bool), limits >= 1.0
    limits, needed = np.where(given_up, 0.5, limits), -np.log(alpha)
    while (which := np.flatnonzero(~(above | given_up).all(axis=1) & (drawn.n < n_max))).size:
        # Complete blocks, so that the noise of an image does not depend on the times of the tests.
        step = forward.block * np.maximum(1, np.ceil(_GROWTH * drawn.n[which] / forward.block)).astype(np.int64)
        sizes = np.minimum(step, n_max - drawn.n[which])
        open_streams = [streams[i] for i in which.tolist()]
        more = tally(forward, open_streams.__getitem__, sizes.tolist(), shape, n_classes, beta)
        drawn = drawn.plus(more, which)
        votes, n, p = drawn.total[which, top[which], None], drawn.n[which, None], limits[which]
        passed = above[which] | ((log_evidence(votes, n, p) >= needed) & ~given_up[which])
        above[which] = np.logical_and.accumulate(passed, axis=1)
        given_up[which] |= ~above[which] & (log_evidence(_at_best(votes, n, n_max), n_max, p) < needed)
    return drawn.n, above


def _at_best(votes: FloatArray, n: np.ndarray, n_max: int) -> FloatArray:
    """Return the votes after ``n_max`` draws if the remaining draws have the highest plausible probability."""
    return np.asarray(votes + (n_max - n) * (1.0 - clopper_pearson_lower(n - votes, n, _DOUBT)))
