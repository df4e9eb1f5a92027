"""Plots of the convergence of an attack and of the bracket around the number of points needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from convexpoison.display.axes import BLUE, GREEN, GREY, ORANGE, marker, new_figure


class _HasPoints(Protocol):
    @property
    def n_points(self) -> float: ...


class Run(Protocol):
    """Attributes of :class:`~convexpoison.results.attack_result.AttackResult` needed for a plot; documented there."""

    @property
    def history(self) -> Mapping[str, Any]: ...
    @property
    def n_points(self) -> int: ...
    @property
    def bound(self) -> _HasPoints: ...
    @property
    def induced_bound(self) -> _HasPoints | None: ...
    @property
    def eps(self) -> float | None: ...


def plot_attack(result: Run, ax: Any = None) -> Any:
    """Draw the convergence of an attack to its target, and the bracket around the number of points needed.

    Parameters
    ----------
    result : AttackResult
    ax : matplotlib Axes, optional
        If passed, only the convergence is drawn, on these Axes.

    Returns
    -------
    Axes or array of two Axes
        ``ax``, or the two panels of a new figure (saved by ``axes[0].figure.savefig(path)``).

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    if ax is not None:
        _draw_convergence(result, ax)
        return ax
    axes = new_figure(11.0, 4.4).subplots(1, 2)
    _draw_convergence(result, axes[0])
    _draw_bracket(result, axes[1])
    return axes


def _draw_convergence(result: Run, ax: Any) -> None:
    """Draw the maximum loss difference against the number of points (log scale), and accuracy on a second axis."""
    n_points = np.asarray(result.history["n_points"])
    difference = np.asarray(result.history["max_loss_difference"], dtype=np.float64)
    shown = difference > 0  # a logarithmic axis cannot show 0
    ax.plot(n_points[shown], difference[shown], color=BLUE, label="maximum loss difference", **marker(shown.sum()))
    if shown.any():
        ax.set_yscale("log")
    if result.eps is not None and result.eps > 0:
        ax.axhline(result.eps, color=GREY, linestyle="--", linewidth=1.2, label=f"eps = {result.eps:g}")
    ax.set(title="Convergence to the target", xlabel="poison points added", ylabel="maximum loss difference")
    ax.grid(visible=True, which="major", alpha=0.3)
    handles, names = ax.get_legend_handles_labels()
    accuracy = np.asarray(result.history["accuracy"], dtype=np.float64)
    known = np.isfinite(accuracy)
    if known.any():
        right = ax.twinx()
        right.plot(n_points[known], accuracy[known], color=GREEN, linestyle="-.", linewidth=1.2, label="test accuracy")
        right.set_ylabel("test accuracy", color=GREEN)
        right.set_ylim(0.0, 1.02)
        handles, names = handles + right.get_lines(), [*names, "test accuracy"]
    # Placed below the panel: inside, the legend would hide one of the three lines.
    ax.legend(handles, names, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=len(names), frameon=False)


def _draw_bracket(result: Run, ax: Any) -> None:
    """Draw the growth of the certified lower bound, and the number of points used: the upper end of the bracket."""
    n_points = np.asarray(result.history["n_points"])
    bound = np.asarray(result.history["lower_bound"], dtype=np.float64)
    known = np.isfinite(bound)  # infinite where the target is proven unattainable
    ax.plot(
        n_points[known], bound[known], color=BLUE, drawstyle="steps-post", label="lower bound, target, on the way",
        **marker(known.sum()),
    )  # fmt: skip
    final = result.bound.n_points
    if np.isfinite(final):
        ax.axhline(final, color=BLUE, linestyle=":", linewidth=1.8, label=f"lower bound, target: {final:,.0f}")
    ax.axhline(result.n_points, color=ORANGE, linewidth=1.8, label=f"used by this attack: {result.n_points:,}")
    title = "How many points does it take?"
    if result.induced_bound is not None:
        # The bracket concerns the induced model; the target itself is reached only up to eps.
        lower = result.induced_bound.n_points
        label = f"lower bound, induced model: {lower:,.0f}"
        ax.axhline(lower, color=GREEN, linestyle="--", linewidth=1.8, label=label)
        ax.axhspan(lower, result.n_points, color=GREY, alpha=0.15, linewidth=0)
        title += f" {lower:,.0f} to {result.n_points:,}"
    ax.set(title=title, xlabel="poison points added", ylabel="number of points")
    ax.set_ylim(bottom=0.0)
    ax.grid(visible=True, alpha=0.3)
    ax.legend(loc="lower right", framealpha=0.9)
