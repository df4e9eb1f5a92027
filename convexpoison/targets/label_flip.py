"""Label flips: targets made by training on rows with wrong labels (Koh et al.; MTP, Section 5, and D.3 for the improved way)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from convexpoison._utils.types import FloatArray
from convexpoison.data.training_data import TrainingData
from convexpoison.display.images import Shape, plot_points
from convexpoison.display.shown import Facts, Shown, frame_of
from convexpoison.goals import rows_asked
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Victim
from convexpoison.targets.rows import appended, error_rate, held_out, n_wrong

QUANTILES = (0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.35, 0.40, 0.45, 0.50, 0.55, 0.60)
COPIES = (1, 2, 3, 5, 8, 10, 12, 15, 20, 25, 30, 50, 60)
_HELD_OUT = 6
"""One training row in six is flipped and evaluated on where the caller names no rows: MNIST's own ratio of test rows."""


@dataclass(frozen=True, eq=False)
class Candidate(Shown):
    """A target made by flipping labels.

    Attributes
    ----------
    model : LinearModel
    error : float
        Error rate on the rows of evaluation.
    clean_loss : float
        ``F(model)`` on the clean rows: the choice rule takes the least.
    n_flipped : int
        Rows flipped, copies not counted.
    copies : int
    quantile : float
    """

    model: LinearModel
    error: float
    clean_loss: float
    n_flipped: int
    copies: int
    quantile: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, without the model, for JSON."""
        names = ("error", "clean_loss", "n_flipped", "copies", "quantile")
        return {name: getattr(self, name) for name in names}

    def facts(self) -> Facts:
        """Return the main numbers in words."""
        return {
            "error": self.error,
            "loss on the clean rows": self.clean_loss,
            "rows flipped": self.n_flipped,
            "copies of each": self.copies,
            "quantile of the margins": self.quantile,
        }

    def to_frame(self) -> Any:
        """Return one row, as a pandas DataFrame."""
        return frame_of([self.to_dict()], "Candidate.to_frame")

    def plot(self, ax: Any = None, *, shape: Shape | None = None) -> Any:
        """Plot the coefficients of the model, as an image of that shape, or as a heat map of one row."""
        return plot_points(self.model.coef[None], ["coef"], ax, shape=shape)


def label_flip(
    victim: Victim,
    data: Any,
    *,
    error: float,
    flip: Any = None,
    evaluate: Any = None,
    quantiles: Sequence[float] = QUANTILES,
    copies: Sequence[int] = COPIES,
    improved: bool = False,
    random_state: int | None = 0,
    progress: bool | None = None,
) -> Candidate:
    """Find a target with at least that error rate, by the heuristic of Koh et al. that MTP uses (Section 5 and D.3).

    Rows whose margin under the clean model is below a quantile are flipped, repeated and appended to the training data;
    among the models of all quantiles and numbers of copies that err often enough, the one with the least loss on the clean
    data wins. For each quantile the numbers of copies are tried in rising order until the error is reached: more copies
    only raise the clean loss.

    Parameters
    ----------
    victim : Victim
        A classifier.
    data : pair (X, y) or TrainingData
        Clean training data.
    error : float
        Wanted error rate, a fraction.
    flip : pair (X, y), optional
        Rows to flip; default: one sixth of the training rows, drawn at random. These stay in the clean data with
        their true labels as well, since the victim trains on all of its rows whatever the attacker does; the errors are then
        errors on training rows. MTP flips its test rows.
    evaluate : pair (X, y), optional
        Rows on which the error is measured; default: those of ``flip``.
    quantiles : sequence of float
        In (0, 1]; 1 flips every row.
    copies : sequence of int
    improved : bool
        MTP's improved targets (D.3): the margins are those of the last poisoned model, quantile by quantile with the numbers of
        copies inside, so that every combination is trained.
    random_state : int or None
        For the default rows to flip.
    progress : bool, optional
        Progress bar; default: on a terminal only.

    Returns
    -------
    Candidate

    Raises
    ------
    ValueError
        If no combination reaches the error.

    Examples
    --------
    >>> import convexpoison as cp
    >>> digits = cp.datasets.load("digits_17")
    >>> victim = cp.Victim("hinge", C_R=0.09)
    >>> wanted = cp.targets.label_flip(victim, digits.train, error=0.1, evaluate=digits.test)
    >>> wanted.error >= 0.1, 1.0 - wanted.model.accuracy(*digits.test) >= 0.1
    (True, True)
    """
    found = label_flips(
        victim,
        data,
        error=error,
        flip=flip,
        evaluate=evaluate,
        quantiles=quantiles,
        copies=copies,
        improved=improved,
        random_state=random_state,
        progress=progress,
    )
    return min(found, key=lambda candidate: candidate.clean_loss)


def label_flips(
    victim: Victim,
    data: Any,
    *,
    error: float,
    flip: Any = None,
    evaluate: Any = None,
    quantiles: Sequence[float] = QUANTILES,
    copies: Sequence[int] = COPIES,
    improved: bool = False,
    random_state: int | None = 0,
    progress: bool | None = None,
) -> list[Candidate]:
    """Return all candidates of :func:`label_flip`; the parameters are the same.

    Raises
    ------
    ValueError
        If no combination reaches the error.
    """
    if not 0 < error <= 1:
        raise ValueError(f"error is a fraction between 0 and 1, 0 left out; got {error}")
    if not victim.loss.classification:
        raise ValueError("label flipping makes targets for classifiers; this victim is a regression")
    _check_grid(quantiles, copies)
    with threadpool_limits(1, user_api="blas"):  # the matrices are small: threads would only wait for each other
        clean = TrainingData.from_user(data)
        flipped, judge = _rows(clean, flip, evaluate, random_state)
        search = _Search(victim, clean, flipped, judge, error, progress)
        found = search.from_the_last(quantiles, copies) if improved else search.from_the_clean(quantiles, copies)
    if not found:
        raise ValueError(
            f"no label flip reaches an error rate of {error:g} (tried {len(quantiles)} quantiles and {len(copies)} numbers of "
            "copies); ask for a smaller error, more copies or larger quantiles"
        )
    return found


def _check_grid(quantiles: Sequence[float], copies: Sequence[int]) -> None:
    if not len(quantiles) or not all(0.0 < q <= 1.0 for q in quantiles):
        raise ValueError(f"quantiles must lie in (0, 1], and there must be one at least; got {list(quantiles)}")
    if not len(copies) or not all(k == int(k) and k >= 1 for k in copies):
        raise ValueError(f"copies must be one or more positive integers; got {list(copies)}")


def _rows(clean: TrainingData, flip: Any, evaluate: Any, random_state: int | None) -> tuple[TrainingData, TrainingData]:
    """Return the rows to flip, and the rows to measure the error on."""
    flipped = held_out(clean, _HELD_OUT, random_state)
    if flip is not None:
        flipped = TrainingData.from_user(flip, classes=clean.classes, both_classes=False)
    if evaluate is None:
        return flipped, flipped
    return flipped, TrainingData.from_user(evaluate, classes=clean.classes, both_classes=False)


@dataclass(frozen=True, eq=False)
class _Search:
    """What :func:`label_flip` promises, its arguments checked."""

    victim: Victim
    clean: TrainingData
    flipped: TrainingData
    judge: TrainingData
    error: float
    progress: bool | None

    def from_the_clean(self, quantiles: Sequence[float], copies: Sequence[int]) -> list[Candidate]:
        """Return the candidates with the required error, at most one for each quantile."""
        found: list[Candidate] = []
        margins = self._margins(self.victim.trainer(self.clean).model)
        for quantile in self._shown(quantiles):
            below = _below(margins, quantile)
            for k in sorted(copies):
                candidate = self._candidate(below, k, quantile)
                if self._errs_enough(candidate):
                    found.append(candidate)
                    break
        return found

    def from_the_last(self, quantiles: Sequence[float], copies: Sequence[int]) -> list[Candidate]:
        """Return the same with the margins of the previous model."""
        found: list[Candidate] = []
        model = self.victim.trainer(self.clean).model
        for quantile in self._shown(quantiles):
            for k in copies:
                candidate = self._candidate(_below(self._margins(model), quantile), k, quantile)
                model = candidate.model
                if self._errs_enough(candidate):
                    found.append(candidate)
        return found

    def _errs_enough(self, candidate: Candidate) -> bool:
        return n_wrong(candidate.model, self.judge) >= rows_asked(self.error, self.judge.n_samples)

    def _shown(self, quantiles: Sequence[float]) -> Any:
        hidden = None if self.progress is None else not self.progress
        return tqdm(quantiles, desc="targets", disable=hidden, file=sys.stderr)

    def _margins(self, model: LinearModel) -> FloatArray:
        return self.flipped.y * model.decision_function(self.flipped.X)

    def _candidate(self, rows: np.ndarray, copies: int, quantile: float) -> Candidate:
        joined = appended(self.clean, self.flipped.X, -self.flipped.y, np.where(rows, copies, 0))
        model = self.victim.trainer(joined).model
        error, loss = error_rate(model, self.judge), self.victim.objective(model, self.clean)
        return Candidate(model, error, loss, int(rows.sum()), copies, quantile)


def _below(margins: FloatArray, quantile: float) -> np.ndarray:
    if quantile >= 1.0:
        return np.ones(margins.size, dtype=bool)
    return np.asarray(margins < np.quantile(margins, quantile))
