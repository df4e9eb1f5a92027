"""Filters that sanitise training data: the rows that they keep, and the spaces of the poison that passes.

Koh, Steinhardt and Liang ("Stronger data poisoning attacks break data sanitization defenses", 2018; Machine Learning, 2022,
Section 3) drop the rows of each class that are anomalous: too far from the class's mean (*sphere*), or too far along the line
between the two means (*slab*). The means and thresholds are computed from the given clean rows, so that poison cannot move the
filter.

Both filters have a different rule for each class, while a :class:`~convexpoison.Space` is one set for both labels. A filter
therefore has one space per label (:meth:`Filter.space`) and a space that contains both (:meth:`Filter.enclosing`), and
:func:`convexpoison.defenses.filter_cost` computes the least mass with each label in its own space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import Classes, TrainingData, check_rows, sign_labels
from convexpoison.spaces.parts import Ball, Slab
from convexpoison.spaces.space import Space

PERCENTILE = 90.0
"""Koh et al. keep the rows within the 90th percentile of their class's distances."""


@dataclass(frozen=True, eq=False)
class Filter:
    """The rules that rows of each class must satisfy to be kept.

    Attributes
    ----------
    name : str
    percentile : float
    classes : pair of labels
        ``classes[0]`` stands for -1, ``classes[1]`` for +1.
    rules : pair of Ball or Slab
        One for each class.
    """

    name: str
    percentile: float
    classes: Classes
    rules: tuple[Ball, Ball] | tuple[Slab, Slab]

    def keeps(self, X: Any, y: ArrayLike) -> np.ndarray:
        """Return which rows are kept, a bool array of shape (n_rows,).

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
        """Return the subset of a space that passes with that label.

        Raises
        ------
        ValueError
            If the label is unknown, or no point passes.
        """
        if label not in self.classes:
            raise ValueError(f"the filter has the labels {list(self.classes)}; got {label!r}")
        positive = bool(label == self.classes[1])
        return _cut(within, self.rules[positive]).with_labels([1 if positive else -1])

    def enclosing(self, within: Space) -> Space:
        """Return a space cut by the smallest ball or slab around both rules: a bound over it holds for the filter."""
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
    """Build the filter that keeps rows within a percentile of the distances of their class to its mean.

    Parameters
    ----------
    X : array or sparse matrix of shape (n_samples, n_features)
    y : labels of shape (n_samples,)
    percentile : float
        In (0, 100].

    Raises
    ------
    ValueError
        If the percentile is out of range, the data cannot be used, or all kept rows of a class are equal.

    Examples
    --------
    >>> import convexpoison as cp
    >>> digits = cp.datasets.load("digits_17")
    >>> kept = cp.defenses.sphere(*digits.train, percentile=90.0).keeps(*digits.train)
    >>> int(kept.sum()), len(kept)
    (226, 252)
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
            raise ValueError("the sphere has no radius: all kept rows of a class are equal; raise the percentile")
        balls.append(Ball(mean, radius))
    return Filter("sphere", percentile, data.classes or (-1, 1), (balls[0], balls[1]))


def slab(X: Any, y: ArrayLike, *, percentile: float = PERCENTILE) -> Filter:
    """Build the filter that keeps rows with ``|(mean_+ - mean_-) @ (x - mean_y)|`` within its percentile over their class.

    Parameters
    ----------
    X : array or sparse matrix of shape (n_samples, n_features)
    y : labels of shape (n_samples,)
    percentile : float
        In (0, 100].

    Raises
    ------
    ValueError
        If the percentile is out of range, the data cannot be used, or both classes have the same mean.
    """
    data = _checked(X, y, percentile)
    means = _means(data)
    direction = means[1] - means[0]
    if not direction.any():
        raise ValueError("both classes have the same mean, so a slab has no direction; use sphere")
    slabs = []
    for sign, mean in zip((-1.0, 1.0), means, strict=True):
        along = np.asarray(data.X[np.flatnonzero(data.y == sign)] @ direction).ravel()
        middle = float(direction @ mean)
        reach = float(np.percentile(np.abs(along - middle), percentile))
        slabs.append(Slab(direction, middle - reach, middle + reach))
    return Filter("slab", percentile, data.classes or (-1, 1), (slabs[0], slabs[1]))


# -------------------------------------------------------------------- rules


def _cut(space: Space, rule: Ball | Slab) -> Space:
    if isinstance(rule, Ball):
        return space.with_ball(rule.center, rule.radius)
    return space.with_slab(rule.direction, rule.lower, rule.upper)


def _alone(rule: Ball | Slab) -> Space:
    """Return the space of the rule alone, without a box."""
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
    """Return the means of the rows of class -1 and of class +1."""
    negative, positive = (
        np.asarray(data.X[np.flatnonzero(data.y == sign)].mean(axis=0)).ravel() for sign in (-1.0, 1.0)
    )
    return negative, positive
