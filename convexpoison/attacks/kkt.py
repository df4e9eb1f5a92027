"""The KKT attack: for each split of the budget over the two labels, the points that make a target as stationary as they can.

Koh, Steinhardt and Liang, "Stronger data poisoning attacks break data sanitization defenses" (2018; Machine Learning, 2022),
and the rival of MTP (Suya et al., ICML 2021). Two points are enough for the hinge, one of each label. With ``m_y``
copies of the point of label y, the gradient of the poisoned objective at the target is

    g + kappa k grad R - sum over y of m_y y (x_y, 1),        y <x_y, target> <= 1,

g that of the clean rows (those exactly on the margin count as without loss) and k the budget. Its norm is a convex function of
the points: one cone program a split. The split itself is tried on a grid, and the best attack is kept.

:func:`convexpoison.attacks.nearest.nearest_model` is the stronger version of the same idea, with the split and the rows
on the margin
chosen too, and slices for smooth losses.
"""

from __future__ import annotations

import sys
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter
from typing import Any, Literal

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from convexpoison._utils.types import FloatArray
from convexpoison.attacks.base import Budget
from convexpoison.attacks.conditions import inside
from convexpoison.attacks.nearest_residual import LeastResidual
from convexpoison.attacks.projection import Projection
from convexpoison.errors import SolverError, optional_import
from convexpoison.poison import Poison, Status
from convexpoison.problem import Problem
from convexpoison.targets.rows import appended, error_rate, is_whole

Keep = Literal["distance", "residual", "error"]


def kkt(problem: Problem, budget: Budget, *, n_splits: int = 7, keep: Keep = "distance", n_starts: int = 10) -> Poison:
    """Two points, many copies of each, at which a target is nearly stationary.

    Hinge: a convex program a split, over any convex space. Smooth losses: the norm is no convex function of the points, and
    L-BFGS-B lowers it from several starts, over a box.

    Parameters
    ----------
    problem : Problem
    budget : Budget
        With a ``target``; ``rows`` for ``keep="error"``.
    n_splits : int
        Splits of the budget on the grid, from all points of label -1 to all of label +1, in whole numbers (7 as in the
        authors' experiments). For the hinge the split that balances the intercept joins them, as there.
    keep : {"distance", "residual", "error"}
        Which split is kept, after the victim was retrained on each: the model nearest to the target (Euclidean, intercept
        included), the least norm of the gradient (MTP's comparison) or the largest error on ``budget.rows`` (Koh et al.).
    n_starts : int
        For smooth losses: pairs of points from which a minimum is looked for (10 in MTP's comparison).

    Returns
    -------
    Poison
        At most two points. ``info``: "residual", "distance" and "n_positive" of the split that was kept; "splits": these
        three of every split that was tried, and "error" where there are rows.

    Raises
    ------
    ValueError
        No target; a regression; options out of range; a space that is not convex or, for smooth losses, not a box; a space
        in which the target leaves no split a point with loss.
    SolverError
        If the cone solver fails.
    """
    _check(problem, budget, n_splits, keep, n_starts)
    with threadpool_limits(1, user_api="blas"):  # the matrices are small: threads would only wait for each other
        tried, status = _try_splits(problem, budget, n_splits, n_starts)
    if not tried:
        raise ValueError(
            "no split of the budget has a point with loss under the target in the space; enlarge the space or choose a target "
            "of smaller norm"
        )
    best = min(tried, key=lambda split: split.rank(keep))
    order = np.argsort(-best.counts, kind="stable")
    info = best.facts() | {"splits": [split.facts() for split in tried]}
    return Poison(best.points[order], best.labels[order], best.counts[order], status, info=info)


@dataclass(frozen=True, eq=False)
class Split:
    """One division of the budget, its points and what they lead to.

    Attributes
    ----------
    points, labels, counts
        One point a label that has copies.
    residual : float
        ``|gradient|_R*`` at the target, intercept included.
    distance : float
        Of the retrained model and the target.
    error : float
        Of the retrained model on the budget's rows; NaN without.
    """

    points: FloatArray
    labels: FloatArray
    counts: np.ndarray
    residual: float
    distance: float
    error: float

    def rank(self, keep: Keep) -> float:
        return {"distance": self.distance, "residual": self.residual, "error": -self.error}[keep]

    def facts(self) -> dict[str, Any]:
        """Plain numbers for the report."""
        n_positive = int(self.counts[self.labels > 0].sum())
        facts = {"n_positive": n_positive, "residual": self.residual, "distance": self.distance}
        return facts if np.isnan(self.error) else facts | {"error": self.error}


