"""Randomized smoothing: the most frequent class of a network under noise, with a certified radius."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import binom
from torch import nn

from convexpoison._utils.types import FloatArray
from convexpoison.neural.smoothing import bounds, inputs
from convexpoison.neural.smoothing.certification import Certification, RadiusDecision
from convexpoison.neural.smoothing.decision import until_decided
from convexpoison.neural.smoothing.forward import Forward
from convexpoison.neural.smoothing.noise import NOISES
from convexpoison.neural.smoothing.sampling import Stream, Tally, seed_bytes, stream_seed, tally

_BOUNDS = {"hard": ("clopper_pearson", "randomized"), "soft": ("bernstein", "hoeffding")}
_LEAST = 1e-6
"""Radius certified in place of a requested radius of 0, in units of sigma; a certified radius of 0 would be an abstention."""
_SIZES = 12
"""Number of candidate sample sizes of an image, evenly spaced on a logarithmic scale."""


class SmoothedClassifier:
    """A network smoothed by noise.

    Parameters
    ----------
    model : torch.nn.Module
        Maps (batch, ...) to (batch, n_classes). It runs on the device of its parameters, in evaluation mode; its state is
        restored afterwards.
    sigma : float
        Standard deviation of the noise in each coordinate, in the units of the images. Uniform noise lies in
        ``[-lambda, lambda]`` with ``lambda = sqrt(3) sigma``.
    noise : {"gaussian", "uniform"}
        Gaussian noise gives l2 radii (Cohen et al., 2019), uniform noise l1 radii (Yang et al., 2020).
    outputs : {"logits", "probabilities"}
        Kind of the network's outputs.
    n_classes : int, optional
        Checked against the network's outputs.
    votes : {"hard", "soft"}
        Hard: each draw votes for one class (Cohen et al.). Soft: mean of the probabilities (MACER, Definition 2).
    beta : float
        Inverse temperature of soft votes.
    input_range : (low, high) or None
        Images outside this range are refused, since they are probably not scaled. Noisy images may leave the range.
    input_shape : tuple of int, optional
        Shape of one image; default: any shape that the network accepts.
    batch_size : int, optional
        Maximal number of rows per batch; default: 4,096 on CUDA, and 100 to 500 on a CPU, depending on the width of the
        network's layers. On a CPU, ``torch.get_num_threads()`` batches run concurrently, each on one thread. Halved, with a
        single warning, when memory runs out.
    precision : {"float32", "float16", "bfloat16"}
        Half precision on CUDA only. The certified network is then the network in that precision.
    channels_last : bool
        Memory layout of 4-d batches, if the network supports it. Usually faster; changes the noise of a ``random_state``.
    random_state : int, numpy Generator or None
        Seed of all noise. An image gets the same noise in any batch and in every call.

    Raises
    ------
    TypeError, ValueError
        If the model is no module, ``sigma`` or ``beta`` is not positive, or a choice is unknown.

    Notes
    -----
    A certificate concerns the network as a mathematical function of real inputs, evaluated on random draws in floating-point
    arithmetic; it does not cover the effect of the floating-point grid of the noise (Voráček and Hein, 2023). Images must be
    chosen independently of the seed.
    """

    def __init__(
        self,
        model: nn.Module,
        sigma: float,
        noise: str = "gaussian",
        outputs: str = "logits",
        n_classes: int | None = None,
        *,
        votes: str = "hard",
        beta: float = 1.0,
        input_range: tuple[float, float] | None = (0.0, 1.0),
        input_shape: Sequence[int] | None = None,
        batch_size: int | None = None,
        precision: str = "float32",
        channels_last: bool = True,
        random_state: int | np.random.Generator | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model is a {type(model).__name__}; it must be a torch.nn.Module")
        self.model = model
        self.sigma = inputs.check_positive("sigma", sigma)
        self.noise = NOISES[inputs.check_choice("noise", noise, tuple(NOISES))]
        self.outputs = inputs.check_choice("outputs", outputs, ("logits", "probabilities"))
        self.votes = inputs.check_choice("votes", votes, tuple(_BOUNDS))
        self.beta = inputs.check_positive("beta", beta)
        self.n_classes = None if n_classes is None else inputs.check_count("n_classes", n_classes, 2)
        self.input_range = input_range
        self.input_shape = None if input_shape is None else tuple(int(side) for side in input_shape)
        if batch_size is not None:
            inputs.check_count("batch_size", batch_size)
        inputs.check_choice("precision", precision, ("float32", "float16", "bfloat16"))
        self.forward = Forward(model, self.outputs, batch_size, precision, channels_last)
        self.seed, self.seed_was_drawn = seed_bytes(random_state), random_state is None

    @property
    def norm(self) -> int:
        """Norm of the radii: 2 for Gaussian noise, 1 for uniform noise."""
        return self.noise.norm

    def at(self, sigma: float) -> SmoothedClassifier:
        """Return a classifier with another ``sigma``; everything else, including the seed, is shared."""
        other = copy.copy(self)
        other.sigma = inputs.check_positive("sigma", sigma)
        return other

    def predict(self, X: Any, n: int = 1000, alpha: float = 0.001) -> np.ndarray:
        """Predict the smoothed classifier's class of each image; -1 where the draws do not determine it.

        Parameters
        ----------
        X : array or tensor of shape (n_images, ...)
        n : int
            Draws for each image.
        alpha : float
            Upper bound on the probability that a prediction other than -1 differs from the smoothed classifier's class.

        Returns
        -------
        int array of shape (n_images,)

        Raises
        ------
        ValueError
            If images are out of range, NaN or of a shape that the network rejects, or ``alpha`` is outside (0, 1).

        References
        ----------
        Cohen et al. (2019), PREDICT: a binomial test compares the two classes with the most votes. Soft votes: the bounds
        of all classes hold jointly, at level ``alpha / n_classes`` each.
        """
        images = self.images(X)
        n, alpha = inputs.check_count("n", n, 2), inputs.check_alpha(alpha)
        drawn = self.draw(images, "predict", np.full(len(images), n))
        if self.votes == "hard":
            second, first = np.sort(drawn.total, axis=1)[:, -2:].T
            p_value = 2.0 * binom.sf(first - 1, first + second, 0.5)
            return np.where(p_value <= alpha, drawn.top(), -1)
        level = alpha / drawn.total.shape[1]
        top = drawn.top()
        sums = drawn.total, drawn.squares, drawn.n
        lower = bounds.lower_of("bernstein", *_select(top, sums), level)
        return np.where(lower > bounds.upper_of_others("bernstein", *sums, top, level), top, -1)

    def certify(
        self, X: Any, n0: int = 100, n: int = 100_000, alpha: float = 0.001, *,
        bound: str | None = None, two_sided: bool = False, tolerance: float | None = None,
        radii: npt.ArrayLike | None = None, sigma: npt.ArrayLike | None = None,
    ) -> Certification:  # fmt: skip
        """Certify the class of each image with a radius within which the smoothed prediction is constant.

        Parameters
        ----------
        X : array or tensor of shape (n_images, ...)
        n0 : int
            Draws that select the class.
        n : int
            Draws that certify the class; independent of the ``n0``.
        alpha : float
            Probability of a wrong certificate, for each image.
        bound : str, optional
            Hard votes: "clopper_pearson" (default) or "randomized", which has error probability exactly ``alpha`` and is
            slightly higher. Soft votes: "bernstein" (default) or "hoeffding" (MACER, Appendix A).
        two_sided : bool
            Bound the probability of the top class from below and of the others from above, at ``alpha / 2`` each, as in DDRS
            and PACD; otherwise the upper bound is one minus the lower bound (Cohen et al.). Gives larger radii where several
            classes share the remaining probability, slightly smaller radii elsewhere.
        tolerance : float, optional
            Use the least number of draws per image, up to ``n``, that loses at most ``tolerance * sigma`` of the radius,
            estimated from the ``n0`` draws (hard votes; use ``n0 >= 200``). The certificate remains valid.
        radii : array of shape (n_radii,), optional
            Radii at which certified accuracies will be evaluated. An image draws at most ``n`` times, until its largest
            certified radius among these is determined; that one is its radius (for 0, ``1e-6 * sigma``). The certificate
            remains valid under this early stopping, since the test is anytime-valid. Excludes ``bound``, ``two_sided``
            and ``tolerance``.
        sigma : array of shape (n_images,), optional
            One sigma per image. The radius of an image then belongs to the classifier that has this sigma everywhere: a
            classifier that chooses sigma per image needs :class:`convexpoison.neural.MemoryClassifier`.

        Returns
        -------
        Certification

        Raises
        ------
        ValueError
            As in :meth:`predict`; if ``n < n0``, or options exclude each other.

        References
        ----------
        Cohen et al. (2019), CERTIFY; MACER, Algorithm 2; Chen et al. (AAAI 2022) for ``tolerance``; Voráček (NeurIPS 2024) for
        confidence sequences.
        """
        images = self.images(X)
        n0, n = inputs.check_draws(n0, n)
        alpha = inputs.check_alpha(alpha)
        sigmas = self._sigmas(sigma, len(images))
        if radii is not None:
            if bound is not None or two_sided or tolerance is not None:
                raise ValueError("radii excludes bound, two_sided and tolerance: pass either radii or those")
            sorted_radii = np.sort(inputs.check_radii("radii", np.atleast_1d(radii)))
            wanted = np.maximum(sorted_radii, _LEAST * sigmas[:, None])
            top = self.draw(images, "choose", np.full(len(images), n0), sigmas).top()
            sizes, passed = self._decide(images, top, wanted, sigmas, n, alpha)
            radius = np.where(passed, wanted, 0.0).max(axis=1)
            p_lower = np.where(passed, self.noise.needed(wanted, sigmas[:, None]), 0.0).max(axis=1)
            return Certification.abstaining(
                top, radius, sizes, p_lower, bounds.upper(p_lower), sigmas, self.norm, alpha
            )
        bound = inputs.check_choice("bound", bound or _BOUNDS[self.votes][0], _BOUNDS[self.votes])
        if tolerance is not None:
            inputs.check_positive("tolerance", tolerance)
            if self.votes == "soft":
                raise ValueError("tolerance needs hard votes; omit it, or build the classifier with votes='hard'")
        chosen = self.draw(images, "choose", np.full(len(images), n0), sigmas)
        top = chosen.top()
        sizes = np.full(len(images), n)
        if tolerance is not None:
            sizes = self._sizes(chosen, n0, n, alpha, tolerance)
        drawn = self.draw(images, "certify", sizes, sigmas)
        ties = self._ties(images) if bound == "randomized" else None
        level = alpha / 2 if two_sided else alpha
        sums = drawn.total, drawn.squares, drawn.n
        p_lower = bounds.lower_of(bound, *_select(top, sums), level, ties)
        p_upper = bounds.upper(p_lower)
        if two_sided:
            p_upper = np.minimum(p_upper, bounds.upper_of_others(bound, *sums, top, level))
        radius = self.noise.radius(p_lower, p_upper, sigmas)
        return Certification.abstaining(top, radius, sizes, p_lower, p_upper, sigmas, self.norm, alpha)

    def certify_radius(
        self, X: Any, radius: npt.ArrayLike, n0: int = 100, n_max: int = 100_000, alpha: float = 0.001
    ) -> RadiusDecision:
        """Decide whether the class of each image is certified within ``radius``, drawing only until that is decided.

        Parameters
        ----------
        X : array or tensor of shape (n_images, ...)
        radius : float or array of shape (n_images,)
            In the classifier's norm; 0: the class alone.
        n0 : int
            Draws that select the class.
        n_max : int
            Maximal number of draws for the decision.
        alpha : float
            Probability of a wrong certificate, for each image, regardless of when its draws stop.

        Returns
        -------
        RadiusDecision

        Raises
        ------
        ValueError
            As in :meth:`certify`; if a radius is negative.

        References
        ----------
        Voráček (NeurIPS 2024): confidence sequences for smoothing. This implementation uses Robbins' one-sided Beta mixture
        (:mod:`convexpoison.neural.smoothing.sequential`).
        """
        images = self.images(X)
        n0, n_max = inputs.check_draws(n0, n_max)
        alpha = inputs.check_alpha(alpha)
        wanted = np.broadcast_to(inputs.check_radii("radius", radius), (len(images),)).copy()
        top = self.draw(images, "choose", np.full(len(images), n0)).top()
        sizes, passed = self._decide(images, top, wanted[:, None], np.full(len(images), self.sigma), n_max, alpha)
        certified = passed[:, 0]
        return RadiusDecision(np.where(certified, top, -1), certified, wanted, sizes, self.norm, alpha)

    # -------------------------------------------------------------------- draws

    def images(self, X: Any) -> torch.Tensor:
        """Check images, convert them to the network's precision and probe the network with the first one."""
        images = inputs.check_images(X, self.input_range, self.input_shape).to(self.forward.dtype)
        if len(images):
            self.n_classes = inputs.probe(self.forward, images[0], self.n_classes)
        return images

    def draw(self, images: torch.Tensor, purpose: str, sizes: np.ndarray, sigma: FloatArray | None = None) -> Tally:
        """Draw ``sizes[i]`` votes for image i from its stream for this purpose; ``sigma``: one per image (optional)."""
        sigmas = np.full(len(images), self.sigma) if sigma is None else sigma
        shape = tuple(images.shape[1:])

        def stream(i: int) -> Stream:
            return self.stream(images[i], purpose, float(sigmas[i]))

        with self.forward.open():
            return tally(self.forward, stream, sizes.tolist(), shape, self.n_classes or 2, self.soft_beta)

    def stream(self, image: torch.Tensor, purpose: str, sigma: float) -> Stream:
        """Return the stream of noisy copies of an image for one purpose."""
        return Stream(self.forward.flat(image), sigma, self.noise, stream_seed(self.seed, purpose, image))

    def _decide(
        self, images: torch.Tensor, top: np.ndarray, wanted: FloatArray, sigmas: FloatArray, n_max: int, alpha: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of draws, and which ``wanted`` radii are certified (ascending; shape (n_images, n_radii))."""
        streams = [self.stream(image, "decide", float(s)) for image, s in zip(images, sigmas, strict=True)]
        limits = self.noise.needed(wanted, sigmas[:, None])
        shape, n_classes = tuple(images.shape[1:]), self.n_classes or 2
        with self.forward.open() as forward:
            return until_decided(forward, streams, shape, n_classes, self.soft_beta, top, limits, n_max, alpha)

    @property
    def soft_beta(self) -> float | None:
        """Inverse temperature of soft votes; None for hard votes."""
        return self.beta if self.votes == "soft" else None

    def _sigmas(self, sigma: npt.ArrayLike | None, n_images: int) -> FloatArray:
        if sigma is None:
            return np.full(n_images, self.sigma)
        sigmas = np.asarray(sigma, dtype=np.float64)
        if sigmas.shape != (n_images,) or not (np.isfinite(sigmas).all() and (sigmas > 0.0).all()):
            raise ValueError(
                f"sigma has shape {sigmas.shape}; it needs one positive finite number for each of {n_images} images"
            )
        return sigmas

    def _ties(self, images: torch.Tensor) -> FloatArray:
        seeds = [stream_seed(self.seed, "tie", image) for image in images]
        return np.array([np.random.default_rng(seed).random() for seed in seeds])

    def _sizes(self, chosen: Tally, n0: int, n: int, alpha: float, tolerance: float) -> np.ndarray:
        k0 = chosen.total.max(axis=1)
        grid = np.unique(np.geomspace(min(n, max(n0, self.forward.block)), n, _SIZES).round().astype(np.int64))
        return bounds.sample_sizes(
            k0, n0, grid, alpha, tolerance, lambda p: self.noise.radius(p, bounds.upper(p), 1.0)
        )  # fmt: skip


def _select(
    top: np.ndarray, sums: tuple[FloatArray, FloatArray, np.ndarray]
) -> tuple[FloatArray, FloatArray, np.ndarray]:
    """Return the sums of the class ``top[i]`` of each image i."""
    rows = np.arange(len(top))
    return sums[0][rows, top], sums[1][rows, top], sums[2]
