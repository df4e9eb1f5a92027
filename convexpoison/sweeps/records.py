"""A folder with one record per finished task, each written completely or not at all.

``sweep.json`` names the job and lists the tasks; ``KEY.json`` is the record of one task and, if results are saved,
``KEY.npz`` its attack. Only the process that called :func:`convexpoison.sweep` writes.
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
    """The outcome of one task.

    Attributes
    ----------
    key : str
    params : dict
    random_state : int
    status : {"ok", "failed", "pending"}
    result : dict or None
        The return value of the task.
    error : str or None
        The traceback of a task that failed.
    seconds : float or None
    version : str
        The version of convexpoison that ran the task.
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
        """Return the record of a task that has not run."""
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
        """Create the folder if it does not exist, write the list of tasks, and return the existing records.

        Raises
        ------
        ValueError
            If the folder contains something else, or records of another job or format.
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
                        f"the store {self.folder} contains results of {head['job']!r}, not of {job!r}; name another folder"
                    )
            planned = [asdict(Record.of(task)) for task in tasks]
            self._write(_HEAD, {"format": _FORMAT, "job": job, "version": __version__, "tasks": planned})
        except OSError as error:
            raise type(error)(f"the store {self.folder} cannot be written to: {error}") from error
        return records

    def add(self, record: Record, attack: AttackResult | None) -> None:
        """Write a record; its attack first, because the record marks the task as complete."""
        if attack is not None:
            attack.save(self.attack_file(record.key))
        self._write(f"{record.key}.json", asdict(record))

    def records(self) -> dict[str, Record]:
        """Return the records by key."""
        return {path.stem: self._record(path) for path in self.folder.glob("[!.]*.json") if path.name != _HEAD}

    def planned(self) -> list[Record]:
        """Return the tasks of the last grid, in its order, as pending records."""
        return [Record(**task) for task in self._head()["tasks"]]

    def attack_file(self, key: str) -> Path:
        """Return the path of a task's attack, which exists if the attack was saved."""
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