def splits(problem: Problem, n_points: int, n_splits: int) -> list[int]:
    """Copies of the point of label +1: the grid, and for the hinge the split that balances the intercept."""
    labels = problem.space.labels
    if len(labels) == 1:
        return [n_points if labels[0] > 0 else 0]
    grid = set(np.linspace(0, n_points, min(n_splits, n_points + 1)).round().astype(int).tolist())
    if not problem.victim.loss.smooth and problem.victim.intercept != "none":
        balanced = 0.5 * (n_points + start(problem, n_points)[-1])
        if 0 <= balanced <= n_points:
            grid.add(round(balanced))
    return sorted(grid)


def start(problem: Problem, n_points: int) -> FloatArray:
    """The gradient at the target without the points' losses, shape (n_features + 1,); 0 for an intercept that is not there."""
    penalty = np.append(*problem.victim.penalty_gradient(problem.target))
    found = (
        np.append(problem.subdifferential.g.w, problem.subdifferential.g.b) + problem.victim.kappa * n_points * penalty
    )
    found[-1] *= problem.victim.intercept != "none"
    return np.asarray(found)


def _try_splits(problem: Problem, budget: Budget, n_splits: int, n_starts: int) -> tuple[list[Split], Status]:
    """All splits, or as many as the time allows, at least one."""
    begun = perf_counter()
    tried: list[Split] = []
    search: _Search = _Descent(problem, budget, n_starts) if problem.victim.loss.smooth else _Cone(problem, budget)
    hidden = budget.hidden
    bar = tqdm(splits(problem, budget.n_points, n_splits), desc="splits", disable=hidden, file=sys.stderr)
    try:
        for n_positive in bar:
            if tried and budget.time_limit_s is not None and perf_counter() - begun >= budget.time_limit_s:
                return tried, "time limit"
            found = search.split(n_positive)
            if found is not None:
                tried.append(found)
    except KeyboardInterrupt:
        if not tried:
            raise
        return tried, "interrupted"
    finally:
        bar.close()
    return tried, "budget"


class _Search(ABC):
    """The best points of a split, and the victim retrained on them."""

    def __init__(self, problem: Problem, budget: Budget) -> None:
        self.problem, self.budget = problem, budget

    @abstractmethod
    def points(self, labels: FloatArray, counts: np.ndarray) -> tuple[float, FloatArray] | None:
        """The least residual found, and the points; None if some label has no point with loss."""

    def split(self, n_positive: int) -> Split | None:
        """One division of the budget."""
        counts = np.array([self.budget.n_points - n_positive, n_positive], dtype=np.int64)
        labels = np.array([-1.0, 1.0])[counts > 0]
        counts = counts[counts > 0]
        found = self.points(labels, counts)
        if found is None:
            return None
        residual, points = found
        # One fit from scratch: two rows of so many copies turn a model over, and a warm start is no help then.
        model = self.problem.victim.trainer(appended(self.problem.data, points, labels, counts)).model
        error = np.nan if self.budget.rows is None else error_rate(model, self.budget.rows)
        return Split(points, labels, counts, residual, model.distance(self.problem.target), error)


