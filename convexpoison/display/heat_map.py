"""Heat map of a value over two parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from convexpoison.display.axes import axes_or_new


def plot_heat_map(frame: Any, x: str, y: str, value: str, ax: Any = None) -> Any:
    """Draw the mean of a value over two parameters; cells without a finished task are empty.

    Parameters
    ----------
    frame : DataFrame
        As returned by :meth:`SweepResult.to_frame`.
    x, y : str
        Columns of the two axes.
    value : str
        Column of numbers; its mean over the other parameters is shown.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes
        Saved by ``ax.figure.savefig(path)``.

    Raises
    ------
    ValueError
        If a column does not exist or is not numeric.
    MissingDependencyError
        If matplotlib is not installed.
    """
    missing = [name for name in (x, y, value) if name not in frame.columns]
    if missing:
        raise ValueError(f"no column {missing[0]!r}; the columns are {', '.join(frame.columns)}")
    if len({x, y, value}) < 3:
        raise ValueError(f"x, y and value must be distinct columns; got {x!r}, {y!r} and {value!r}")
    numbers = frame[value].dropna()
    if numbers.empty or not all(isinstance(number, (int, float, np.number)) for number in numbers):
        raise ValueError(f"the column {value!r} is not numeric; a heat map needs numbers")
    ax = axes_or_new(ax, 6.4, 4.8)
    shown = frame.loc[numbers.index, [x, y]].assign(value=numbers.astype(float))
    for name in (x, y):  # values of mixed types have no order
        if shown[name].map(type).nunique() > 1:
            shown[name] = shown[name].map(str)
    _draw(shown.pivot_table(index=y, columns=x, values="value", aggfunc="mean", dropna=False), ax)
    ax.set(xlabel=x, ylabel=y, title=value)
    return ax


def _draw(table: Any, ax: Any) -> None:
    cells = table.to_numpy()
    image = ax.imshow(np.ma.masked_invalid(cells), origin="lower", aspect="auto", cmap="viridis")
    ax.set_xticks(range(table.shape[1]), [_label(name) for name in table.columns])
    ax.set_yticks(range(table.shape[0]), [_label(name) for name in table.index])
    middle = np.nanmean([np.nanmin(cells), np.nanmax(cells)])
    for (row, column), number in np.ndenumerate(cells):
        if np.isfinite(number):
            colour = "white" if number <= middle else "black"
            ax.text(column, row, f"{number:.4g}", ha="center", va="center", color=colour)
    ax.figure.colorbar(image, ax=ax)


def _label(name: Any) -> str:
    return f"{name:g}" if isinstance(name, (int, float, np.number)) and not isinstance(name, bool) else str(name)
