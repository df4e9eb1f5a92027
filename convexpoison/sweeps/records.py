"""A folder with one record a finished task, each written whole or not at all.

``sweep.json`` says what is swept and which tasks there are; ``KEY.json`` is the record of one task and, where results are
kept, ``KEY.npz`` its attack. Only the process that called :func:`convexpoison.sweep` writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from convexpoison import __version__
from convexpoison._utils.files import whole_file
from convexpoison.results.attack_result import AttackResult
from convexpoison.sweeps.grid import Params, Task

_FORMAT = 1
_HEAD = "sweep.json"


@dataclass(frozen=True, eq=False)
class Record:
    """What became of one task.

    Attributes
    ----------
    key : str
    params : dict
    random_state : int
    status : {"ok", "failed", "pending"}
    result : dict or None
        What the task returned.
    error : str or None
        The traceback of a task that failed.
    seconds : float or None
    version : str
        Of convexpoison, when the task ran.
    """

    key: str
    params: Params
    random_state: int
    status: Literal["ok", "failed", "pending"] = "pending"
    result: dict[str, Any] | None = None
    error: str | None = None
    seconds: float | None = None
    version: str = __version__

    @classmethod
    def of(cls, task: Task) -> Record:
        """The task before it has run."""
        return cls(task.key, task.told, task.random_state)


class Store:
    """The records of a folder.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, job: str, tasks: Iterable[Task]) -> dict[str, Record]:
        """Make the folder where there is none, write down the tasks, and return the records that are there.

        Raises
        ------
        ValueError
            If the folder holds something else, or records of another job or format.
        OSError
            If it cannot be written to.
        """
        records: dict[str, Record] = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if any(not path.name.startswith(".") for path in self.folder.iterdir()):
                head, records = self._head(), self.records()
                if head["job"] != job:
                    raise ValueError(
                        f"the store {self.folder} holds results of {head['job']!r}, not of {job!r}; name another folder"
                    )
            planned = [asdict(Record.of(task)) for task in tasks]
            self._write(_HEAD, {"format": _FORMAT, "job": job, "version": __version__, "tasks": planned})
        except OSError as error:
            raise type(error)(f"the store {self.folder} cannot be written to: {error}") from error
        return records

    def add(self, record: Record, attack: AttackResult | None) -> None:
        """Write down a task; its attack first, because the record says that all is there."""
        if attack is not None:
            attack.save(self.attack_file(record.key))
        self._write(f"{record.key}.json", asdict(record))

    def records(self) -> dict[str, Record]:
        """By key."""
        return {path.stem: self._record(path) for path in self.folder.glob("[!.]*.json") if path.name != _HEAD}

    def planned(self) -> list[Record]:
        """The tasks of the last grid, in its order, as they were before they ran."""
        return [Record(**task) for task in self._head()["tasks"]]

    def attack_file(self, key: str) -> Path:
        """Where the attack of a task is, if it was kept."""
        return self.folder / f"{key}.npz"

    def _head(self) -> dict[str, Any]:
        if not (self.folder / _HEAD).is_file():
            raise ValueError(
                f"{self.folder} is not the store of a sweep (it has no {_HEAD}); name another or a new folder"
            )
        head = self._read(self.folder / _HEAD)
        if head.get("format") != _FORMAT:
            raise ValueError(
                f"the store {self.folder} has format {head.get('format')} (convexpoison {head.get('version')}); this is "
                f"convexpoison {__version__}, which reads format {_FORMAT}: name another folder"
            )
        return head

    def _record(self, path: Path) -> Record:
        try:
            return Record(**self._read(path))
        except TypeError as error:
            raise ValueError(f"{path} is not the record of a task; move it out of the store") from error

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is damaged ({error}); delete it, and its task runs again") from error
        if not isinstance(found, dict):
            raise ValueError(f"{path} is not a file of a sweep; move it out of the store")
        return found

    def _write(self, name: str, content: dict[str, Any]) -> None:
        with whole_file(self.folder / name) as file:
            file.write(json.dumps(content, indent=1).encode())
