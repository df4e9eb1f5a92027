"""Axes of a new figure, and the colours shared by all plots.

Figures are created without pyplot, so that saving one needs neither a display nor a choice of matplotlib's backend.
"""

from __future__ import annotations

from typing import Any

from convexpoison.errors import optional_import

# Colours of Okabe and Ito, distinguishable under every common form of colour blindness.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def new_figure(width: float = 6.0, height: float = 4.2) -> Any:
    """Create an empty figure; the size is in inches.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    figures = optional_import("matplotlib.figure", "plot", "a plot")
    return figures.Figure(figsize=(width, height), layout="constrained")


def axes_or_new(ax: Any = None, width: float = 6.0, height: float = 4.2) -> Any:
    """Return ``ax`` itself, or the Axes of a new figure (saved by ``ax.figure.savefig(path)``)."""
    return new_figure(width, height).subplots() if ax is None else ax


def marker(n_shown: int) -> dict[str, Any]:
    """Return marker options for a line of few points, which would be invisible without markers."""
    return {"marker": "o", "markersize": 4} if n_shown < 12 else {}
