"""Where poison may lie.

A :class:`Space` is a box, cut down by integer columns, one-hot groups, balls, slabs and the user's own convex
constraints. What it consists of is told by :attr:`Space.parts`, which is what solver backends match their
capabilities against.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from convexpoison._utils.types import FloatArray
from convexpoison.data.frames import as_dense, as_table, whole_columns
from convexpoison.data.training_data import check_rows
from convexpoison.spaces.parts import Ball, Grid, OneHot, Slab

if TYPE_CHECKING:
    from convexpoison.data.pipeline import PipelineMap


@dataclass(frozen=True, eq=False)
class Space:
    """The set that poison points are chosen from; build it with :meth:`box` or :meth:`infer` and the ``with_*`` methods.

    Attributes
    ----------
    lower, upper : arrays of shape (n_features,)
        The box; infinite entries are allowed where another part bounds the space.
    integer : bool array of shape (n_features,)
        Columns that hold integers (0/1 columns are integer columns with bounds 0 and 1).
    grid : Grid or None
        Where integer columns hold scaled integers instead, as behind a scaler.
    one_hot : tuple of OneHot
    balls, slabs : tuples
    constraints : callable or None
        Maps a ``cvxpy.Variable`` of shape (n_features,) to a list of convex cvxpy constraints.
    labels : tuple of int
        Labels that poison may carry, out of -1 and +1 (classification).
    response : pair of floats or None
        Range of the response of a poison point (regression).
    """

    lower: FloatArray
    upper: FloatArray
    integer: np.ndarray
    grid: Grid | None = None
    one_hot: tuple[OneHot, ...] = ()
    balls: tuple[Ball, ...] = ()
    slabs: tuple[Slab, ...] = ()
    constraints: Callable[[Any], list[Any]] | None = None
    labels: tuple[int, ...] = (-1, 1)
    response: tuple[float, float] | None = None

    # ---------------------------------------------------------------- building

    @classmethod
    def box(cls, lower: ArrayLike, upper: ArrayLike, n_features: int | None = None) -> Space:
        """``lower <= x <= upper``; scalars are repeated ``n_features`` times.

        Raises
        ------
        ValueError
            If a bound is NaN, shapes differ, or a lower bound lies above its upper bound.
        """
        low, high = np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)
        if n_features is None:
            n_features = max(low.size, high.size)
        try:
            low, high = np.broadcast_to(low, (n_features,)).copy(), np.broadcast_to(high, (n_features,)).copy()
        except ValueError as exc:
            raise ValueError(
                f"box bounds have shapes {low.shape} and {high.shape}; {n_features} features are needed"
            ) from exc
        if np.isnan(low).any() or np.isnan(high).any():
            raise ValueError("a box bound is NaN; use -inf or inf for a side without a bound")
        if (low > high).any():
            j = int(np.argmax(low > high))
            raise ValueError(
                f"the box is empty: column {j} has lower bound {low[j]:g} above its upper bound {high[j]:g}"
            )
        return cls(low, high, np.zeros(n_features, dtype=bool))

    @classmethod
    def infer(cls, X: Any, y: ArrayLike | None = None, *, one_hot: Sequence[Sequence[int]] = ()) -> Space:
        """The smallest space of that kind that holds the data.

        The box runs from each column's smallest to its largest value. Integer and boolean columns of a DataFrame, or an
        array of integer or boolean type, become integer columns. A real-valued y gives the response range.

        Parameters
        ----------
        X : array, sparse matrix or DataFrame of shape (n_samples, n_features)
        y : array of shape (n_samples,), optional
            Only for regression.
        one_hot : lists of column numbers
            Groups of which exactly one column is 1; a group with rows that are all 0 may stay all 0.

        Examples
        --------
        >>> import numpy as np
        >>> from convexpoison import Space
        >>> space = Space.infer(np.array([[0.5, 1, 0], [2.5, 0, 1]]), one_hot=[[1, 2]])
        >>> sorted(space.parts), space.contains([[1.0, 0, 1], [1.0, 1, 1], [3.0, 1, 0]]).tolist()
        (['box', 'integer', 'one_hot'], [True, False, False])
        """
        rows, _ = check_rows(X)
        if sp.issparse(rows):
            low, high = (np.asarray(f(axis=0).todense()).ravel() for f in (rows.min, rows.max))
        else:
            low, high = rows.min(axis=0), rows.max(axis=0)
        space = replace(cls.box(low, high), integer=whole_columns(X, low.size))
        for columns in one_hot:
            sums = np.asarray(rows[:, list(columns)].sum(axis=1)).ravel()
            space = space.with_one_hot(columns, at_most_one=bool((sums == 0).any()))
        if y is not None:
            response = np.asarray(y, dtype=np.float64)
            space = space.with_response(float(response.min()), float(response.max()))
        return space

    @classmethod
    def behind(cls, steps: Any, X: Any, y: ArrayLike | None = None) -> Space:
        """The smallest space that holds what fitted steps (``pipeline[:-1]``) make of X, as attacks infer it.

        Whole numbers stay whole numbers, scaled, and one-hot groups groups, where the steps can be read: scalers, encoders,
        selections, and ColumnTransformers and Pipelines of them.

        Parameters
        ----------
        steps : fitted transformer
        X, y : as in :meth:`infer`, before the steps
        """
        response = None if y is None else np.asarray(y, dtype=np.float64)
        from convexpoison.data.pipeline import PipelineMap

        return cls.of_pipeline(PipelineMap.of(X, steps), steps.transform(X), response)

    @classmethod
    def of_pipeline(cls, pipeline: PipelineMap, rows: Any, response: FloatArray | None = None) -> Space:
        """Infer the space from rows behind a Pipeline's steps: their box, one-hot groups, and scaled integers where the
        original column holds integers or categories."""
        features = pipeline.features
        if features is None or pipeline.steps is None:
            return cls.infer(rows, response)
        rows = as_table(rows)
        space = replace(cls.infer(rows, response), integer=np.zeros(rows.shape[1], dtype=bool))
        for group in pipeline.groups():
            if all((features[j].offset, features[j].step) == (0.0, 1.0) for j in group):
                space = space.with_one_hot(group, at_most_one=features[group[0]].dropped is not None)
        counted = [j for j, f in enumerate(features) if f.category is None and pipeline.is_integer(f)]
        if not counted:
            return space
        offset, step = np.zeros(rows.shape[1]), np.ones(rows.shape[1])
        offset[counted] = [features[j].offset for j in counted]
        step[counted] = [features[j].step for j in counted]
        unit = not offset.any() and bool((step == 1.0).all())
        return space.with_integer(counted, grid=None if unit else Grid(offset, step))

    def with_integer(self, columns: Iterable[int] | None = None, *, grid: Grid | None = None) -> Space:
        """The same space with these columns (all, if None) restricted to integers, or to the values of a grid."""
        integer = self.integer.copy()
        integer[slice(None) if columns is None else list(columns)] = True
        space = replace(self, integer=integer, grid=grid if grid is not None else self.grid)
        low, high = np.ceil(space.counts(self.lower) - 1e-9), np.floor(space.counts(self.upper) + 1e-9)
        if (integer & (low > high)).any():
            j = int(np.argmax(integer & (low > high)))
            raise ValueError(f"column {j} has no integer between its bounds {self.lower[j]:g} and {self.upper[j]:g}")
        low, high = space.values(low), space.values(high)
        return replace(space, lower=np.where(integer, low, self.lower), upper=np.where(integer, high, self.upper))

    def with_one_hot(self, columns: Iterable[int], *, at_most_one: bool = False) -> Space:
        """The same space with these columns a one-hot group; their bounds become 0 and 1."""
        group = tuple(int(j) for j in columns)
        taken = {j for other in self.one_hot for j in other.columns}
        if not group or len(set(group)) < len(group) or taken & set(group):
            raise ValueError(f"one-hot columns {group} are empty, repeated, or already part of a group")
        if min(group) < 0 or max(group) >= self.n_features:
            raise ValueError(f"one-hot columns {group} are not among the {self.n_features} columns")
        low, high, integer = self.lower.copy(), self.upper.copy(), self.integer.copy()
        low[list(group)], high[list(group)], integer[list(group)] = 0.0, 1.0, False
        return replace(
            self, lower=low, upper=high, integer=integer, one_hot=(*self.one_hot, OneHot(group, at_most_one))
        )

    def with_ball(self, center: ArrayLike, radius: float) -> Space:
        """The same space cut by the ball ``|x - center|_2 <= radius``."""
        center = self._vector(center, "ball center")
        if not (np.isfinite(radius) and radius > 0):
            raise ValueError(f"a ball needs a positive, finite radius; got {radius}")
        nearest = np.clip(center, self.lower, self.upper)
        if np.linalg.norm(nearest - center) > radius:
            raise ValueError(
                "the space is empty: the ball does not reach the box; enlarge the radius or move the center"
            )
        return replace(self, balls=(*self.balls, Ball(center, float(radius))))

    def with_slab(self, direction: ArrayLike, lower: float = -np.inf, upper: float = np.inf) -> Space:
        """The same space cut by the slab ``lower <= direction @ x <= upper``."""
        direction = self._vector(direction, "slab direction")
        if np.isnan(lower) or np.isnan(upper) or lower > upper:
            raise ValueError(f"a slab needs lower <= upper; got {lower} and {upper}")
        used = direction != 0.0  # 0 times an infinite bound is no number
        ends = direction[used] * np.array([self.lower, self.upper])[:, used]
        if ends.min(axis=0).sum() > upper or ends.max(axis=0).sum() < lower:
            raise ValueError("the space is empty: the slab does not reach the box; widen it")
        return replace(self, slabs=(*self.slabs, Slab(direction, float(lower), float(upper))))

    def with_constraints(self, constraints: Callable[[Any], list[Any]]) -> Space:
        """The same space cut by ``constraints(x)``, a list of convex cvxpy constraints on a variable x."""
        if not callable(constraints):
            raise TypeError(
                f"constraints must map a cvxpy variable to a list of constraints; got {type(constraints).__name__}"
            )
        earlier = self.constraints
        both = constraints if earlier is None else (lambda x: [*earlier(x), *constraints(x)])
        return replace(self, constraints=both)

    def with_labels(self, labels: Iterable[int]) -> Space:
        """The same space with poison restricted to these labels, out of -1 and +1."""
        labels = tuple(sorted(set(labels)))
        if not labels or not set(labels) <= {-1, 1}:
            raise ValueError(f"labels must be taken from -1 and +1; got {labels}")
        return replace(self, labels=labels)

    def with_response(self, lower: float, upper: float) -> Space:
        """The same space with the response of a regression poison point in [lower, upper]."""
        if not (np.isfinite(lower) and np.isfinite(upper) and lower <= upper):
            raise ValueError(f"the response range needs finite lower <= upper; got {lower} and {upper}")
        return replace(self, response=(float(lower), float(upper)))

    def relax(self) -> Space:
        """The convex relaxation: integer columns become intervals, one-hot groups their convex hulls."""
        groups = tuple(replace(group, relaxed=True) for group in self.one_hot)
        return replace(self, integer=np.zeros_like(self.integer), grid=None, one_hot=groups)

    # ---------------------------------------------------------------- asking

    @property
    def n_features(self) -> int:
        return self.lower.size

    @property
    def parts(self) -> frozenset[str]:
        """What the space consists of, out of "box", "integer", "one_hot", "ball", "slab", "constraints"."""
        present = {
            "integer": bool(self.integer.any()) or any(not group.relaxed for group in self.one_hot),
            "one_hot": bool(self.one_hot),
            "ball": bool(self.balls),
            "slab": bool(self.slabs),
            "constraints": self.constraints is not None,
        }
        return frozenset({"box"} | {part for part, there in present.items() if there})

    def counts(self, x: FloatArray) -> FloatArray:
        """The integers that integer columns stand for; other columns as they are. Shape (..., n_features)."""
        return x if self.grid is None else (x - self.grid.offset) / self.grid.step

    def values(self, counts: FloatArray) -> FloatArray:
        """The other way round."""
        return counts if self.grid is None else self.grid.offset + self.grid.step * counts

    def violation(self, X: Any) -> FloatArray:
        """By how much each row leaves the space, in the units of the part that it violates most; shape (n_rows,)."""
        rows = check_rows(X, self.n_features)[0]
        return np.concatenate(
            [
                np.maximum(self._domain_violation(some)[0], self._filter_violation(some))
                for _, some in dense_chunks(rows)
            ]
        )

    def contains(self, X: Any, tol: float = 1e-7) -> np.ndarray:
        """Which rows lie in the space, up to tol; bool array of shape (n_rows,)."""
        return self.violation(X) <= tol

    def check_domain(self, X: Any, tol: float = 1e-7) -> None:
        """Refuse rows outside the box, the integers or the one-hot groups (balls, slabs and constraints are filters,
        which clean data need not all pass).

        Raises
        ------
        ValueError
            Naming the first such row and what it violates.
        """
        for start, rows in dense_chunks(check_rows(X, self.n_features)[0]):
            violation, why = self._domain_violation(rows)
            if (violation > tol).any():
                i = int(np.argmax(violation > tol))
                raise ValueError(
                    f"rows of the data lie outside the space, the first is row {start + i} ({why(i)}). "
                    "Widen the space, or leave it out to infer it from the data"
                )

    # ---------------------------------------------------------------- inside

    def _domain_violation(self, dense: FloatArray) -> tuple[FloatArray, Callable[[int], str]]:
        box = np.maximum(self.lower - dense, dense - self.upper)
        whole = self.values(np.round(self.counts(dense)))
        box[:, self.integer] = np.maximum(box[:, self.integer], np.abs(dense - whole)[:, self.integer])
        by_group = np.zeros((dense.shape[0], len(self.one_hot)))
        for k, group in enumerate(self.one_hot):
            values = dense[:, group.columns]
            excess = values.sum(axis=1) - 1.0
            by_group[:, k] = np.maximum(excess, 0.0) if group.at_most_one else np.abs(excess)
            if not group.relaxed:
                by_group[:, k] = np.maximum(by_group[:, k], np.abs(values - np.round(values)).max(axis=1))

        def why(i: int) -> str:
            j = int(np.argmax(box[i]))
            if not len(self.one_hot) or box[i, j] >= by_group[i].max():
                kind = "an integer " if self.integer[j] else ""
                return f"column {j} holds {dense[i, j]:g}, the space wants {kind}between {self.lower[j]:g} and {self.upper[j]:g}"
            return f"the one-hot columns {self.one_hot[int(np.argmax(by_group[i]))].columns} hold no single 1"

        return np.maximum(box.max(axis=1), by_group.max(axis=1, initial=0.0)), why

    def _filter_violation(self, dense: FloatArray) -> FloatArray:
        worst = np.zeros(dense.shape[0])
        for ball in self.balls:
            worst = np.maximum(worst, np.linalg.norm(dense - ball.center, axis=1) - ball.radius)
        for slab in self.slabs:
            along = dense @ slab.direction
            worst = np.maximum(worst, np.maximum(slab.lower - along, along - slab.upper))
        if self.constraints is not None:
            worst = np.maximum(worst, [self._constraint_violation(row) for row in dense])
        return worst

    def _constraint_violation(self, row: FloatArray) -> float:
        from convexpoison.errors import optional_import

        assert self.constraints is not None
        x = optional_import("cvxpy", "all", "a space with constraints of its own").Variable(self.n_features)
        x.value = row
        return max((float(np.max(constraint.violation())) for constraint in self.constraints(x)), default=0.0)

    def _vector(self, values: ArrayLike, what: str) -> FloatArray:
        vector = np.asarray(values, dtype=np.float64)
        if vector.shape != (self.n_features,) or not np.isfinite(vector).all():
            raise ValueError(f"{what} must be {self.n_features} finite numbers; got shape {vector.shape}")
        return vector


def dense_chunks(rows: Any, cells: int = 2**22) -> Iterator[tuple[int, FloatArray]]:
    """Row numbers and dense rows, some at a time, so that sparse data are never dense as a whole."""
    step = max(1, cells // rows.shape[1])
    for start in range(0, rows.shape[0], step):
        some = rows[start : start + step]
        yield start, as_dense(some)
