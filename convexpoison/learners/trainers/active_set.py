"""Exact, warm training of the SVM: an active-set method on the dual of the hinge loss.

Dual: maximise ``sum(a) - |g|**2 / (2 rho)`` over ``0 <= a_i <= c_i`` with ``g = sum a_i y_i x_i`` (the intercept is one
more coordinate where it is regularised). Rows are *zero* (``a = 0``), *bound* (``a = c``) or *free*. A step solves for
the free rows exactly; rows that meet a bound leave, rows whose margin contradicts their state enter. The dual value
rises with every step, so the method ends; the duality gap is the sum of the contradictions, and all zero and bound
rows that cannot contradict are left out by :mod:`~convexpoison.learners.trainers.screening`.

A free intercept is reached by proximal steps: it is regularised towards its own last value until it stays there, which
is when ``sum a_i y_i = 0``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import TrainingData
from convexpoison.errors import SolverError
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.trainers.base import Trainer
from convexpoison.learners.trainers.free_set import FreeSet
from convexpoison.learners.trainers.screening import Screen

if TYPE_CHECKING:
    from convexpoison.learners.victim import Victim

_ZERO, _BOUND, _FREE = 0, 1, 2
_GAP = 1e-9
"""Promised duality gap, relative to the objective."""
_AIM = 1e-15
"""What the method aims at: bounds ask on which side of margin 1 a row is, which a rougher model leaves open."""
_PATIENCE = 20
"""Rounds without a smaller gap after which a model that keeps the promise is good enough."""
_BATCH = 128
"""Rows that enter at once: enough for a cold start, few enough that the free set stays small."""
_MAX_ROUNDS = 5000


class ActiveSetTrainer(Trainer):
    """See the module docstring, and :class:`~convexpoison.learners.trainers.base.Trainer` for what a trainer promises."""

    def __init__(self, victim: Victim, data: TrainingData) -> None:
        if victim.rho(data.n_rows) <= 0:
            raise ValueError("the hinge loss needs regularisation: give the victim a finite C, or C_R > 0")
        self.victim = victim
        self._classes = data.classes
        self._rows = data.rows.growing(False)
        self._screen = Screen(self._rows)
        self._y = data.y.copy()
        self._c = data.sample_weight.copy()
        self._n = data.n_rows
        self._alpha = np.zeros(data.n_samples)
        self._state = np.full(data.n_samples, _ZERO, dtype=np.int8)
        self._free = FreeSet(data.n_features, sparse=self._rows.is_sparse)
        self._twins: dict[bytes, int] = {}
        self._b_reference = 0.0
        self._b_scale = victim.intercept_scaling**2 if victim.intercept == "regularized" else 0.0
        if victim.intercept == "free":
            self._b_scale = 10.0 * max(1.0, float(self._rows.squared_norms().mean()))
        # Sums over the bound rows, one line for the clean rows and one for the added: c y x, c y and c.
        self._bound_vector = np.zeros((2, data.n_features))
        self._bound_sums = np.zeros((2, 2))
        self._g = np.zeros(data.n_features)
        self._g_b = 0.0
        self._known_theta: tuple[FloatArray, float] | None = None
        self._scale = self._n  # of the objective, to judge the gap by until it is known
        self._start()
        self._solve()

    # ---------------------------------------------------------------- what a trainer promises

    def add(self, x: FloatArray, y: float, weight: float = 1.0) -> None:
        x = np.ascontiguousarray(x, dtype=np.float64)
        key = x.tobytes() + (b"+" if y > 0 else b"-")
        self._n += weight
        self._moved()
        i = self._twins.get(key)
        if i is None:
            self._twins[key] = self._append(x, y, weight)
        else:
            self._c[i] += weight
            if self._state[i] == _BOUND:
                self._raise_bound(i, x, weight)
        self._solve()

    def place(self, points: FloatArray, labels: FloatArray, weights: np.ndarray) -> np.ndarray:
        self._n += float(weights.sum())
        self._moved()
        rows = zip(points, labels.tolist(), weights.tolist(), strict=True)
        places = np.array([self._append(x, y, weight) for x, y, weight in rows], dtype=np.intp)
        self._solve()
        return places

    def move(self, places: np.ndarray, points: FloatArray, labels: FloatArray) -> None:
        if (labels != self._y[places]).any():
            raise ValueError(
                "moved rows keep their labels where these are classes; place rows with the other label instead"
            )
        free = np.flatnonzero(np.isin(self._free.index, places))
        index = self._free.index[free]
        self._free.remove(free)
        for i, x in zip(places.tolist(), points, strict=True):
            change = x - self._rows.added[i - self._rows.n_clean]
            self._g += self._alpha[i] * self._y[i] * change
            if self._state[i] == _BOUND:
                self._bound_vector[1] += self._c[i] * self._y[i] * change
            self._rows.replace(i, x)
        self._free.insert(index, self._rows.pick(index))
        self._screen.replaced(places)
        self._moved()
        self._solve()

    def _append(self, x: FloatArray, y: float, weight: float) -> int:
        """A new row; it begins at its bound, if its best multiplier lies there, else without one."""
        i = self._rows.append(x)
        self._y = np.append(self._y, y)
        self._c = np.append(self._c, weight)
        self._alpha = np.append(self._alpha, 0.0)
        self._state = np.append(self._state, np.int8(_ZERO))
        w, b = self._theta
        if self._rho * (1.0 - y * (x @ w + b)) >= weight * (x @ x + self._b_scale):
            self._raise_bound(i, x, weight)
        return i

    @property
    def objective(self) -> float:
        return float(self._losses().sum()) + self._rho * self.victim.penalty(self.model)

    def clean_loss(self) -> float:
        return float(self._losses()[0])

    def _losses(self) -> FloatArray:
        """Sum of the hinge losses of the clean rows, and of the added ones; bound rows through their cached sums."""
        w, b = self._theta
        bound = self._bound_sums[:, 1] - self._bound_vector @ w - b * self._bound_sums[:, 0]
        index = self._free.index
        of_free = self._c[index] * np.maximum(0.0, 1.0 - self._margins_of_free())
        return np.asarray(bound + np.bincount(index >= self._rows.n_clean, of_free, minlength=2))

    # ---------------------------------------------------------------- state

    @property
    def _rho(self) -> float:
        return self.victim.rho(self._n)

    @property
    def _theta(self) -> tuple[FloatArray, float]:
        """Coefficients and intercept that the multipliers stand for; kept until :meth:`_moved`."""
        if self._known_theta is None:
            self._known_theta = self._g / self._rho, float(self._b_reference + self._b_scale * self._g_b / self._rho)
        return self._known_theta

    def _moved(self) -> None:
        """The multipliers, rho or the reference of a free intercept have changed."""
        self._known_theta = None

    def _margins_of_free(self) -> FloatArray:
        w, b = self._theta
        return np.asarray(self._y[self._free.index] * (self._free.rows @ w + b))

    def _move_alpha(self, index: np.ndarray, rows: Any, step: FloatArray) -> None:
        """Change multipliers, and g with them."""
        signed = step * self._y[index]
        self._alpha[index] += step
        self._g += signed @ rows
        self._g_b += float(signed.sum())
        self._moved()

    def _count_bound(self, index: np.ndarray, rows: Any, weight: FloatArray) -> None:
        """Put ``weight`` of these rows into (take it out of, if negative) the sums over bound rows."""
        signed, added = weight * self._y[index], index >= self._rows.n_clean
        for block, part in enumerate((~added, added)):
            if part.any():
                self._bound_vector[block] += signed[part] @ rows[np.flatnonzero(part)]
                self._bound_sums[block] += signed[part].sum(), weight[part].sum()

    def _raise_bound(self, i: int, x: FloatArray, weight: float) -> None:
        """Let a row whose upper bound has grown by ``weight`` stand at the bound."""
        self._state[i] = _BOUND
        index, row, step = np.array([i]), x[None], np.array([weight])
        self._move_alpha(index, row, step)
        self._count_bound(index, row, step)

    def _enter(self, index: np.ndarray) -> None:
        rows = self._rows.pick(index)
        bound = np.flatnonzero(self._state[index] == _BOUND)
        self._count_bound(index[bound], rows[bound], -self._c[index[bound]])
        self._state[index] = _FREE
        self._free.insert(index, rows)

    def _leave(self, positions: np.ndarray) -> None:
        """Rows at these positions of the free set stand at a bound; they stop being free."""
        index = self._free.index[positions]
        bound = self._alpha[index] > 0
        self._state[index] = np.where(bound, _BOUND, _ZERO)
        self._count_bound(index[bound], self._free.rows[positions[bound]], self._c[index[bound]])
        self._free.remove(positions)

    # ---------------------------------------------------------------- the method

    def _start(self) -> None:
        """Begin from a rough solution: rows that it has clearly inside the margin are bound, those near it free."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.svm import LinearSVC
        from sklearn.utils._testing import ignore_warnings

        rough = LinearSVC(loss="hinge", C=1.0 / self._rho, tol=1e-2, max_iter=200, random_state=0)
        rough.set_params(
            fit_intercept=self._b_scale > 0, intercept_scaling=float(np.sqrt(self._b_scale)) if self._b_scale else 1.0
        )
        X = self._rows.clean_slice(np.arange(self._rows.n_clean))
        ignore_warnings(rough.fit, category=ConvergenceWarning)(X, self._y, sample_weight=self._c)
        margins = self._y * rough.decision_function(X)
        live = self._c > 0
        bound = live & (margins < 0.99)
        self._state[bound] = _BOUND
        self._alpha[bound] = self._c[bound]
        self._restore_sums()
        near = np.flatnonzero(live & (np.abs(margins - 1.0) <= 0.01))
        self._enter(near[np.argsort(np.abs(margins[near] - 1.0), kind="stable")[: 4 * _BATCH]])

    def _restore_sums(self) -> None:
        """All cached sums afresh from the multipliers, so that rounding does not pile up."""
        signed = self._alpha * self._y
        self._g = self._rows.transposed_dot(signed)
        self._g_b = float(signed.sum())
        self._moved()
        n_clean = self._rows.n_clean
        for block, part in enumerate((slice(0, n_clean), slice(n_clean, None))):
            weights = np.zeros_like(self._c)
            weights[part] = np.where(self._state[part] == _BOUND, self._c[part], 0.0)
            self._bound_vector[block] = self._rows.transposed_dot(weights * self._y)
            self._bound_sums[block] = weights @ self._y, weights.sum()

    def _solve(self) -> None:
        refreshes = self._screen.refreshes
        smallest, idle = np.inf, 0
        for _ in range(_MAX_ROUNDS):
            self._optimise_free()
            index, violation = self._violations()
            self.gap = self._gap(index, violation)
            smallest, idle = min(smallest, self.gap), 0 if self.gap < 0.5 * smallest else idle + 1
            if (self.gap <= _AIM * self._scale or idle > _PATIENCE) and self._settled():
                break
            worst = index[violation > 0.0]
            if worst.size > _BATCH:
                worst = index[np.argpartition(violation, -_BATCH)[-_BATCH:]]
            if worst.size:
                self._enter(np.sort(worst))
            elif self.victim.intercept == "free" and self._imbalance() > 1e-3 * self.gap:
                self._b_reference = self._theta[1]
                self._moved()
            elif self._settled():
                break
            else:
                self._restore_sums()
        if not self._settled():
            raise SolverError(
                f"training stopped at a duality gap of {self.gap:.3g} for an objective of {self._scale:.6g}; "
                "the data may be badly scaled: bring the columns to comparable ranges"
            )
        if self._screen.refreshes // 64 > refreshes // 64:
            self._restore_sums()

    def _settled(self) -> bool:
        """Take note of the model and its objective; whether the gap keeps the promise."""
        self.model = LinearModel(*self._theta, self._classes)
        self._scale = max(self.objective, float(np.finfo(float).tiny))
        return self.gap <= _GAP * self._scale

    def _imbalance(self) -> float:
        """What ``sum a_i y_i != 0`` costs in the dual of a free intercept."""
        return abs(self._g_b) * (1.0 + abs(self._theta[1])) if self.victim.intercept == "free" else 0.0

    def _violations(self) -> tuple[np.ndarray, FloatArray]:
        """Rows that can contradict their state, and by how much loss they do (0: not at all, or free)."""
        index, scores = self._screen.scores(*self._theta, self._y)
        over = self._y[index] * scores - 1.0
        state = self._state[index]
        violation = self._c[index] * np.where(state == _BOUND, over, -over)
        violation[(state == _FREE) | (violation < 1e-13 * self._c[index])] = 0.0
        if self._screen.complete:
            self._screen.watch(index[violation > 0.0])
        return index, violation

    def _gap(self, index: np.ndarray, violation: FloatArray) -> float:
        """Primal minus dual value: a sum over rows of ``c max(0, 1 - u) - a (1 - u)``, each term not negative."""
        free = self._free.index
        short = 1.0 - self._margins_of_free()
        inside = float(self._c[free] @ np.maximum(0.0, short) - self._alpha[free] @ short)
        return float(violation.sum()) + inside + self._imbalance()

    def _optimise_free(self) -> None:
        """Maximise the dual over the free rows; those that meet a bound leave."""
        residual = np.inf
        while self._free.size:
            index, rows = self._free.index, self._free.rows
            y, alpha, c = self._y[index], self._alpha[index], self._c[index]
            right = self._rho * (1.0 - self._margins_of_free())
            worst = float(np.abs(right).max()) / self._rho
            if worst <= 1e-13 or worst > 0.5 * residual:
                return
            kernel = self._free.kernel(y, self._b_scale)
            step = self._free.solve(kernel, right)
            goal = alpha + step
            inside = (goal >= 0.0) & (goal <= c)
            if inside.all():
                self._move_alpha(index, rows, step)
                residual = worst
                continue
            residual = np.inf
            self._step_to_bounds(kernel, right, step)

    def _step_to_bounds(self, kernel: FloatArray, right: FloatArray, step: FloatArray) -> None:
        """The better of two steps that respect the bounds: the projected one, and the longest along the ray."""
        index = self._free.index
        alpha, c = self._alpha[index], self._c[index]
        room = np.where(step > 0, c - alpha, alpha) / np.maximum(np.abs(step), np.finfo(float).tiny)
        longest = float(min(1.0, room.min()))
        candidates = [np.clip(alpha + step, 0.0, c) - alpha, longest * step]
        rise = [float(right @ move - 0.5 * move @ (kernel @ move)) for move in candidates]
        best = int(np.argmax(rise))
        meets = room <= (1.0, longest)[best]  # these stand at, or run into, the bound that they are heading for
        target = np.clip(alpha + candidates[best], 0.0, c)
        target[meets] = np.where(step > 0, c, 0.0)[meets]
        self._move_alpha(index, self._free.rows, target - alpha)
        self._alpha[index] = target  # exactly on the bound, without the rounding of alpha + (target - alpha)
        self._leave(np.flatnonzero(meets))
