"""The table of a sweep."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convexpoison._utils.files import whole_file
from convexpoison.display.heat_map import plot_heat_map
from convexpoison.display.shown import Facts, Shown, frame_of
from convexpoison.errors import optional_import
from convexpoison.results.attack_result import AttackResult
from convexpoison.sweeps.records import Record, Store

_OWN = ("random_state", "status", "error", "seconds")


@dataclass(frozen=True, eq=False)
class SweepResult(Shown):
    """The outcomes of the tasks of a sweep.

    Attributes
    ----------
    records : tuple of Record
        One per task, in the order of the grid.
    store : Path or None
    interrupted : bool
        Whether Ctrl-C ended the run.
    """

    records: tuple[Record, ...]
    store: Path | None = None
    interrupted: bool = False

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        parts = [("finished", self._with("ok")), ("failed", self.failed), ("pending", self.pending)]
        counts = ", ".join(f"{len(records)} {name}" for name, records in parts if records or name == "finished")
        return f"SweepResult({len(self)} tasks: {counts})"

    def facts(self) -> Facts:
        """Return the numbers of tasks by status, and their total time."""
        return {
            "tasks": len(self),
            "finished": len(self._with("ok")),
            "failed": len(self.failed),
            "pending": len(self.pending),
            "seconds of all tasks": sum(record.seconds or 0.0 for record in self.records),
        }

    @property
    def failed(self) -> tuple[Record, ...]:
        """The tasks that raised; ``record.error`` is the traceback."""
        return self._with("failed")

    @property
    def pending(self) -> tuple[Record, ...]:
        """The tasks that have not run."""
        return self._with("pending")

    def _with(self, status: str) -> tuple[Record, ...]:
        return tuple(record for record in self.records if record.status == status)

    @classmethod
    def load(cls, store: str | os.PathLike[str]) -> SweepResult:
        """Load all records of a store, without running anything; also while a sweep is writing to it.

        The tasks of the last grid come first, in its order, and then those of earlier grids.

        Raises
        ------
        ValueError
            If the folder is not the store of a sweep, or one of its files is damaged.
        """
        shelf = Store(Path(store))
        planned, records = shelf.planned(), shelf.records()
        first = [records.pop(task.key, task) for task in planned]
        others = sorted(records.values(), key=lambda record: json.dumps(record.params, sort_keys=True))
        return cls((*first, *others), shelf.folder)

    def attack(self, task: int) -> AttackResult:
        """Load the attack of a task by its row, if the sweep ran with ``keep_results=True``.

        Raises
        ------
        FileNotFoundError
            If it was not saved.
        """
        record = self.records[task]
        path = None if self.store is None else Store(self.store).attack_file(record.key)
        if path is None or not path.is_file():
            raise FileNotFoundError(
                f"the attack of task {task} ({record.status}) was not saved; sweep with keep_results=True"
            )
        return AttackResult.load(path)

    def to_frame(self) -> Any:
        """Return a pandas DataFrame, one row per task: parameters, return values, random_state, status, error, seconds.

        Entries of dicts have dotted names (``target.label_flip.error``, ``bound.n_points``). A return value is called
        ``result.NAME`` if a parameter or a column of the sweep has that name (``result.seconds`` is the time of the attack,
        ``seconds`` that of the task). The provenance of an attack is left out; ``records`` include it.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.
        """
        params = [_flat(record.params) for record in self.records]
        taken = {*_OWN, *(name for row in params for name in row)}
        rows = [row | self._row(record, taken) for row, record in zip(params, self.records, strict=True)]
        columns = dict.fromkeys(name for row in params for name in row)
        columns |= dict.fromkeys(name for row in rows for name in row if name not in _OWN)
        return frame_of(rows, "SweepResult.to_frame").reindex(columns=[*columns, *_OWN])

    def _row(self, record: Record, taken: set[str]) -> dict[str, Any]:
        result = {name: value for name, value in (record.result or {}).items() if name != "provenance"}
        row = {f"result.{name}" if name in taken else name: value for name, value in _flat(result).items()}
        return row | {name: getattr(record, name) for name in _OWN}

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write the table; columns with values of several types become text.

        Raises
        ------
        MissingDependencyError
            If pandas or pyarrow is not installed.
        """
        optional_import("pyarrow", "frame", "SweepResult.to_parquet")
        frame = self.to_frame()
        for name in [name for name, dtype in frame.dtypes.items() if dtype.kind == "O"]:
            known = frame[name].dropna()
            if known.map(type).nunique() > 1:
                frame[name] = known.map(str)
        with whole_file(Path(path)) as file:
            frame.to_parquet(file, index=False)

    def plot(self, x: str | None = None, y: str | None = None, value: str = "n_points", *, ax: Any = None) -> Any:
        """Plot a heat map of a value over two parameters; see :func:`convexpoison.display.heat_map.plot_heat_map`.

        Parameters
        ----------
        x, y : str, optional
            Columns of :meth:`to_frame`; default: the first parameters that take several values, or any.
        value : str
        ax : matplotlib Axes, optional

        Raises
        ------
        ValueError
            If a column does not exist or has no numbers, or the tasks have fewer than two parameters.
        MissingDependencyError
            If pandas or matplotlib is not installed.
        """
        names = [name for name in self.varied() if name not in (x, y)]
        chosen = [name or (names.pop(0) if names else None) for name in (x, y)]
        if None in chosen:
            raise ValueError("a heat map needs two parameters, and the tasks of this sweep have fewer")
        return plot_heat_map(self.to_frame(), str(chosen[0]), str(chosen[1]), value, ax)

    def varied(self) -> list[str]:
        """Return the names of the parameters as in :meth:`to_frame`, those that take several values first."""
        rows = [_flat(record.params) for record in self.records]
        names = dict.fromkeys(name for row in rows for name in row)
        return sorted(names, key=lambda name: len({str(row.get(name)) for row in rows}) == 1)


def _flat(entries: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Flatten nested dicts, with names joined by dots; lists become JSON, so that they can be compared and grouped."""
    flat: dict[str, Any] = {}
    for name, value in entries.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{before}{name}.")
        else:
            flat[before + name] = json.dumps(value) if isinstance(value, list) else value
    return flat
