"""From points behind a Pipeline's steps back to rows in the terms of its input, and the space that the steps leave."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.data.frames import as_dense, as_table, columns_of, first_row, like, whole_columns
from convexpoison.data.pipeline_steps import Feature, UnreadableStepError, read_features

_WHOLE = 1e-6
"""A number that is nearer to a whole one is that one."""
_AGREES = 1e-6
"""How far a row that is sent through the steps again may come from its point, relative to the point's size."""


@dataclass(frozen=True, eq=False)
class PipelineMap:
    """The user's table, and what the steps (None: none) make of it.

    Attributes
    ----------
    example : table of one row
        The first clean row: its kind, names and types are those of the rows that are given back, and columns that the steps
        drop keep its values.
    steps : fitted transformer or None
    features : list of Feature or None
        None where a step cannot be read; ``why`` is the sentence that says so.
    whole : bool array of shape (n_columns,)
        PipelineMap columns of whole numbers.
    why : str
    """

    example: Any
    steps: Any
    features: list[Feature] | None
    whole: np.ndarray
    why: str = ""

    @classmethod
    def of(cls, X: Any, steps: Any) -> PipelineMap:
        """Read the steps over the columns of X."""
        X = as_table(X)
        whole = whole_columns(X, X.shape[1])
        try:
            return cls(first_row(X), steps, read_features(steps, X.shape[1]), whole)
        except UnreadableStepError as exc:
            return cls(first_row(X), steps, None, whole, str(exc))

    def groups(self) -> list[list[int]]:
        """The features of each one-hot group."""
        assert self.features is not None
        hot = [j for j, feature in enumerate(self.features) if feature.category is not None]
        features = self.features
        ordered = sorted(hot, key=lambda j: features[j].source)
        return [list(group) for _, group in groupby(ordered, key=lambda j: features[j].source)]

    def is_integer(self, feature: Feature) -> bool:
        """Return whether the column behind a feature holds integers or categories."""
        return feature.categories is not None or bool(self.whole[feature.source])

    # ---------------------------------------------------------------- the way back

    def rows(self, points: FloatArray) -> tuple[Any, str]:
        """The points as rows of the user's table (a table of its kind), or None and the sentence that says why not."""
        if not len(points):
            return None, ""
        if self.steps is None:
            return like(self.example, list(points.T)), ""
        if self.features is None:
            return self._by_inverse(points)
        values = [np.repeat(kept, len(points)) for kept in columns_of(self.example)]
        try:
            for feature, numbers in zip(self.features, points.T, strict=True):
                if feature.category is None:
                    values[feature.source] = self._numbers(feature, numbers)
            for group in self.groups():
                values[self.features[group[0]].source] = self._chosen(group, points[:, group])
        except UnreadableStepError as exc:
            return None, str(exc)
        return self._checked(like(self.example, values), points)

    def _numbers(self, feature: Feature, numbers: FloatArray) -> np.ndarray:
        t = (numbers - feature.offset) / feature.step
        if self.is_integer(feature):
            near = np.abs(t - np.round(t)) <= _WHOLE
            t = np.where(near, np.round(t), t)
            if feature.categories is not None:
                if not near.all():
                    raise UnreadableStepError("the points lie between the codes of categories: there are no such rows")
                return np.asarray(feature.categories[t.astype(np.intp)])
        return np.asarray(t)

    def _chosen(self, group: list[int], numbers: FloatArray) -> np.ndarray:
        assert self.features is not None
        features = [self.features[j] for j in group]
        first = features[0]
        assert first.categories is not None
        t = np.column_stack([(v - f.offset) / f.step for f, v in zip(features, numbers.T, strict=True)])
        full, known = np.abs(t.sum(axis=1) - 1.0) <= _WHOLE, np.abs(t - np.round(t)).max(axis=1) <= _WHOLE
        if not known.all() or (first.dropped is None and not full.all()):
            raise UnreadableStepError("the points mix categories of a one-hot group: there are no such rows")
        place = np.array([f.category for f in features])[np.argmax(t, axis=1)]
        return np.asarray(first.categories[place if first.dropped is None else np.where(full, place, first.dropped)])

    def _by_inverse(self, points: FloatArray) -> tuple[Any, str]:
        """Steps that cannot be read may bring a way back of their own."""
        try:
            return self._checked(self.steps.inverse_transform(points), points)
        except (AttributeError, NotImplementedError):
            return None, (
                "points are in the space of the Pipeline's final step: its earlier steps have no inverse_transform, and "
                f"{self.why}"
            )

    def _checked(self, rows: Any, points: FloatArray) -> tuple[Any, str]:
        """The rows, if the steps make the points of them."""
        again = self.steps.transform(rows)
        again = np.asarray(as_dense(again), dtype=np.float64)
        if not np.allclose(again, points, rtol=_AGREES, atol=_AGREES):
            return None, "the Pipeline's earlier steps do not lead back: no row of the data becomes these points"
        return rows, ""
