"""The cost of a filter to the attacker, in points."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from convexpoison._utils.integers import ROUNDING, whole_points
from convexpoison._utils.types import FloatArray
from convexpoison.adapters.read import read_scenario
from convexpoison.bounds.tight_by_label import Point, least_mass_by_label
from convexpoison.data.training_data import TrainingData
from convexpoison.defenses.filters import Filter
from convexpoison.display.bracket import plot_brackets
from convexpoison.display.shown import Facts, Shown, frame_of
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Victim
from convexpoison.loss_difference.query import Question
from convexpoison.loss_difference.solve import answer
from convexpoison.problem import Problem
from convexpoison.spaces.space import Space
from convexpoison.threats import AddRows


@dataclass(frozen=True, eq=False)
class FilterCost(Shown):
    """The cost of a target without and with a filter.

    Attributes
    ----------
    filter : str
    percentile : float
    n_points, n_points_filtered : int or None
        Points that reproduce the target, in integer numbers of copies; None if none were found.
    bound, bound_filtered : float
        Certified: no fewer points reproduce the target; ``inf`` if no number does.
    difference, difference_filtered : float
        Certified upper bound on the maximum loss difference of the retrained victim to the target, over the space without the
        filter; NaN without an attack. It is not 0, because masses are rounded to integers.
    n_caught : int
        Points, of the attack computed without the filter, that the filter would drop.
    n_clean_dropped : int
        Clean rows that the filter drops.
    """

    filter: str
    percentile: float
    n_points: int | None
    bound: float
    difference: float
    n_points_filtered: int | None
    bound_filtered: float
    difference_filtered: float
    n_caught: int
    n_clean_dropped: int

    @property
    def ratio(self) -> float:
        """Ratio of points with the filter to points without; ``inf`` if none were found with it."""
        if self.n_points is None or self.n_points == 0:
            return float("nan")
        return float("inf") if self.n_points_filtered is None else self.n_points_filtered / self.n_points

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes and the ratio."""
        return {**asdict(self), "ratio": self.ratio}

    def to_frame(self) -> Any:
        """Return one row, as a pandas DataFrame."""
        return frame_of([self.to_dict()], "FilterCost.to_frame")

    def facts(self) -> Facts:
        """Return the main numbers in words."""
        return {
            "filter": f"{self.filter}, percentile {self.percentile:g}",
            "points without the filter": _bracket(self.bound, self.n_points),
            "points with it": _bracket(self.bound_filtered, self.n_points_filtered),
            "ratio": self.ratio,
            "points of the unaware attack that it drops": self.n_caught,
            "clean rows that it drops": self.n_clean_dropped,
        }

    def plot(self, ax: Any = None) -> Any:
        """Plot both brackets; see :func:`convexpoison.display.bracket.plot_brackets`."""
        rows = {
            "no filter": (self.bound, self.n_points),
            f"{self.filter} {self.percentile:g} %": (self.bound_filtered, self.n_points_filtered),
        }
        return plot_brackets(rows, ax, title="Cost of the filter to the attacker")


