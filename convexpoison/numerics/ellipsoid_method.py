"""The ellipsoid method with deep cuts, for convex functions of a handful of variables.

It needs a value and a subgradient at a point, nothing else, and each step proves how far the best value can still be
from the minimum within the region searched (Bland, Goldfarb and Todd, "The ellipsoid method: a survey", Operations
Research 29, 1981, Sections 3 and 4).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from convexpoison._utils.types import FloatArray

Oracle = Callable[[FloatArray], tuple[float, FloatArray]]
"""Value and a subgradient of a convex function."""

_GROWTHS = 12


def minimize(
    oracle: Oracle,
    start: FloatArray,
    radii: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    *,
    goal: float = -np.inf,
    tol: float = 1e-9,
) -> float:
    """The least value found over ``lower <= z <= upper``.

    The first ellipsoid has its centre at ``start`` and the half-axes ``radii * sqrt(n)``; as long as the best point
    lies far from the centre, a larger one is tried around that point.

    Parameters
    ----------
    oracle : callable
    start, radii, lower, upper : arrays of shape (n_variables,)
        Bounds may be infinite; radii are guesses of the minimiser's distance from start.
    goal : float
        Stop as soon as a value is at most this.
    tol : float
        Stop when the best value is proven to be within ``tol * max(1, |value|)`` of the least in the ellipsoid.

    Returns
    -------
    float
        Infinite if the function is infinite at the start.
    """

    def scaled(v: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = oracle(v * radii)
        return value, gradient * radii

    point, box = np.clip(start, lower, upper) / radii, (lower / radii, upper / radii)
    value, radius = scaled(point)[0], 1.0
    for _ in range(_GROWTHS):
        centre = point
        if centre.size == 0 or value <= goal or not np.isfinite(value):
            break
        value, point = _search(scaled, centre, radius, box, value, goal, tol)
        if np.linalg.norm(point - centre) <= 0.5 * radius:
            break
        radius *= 8.0
    return value


def _search(
    oracle: Oracle,
    start: FloatArray,
    radius: float,
    box: tuple[FloatArray, FloatArray],
    value: float,
    goal: float,
    tol: float,
) -> tuple[float, FloatArray]:
    n = start.size
    centre, shape = start, n * radius**2 * np.eye(n)
    best, point = value, start
    for _ in range(80 * (n + 1) ** 2):
        bound, depth = _violated(centre, *box)
        if bound is None:
            found, gradient = oracle(centre)
            if found < best:
                best, point = found, centre
            depth = found - best
        else:
            gradient = bound
        along = shape @ gradient
        length = float(np.sqrt(max(float(gradient @ along), 0.0)))
        # In the ellipsoid the function is at least ``found - length``: nothing better is left once that meets the best.
        # Behind a bound nothing is left at all once the ellipsoid does not reach it.
        enough = 0.0 if bound is not None else tol * max(1.0, abs(best))
        if best <= goal or not length - depth > enough:
            break
        centre, shape = _cut(centre, shape, along / length, depth / length)
    return best, point


def _violated(z: FloatArray, lower: FloatArray, upper: FloatArray) -> tuple[FloatArray | None, float]:
    """The bound that z violates most, as a cut: its outward normal and the depth; (None, 0) if there is none."""
    below, above = lower - z, z - upper
    excess = np.maximum(below, above)
    k = int(np.argmax(excess))
    if excess[k] <= 0.0:
        return None, 0.0
    normal = np.zeros_like(z)
    normal[k] = 1.0 if above[k] > 0 else -1.0
    return normal, float(excess[k])


def _cut(centre: FloatArray, shape: FloatArray, step: FloatArray, depth: float) -> tuple[FloatArray, FloatArray]:
    """The smallest ellipsoid around the part of this one that is deeper than ``depth`` behind the centre."""
    n = centre.size
    if n == 1:
        # An interval: its part from the cut to the far end.
        half = 0.5 * (1.0 - depth)
        return centre - (depth + half) * step, shape * half**2
    moved = centre - (1.0 + n * depth) / (n + 1.0) * step
    squeezed = shape - 2.0 * (1.0 + n * depth) / ((n + 1.0) * (1.0 + depth)) * np.outer(step, step)
    return moved, n**2 / (n**2 - 1.0) * (1.0 - depth**2) * 0.5 * (squeezed + squeezed.T)
