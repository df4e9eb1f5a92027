"""The maximum-loss-difference question and its answer (MTP, Definition 1).

``D(model, reference) = max over (x, y) in Z of l(model; x, y) - l(reference; x, y)``. Who answers is a matter of
:mod:`convexpoison.loss_difference.solve`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convexpoison._utils.types import FloatArray
from convexpoison.display.images import Shape, plot_points
from convexpoison.display.shown import Facts, Shown, frame_of
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.losses.base import Loss
from convexpoison.spaces.space import Space


@dataclass(frozen=True, eq=False)
class Question:
    """Which point of the space has the largest loss under ``model`` compared with its loss under ``reference``?"""

    loss: Loss
    model: LinearModel
    reference: LinearModel
    space: Space

    @property
    def responses(self) -> tuple[float, ...]:
        """The values of y that can win: the allowed labels, or (regression) the ends of the response range, since the
        difference of two squared losses is linear in y."""
        if self.loss.classification:
            return tuple(float(label) for label in self.space.labels)
        assert self.space.response is not None
        return tuple(dict.fromkeys(self.space.response))

    def value_at(self, x: FloatArray, y: float) -> float:
        """``l(model; x, y) - l(reference; x, y)``."""
        arguments = [self.loss.argument(x @ m.coef + m.intercept, y) for m in (self.model, self.reference)]
        return float(self.loss.value(arguments[0]) - self.loss.value(arguments[1]))


@dataclass(frozen=True, eq=False)
class Proposal:
    """What a backend returns.

    Attributes
    ----------
    point : array of shape (n_features,)
    label : float
        -1 or +1; the response, for regression.
    upper : float or None
        An upper bound on D that the backend's own method proves from the data (polygon, sandwich); None where it has
        only a solver's word, and the library's own check must find one.
    status : str
        The solver's own word.
    """

    point: FloatArray
    label: float
    upper: float | None
    status: str


@dataclass(frozen=True, eq=False)
class Difference(Shown):
    """The answer: ``value <= D <= upper``.

    Attributes
    ----------
    value : float
        Loss difference at ``point``, ``label``, evaluated by the library (in units of the loss).
    upper : float
        Upper bound on D, proven by the library and never taken from a solver.
    point : array of shape (n_features,)
    label : float
        -1 or +1, or the response for regression.
    certified : bool
        Whether value and upper agree to ``1e-6 * max(1, |value|)``: the point is then a proven global maximiser.
    solver, status : str
        Which backend answered and what it said.
    seconds : float
    """

    value: float
    upper: float
    point: FloatArray
    label: float
    certified: bool
    solver: str
    status: str
    seconds: float

    @property
    def gap(self) -> float:
        return self.upper - self.value

    def __float__(self) -> float:
        return self.value

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and words, without the point, for JSON."""
        names = ("value", "upper", "gap", "label", "certified", "solver", "status", "seconds")
        return {name: getattr(self, name) for name in names}

    def facts(self) -> Facts:
        """The main numbers in words."""
        return {
            "largest loss difference": self.value,
            "proven upper bound": self.upper,
            "certified": self.certified,
            "label of the point": self.label,
            "solver": f"{self.solver} ({self.status})",
            "seconds": self.seconds,
        }

    def to_frame(self) -> Any:
        """One row, as a pandas DataFrame; the features of the point are columns ``x0``, ``x1``, ..."""
        point = {f"x{j}": value for j, value in enumerate(self.point.tolist())}
        return frame_of([self.to_dict() | point], "Difference.to_frame")

    def plot(self, ax: Any = None, *, shape: Shape | None = None) -> Any:
        """The point of largest difference, as an image of that shape, or as a row in colours."""
        return plot_points(self.point[None], [f"label {self.label:g}"], ax, shape=shape)

    def __repr__(self) -> str:
        proven = "certified" if self.certified else f"upper bound {self.upper:.6g}"
        return f"Difference({self.value:.10g}, {proven}, solver={self.solver!r})"


def tolerance(value: float) -> float:
    """How far value and upper bound may lie apart for an answer to count as certified."""
    return 1e-6 * max(1.0, abs(value))
