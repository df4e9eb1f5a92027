"""Checks of what users pass to smoothing, and images as tensors."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
import torch

from convexpoison._utils.types import FloatArray
from convexpoison.neural.smoothing.forward import Forward, out_of_memory


def check_alpha(alpha: Any) -> float:
    if not isinstance(alpha, Real) or not 0.0 < float(alpha) < 1.0:
        raise ValueError(
            f"alpha is {alpha!r}; it is the probability of a wrong certificate and must lie in (0, 1), as 0.001"
        )
    return float(alpha)


def check_count(name: str, value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise ValueError(f"{name} is {value!r}; it must be a whole number, at least {least}")
    return int(value)


def check_draws(n0: Any, n: Any) -> tuple[int, int]:
    n0, n = check_count("n0", n0), check_count("n", n, 2)
    if n < n0:
        raise ValueError(
            f"n is {n} and n0 is {n0}: the certifying draws n must not be fewer than the n0 that choose the class"
        )
    return n0, n


def check_positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0.0 < float(value) < float("inf"):
        raise ValueError(f"{name} is {value!r}; it must be a finite number above 0")
    return float(value)


def check_radii(name: str, value: Any) -> FloatArray:
    radii = np.asarray(value, dtype=np.float64)
    if not (np.isfinite(radii).all() and (radii >= 0.0).all()):
        raise ValueError(f"{name} is {value!r}; it must be finite and not negative")
    return radii


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; choose one of {', '.join(map(repr, choices))}")
    return str(value)


def check_images(X: Any, input_range: tuple[float, float] | None, shape: tuple[int, ...] | None) -> torch.Tensor:
    """A batch of images as a tensor on the CPU or where it was.

    Raises
    ------
    TypeError
        If ``X`` is neither an array nor a tensor of numbers.
    ValueError
        No batch axis, the wrong shape of an image, a value that is not finite or outside ``input_range``.
    """
    if not isinstance(X, torch.Tensor):
        array = np.asarray(X)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"X holds {array.dtype}; pass an array or tensor of numbers of shape (n_images, ...)")
        X = torch.as_tensor(np.ascontiguousarray(array))
    if X.dim() < 2:
        raise ValueError(f"X has shape {tuple(X.shape)}; it needs a first axis of images: (n_images, ...), as X[None]")
    if shape is not None and tuple(X.shape[1:]) != shape:
        raise ValueError(f"images have shape {tuple(X.shape[1:])}; this classifier was made for {shape}")
    images: torch.Tensor = X.detach() if X.is_floating_point() else X.detach().to(torch.float32)
    if images.numel():
        low, high = (float(v) for v in images.aminmax())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ValueError("X holds NaN or infinity")
        if input_range is not None and not (input_range[0] <= low and high <= input_range[1]):
            raise ValueError(
                f"X has values from {low:g} to {high:g}, outside input_range={input_range}: scale the images (bytes: X / 255), "
                "or pass their true range, or None for no check"
            )
    return images


def probe(forward: Forward, image: torch.Tensor, n_classes: int | None) -> int:
    """The number of classes, from the network's answer to one image.

    A network that cannot do with channels-last layout (as those that call ``view`` behind a convolution) gets the usual one
    from here on.

    Raises
    ------
    ValueError
        If the network does not take such an image, or does not answer with one finite row of at least two classes.
    """
    outputs = _first_outputs(forward, image)
    if not isinstance(outputs, torch.Tensor) or outputs.dim() != 2 or outputs.shape[0] != 1 or outputs.shape[1] < 2:
        got = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
        raise ValueError(f"the network must answer a batch of 1 with a tensor of shape (1, n_classes); it gave {got}")
    if n_classes is not None and outputs.shape[1] != n_classes:
        raise ValueError(f"the network has {outputs.shape[1]} classes; n_classes={n_classes} was passed")
    if bool(outputs.isnan().any()):
        raise ValueError("the network returned NaN for an image: no certificate can be made of that; mend the network")
    return int(outputs.shape[1])


def _first_outputs(forward: Forward, image: torch.Tensor) -> Any:
    wished = forward.channels_last
    while True:
        try:
            return forward.first(image)
        except RuntimeError as exc:
            if out_of_memory(exc):
                raise
            if not forward.channels_last:
                forward.channels_last = wished
                raise ValueError(f"the network does not take images of shape {tuple(image.shape)}: {exc}") from exc
            forward.channels_last = False
