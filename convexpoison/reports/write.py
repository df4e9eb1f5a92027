"""``convexpoison.report``: runs on one page."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from convexpoison._utils.files import whole_file
from convexpoison.display.images import Shape
from convexpoison.reports.networks import curves
from convexpoison.reports.page import page
from convexpoison.reports.read import read_run
from convexpoison.reports.sections import Source, brackets, section_of

TITLE = "How many poisoned rows does it take?"


def report(
    runs: Any,
    path: str | os.PathLike[str],
    *,
    title: str = TITLE,
    data: Any = None,
    image_shape: Shape | None = None,
) -> Path:
    """Write one HTML page about runs, with embedded figures; the page works offline and runs no script.

    Parameters
    ----------
    runs : sequence of results and paths, dict of name to result or path, or a single one
        Paths of saved attacks, certificates and poisons (.npz), of certified radii (.tsv) and of stores of sweeps; results
        are any that the library returns.
    path : path
        The page; an existing file is replaced only after all of it is written.
    title : str
    data : pair (X, y), optional
        The clean training rows; the certificates are verified with them, and the page reports the verdicts.
    image_shape : (height, width) or (height, width, 3), optional
        The shape of a row, if rows are images and the run does not record it.

    Returns
    -------
    Path

    Raises
    ------
    FileNotFoundError, ValueError, TypeError
        If there is no run, or one cannot be read; nothing is written then.
    MissingDependencyError
        If matplotlib is not installed, or, for a sweep, pandas.

    Examples
    --------
    >>> import convexpoison as cp
    >>> digits = cp.datasets.load("digits_17")
    >>> victim = cp.Victim("hinge", C_R=0.09)
    >>> bound = cp.lower_bound(cp.goals.Flip(digits.X_test[60]), digits.train, victim=victim, space=digits.space)
    >>> cp.report({"test row 60": bound}, "bound.html").name  # doctest: +SKIP
    'bound.html'
    """
    named = _named(runs)
    if not named:
        raise ValueError("a report needs at least one run")
    results, sections = [], []
    for name, run in named:
        saved = isinstance(run, str | os.PathLike)
        result = read_run(Path(run)) if saved else run
        source = Source(name, os.fspath(run) if saved else None, data, image_shape)
        results.append(result)
        sections.append(section_of(result, source))
    names = [name for name, _ in named]
    text = page(title, sections, (*brackets(results, names), *curves(results, names)))
    with whole_file(Path(path)) as file:
        file.write(text.encode())
    return Path(path)


def _named(runs: Any) -> list[tuple[str, Any]]:
    """Return runs with their names: their paths, or their kind and number."""
    if isinstance(runs, Mapping):
        return [(str(name), run) for name, run in runs.items()]
    if isinstance(runs, str | os.PathLike) or not isinstance(runs, Iterable):
        runs = [runs]
    return [
        (os.fspath(run) if isinstance(run, str | os.PathLike) else f"{type(run).__name__} {i + 1}", run)
        for i, run in enumerate(runs)
    ]
