"""Per-image results in an append-only text file.

The columns are those of the published files (Cohen et al., 2019, and their successors): idx, label, predict (-1 abstains),
radius, correct (0 or 1), time; followed here by sigma and n. The first line ``# {...}`` contains the settings.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

PUBLISHED = ("idx", "label", "predict", "radius", "correct", "time")
COLUMNS = (*PUBLISHED, "sigma", "n")


def read_records(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read columns and settings of a file of records, written by this module or published; ``.gz`` is decompressed.

    A last line without a newline was truncated when its writer was killed, and is ignored.

    Raises
    ------
    ValueError
        If the header or a line is malformed, or ``correct`` is inconsistent with ``predict == label``.
    """
    with gzip.open(path, "rt") if str(path).endswith(".gz") else open(path) as file:
        text = file.read()
    settings: dict[str, Any] = {}
    lines = text.splitlines()
    if _has_settings(text) and not text.endswith("\n"):
        lines = lines[:-1]
    if lines and lines[0].startswith("# "):
        settings = json.loads(lines.pop(0)[2:])
    names = lines.pop(0).split("\t") if lines else []
    if tuple(names[: len(PUBLISHED)]) != PUBLISHED:
        raise ValueError(
            f"{path} starts with the columns {names}; records have {', '.join(PUBLISHED)}, separated by tabs"
        )
    rows = [line.split("\t") for line in lines if line]
    bad = next((i for i, row in enumerate(rows) if len(row) != len(names)), None)
    if bad is not None:
        raise ValueError(f"{path}: row {bad} has {len(rows[bad])} fields, not {len(names)}")
    columns = {name: _column(name, [row[i] for row in rows]) for i, name in enumerate(names)}
    if (columns["correct"] != (columns["predict"] == columns["label"])).any():
        raise ValueError(f"{path}: correct is not 1 exactly where predict equals label")
    return columns, settings


class RecordWriter:
    """Appends records to a file, which is created with its header if it does not exist.

    Parameters
    ----------
    path : path
    settings : dict
        Settings on which the results depend, JSON-serialisable; a file with other settings is not continued.

    Raises
    ------
    ValueError
        If the file has other settings or was not written by this class.
    """

    def __init__(self, path: str | os.PathLike[str], settings: dict[str, Any]) -> None:
        self.path = Path(path)
        self.done: dict[str, np.ndarray] = {name: np.empty(0) for name in COLUMNS}
        if self.path.exists() and self.path.stat().st_size:
            self._continue(json.loads(json.dumps(settings)))
        else:
            self._append(f"# {json.dumps(settings)}\n" + "\t".join(COLUMNS) + "\n")

    def _continue(self, settings: dict[str, Any]) -> None:
        text = self.path.read_text()
        if not _has_settings(text):
            raise ValueError(f"{self.path} has no line of settings and is not continued; choose another path")
        self.done, before = read_records(self.path)
        if before != settings:
            differ = sorted(k for k in {*before, *settings} if before.get(k) != settings.get(k))
            changes = "; ".join(f"{k}: {before.get(k)!r} there, {settings.get(k)!r} now" for k in differ)
            raise ValueError(f"{self.path} was made with other settings ({changes}); choose another path, or remove it")
        if not text.endswith("\n"):
            with open(self.path, "r+b") as file:
                file.truncate(text.encode().rfind(b"\n") + 1)

    def write(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Append rows of (idx, label, predict, radius, time, sigma, n) and flush them to disk."""
        lines = []
        for idx, label, predict, radius, seconds, sigma, n in rows:
            correct = int(predict == label)
            fields = (idx, label, predict, repr(float(radius)), correct, f"{seconds:.4f}", repr(float(sigma)), n)
            lines.append("\t".join(map(str, fields)) + "\n")
        self._append("".join(lines))

    def _append(self, text: str) -> None:
        with open(self.path, "a") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


def _has_settings(text: str) -> bool:
    return text.startswith("# {")


def _column(name: str, values: list[str]) -> np.ndarray:
    if name == "time":
        return np.array([_seconds(value) for value in values])
    return np.array(values, dtype=np.float64 if name in ("radius", "sigma") else np.int64)


def _seconds(text: str) -> float:
    """Parse seconds or h:mm:ss."""
    total = 0.0
    for part in text.split(":"):
        total = 60.0 * total + float(part)
    return total
