"""UCI Adult as 57 numbers per row: the recipe of the model-targeted poisoning paper's experiments (MTP, Section 5).

The recipe balances the classes by drawing as many negative rows as there are positive ones. The published experiments
used the drawn numbers, which are positions among the negative rows, as row numbers of the whole set, so that their
drawn half contains positive rows too (62 % positive in all). Both selections of rows are made here: ``as_coded`` is the
published one, ``balanced`` the intended one.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convexpoison._utils.types import FloatArray

Rows = list[list[str]]

N_REAL = 4
"""Columns 0 to 3 are real numbers, all others 0 or 1."""

_FIELDS = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship", "race",
    "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income",
)  # fmt: skip
_CATEGORICAL = ("workclass", "education-num", "marital-status", "occupation", "relationship", "race", "sex")


@dataclass(frozen=True, eq=False)
class AdultRows:
    """All rows of one part (train or test) and two selections of them.

    Attributes
    ----------
    X : float32 array of shape (n_rows, 57)
    y : int8 array of shape (n_rows,)
        1 for an income above 50,000 dollars, else 0.
    as_coded, balanced : int arrays of shape (2 * n_positive,)
        Row numbers.
    """

    X: np.ndarray
    y: np.ndarray
    as_coded: np.ndarray
    balanced: np.ndarray


def read_rows(path: Path) -> Rows:
    """Read the 15 fields of every row, from the original comma-separated text or a cleaned CSV of it, gzipped or not."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        rows = [[field.strip() for field in row] for row in csv.reader(file)]
    # The original test file starts with a comment line, both end with an empty line; a cleaned CSV has a header.
    rows = [row for row in rows if len(row) == len(_FIELDS) and row[0] != _FIELDS[0]]
    return [[*row[:-1], row[-1].rstrip(".")] for row in rows]


def build(train: Rows, test: Rows) -> tuple[AdultRows, AdultRows, tuple[str, ...]]:
    """Build the 57 features of both parts, the selections of rows, and the names of the features."""
    columns = dict(zip(_FIELDS, zip(*train, *test, strict=True), strict=True))
    named = [*_real_columns(columns), *(pair for name in _CATEGORICAL for pair in _indicators(name, columns[name]))]
    X = np.column_stack([values for _, values in named]).astype(np.float32)
    y = np.array([income == ">50K" for income in columns["income"]], dtype=np.int8)
    # The published rows come from this legacy generator: train draws, test draws, train is shuffled.
    rng = np.random.RandomState(0)
    parts = (slice(0, len(train)), slice(len(train), None))
    (train_coded, train_balanced), (test_coded, test_balanced) = (_draw(y[part], rng) for part in parts)
    order = np.arange(train_coded.size)
    rng.shuffle(order)
    return (
        AdultRows(X[parts[0]], y[parts[0]], train_coded[order], train_balanced[order]),
        AdultRows(X[parts[1]], y[parts[1]], test_coded, test_balanced),
        tuple(name for name, _ in named),
    )


def _real_columns(columns: dict[str, tuple[str, ...]]) -> Iterable[tuple[str, FloatArray]]:
    age = np.array(columns["age"], dtype=np.float64)
    yield "age", (age - age.min()) / (age.max() - age.min())
    for name in ("capital-gain", "capital-loss", "hours-per-week"):
        values = np.array(columns[name], dtype=np.float64)
        yield name, (values - values.min()) / values.max()  # so hours end at 98 / 99, as published


def _indicators(name: str, values: tuple[str, ...]) -> Iterable[tuple[str, FloatArray]]:
    """Yield one 0/1 column for every value but the first; "?" counts as a value."""
    column = np.array(values)
    present = sorted(set(values), key=int) if name == "education-num" else sorted(set(values))
    for value in present[1:]:
        yield f"{name}={value}", (column == value).astype(np.float64)


def _draw(y: np.ndarray, rng: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Draw the row numbers (as coded, balanced): a random half and all positive rows."""
    negative, positive = np.flatnonzero(y == 0), np.flatnonzero(y == 1)
    drawn = rng.choice(negative.size, positive.size, replace=False)
    return np.concatenate([drawn, positive]), np.concatenate([negative[drawn], positive])
