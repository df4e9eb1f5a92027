"""The edges of a lower hull as a loss sees them, and the places on them at which a maximum lies.

At vertex ``k`` of a hull (:mod:`convexpoison.geometry.lower_hull`) ``u[k]`` and ``v[k]`` are two affine functions of the
point; both are linear along an edge, v ascends and u is convex.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from convexpoison._utils.types import FloatArray, IntArray

if TYPE_CHECKING:
    from convexpoison.learners.losses.base import Loss


class Edges(NamedTuple):
    """Arguments under the model (u) and the reference (v), shape (n_vertices,), and their growth along the edges.

    On edge ``k`` the arguments are ``u + rise * tau`` and ``v + run * tau`` with ``0 <= tau <= 1`` and ``run > 0``.
    """

    u: FloatArray
    v: FloatArray
    rise: FloatArray
    run: FloatArray

    def difference(self, loss: Loss, edge: IntArray, fraction: FloatArray) -> FloatArray:
        """Return the loss under the model less the loss under the reference."""
        u, v = self.u[edge] + fraction * self.rise[edge], self.v[edge] + fraction * self.run[edge]
        return loss.value(u) - loss.value(v)


class Places(NamedTuple):
    """Places inside edges, with the loss difference there and an upper bound on it over the edge."""

    edge: IntArray
    fraction: FloatArray
    value: FloatArray
    upper: FloatArray


class EdgeMaximum(NamedTuple):
    """A maximum and its place; a vertex is fraction 0 of the edge that it begins."""

    value: float
    edge: int
    fraction: float


def exact(loss: Loss, edges: Edges, edge: IntArray, fraction: FloatArray) -> Places:
    """Return places at which the difference is known to be the largest on the edge."""
    value = edges.difference(loss, edge, fraction)
    return Places(edge, fraction, value, value)


def best_of(at_vertices: FloatArray, inside: FloatArray, edge: IntArray, fraction: FloatArray) -> EdgeMaximum:
    """Return the largest of the values at the vertices and at places inside edges."""
    k = int(at_vertices.argmax())
    best = EdgeMaximum(float(at_vertices[k]), k, 0.0)
    if inside.size:
        i = int(inside.argmax())
        best = max(best, EdgeMaximum(float(inside[i]), int(edge[i]), float(fraction[i])))
    return best


def largest_fall(u: FloatArray, v: FloatArray, ceiling: float) -> EdgeMaximum:
    """Return the largest ``-u`` where ``v <= ceiling``; ``-inf`` if v is larger everywhere."""
    inside = v <= ceiling
    if not inside[0]:
        return EdgeMaximum(-np.inf, 0, 0.0)
    last = int(np.count_nonzero(inside)) - 1
    k = int(u[: last + 1].argmin())
    best = EdgeMaximum(float(-u[k]), k, 0.0)
    if last + 1 < v.size:
        fraction = (ceiling - v[last]) / (v[last + 1] - v[last])
        best = max(best, EdgeMaximum(float(-u[last] - fraction * (u[last + 1] - u[last])), last, float(fraction)))
    return best