def filter_cost(
    target: Any,
    data: Any,
    filter: Filter,
    *,
    victim: Victim | None = None,
    space: Space | None = None,
) -> FilterCost:
    """Compute how many more points reproduce a target when a filter drops rows before training.

    The filter drops clean rows too, and the attacker knows the filter: the clean rows are then the kept ones, and a poison
    point must pass the filter with its label. Fewer clean rows can make a target cheaper, or unattainable.

    Parameters
    ----------
    target : fitted estimator, LinearModel or pair (coef, intercept)
        As in :func:`convexpoison.attack`.
    data : pair (X, y)
        Clean training data.
    filter : Filter
        :func:`sphere` or :func:`slab`.
    victim : Victim, optional
        A classifier; default: read from the estimator.
    space : Space, optional
        The space of poison before the filter; default: inferred from the data. Integer columns and one-hot groups are relaxed.

    Returns
    -------
    FilterCost

    Raises
    ------
    ValueError, TypeError
        If an argument cannot be used, or no point of the space or no row of a class passes the filter.
    """
    if not isinstance(filter, Filter):
        raise TypeError(f"filter must come from defenses.sphere or defenses.slab; got {type(filter).__name__}")
    scenario = read_scenario(target, data, victim, space, "auto", None)
    if scenario.target is None:
        raise ValueError("filter_cost needs a model; for a goal find one first, for example with targets.least_mass")
    if not scenario.problem.victim.loss.classification:
        raise ValueError("these filters are for classification; this victim is a regression")
    clean, within, model = scenario.data, scenario.problem.space.relax(), scenario.target
    classes = clean.classes or (-1, 1)
    if classes != filter.classes:
        raise ValueError(f"the filter was made for labels {list(filter.classes)}, the data have {list(classes)}")
    kept = filter.keeps(clean.X, np.where(clean.y > 0, classes[1], classes[0]))
    if np.unique(clean.y[kept]).size < 2:
        raise ValueError("the filter drops all rows of a class; raise the percentile")
    spaces = {-1.0: filter.space(classes[0], within), 1.0: filter.space(classes[1], within)}
    with threadpool_limits(1, user_api="blas"):
        free = _cost(
            Problem(scenario.problem.victim, clean, AddRows(within), model),
            {y: within.with_labels([int(y)]) for y in spaces},
        )
        bound = _cost(Problem(scenario.problem.victim, _rows(clean, kept), AddRows(within), model), spaces)
    caught = sum(part.count for part in free.attack if not _passes(spaces[part.label], part.point))
    return FilterCost(
        filter.name, filter.percentile, free.n_points, free.bound, free.difference,
        bound.n_points, bound.bound, bound.difference, caught, int(np.count_nonzero(~kept)),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Copies:
    label: float
    point: FloatArray
    count: int


@dataclass(frozen=True, eq=False)
class _Cost:
    bound: float
    attack: tuple[_Copies, ...]
    difference: float

    @property
    def n_points(self) -> int | None:
        return sum(part.count for part in self.attack) if np.isfinite(self.difference) else None


def _cost(problem: Problem, spaces: dict[float, Space]) -> _Cost:
    found = least_mass_by_label(problem, spaces)
    if not np.isfinite(found.mass):
        return _Cost(found.bound, (), float("nan"))
    attack = _rounded(found.attack)
    model = _retrained(problem, attack)
    difference = answer(Question(problem.victim.loss, model, problem.target, problem.space))
    return _Cost(found.bound, attack, difference.upper)


def _rounded(points: tuple[Point, ...]) -> tuple[_Copies, ...]:
    """Round masses to integer numbers of copies, by largest remainders; their sum is the total mass rounded up."""
    masses = np.array([part.mass for part in points])
    counts = np.floor(masses * (1.0 + ROUNDING))
    short = max(0, int(whole_points(masses.sum()) - counts.sum()))
    counts[np.argsort(counts - masses, kind="stable")[:short]] += 1.0
    return tuple(_Copies(part.label, part.point, int(n)) for part, n in zip(points, counts, strict=True) if n > 0)


def _retrained(problem: Problem, attack: tuple[_Copies, ...]) -> LinearModel:
    trainer = problem.victim.trainer(problem.data)
    for part in attack:
        trainer.add(part.point, part.label, float(part.count))
    return trainer.model


def _passes(space: Space, point: FloatArray) -> bool:
    return bool(space.contains(point[None])[0])


def _bracket(bound: float, n_points: int | None) -> str:
    lower = f"at least {whole_points(bound):,.0f}" if np.isfinite(bound) else "no number is enough"
    return lower + ("" if n_points is None else f", {n_points:,} are enough")


def _rows(data: TrainingData, kept: np.ndarray) -> TrainingData:
    index = np.flatnonzero(kept)
    return replace(data, X=data.X[index], y=data.y[index], sample_weight=data.sample_weight[index])
