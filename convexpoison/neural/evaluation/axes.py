"""The panel in which accuracy is drawn against a length."""

from __future__ import annotations

from typing import Any

from convexpoison.errors import optional_import


def accuracy_axes(ax: Any, xlabel: str, ylabel: str) -> Any:
    """``ax``, or the axes of a new figure, made without pyplot; labelled, and with accuracy from 0 to 1.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    if ax is None:
        figure = optional_import("matplotlib.figure", "plot", "a plot").Figure(figsize=(6.0, 4.2), layout="constrained")
        ax = figure.subplots()
    ax.set(xlabel=xlabel, ylabel=ylabel, ylim=(0.0, 1.0))
    ax.grid(visible=True, alpha=0.3)
    return ax
