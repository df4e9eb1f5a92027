"""Execution of a grid: tasks without a record run in parallel, and each is recorded as soon as it is finished."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed
from tqdm import tqdm

from convexpoison import __version__
from convexpoison.sweeps.grid import Task, make_tasks, read_plan
from convexpoison.sweeps.jobs import Job, find_job
from convexpoison.sweeps.records import Record, Store
from convexpoison.sweeps.result import SweepResult
from convexpoison.sweeps.work import run_task


def sweep(
    grid: Any,
    task: str | Callable[..., Any] | None = None,
    *,
    n_jobs: int | None = None,
    store: str | os.PathLike[str] | None = None,
    random_state: int | None = None,
    retry_failed: bool = False,
    keep_results: bool = False,
    progress: bool | None = None,
) -> SweepResult:
    """Run attacks or bounds for every point of a grid, in parallel; resume an interrupted run.

    Parameters
    ----------
    grid : dict of lists, list of such dicts, or path to (or text of) a YAML file
        As in :class:`sklearn.model_selection.ParameterGrid`. For ``task`` "attack" and "lower_bound":

        - ``dataset``: names accepted by :func:`convexpoison.datasets.load`, Datasets, or pairs (X, y);
        - ``loss``, ``C`` or ``C_R``, ``intercept``, ``intercept_scaling``: the victim; or ``victim``, a
          :class:`~convexpoison.Victim` or a dict of those. Default: read from the target, if it is an estimator;
        - ``target``: models or goals, or recipes. For models ``{"label_flip": {"error": 0.1}}`` (also ``flip``: "held_out" or
          "test", ``evaluate``: "test", ``quantiles``, ``copies``, ``improved``; :func:`convexpoison.targets.label_flip`) and
          ``{"subpopulation": {"rank": 0}}`` (also ``label``, ``n_clusters``, ``min_rows``, ``improved``;
          :func:`convexpoison.targets.subpopulation_target`). For goals, on test rows, ``{"error_rate": {"rate": 0.2}}``,
          ``{"flip": {"row": 3}}`` and ``{"misclassify": {"rows": [3, 8]}}``;
        - ``space``: "own" (the data set's), "relaxed" (integers become intervals) or a Space;
        - ``seed``: the seed of all random draws of a task, so that tasks with the same seed share a target;
        - every other argument of :func:`convexpoison.attack` (``method``, ``eps``, ``max_points``, ``bound_time_limit_s``, ...,
          and the options of the method) or :func:`convexpoison.lower_bound`. An attack records its accuracy on the data
          set's test rows.

        A YAML file contains the grid itself, or ``grid:`` and beside it ``task:`` and ``random_state:``.
    task : {"attack", "lower_bound"}, callable or "module:function"
        A function is called as ``task(params, random_state)``, with any parameters, and returns a dict of numbers and strings
        or an AttackResult. Default: "attack".
    n_jobs : int, optional
        Number of parallel tasks, -1 for one per core; the backend and the default number are those of
        :func:`joblib.parallel_config`, for example ``parallel_config(backend="dask")``. Each task has one BLAS thread.
    store : path, optional
        Folder with one record per finished task. With the same folder a later call runs only new tasks. A task is identified
        by its parameters and seed: **a change in the code of a task is not detected**, so name another folder then.
    random_state : int
        Each task has its own seed (:class:`numpy.random.SeedSequence`), which depends only on this and on the task's
        parameters, not on ``n_jobs``, the order or the rest of the grid. A ``seed`` in the grid replaces it. Default: 0.
    retry_failed : bool
        Run the tasks again that failed in an earlier call.
    keep_results : bool
        Save each AttackResult in the store (:meth:`SweepResult.attack`).
    progress : bool, optional
        Progress bar on stderr; default: only on a terminal.

    Returns
    -------
    SweepResult
        In the order of the grid. A task that raises is recorded with its traceback (:attr:`SweepResult.failed`), and the
        others still run. After Ctrl-C the tasks that did not run are in :attr:`SweepResult.pending`.

    Raises
    ------
    ValueError, TypeError, OSError
        Before any task starts: an empty grid, an unknown name, a value that has no hash, a function that cannot be imported,
        a store that cannot be written to or that belongs to another task or format.
    RuntimeError
        If a worker process dies; finished tasks are in the store.

    Examples
    --------
    >>> import convexpoison as cp
    >>> grid = {"dataset": ["digits_17"], "C_R": [0.05, 0.1], "target": [{"label_flip": {"error": 0.1}}], "max_points": [5]}
    >>> cp.sweep(grid).to_frame()["n_points"].tolist()
    [5, 5]
    """
    plan = read_plan(grid)
    job = find_job(task if task is not None else plan.task or "attack")
    seed = random_state if random_state is not None else plan.random_state
    tasks = make_tasks(plan.grid, job.name, 0 if seed is None else seed)
    _check_keeping(job, store, keep_results)
    job.check_all(tasks)
    shelf = None if store is None else Store(Path(store))
    known = _known(shelf, job, tasks)
    todo = [t for t in tasks if t.key not in known or (retry_failed and known[t.key].status == "failed")]
    interrupted = False
    try:
        for record in _run(job, todo, shelf, n_jobs, keep_results, progress):
            known[record.key] = record
    except KeyboardInterrupt:
        interrupted = True
    except BrokenExecutor as error:
        raise RuntimeError(f"a worker process died, perhaps for lack of memory. {_how_to_go_on(shelf)}") from error
    records = tuple(known.get(t.key, Record.of(t)) for t in tasks)
    result = SweepResult(records, None if shelf is None else shelf.folder, interrupted)
    if interrupted:
        print(f"interrupted: {result}. {_how_to_go_on(shelf)}", file=sys.stderr)
    return result


def _run(
    job: Job, tasks: list[Task], store: Store | None, n_jobs: int | None, keep: bool, progress: bool | None
) -> Iterator[Record]:
    """Yield each record when its task is finished and written."""
    # One task per batch, in the order of completion: a finished task is in the store as soon as possible.
    parallel = Parallel(n_jobs=n_jobs, batch_size=1, return_as="generator_unordered")
    shown = None if progress is None else not progress
    with (
        tqdm(total=len(tasks), desc="sweep", disable=shown, file=sys.stderr) as bar,
        _closed(parallel(delayed(run_task)(job.function, task, keep, os.getpid()) for task in tasks)) as done,
    ):
        for record, attack in done:
            if store is not None:
                store.add(record, attack)
            bar.update()
            yield record


@contextmanager
def _closed(done: Any) -> Iterator[Any]:
    """Stop the workers if the results are not all fetched."""
    try:
        yield done
    finally:
        with warnings.catch_warnings():
            # joblib warns of cancelled tasks; cancelling them is the purpose of closing.
            warnings.filterwarnings("ignore", ".*still being processed by the workers have been cancelled", UserWarning)
            done.close()


def _check_keeping(job: Job, store: Any, keep_results: bool) -> None:
    if keep_results and store is None:
        raise ValueError("keep_results saves attacks in the store; pass store=")
    if store is not None and job.nameless:
        raise TypeError(
            f"{job.name} does not identify a function in a store ({job.nameless}); pass a function of a module"
        )


def _known(store: Store | None, job: Job, tasks: list[Task]) -> dict[str, Record]:
    """Return the records of this grid's tasks; warn if the store has none of them, or records of another version."""
    if store is None:
        return {}
    records = store.begin(job.name, tasks)
    known = {task.key: records[task.key] for task in tasks if task.key in records}
    if records and not known:
        warnings.warn(
            f"none of the {len(records)} tasks in the store {store.folder} belongs to this grid and seed; they are left "
            "unchanged",
            stacklevel=3,
        )
    old = {record.version for record in known.values()} - {__version__}
    if old:
        warnings.warn(
            f"the store {store.folder} has records of convexpoison {', '.join(sorted(old))}; this is {__version__}, and they "
            "are used unchanged. Name another folder to run them again",
            stacklevel=3,
        )
    return known


def _how_to_go_on(store: Store | None) -> str:
    if store is None:
        return "With store= a later call would resume from here."
    return f"Finished tasks are in {store.folder}; the same call again runs the rest."
