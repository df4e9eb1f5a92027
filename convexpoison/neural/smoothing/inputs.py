"""Validation of the arguments of smoothing, and conversion of images to tensors."""

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
            f"alpha is {alpha!r}; it is the probability of a wrong certificate and must lie in (0, 1), e.g. 0.001"
        )
    return float(alpha)


def check_count(name: str, value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise ValueError(f"{name} is {value!r}; it must be an integer of at least {least}")
    return int(value)


def check_draws(n0: Any, n: Any) -> tuple[int, int]:
    n0, n = check_count("n0", n0), check_count("n", n, 2)
    if n < n0:
        raise ValueError(
            f"n is {n} and n0 is {n0}: n, the certifying draws, must be at least n0, the draws that select the class"
        )
    return n0, n


def check_positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0.0 < float(value) < float("inf"):
        raise ValueError(f"{name} is {value!r}; it must be a positive finite number")
    return float(value)


def check_radii(name: str, value: Any) -> FloatArray:
    radii = np.asarray(value, dtype=np.float64)
    if not (np.isfinite(radii).all() and (radii >= 0.0).all()):
        raise ValueError(f"{name} is {value!r}; it must be finite and nonnegative")
    return radii


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; choose one of {', '.join(map(repr, choices))}")
    return str(value)


def check_images(X: Any, input_range: tuple[float, float] | None, shape: tuple[int, ...] | None) -> torch.Tensor:
    """Convert a batch of images to a tensor; tensors stay on their device, arrays go to the CPU.

    Raises
    ------
    TypeError
        If ``X`` is neither an array nor a tensor of numbers.
    ValueError
        If there is no batch axis, the image shape is wrong, or a value is not finite or outside ``input_range``.
    """
    if not isinstance(X, torch.Tensor):
        array = np.asarray(X)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"X has dtype {array.dtype}; pass an array or tensor of numbers of shape (n_images, ...)")
        X = torch.as_tensor(np.ascontiguousarray(array))
    if X.dim() < 2:
        raise ValueError(
            f"X has shape {tuple(X.shape)}; it needs a first axis of images: (n_images, ...), e.g. X[None]"
        )
    if shape is not None and tuple(X.shape[1:]) != shape:
        raise ValueError(f"images have shape {tuple(X.shape[1:])}; this classifier expects {shape}")
    images: torch.Tensor = X.detach() if X.is_floating_point() else X.detach().to(torch.float32)
    if images.numel():
        low, high = (float(v) for v in images.aminmax())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ValueError("X contains NaN or infinity")
        if input_range is not None and not (input_range[0] <= low and high <= input_range[1]):
            raise ValueError(
                f"X has values from {low:g} to {high:g}, outside input_range={input_range}: scale the images (bytes: X / 255), "
                "pass their actual range, or pass None to skip this check"
            )
    return images


def probe(forward: Forward, image: torch.Tensor, n_classes: int | None) -> int:
    """Return the number of classes, found by running the network on one image.

    A network that fails with channels-last layout (for example because it calls ``view`` after a convolution) is run with
    the default layout from then on.

    Raises
    ------
    ValueError
        If the network rejects such an image, or does not return one row without NaN of at least two classes.
    """
    outputs = _first_outputs(forward, image)
    if not isinstance(outputs, torch.Tensor) or outputs.dim() != 2 or outputs.shape[0] != 1 or outputs.shape[1] < 2:
        got = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
        raise ValueError(f"the network must map a batch of 1 to a tensor of shape (1, n_classes); it returned {got}")
    if n_classes is not None and outputs.shape[1] != n_classes:
        raise ValueError(f"the network has {outputs.shape[1]} classes; n_classes={n_classes} was passed")
    if bool(outputs.isnan().any()):
        raise ValueError("the network returned NaN for an image, which cannot be certified; fix the network")
    return int(outputs.shape[1])


def _first_outputs(forward: Forward, image: torch.Tensor) -> Any:
    preferred = forward.channels_last
    while True:
        try:
            return forward.first(image)
        except RuntimeError as exc:
            if out_of_memory(exc):
                raise
            if not forward.channels_last:
                forward.channels_last = preferred
                raise ValueError(f"the network does not take images of shape {tuple(image.shape)}: {exc}") from exc
            forward.channels_last = False
