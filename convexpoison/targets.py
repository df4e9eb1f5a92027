"""How targets are made: models that misbehave as the attacker wants and that the victim could have learned."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from convexpoison.data import TrainingData
from convexpoison.model import LinearModel
from convexpoison.victim import Victim

QUANTILES = (0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.35, 0.40, 0.45, 0.50, 0.55, 0.60)
COPIES = (1, 2, 3, 5, 8, 10, 12, 15, 20, 25, 30, 50, 60)
_HELD_OUT = 6
"""One training row in six is flipped and evaluated on where the caller names no rows: MNIST's own ratio of test rows."""


@dataclass(frozen=True, eq=False)
class Candidate:
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


def label_flip(
    victim: Victim,
    data: Any,
    *,
    error: float,
    flip: Any = None,
    evaluate: Any = None,
    quantiles: Sequence[float] = QUANTILES,
    copies: Sequence[int] = COPIES,
    random_state: int | None = 0,
    progress: bool | None = None,
) -> Candidate:
    """A target with at least that error rate, by the heuristic of Koh et al. that MTP uses (Section 5 and D.3).

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
        Rows to flip; one sixth of the training rows, drawn at random, where not given. MTP flips its test rows.
    evaluate : pair (X, y), optional
        Rows on which the error is measured; those of ``flip`` where not given.

    Returns
    -------
    Candidate

    Raises
    ------
    ValueError
        If no combination reaches the error.
    """
    if not 0 < error <= 1:
        raise ValueError(f"error is a fraction between 0 and 1, 0 left out; got {error}")
    if not victim.loss.classification:
        raise ValueError("label flipping makes targets for classifiers; this victim is a regression")
    with threadpool_limits(1, user_api="blas"):  # the matrices are small: threads would only wait for each other
        return _search(victim, data, error, flip, evaluate, quantiles, copies, random_state, progress)


def _search(
    victim: Victim,
    data: Any,
    error: float,
    flip: Any,
    evaluate: Any,
    quantiles: Sequence[float],
    copies: Sequence[int],
    random_state: int | None,
    progress: bool | None,
) -> Candidate:
    """What :func:`label_flip` promises, its arguments checked."""
    clean = TrainingData.from_user(data)
    flipped = (
        _held_out(clean, random_state)
        if flip is None
        else TrainingData.from_user(flip, classes=clean.classes, both_classes=False)
    )
    judge = flipped if evaluate is None else TrainingData.from_user(evaluate, classes=clean.classes, both_classes=False)
    model = victim.trainer(clean).model
    margins = flipped.y * model.decision_function(flipped.X)
    found: list[Candidate] = []
    shown = None if progress is None else not progress
    for quantile in tqdm(quantiles, desc="targets", disable=shown, file=sys.stderr):
        below = margins < np.quantile(margins, quantile) if quantile < 1.0 else np.ones(margins.size, dtype=bool)
        for k in sorted(copies):
            candidate = _candidate(victim, clean, flipped, below, k, quantile, judge)
            if candidate.error >= error:
                found.append(candidate)
                break
    if not found:
        raise ValueError(
            f"no label flip reaches an error rate of {error:g} (tried {len(quantiles)} quantiles and {len(copies)} numbers of "
            "copies); ask for a smaller error, more copies or larger quantiles"
        )
    return min(found, key=lambda candidate: candidate.clean_loss)


def _candidate(
    victim: Victim,
    clean: TrainingData,
    flipped: TrainingData,
    rows: np.ndarray,
    copies: int,
    quantile: float,
    judge: TrainingData,
) -> Candidate:
    chosen = flipped.X[np.flatnonzero(rows)]
    mixed = sp.issparse(clean.X) or sp.issparse(chosen)
    X = sp.vstack([clean.X, chosen], format="csr") if mixed else np.vstack([clean.X, chosen])
    n_flipped = int(rows.sum())
    joined = TrainingData(
        X,
        np.concatenate([clean.y, -flipped.y[rows]]),
        np.concatenate([clean.sample_weight, np.full(n_flipped, float(copies))]),
        clean.classes,
    )
    model = victim.trainer(joined).model
    error = float(np.mean((model.decision_function(judge.X) > 0) != (judge.y > 0)))
    return Candidate(model, error, victim.objective(model, clean), n_flipped, copies, quantile)


def _held_out(clean: TrainingData, random_state: int | None) -> TrainingData:
    chosen = np.random.default_rng(random_state).permutation(clean.n_samples)[: max(2, clean.n_samples // _HELD_OUT)]
    chosen.sort()
    return TrainingData(clean.X[chosen], clean.y[chosen], clean.sample_weight[chosen], clean.classes)
