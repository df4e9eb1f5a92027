"""Randomized smoothing: the class that a network gives most often to an image under noise, with a certified radius."""

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
"""What is certified where a radius of 0 is asked for, in units of sigma; no radius at all means to abstain."""
_SIZES = 12
"""How many sample sizes, evenly spaced in the logarithm, a per-image choice has."""


class SmoothedClassifier:
    """A network smoothed by noise.

    Parameters
    ----------
    model : torch.nn.Module
        Takes (batch, ...) and answers (batch, n_classes). It runs where its parameters are, in evaluation mode, and is left
        as it was found.
    sigma : float
        Standard deviation of the noise in each coordinate, in the units of the images. Uniform noise lies in
        ``[-lambda, lambda]`` with ``lambda = sqrt(3) sigma``.
    noise : {"gaussian", "uniform"}
        Gaussian noise gives l2 radii (Cohen et al., 2019), uniform noise l1 radii (Yang et al., 2020).
    outputs : {"logits", "probabilities"}
        What the network answers.
    n_classes : int, optional
        Checked against the network's answer.
    votes : {"hard", "soft"}
        Hard: each draw votes for one class (Cohen et al.). Soft: the mean of the probabilities decides (MACER, Definition 2).
    beta : float
        Inverse temperature of soft votes.
    input_range : (low, high) or None
        Images outside are refused, since they are probably not scaled; noise may leave it.
    input_shape : tuple of int, optional
        Shape of one image; without it the network itself is asked.
    batch_size : int, optional
        Most rows at a time; by default 4,096 on CUDA, and on a CPU 100 to 500, by how wide the network's layers are. On a CPU
        as many batches run at a time as torch has threads (``torch.set_num_threads``), each on one of them. Halved when memory
        runs out, said once by a warning.
    precision : {"float32", "float16", "bfloat16"}
        Half precision on CUDA only. The network that is certified is then the one of that precision.
    channels_last : bool
        Memory layout of 4-d batches, where the network can do with it; usually faster, and part of what ``random_state`` means.
    random_state : int, numpy Generator or None
        Seed of all noise. An image gets the same noise in any batch, and again when it is asked again.

    Raises
    ------
    TypeError, ValueError
        A model that is no module, ``sigma`` or ``beta`` not above 0, an unknown choice.

    Notes
    -----
    A certificate is about the network as a mathematical function of real inputs, evaluated on random draws in the machine's
    arithmetic; the effect of the floating-point grid of the noise (Voráček and Hein, 2023) is not part of it. Images must not
    be chosen in the knowledge of the seed.
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
        """The norm in which radii are: 2 for Gaussian noise, 1 for uniform."""
        return self.noise.norm

    def at(self, sigma: float) -> SmoothedClassifier:
        """The same network, smoothed with another ``sigma``; everything else, the seed included, is shared."""
        other = copy.copy(self)
        other.sigma = inputs.check_positive("sigma", sigma)
        return other

    def predict(self, X: Any, n: int = 1000, alpha: float = 0.001) -> np.ndarray:
        """The smoothed classifier's class of each image, -1 where the draws leave it open.

        Parameters
        ----------
        X : array or tensor of shape (n_images, ...)
        n : int
            Draws for each image.
        alpha : float
            With at most this probability an answer other than -1 is not the smoothed classifier's.

        Returns
        -------
        int array of shape (n_images,)

        Raises
        ------
        ValueError
            Images out of range or of a shape that the network does not take, NaN, ``alpha`` outside (0, 1).

        References
        ----------
        Cohen et al. (2019), PREDICT: the two classes with the most votes are compared by a binomial test. Soft votes: the
        bounds of all classes hold together, at level ``alpha / n_classes`` each.
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
        lower = bounds.lower_of("bernstein", *_of(top, sums), level)
        return np.where(lower > bounds.upper_of_others("bernstein", *sums, top, level), top, -1)

    def certify(
        self, X: Any, n0: int = 100, n: int = 100_000, alpha: float = 0.001, *,
        bound: str | None = None, two_sided: bool = False, tolerance: float | None = None,
        radii: npt.ArrayLike | None = None, sigma: npt.ArrayLike | None = None,
    ) -> Certification:  # fmt: skip
        """The class of each image with a radius within which the smoothed classifier does not change it.

        Parameters
        ----------
        X : array or tensor of shape (n_images, ...)
        n0 : int
            Draws that choose the class.
        n : int
            Draws that certify it; independent of the others.
        alpha : float
            Probability of a wrong certificate, for each image.
        bound : str, optional
            Hard votes: "clopper_pearson" (default) or "randomized", which is never wrong less often than ``alpha`` and a little
            larger. Soft votes: "bernstein" (default) or "hoeffding" (MACER, Appendix A).
        two_sided : bool
            Bound the probability of the top class from below and of the others from above, at ``alpha / 2`` each, as in DDRS
            and PACD; otherwise the others get one minus the lower bound (Cohen et al.). Larger radii where several classes
            share the rest, a little smaller ones elsewhere.
        tolerance : float, optional
            Each image draws only as many of the ``n`` as it takes to lose no more than ``tolerance`` times ``sigma`` of the
            radius, judged from the ``n0`` draws (hard votes; take ``n0`` of 200 or more). The certificate is as valid as ever.
        radii : array of shape (n_radii,), optional
            Radii at which certified accuracies will be read off: an image draws only until it is clear which of them it has,
            at most ``n`` times, and its radius is the largest of these (for 0, a millionth of ``sigma``). As valid as ever
            although the draws stop when it suits, by a test that may be looked at at any time; without ``bound``,
            ``two_sided`` and ``tolerance``.
        sigma : array of shape (n_images,), optional
            Another sigma for each image. The radius of an image then belongs to the classifier that has this sigma everywhere:
            a classifier that chooses sigma by the image needs :class:`convexpoison.neural.MemoryClassifier`.

        Returns
        -------
        Certification

        Raises
        ------
        ValueError
            As :meth:`predict`; ``n < n0``; options that exclude each other.

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
                raise ValueError("radii goes without bound, two_sided and tolerance: leave these out, or radii")
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
                raise ValueError("tolerance needs hard votes; leave it out, or build the classifier with votes='hard'")
        chosen = self.draw(images, "choose", np.full(len(images), n0), sigmas)
        top = chosen.top()
        sizes = np.full(len(images), n)
        if tolerance is not None:
            sizes = self._sizes(chosen, n0, n, alpha, tolerance)
        drawn = self.draw(images, "certify", sizes, sigmas)
        ties = self._ties(images) if bound == "randomized" else None
        level = alpha / 2 if two_sided else alpha
        sums = drawn.total, drawn.squares, drawn.n
        p_lower = bounds.lower_of(bound, *_of(top, sums), level, ties)
        p_upper = bounds.upper(p_lower)
        if two_sided:
            p_upper = np.minimum(p_upper, bounds.upper_of_others(bound, *sums, top, level))
        radius = self.noise.radius(p_lower, p_upper, sigmas)
        return Certification.abstaining(top, radius, sizes, p_lower, p_upper, sigmas, self.norm, alpha)

    def certify_radius(
        self, X: Any, radius: npt.ArrayLike, n0: int = 100, n_max: int = 100_000, alpha: float = 0.001
    ) -> RadiusDecision:
        """Whether each image's class is certified within ``radius``, with draws only until that is clear.

        Parameters
        ----------
        X : array or tensor of shape (n_images, ...)
        radius : float or array of shape (n_images,)
            In the classifier's norm; 0 asks for the class alone.
        n0 : int
            Draws that choose the class.
        n_max : int
            Most draws for the decision.
        alpha : float
            Probability of a wrong certificate, for each image, however long it drew.

        Returns
        -------
        RadiusDecision

        Raises
        ------
        ValueError
            As :meth:`certify`; a negative radius.

        References
        ----------
        Voráček (NeurIPS 2024): confidence sequences for smoothing. Here Robbins' Beta mixture, one-sided
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
        """Images, checked, in the network's precision; the network is asked whether it takes them."""
        images = inputs.check_images(X, self.input_range, self.input_shape).to(self.forward.dtype)
        if len(images):
            self.n_classes = inputs.probe(self.forward, images[0], self.n_classes)
        return images

    def draw(self, images: torch.Tensor, purpose: str, sizes: np.ndarray, sigma: FloatArray | None = None) -> Tally:
        """``sizes[i]`` votes for image i, from its stream for this purpose; with its own sigma where these are given."""
        sigmas = np.full(len(images), self.sigma) if sigma is None else sigma
        shape = tuple(images.shape[1:])

        def stream(i: int) -> Stream:
            return self.stream(images[i], purpose, float(sigmas[i]))

        with self.forward.open():
            return tally(self.forward, stream, sizes.tolist(), shape, self.n_classes or 2, self.soft_beta)

    def stream(self, image: torch.Tensor, purpose: str, sigma: float) -> Stream:
        """The noisy copies of an image for one purpose."""
        return Stream(self.forward.flat(image), sigma, self.noise, stream_seed(self.seed, purpose, image))

    def _decide(
        self, images: torch.Tensor, top: np.ndarray, wanted: FloatArray, sigmas: FloatArray, n_max: int, alpha: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draws, and which of each image's ``wanted`` radii, ascending and of shape (n_images, n_radii), are certified."""
        streams = [self.stream(image, "decide", float(s)) for image, s in zip(images, sigmas, strict=True)]
        limits = self.noise.needed(wanted, sigmas[:, None])
        shape, n_classes = tuple(images.shape[1:]), self.n_classes or 2
        with self.forward.open() as forward:
            return until_decided(forward, streams, shape, n_classes, self.soft_beta, top, limits, n_max, alpha)

    @property
    def soft_beta(self) -> float | None:
        """Inverse temperature of soft votes; None for hard ones."""
        return self.beta if self.votes == "soft" else None

    def _sigmas(self, sigma: npt.ArrayLike | None, n_images: int) -> FloatArray:
        if sigma is None:
            return np.full(n_images, self.sigma)
        sigmas = np.asarray(sigma, dtype=np.float64)
        if sigmas.shape != (n_images,) or not (np.isfinite(sigmas).all() and (sigmas > 0.0).all()):
            raise ValueError(
                f"sigma has shape {sigmas.shape}; it needs one finite number above 0 for each of {n_images} images"
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


def _of(top: np.ndarray, sums: tuple[FloatArray, FloatArray, np.ndarray]) -> tuple[FloatArray, FloatArray, np.ndarray]:
    """The sums of one class of each image."""
    rows = np.arange(len(top))
    return sums[0][rows, top], sums[1][rows, top], sums[2]
