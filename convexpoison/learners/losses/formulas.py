"""The formulas that a loss may define beyond its values: what each is for, and what it has to satisfy.

``phi`` is the loss, ``u`` its argument (:mod:`convexpoison.learners.losses.base`). A method whose default raises is
optional; the code that needs it declares so by name (:meth:`~convexpoison.learners.losses.base.Loss.need`). Methods that take
an :class:`~convexpoison.numerics.intervals.Interval` are what certificates rest on: their result holds every exact value
over the interval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NoReturn

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.learners.losses.edges import EdgeMaximum, Edges, Places
from convexpoison.numerics.intervals import Interval, Number

if TYPE_CHECKING:
    from convexpoison.learners.losses.base import Loss


class Formulas:
    """Defaults of everything optional. Attributes and methods of one use stand together."""

    name: ClassVar[str]

    # ---------------------------------------------------------------- the polygon and goals

    def lipschitz(self, reach: float) -> float:
        """Return an upper bound on ``|phi'|`` where ``1 + |u| <= reach``; ``inf`` asks for all arguments."""
        self._refuse("lipschitz")

    def edge_maxima(self, edges: Edges, vertex: FloatArray, floor: float) -> Places:
        """Return the only places inside edges where ``phi(u) - phi(v)`` can be largest, where it exceeds the floor.

        Parameters
        ----------
        edges : Edges
        vertex : array of shape (n_vertices,)
            The difference at the vertices.
        floor : float
            Places with a smaller difference may be left out.
        """
        self._refuse("edge_maxima")

    # ---------------------------------------------------------------- the tight bound

    def support_peak(self, u: FloatArray, v: FloatArray) -> EdgeMaximum:
        """Return the largest ``phi'(v) u`` along a hull, over places with ``phi'(v) != 0``; arrays of shape (n_vertices,)."""
        self._refuse("support_peak")

    def perspective(self, p: float) -> tuple[float, float]:
        """Return ``f(p) = p u(p)`` with ``-phi'(u(p)) = p``, and ``f'(p)``; f is concave.

        For the squared loss u is minus the size of the residual.
        """
        self._refuse("perspective")

    perspective_range: ClassVar[tuple[float, float]] = (0.0, np.inf)
    """Values p at which f has a tangent."""

    # ---------------------------------------------------------------- certificates

    active_range: ClassVar[tuple[float, float]] = (-np.inf, np.inf)
    """The interval outside of which ``phi'`` is 0 (regression: sizes of the residual); of a loss with a kink, up to the kink."""

    def derivative_enclosure(self, u: Interval) -> Interval:
        """Return an enclosure of ``phi'``; over a kink, of the whole subdifferential."""
        self._refuse("derivative_enclosure")

    def steepness(self, u: Interval) -> Interval:
        """Return an enclosure of ``q(u) = |phi'(u)|`` on the active range; at a kink, the value on the active side.

        It has to be monotone and log-concave there.
        """
        self._refuse("steepness")

    def decay_rate(self, u: Interval) -> Interval:
        """Return an enclosure of ``-(log q)'`` on the active range."""
        self._refuse("decay_rate")

    def stationary_point(self, A: float, B: float) -> float:
        """Return roughly the stationary point of ``q(u) (A + B u)`` for ``B != 0``; any number keeps a bound valid."""
        self._refuse("stationary_point")

    # ---------------------------------------------------------------- goals

    def value_enclosure(self, u: Interval) -> Interval:
        """Return an enclosure of ``phi`` of a loss that falls with the margin."""
        self._refuse("value_enclosure")

    def support_line(self, slope: Number) -> Number:
        """Return ``min over u of phi(u) + slope * u``, minus the conjugate at ``-slope``; of doubles or intervals.

        It is the height at 0 of the supporting line of that slope; slopes lie between 0 and ``lipschitz(inf)``.
        """
        self._refuse("support_line")

    def difference_height(self, p: float, q: float) -> Interval | None:
        """Return an a with ``phi(u) - phi(u') <= max(0, a - p u + q u')`` for **all** u and u'; None: none is known."""
        return None

    def difference_lines(self, shares: FloatArray) -> list[tuple[float, float]]:
        """Return pairs ``(p, q)`` for which :meth:`difference_height` knows an a; ``shares`` in [0, 1] may be used as q."""
        return []

    def rounded(self, width: float) -> Loss:
        """Return a smooth loss that is nowhere above this one, its kink rounded off over this width of the argument."""
        self._refuse("rounded")

    # ---------------------------------------------------------------- sets of models around a target

    def slack(self, u: Interval, eps: float) -> FloatArray:
        """Return an upper bound on ``u - phi^-1(phi(u) + eps)``, by how much the argument may fall until phi has risen by eps."""
        self._refuse("slack")

    def steepening(self, eps: float) -> Interval | None:
        """Return e with ``|phi'(u - slack)| <= (1 - e) |phi'(u)| + e`` for all u; None: the slack has to do."""
        return None

    def _refuse(self, formula: str) -> NoReturn:
        raise ValueError(f"the loss {self.name!r} does not define {formula}")


FORMULAS = tuple(name for name in vars(Formulas) if not name.startswith("_"))
