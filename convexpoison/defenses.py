"""Filters that sanitise training data, and what they cost an attacker.

Koh, Steinhardt and Liang ("Stronger data poisoning attacks break data sanitization defenses", 2018; Machine Learning, 2022,
Section 3) drop the rows of each class that are anomalous: too far from the class's mean (*sphere*), or too far along the line
between the two means (*slab*). The means and thresholds are those of the rows given, clean ones, so that poison cannot move the
filter.

Both filters ask something else of each class. A :class:`~convexpoison.spaces.Space` is one set for both labels; so a filter gives
one space a label (:meth:`Filter.space`), a space that holds both (:meth:`Filter.enclosing`), and :func:`filter_cost` finds the
least mass with each label in its own space.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from convexpoison.data import Classes, TrainingData, check_rows, sign_labels
from convexpoison.difference import Question, answer
from convexpoison.door import read_scenario
from convexpoison.errors import optional_import
from convexpoison.losses import FloatArray
from convexpoison.mass.by_label import Point, least_mass_by_label
from convexpoison.mass.problem import MassProblem
from convexpoison.model import LinearModel
from convexpoison.spaces import Ball, Slab, Space
from convexpoison.victim import Victim

PERCENTILE = 90.0
"""Koh et al. keep the rows within the 90th percentile of their class's distances."""
_WHOLE = 1e-6
"""A mass that exceeds a whole number by less counts as that number."""


@dataclass(frozen=True, eq=False)
class Filter:
    """What a row of each class must satisfy to be kept.

    Attributes
    ----------
    name : str
    percentile : float
    classes : pair of labels
        ``classes[0]`` stands for -1, ``classes[1]`` for +1.
    rules : pair of Ball or Slab
        For the two classes.
    """

    name: str
    percentile: float
    classes: Classes
    rules: tuple[Ball, Ball] | tuple[Slab, Slab]

    def keeps(self, X: Any, y: ArrayLike) -> np.ndarray:
        """Which rows stay; bool array of shape (n_rows,).

        Raises
        ------
        ValueError
            If the rows have another number of features, or a label is unknown.
        """
        rows, _ = check_rows(X, self._n_features)
        signed, _ = sign_labels(np.asarray(y), self.classes)
        kept = np.empty(signed.size, dtype=bool)
        for sign in (-1.0, 1.0):
            chosen = np.flatnonzero(signed == sign)
            if chosen.size:
                kept[chosen] = _alone(self.rules[int(sign > 0)]).contains(rows[chosen])
        return kept

    def space(self, label: Any, within: Space) -> Space:
        """The points that pass with that label, out of a space.

        Raises
        ------
        ValueError
            If the label is unknown, or nothing passes.
        """
        if label not in self.classes:
            raise ValueError(f"the filter knows the labels {list(self.classes)}; got {label!r}")
        positive = bool(label == self.classes[1])
        return _cut(within, self.rules[positive]).with_labels([1 if positive else -1])

    def enclosing(self, within: Space) -> Space:
        """The smallest ball or slab around both rules, out of a space: a bound over it holds for the filter."""
        first, second = self.rules
        if isinstance(first, Slab) and isinstance(second, Slab):
            lower, upper = min(first.lower, second.lower), max(first.upper, second.upper)
            return _cut(within, Slab(first.direction, lower, upper))
        assert isinstance(first, Ball) and isinstance(second, Ball)
        return _cut(within, _ball_around(first, second))

    @property
    def _n_features(self) -> int:
        rule = self.rules[0]
        return int(rule.center.size if isinstance(rule, Ball) else rule.direction.size)


def sphere(X: Any, y: ArrayLike, *, percentile: float = PERCENTILE) -> Filter:
    """Rows within a distance of the mean of their class: the percentile of the distances of that class's rows.

    Parameters
    ----------
    X : array or sparse matrix of shape (n_samples, n_features)
    y : labels of shape (n_samples,)
    percentile : float
        In (0, 100].

    Raises
    ------
    ValueError
        If the percentile lies elsewhere, the data cannot be used, or all rows of a class that stay are the same.
    """
    data = _checked(X, y, percentile)
    balls = []
    for sign, mean in zip((-1.0, 1.0), _means(data), strict=True):
        rows = data.X[np.flatnonzero(data.y == sign)]
        squares = (
            np.asarray(rows.multiply(rows).sum(axis=1)).ravel() if hasattr(rows, "multiply") else (rows**2).sum(axis=1)
        )
        distances = np.sqrt(np.maximum(squares - 2.0 * np.asarray(rows @ mean) + mean @ mean, 0.0))
        radius = float(np.percentile(distances, percentile))
        if radius <= 0.0:
            raise ValueError(
                "the sphere has no radius: the rows of a class that stay are all the same; raise the percentile"
            )
        balls.append(Ball(mean, radius))
    return Filter("sphere", percentile, data.classes or (-1, 1), (balls[0], balls[1]))


