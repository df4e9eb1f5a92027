"""Brackets: numbers of points proven insufficient, and numbers known to be sufficient."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from convexpoison._utils.integers import whole_points
from convexpoison.display.axes import BLUE, GREY, ORANGE, axes_or_new


def plot_brackets(
    rows: Mapping[str, tuple[float, float | None]], ax: Any = None, *, title: str = "", enough: str = "enough"
) -> Any:
    """Draw each bracket as a bar up to its proven lower bound, with a mark at the number known to be enough.

    Parameters
    ----------
    rows : dict of name to (lower, upper)
        Certified lower bound, ``inf`` if no number is enough; number known to be enough, None or ``inf`` if unknown.
    ax : matplotlib Axes, optional
    title : str
    enough : str
        Label of the upper ends.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, 7.0, 1.6 + 0.6 * len(rows))
    known = [float(end) for row in rows.values() for end in row if end is not None and isfinite(end)]
    right = 1.25 * max(known, default=1.0) or 1.0
    for place, (lower, upper) in enumerate(rows.values()):
        last = lower if isfinite(lower) else right
        ax.barh(place, last, height=0.5, color=GREY, alpha=0.35)
        ax.plot([last, last], [place - 0.3, place + 0.3], color=BLUE, linewidth=2.5)
        side = "right" if last > 0.4 * right else "left"  # a long label would overlap the names
        ax.annotate(_proven(lower), (last, place - 0.34), color=BLUE, ha=side, va="bottom")
        if upper is not None and isfinite(upper):
            ax.plot([upper, upper], [place - 0.3, place + 0.3], color=ORANGE, linewidth=2.5)
            ax.annotate(f" {_number(upper)}: {enough}", (upper, place), color=ORANGE, ha="left", va="center")
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set(xlim=(0.0, right), ylim=(len(rows) - 0.5, -0.8), xlabel="poison points added", title=title)
    ax.spines[["top", "right", "left"]].set_visible(False)
    return ax


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def _proven(lower: float) -> str:
    if not isfinite(lower):
        return "no number is enough"
    return f"fewer than {whole_points(lower):,.0f}: impossible" if lower > 0 else "nothing is proven"
