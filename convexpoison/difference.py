"""The maximum-loss-difference question and its answer (MTP, Definition 1).

``D(model, reference) = max over (x, y) in Z of l(model; x, y) - l(reference; x, y)``. A backend of
:mod:`convexpoison.solvers` proposes a point; the value is then evaluated here, at that point, and the upper bound is
proven here (:mod:`convexpoison.dual_bound`) unless the backend's method is itself the proof (the polygon's sort).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convexpoison.display.images import Shape, plot_points
from convexpoison.display.shown import Facts, Shown, frame_of
from convexpoison.losses import FloatArray, Loss
from convexpoison.model import LinearModel
from convexpoison.spaces import Space

if TYPE_CHECKING:
    from convexpoison.solvers.base import Backend


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


def max_loss_difference(
    model: LinearModel | tuple[object, object] | object,
    reference: LinearModel | tuple[object, object] | object,
    space: Space,
    *,
    loss: str | Loss = "hinge",
    solver: str = "auto",
    time_limit_s: float | None = None,
) -> Difference:
    """The largest loss difference of two models over a space (MTP, Definition 1).

    Parameters
    ----------
    model, reference : LinearModel, fitted scikit-learn estimator, or pair (coef, intercept)
    space : Space
    loss : str or Loss
    solver : {"auto", "polygon", "highs", "gurobi", "cvxpy"}
        "auto" takes the first backend that can answer, in that order, Gurobi left out.
    time_limit_s : float, optional
        Seconds for the solver.

    Returns
    -------
    Difference

    Raises
    ------
    ValueError
        Dimensions that differ, an unknown solver, a solver that cannot answer this question.
    SolverError, SolverTimeoutError
        If the solver has no point to offer.

    Examples
    --------
    >>> import convexpoison as cp
    >>> cp.max_loss_difference(([1.0, 0.0], 0.0), ([0.0, 1.0], 0.0), cp.Space.box(0, 1, 2)).value
    1.0
    """
    from convexpoison.estimators import as_model
    from convexpoison.losses import get_loss

    question = Question(get_loss(loss), as_model(model), as_model(reference), space)
    _check(question)
    return answer(question, solver=solver, time_limit_s=time_limit_s)


def answer(question: Question, *, solver: str = "auto", time_limit_s: float | None = None) -> Difference:
    """Ask a backend and check what it says; the question is assumed to be well formed."""
    from time import perf_counter

    from convexpoison.dual_bound import upper_bound
    from convexpoison.solvers import choose

    start = perf_counter()
    backend = choose(question, solver)
    proposal = _propose(backend, question, time_limit_s)
    value = question.value_at(proposal.point, proposal.label)
    upper = proposal.upper if proposal.upper is not None else upper_bound(question, proposal)
    return Difference(
        value=value,
        upper=max(value, upper),
        point=proposal.point,
        label=proposal.label,
        certified=bool(abs(upper - value) <= tolerance(value)),  # a value above a proven bound is as wrong as one below
        solver=backend.name,
        status=proposal.status,
        seconds=perf_counter() - start,
    )


def _propose(backend: Backend, question: Question, time_limit_s: float | None) -> Proposal:
    """Backends know integers only: over a grid, they are asked in its counts."""
    space = question.space
    if space.grid is None:
        return backend.propose(question, time_limit_s)
    from convexpoison.solvers.grids import in_counts, rounding_of_counts

    found = backend.propose(in_counts(question), time_limit_s)
    upper = None if found.upper is None else found.upper + rounding_of_counts(question)
    return replace(found, point=np.clip(space.values(found.point), space.lower, space.upper), upper=upper)


def _check(question: Question) -> None:
    sizes = {question.model.n_features, question.reference.n_features, question.space.n_features}
    if len(sizes) > 1:
        raise ValueError(
            f"the models have {question.model.n_features} and {question.reference.n_features} features and the space has "
            f"{question.space.n_features}; all three must agree"
        )
    if not question.loss.classification and question.space.response is None:
        raise ValueError("a regression loss needs the range of the response: space.with_response(lower, upper)")
    bounded = np.isfinite(question.space.lower) & np.isfinite(question.space.upper)
    if not bounded.all() and not (question.space.balls or question.space.constraints or question.space.slabs):
        j = int(np.argmin(bounded))
        raise ValueError(f"column {j} of the space is unbounded, and so is the loss difference; give it finite bounds")
