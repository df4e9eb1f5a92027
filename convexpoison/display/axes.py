"""Axes of a new figure, and the colours that all pictures share.

Figures are made without pyplot, so that saving one needs neither a display nor a choice of matplotlib's backend.
"""

from __future__ import annotations

from typing import Any

from convexpoison.errors import optional_import

# Okabe and Ito's colours, which stay apart under every common colour blindness.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def new_figure(width: float = 6.0, height: float = 4.2) -> Any:
    """An empty figure; the size is in inches.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    figures = optional_import("matplotlib.figure", "plot", "a plot")
    return figures.Figure(figsize=(width, height), layout="constrained")


def axes_or_new(ax: Any = None, width: float = 6.0, height: float = 4.2) -> Any:
    """``ax`` itself, or the axes of a new figure (``ax.figure.savefig(path)`` saves it)."""
    return new_figure(width, height).subplots() if ax is None else ax


def marker(n_shown: int) -> dict[str, Any]:
    """A line of one or few points needs markers to be seen."""
    return {"marker": "o", "markersize": 4} if n_shown < 12 else {}
