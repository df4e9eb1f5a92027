"""Curves: shares that decrease with a radius or a number of points, and traces of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from convexpoison.display.axes import COLOURS, axes_or_new, marker


def plot_curves(
    x: npt.ArrayLike, curves: Mapping[str, npt.ArrayLike], ax: Any = None, *, steps: bool = False, **words: Any
) -> Any:
    """Draw curves on a common grid of x; there is no legend if no curve has a name.

    Parameters
    ----------
    x : array of shape (n_places,)
    curves : dict of name to array of shape (n_places,)
        Values that are not finite are omitted.
    ax : matplotlib Axes, optional
    steps : bool
        Draw step functions, constant up to the next x.
    **words
        Arguments of ``ax.set``: xlabel, ylabel, title, limits.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax)
    places = np.asarray(x, dtype=np.float64)
    for i, (name, values) in enumerate(curves.items()):
        heights = np.asarray(values, dtype=np.float64)
        known = np.isfinite(heights)
        ax.plot(
            places[known], heights[known], color=COLOURS[i % len(COLOURS)], label=name,
            drawstyle="steps-post" if steps else "default", **marker(int(known.sum())),
        )  # fmt: skip
    ax.set(**words)
    ax.grid(visible=True, alpha=0.3)
    if any(curves):
        ax.legend(frameon=False)
    return ax


def plot_shares(
    x: npt.ArrayLike, curves: Mapping[str, npt.ArrayLike], ax: Any = None, *, steps: bool = False, **words: Any
) -> Any:
    """Draw curves of shares with :func:`plot_curves`: y from 0 to 1, x from 0."""
    return plot_curves(x, curves, ax, steps=steps, ylim=(0.0, 1.02), xlim=(0.0, None), **words)


def plot_values(values: Mapping[str, npt.ArrayLike], ax: Any = None, *, ylabel: str = "", title: str = "") -> Any:
    """Draw several groups of numbers as points, one column per group, with their means.

    Parameters
    ----------
    values : dict of name to array
        For example one entry per seed; values that are not finite are omitted.
    """
    ax = axes_or_new(ax)
    for i, (name, numbers) in enumerate(values.items()):
        known = np.asarray(numbers, dtype=np.float64)
        known = known[np.isfinite(known)]
        ax.plot(np.full(known.size, i), known, "o", color=COLOURS[i % len(COLOURS)], alpha=0.7, label=name)
        if known.size:
            ax.hlines(known.mean(), i - 0.25, i + 0.25, color=COLOURS[i % len(COLOURS)])
    ax.set_xticks(range(len(values)), list(values))
    ax.set(ylabel=ylabel, title=title, xlim=(-0.6, len(values) - 0.4))
    ax.set_ylim(bottom=0.0)
    ax.grid(visible=True, axis="y", alpha=0.3)
    return ax


def survival(
    radii: npt.ArrayLike, counted: npt.ArrayLike, name: str = "certified"
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Compute a grid of radii from 0, and the share of rows that are counted and have at least that radius.

    Parameters
    ----------
    radii : array of shape (n_rows,)
    counted : bool array of shape (n_rows,)
    name : str
        Name of the curve.
    """
    own = np.asarray(radii, dtype=np.float64)
    reached = np.sort(own[np.asarray(counted, dtype=bool)])
    places = np.linspace(0.0, 1.05 * float(reached.max(initial=0.0)) or 1.0, 201)
    below = np.searchsorted(reached, places, side="left")
    return places, {name: (reached.size - below) / max(own.size, 1)}