def slab(X: Any, y: ArrayLike, *, percentile: float = PERCENTILE) -> Filter:
    """Rows with ``|(mean_+ - mean_-) @ (x - mean_y)|`` up to the percentile of that number over their class's rows.

    Parameters
    ----------
    X : array or sparse matrix of shape (n_samples, n_features)
    y : labels of shape (n_samples,)
    percentile : float
        In (0, 100].

    Raises
    ------
    ValueError
        If the percentile lies elsewhere, the data cannot be used, or both classes have the same mean.
    """
    data = _checked(X, y, percentile)
    means = _means(data)
    direction = means[1] - means[0]
    if not direction.any():
        raise ValueError("both classes have the same mean, and a slab lies between two; use sphere")
    slabs = []
    for sign, mean in zip((-1.0, 1.0), means, strict=True):
        along = np.asarray(data.X[np.flatnonzero(data.y == sign)] @ direction).ravel()
        middle = float(direction @ mean)
        reach = float(np.percentile(np.abs(along - middle), percentile))
        slabs.append(Slab(direction, middle - reach, middle + reach))
    return Filter("slab", percentile, data.classes or (-1, 1), (slabs[0], slabs[1]))


# -------------------------------------------------------------------- what a filter costs


@dataclass(frozen=True, eq=False)
class FilterCost:
    """What a target costs without and with a filter.

    Attributes
    ----------
    filter : str
    percentile : float
    n_points, n_points_filtered : int or None
        Points that reproduce the target, whole numbers of copies; None if none were found.
    bound, bound_filtered : float
        Certified: no fewer points reproduce the target; ``inf`` if no number does.
    difference, difference_filtered : float
        Certified upper bound on the maximum loss difference of the retrained victim to the target, over the space without the
        filter; NaN without an attack. It is not 0 since masses were made whole.
    n_caught : int
        Points of the attack that does not know the filter that the filter would drop.
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
        """Points with the filter to points without; ``inf`` where none were found with it."""
        if self.n_points is None or self.n_points == 0:
            return float("nan")
        return float("inf") if self.n_points_filtered is None else self.n_points_filtered / self.n_points

    def to_dict(self) -> dict[str, Any]:
        """The attributes and the ratio."""
        return {**asdict(self), "ratio": self.ratio}

    def to_frame(self) -> Any:
        """One row, as a pandas DataFrame."""
        pandas = optional_import("pandas", "frame", "a table")
        return pandas.DataFrame([self.to_dict()])


def filter_cost(
    target: Any,
    data: Any,
    filter: Filter,
    *,
    victim: Victim | None = None,
    space: Space | None = None,
) -> FilterCost:
    """How many more points it takes to reproduce a target when a filter drops rows before the victim learns.

    The filter drops clean rows too, and the attacker knows it: with it, the clean rows are those that stay, and poison has to
    pass with the label that it carries. Fewer clean rows can make a target cheaper, or put it out of reach.

    Parameters
    ----------
    target : fitted estimator, LinearModel or pair (coef, intercept)
        As in :func:`convexpoison.attack`.
    data : pair (X, y)
        Clean training data.
    filter : Filter
        :func:`sphere` or :func:`slab`.
    victim : Victim, optional
        A classifier; read from the estimator where not given.
    space : Space, optional
        Where poison may lie besides; inferred from the data where not given. Integer columns and one-hot groups are relaxed.

    Returns
    -------
    FilterCost

    Raises
    ------
    ValueError, TypeError
        If something given cannot be used; nothing of the space passes the filter, or no row of a class does.
    """
    if not isinstance(filter, Filter):
        raise TypeError(f"filter must come from defenses.sphere or defenses.slab; got {type(filter).__name__}")
    scenario = read_scenario(target, data, victim, space, "auto", None)
    if scenario.target is None:
        raise ValueError("filter_cost is about a model; for a goal find one first, for example with targets.least_mass")
    if not scenario.victim.loss.classification:
        raise ValueError("these filters look at classes; this victim is a regression")
    clean, within, model = scenario.data, scenario.space.relax(), scenario.target
    classes = clean.classes or (-1, 1)
    if classes != filter.classes:
        raise ValueError(f"the filter was made for labels {list(filter.classes)}, the data have {list(classes)}")
    kept = filter.keeps(clean.X, np.where(clean.y > 0, classes[1], classes[0]))
    if np.unique(clean.y[kept]).size < 2:
        raise ValueError("the filter drops all rows of a class; raise the percentile")
    spaces = {-1.0: filter.space(classes[0], within), 1.0: filter.space(classes[1], within)}
    with threadpool_limits(1, user_api="blas"):
        free = _cost(
            MassProblem(scenario.victim, clean, model, within), {y: within.with_labels([int(y)]) for y in spaces}
        )
        bound = _cost(MassProblem(scenario.victim, _rows(clean, kept), model, within), spaces)
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


def _cost(problem: MassProblem, spaces: dict[float, Space]) -> _Cost:
    found = least_mass_by_label(problem, spaces)
    if not np.isfinite(found.mass):
        return _Cost(found.bound, (), float("nan"))
    attack = _whole(found.attack)
    model = _retrained(problem, attack)
    difference = answer(Question(problem.victim.loss, model, problem.target, problem.space))
    return _Cost(found.bound, attack, difference.upper)


def _whole(points: tuple[Point, ...]) -> tuple[_Copies, ...]:
    """Whole numbers of copies whose sum is that of the masses rounded up, by largest remainders."""
    masses = np.array([part.mass for part in points])
    counts = np.floor(masses + _WHOLE)
    short = max(0, ceil(masses.sum() - _WHOLE) - int(counts.sum()))
    counts[np.argsort(counts - masses, kind="stable")[:short]] += 1.0
    return tuple(_Copies(part.label, part.point, int(n)) for part, n in zip(points, counts, strict=True) if n > 0)


def _retrained(problem: MassProblem, attack: tuple[_Copies, ...]) -> LinearModel:
    trainer = problem.victim.trainer(problem.data)
    for part in attack:
        trainer.add(part.point, part.label, float(part.count))
    return trainer.model


def _passes(space: Space, point: FloatArray) -> bool:
    return bool(space.contains(point[None])[0])


# -------------------------------------------------------------------- rules


def _cut(space: Space, rule: Ball | Slab) -> Space:
    if isinstance(rule, Ball):
        return space.with_ball(rule.center, rule.radius)
    return space.with_slab(rule.direction, rule.lower, rule.upper)


def _alone(rule: Ball | Slab) -> Space:
    """The rule without a box."""
    n = rule.center.size if isinstance(rule, Ball) else rule.direction.size
    return _cut(Space.box(-np.inf, np.inf, n), rule)


def _ball_around(first: Ball, second: Ball) -> Ball:
    gap = float(np.linalg.norm(second.center - first.center))
    for inner, outer in ((first, second), (second, first)):
        if gap + inner.radius <= outer.radius:
            return outer
    radius = 0.5 * (gap + first.radius + second.radius)
    return Ball(first.center + (radius - first.radius) / gap * (second.center - first.center), radius)


def _checked(X: Any, y: ArrayLike, percentile: float) -> TrainingData:
    if not 0.0 < percentile <= 100.0:
        raise ValueError(f"percentile must lie in (0, 100]; got {percentile}")
    return TrainingData.from_user((X, y))


def _means(data: TrainingData) -> tuple[FloatArray, FloatArray]:
    """Of the rows of class -1 and of class +1."""
    negative, positive = (
        np.asarray(data.X[np.flatnonzero(data.y == sign)].mean(axis=0)).ravel() for sign in (-1.0, 1.0)
    )
    return negative, positive


def _rows(data: TrainingData, kept: np.ndarray) -> TrainingData:
    index = np.flatnonzero(kept)
    return replace(data, X=data.X[index], y=data.y[index], sample_weight=data.sample_weight[index])
