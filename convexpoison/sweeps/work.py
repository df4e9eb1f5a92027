"""The run of one task in a worker."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from convexpoison.results.attack_result import AttackResult
from convexpoison.sweeps.grid import Task, plain
from convexpoison.sweeps.records import Record


def run_task(function: Callable[..., Any], task: Task, keep: bool, home: int) -> tuple[Record, AttackResult | None]:
    """Run the function and return the record of the task, with the attack if it is to be saved.

    Parameters
    ----------
    function : callable ``function(params, random_state)``
    task : Task
    keep : bool
    home : int
        Id of the process that called :func:`convexpoison.sweep`.
    """
    started, record = perf_counter(), Record.of(task)
    with _interrupts_go(home), threadpool_limits(1):
        try:
            found = function(dict(task.params), task.random_state)
            if isinstance(found, AttackResult) and found.stop_reason == "interrupted":
                raise KeyboardInterrupt  # the attack caught Ctrl-C, but this task is not finished
            result = _facts(found)
        except (Exception, SystemExit):
            seconds = perf_counter() - started
            return replace(record, status="failed", error=traceback.format_exc(), seconds=seconds), None
    done = replace(record, status="ok", result=result, seconds=perf_counter() - started)
    return done, found if keep and isinstance(found, AttackResult) else None


def _facts(found: Any) -> dict[str, Any]:
    if isinstance(found, AttackResult):
        found = found.to_dict()
    if not isinstance(found, Mapping):
        raise TypeError(f"a task returns an AttackResult or a dict of numbers and strings; got {type(found).__name__}")
    facts: dict[str, Any] = plain(found, _listed, "result")
    return facts


def _listed(value: Any, name: str) -> Any:
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), _listed, name)
    if sp.issparse(value):
        return plain(value.toarray().tolist(), _listed, name)
    raise TypeError(f"a task returns numbers, strings, lists and dicts; {name} is of type {type(value).__name__}")


@contextmanager
def _interrupts_go(home: int) -> Iterator[None]:
    """Ignore Ctrl-C in a worker: it reaches every process of the terminal, but only the calling one stops the workers."""
    if os.getpid() == home or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
