"""What a :class:`~convexpoison.Space` consists of besides its box."""

from __future__ import annotations

from dataclasses import dataclass

from convexpoison._utils.types import FloatArray


@dataclass(frozen=True)
class OneHot:
    """Columns of which exactly one is 1 (at most one, where the encoder dropped a category) and the others 0.

    ``relaxed`` means their convex hull: values in [0, 1] that sum to 1 (to at most 1).
    """

    columns: tuple[int, ...]
    at_most_one: bool = False
    relaxed: bool = False


@dataclass(frozen=True, eq=False)
class Grid:
    """Integer columns hold ``offset + step * k`` for whole k (offset 0 and step 1 elsewhere); arrays of shape (n_features,)."""

    offset: FloatArray
    step: FloatArray


@dataclass(frozen=True, eq=False)
class Ball:
    """``|x - center|_2 <= radius``."""

    center: FloatArray
    radius: float


@dataclass(frozen=True, eq=False)
class Slab:
    """``lower <= direction @ x <= upper``."""

    direction: FloatArray
    lower: float
    upper: float
