"""The largest loss difference along a :class:`~convexpoison.geometry.lower_hull.Chain`.

The vertices are tried, and the places inside edges that the loss names
(:meth:`~convexpoison.learners.losses.formulas.Formulas.edge_maxima`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from convexpoison.learners.losses.base import Loss
from convexpoison.learners.losses.edges import EdgeMaximum, Edges, Places


class Summit(NamedTuple):
    """The maximum of the loss difference along a chain.

    Attributes
    ----------
    upper : float
        Upper bound on the difference, or the ``floor`` that was given if that is larger.
    best : EdgeMaximum
        The highest place found.
    whole : EdgeMaximum
        The highest place found that belongs to the space: a vertex, or inside an edge that is divisible.
    """

    upper: float
    best: EdgeMaximum
    whole: EdgeMaximum


def summit(loss: Loss, edges: Edges, divisible: NDArray[np.bool_] | None = None, floor: float = -np.inf) -> Summit:
    """Return the highest places of the loss difference.

    Parameters
    ----------
    loss : Loss
        One with ``edge_maxima``.
    edges : Edges
    divisible : bool array, one entry an edge, optional
        Whether places inside the edge belong to the space, or only its ends do (default: all do).
    floor : float
        Differences below this need not be told apart.
    """
    vertex = loss.value(edges.u) - loss.value(edges.v)
    k = int(vertex.argmax())
    corner = EdgeMaximum(float(vertex[k]), k, 0.0)
    floor = max(corner.value, floor)
    inside = loss.edge_maxima(edges, vertex, floor)
    if not inside.edge.size:
        return Summit(floor, corner, corner)
    best = whole = _highest(inside, corner)
    if divisible is not None and best.fraction > 0.0 and not divisible[best.edge]:
        allowed = divisible[inside.edge]
        whole = _highest(Places(*(part[allowed] for part in inside)), corner)  # type: ignore[arg-type]
    return Summit(max(floor, float(inside.upper.max())), best, whole)


def _highest(places: Places, maximum: EdgeMaximum) -> EdgeMaximum:
    if not places.edge.size:
        return maximum
    i = int(places.value.argmax())
    value = float(places.value[i])
    return EdgeMaximum(value, int(places.edge[i]), float(places.fraction[i])) if value > maximum.value else maximum