class _Cone(_Search):
    """Hinge: a second-order cone program, built once for each set of labels with the copies as parameters."""

    def __init__(self, problem: Problem, budget: Budget) -> None:
        super().__init__(problem, budget)
        self._models: dict[tuple[float, ...], tuple[Any, Any, list[Any]]] = {}

    def points(self, labels: FloatArray, counts: np.ndarray) -> tuple[float, FloatArray] | None:
        cp = optional_import("cvxpy", "all", "the KKT attack")
        model, copies, variables = self._model(cp, tuple(labels.tolist()))
        copies.value = counts / self._unit
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # "may be inaccurate": the residual is evaluated anew
                model.solve(solver="CLARABEL", max_threads=1)
        except cp.error.SolverError as exc:
            raise SolverError(
                f"Clarabel failed at the KKT attack ({exc}); rescale the features to about [0, 1]"
            ) from exc
        if model.status in ("infeasible", "infeasible_inaccurate"):
            return None
        if any(x.value is None for x in variables):
            raise SolverError(f"Clarabel has no answer for the KKT attack: {model.status}; rescale the features")
        points = self._settled(np.array([x.value for x in variables]))
        left = self._start - np.append((counts * labels) @ points, self._has_intercept * float(counts @ labels))
        left[-1] *= self._scale
        return float(np.linalg.norm(left)), points

    def _settled(self, points: FloatArray) -> FloatArray:
        """The solver's points, which lie in the space but for its tolerance, moved inside."""
        space = self.problem.space
        points = np.clip(points, space.lower, space.upper)
        if not space.contains(points).all():
            points = Projection(space)(points)
        if not space.contains(points).all():
            raise SolverError("Clarabel's points for the KKT attack lie outside the space; rescale the features")
        return points

    @cached_property
    def _start(self) -> FloatArray:
        return start(self.problem, self.budget.n_points)

    @property
    def _has_intercept(self) -> bool:
        return self.problem.victim.intercept != "none"

    @property
    def _scale(self) -> float:
        """Square root of the intercept's entry in the metric of ``|r|_R*``."""
        return self.problem.victim.intercept_scaling if self.problem.victim.intercept == "regularized" else 1.0

    @cached_property
    def _unit(self) -> float:
        """What the program is divided by, so that a solver's tolerances fit."""
        return max(float(np.linalg.norm(self._start[:-1])), 1.0)

    def _model(self, cp: Any, labels: tuple[float, ...]) -> tuple[Any, Any, list[Any]]:
        if labels not in self._models:
            space, target = self.problem.space, self.problem.target
            copies = cp.Parameter(len(labels), nonneg=True)
            variables = [cp.Variable(space.n_features) for _ in labels]
            conditions = [condition for x in variables for condition in inside(cp, space, x)]
            conditions += [
                y * (target.coef @ x) <= 1.0 - y * target.intercept for x, y in zip(variables, labels, strict=True)
            ]
            pull = sum(y * copies[i] * x for i, (x, y) in enumerate(zip(variables, labels, strict=True)))
            model = cp.Problem(cp.Minimize(cp.norm(self._start[:-1] / self._unit - pull, 2)), conditions)
            self._models[labels] = model, copies, variables
        return self._models[labels]


class _Descent(_Search):
    """Smooth losses over a box: minima near pairs of points between those of largest loss and random ones.

    Random points alone may have no loss under the target, and a squared hinge then has no gradient to go by.
    """

    def __init__(self, problem: Problem, budget: Budget, n_starts: int) -> None:
        super().__init__(problem, budget)
        self._fit = LeastResidual(problem, budget.n_points)
        low, high, w = problem.space.lower, problem.space.upper, problem.target.coef
        worst = {y: np.where(y * w > 0, low, high) for y in (-1.0, 1.0)}
        shares = np.linspace(0.0, 1.0, n_starts)[:, None]
        rng = np.random.default_rng(budget.random_state)
        self._starts = {y: x + shares * (rng.uniform(low, high, (n_starts, low.size)) - x) for y, x in worst.items()}

    def points(self, labels: FloatArray, counts: np.ndarray) -> tuple[float, FloatArray] | None:
        pairs = np.stack([self._starts[y] for y in labels.tolist()], axis=1)
        found = [self._fit.polished((pair, labels, counts)) for pair in pairs]
        residual, (points, _, _) = min(found, key=lambda one: one[0])
        return residual, points


def _check(problem: Problem, budget: Budget, n_splits: int, keep: str, n_starts: int) -> None:
    loss, parts = problem.victim.loss, problem.space.parts
    if not problem.has_target:
        raise ValueError(
            "the KKT attack aims at a model; give a target, for example one of convexpoison.targets.label_flip"
        )
    if not loss.classification:
        raise ValueError("the KKT attack splits its budget over two labels; this victim is a regression")
    for name, value, least in (("n_splits", n_splits, 2), ("n_starts", n_starts, 1)):
        if not is_whole(value, least):
            raise ValueError(f"{name} must be a whole number of at least {least}; got {value!r}")
    if keep not in ("distance", "residual", "error"):
        raise ValueError(f"keep must be 'distance', 'residual' or 'error'; got {keep!r}")
    if keep == "error" and budget.rows is None:
        raise ValueError(
            "keep='error' needs rows on which errors are counted: a goal that names rows, or validation rows"
        )
    if "integer" in parts:
        raise ValueError("the KKT attack needs a convex space; space.relax() makes integers and one-hot groups convex")
    if loss.smooth and parts != {"box"}:
        raise ValueError(
            f"for {loss.name} loss the KKT attack moves its points within a box; this space has {', '.join(sorted(parts))} parts"
        )
    if loss.smooth and not (np.isfinite(problem.space.lower).all() and np.isfinite(problem.space.upper).all()):
        raise ValueError("the box has infinite sides; give every column finite bounds")
