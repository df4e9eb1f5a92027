"""Plots: what is drawn, without a display."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convexpoison.display.attack import plot_attack
from convexpoison.errors import MissingDependencyError

matplotlib_figure = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed (extra 'plot')")


@dataclass
class _Bound:
    n_points: float


def _history(n_steps: int, accuracy: float = 0.9) -> dict[str, Any]:
    n_points = np.arange(n_steps)
    return {
        "n_points": n_points,
        "max_loss_difference": 4.0 * 0.9**n_points,
        "distance": 1.0 * 0.9**n_points,
        "lower_bound": np.minimum(n_points, 20.0),
        "accuracy": np.full(n_steps, accuracy),
    }


@dataclass
class _Result:
    """What a plot needs of a result."""

    history: dict[str, Any] = field(default_factory=lambda: _history(40))
    n_points: int = 39
    bound: _Bound = field(default_factory=lambda: _Bound(20.0))
    induced_bound: _Bound | None = field(default_factory=lambda: _Bound(30.0))
    eps: float | None = 0.1
    stop_reason: str = "eps"


def _legend(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_two_panels_saved_without_a_backend(tmp_path: Path) -> None:
    axes = plot_attack(_Result())
    assert len(axes) == 2
    assert _legend(axes[0]) == ["maximum loss difference", "eps = 0.1", "test accuracy"]
    assert _legend(axes[1])[1:] == [
        "lower bound, target: 20",
        "used by this attack: 39",
        "lower bound, induced model: 30",
    ]
    assert axes[0].get_yscale() == "log"
    assert axes[1].get_title() == "How many points does it take? 30 to 39"
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in axes)
    axes[0].figure.savefig(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 10_000


def test_one_panel_on_axes_of_ones_own() -> None:
    ax = matplotlib_figure.Figure().subplots()
    assert plot_attack(_Result(), ax) is ax
    assert ax.get_title() == "Convergence to the target"


def test_what_is_unknown_is_left_out(tmp_path: Path) -> None:
    axes = plot_attack(_Result(history=_history(40, np.nan), induced_bound=None, eps=None))
    assert _legend(axes[0]) == ["maximum loss difference"]
    assert len(_legend(axes[1])) == 3
    axes[0].figure.savefig(tmp_path / "plot.svg")


@pytest.mark.parametrize("n_steps", [1, 2])
def test_short_runs_are_visible(n_steps: int, tmp_path: Path) -> None:
    history = _history(n_steps) | {"lower_bound": np.zeros(n_steps)}
    axes = plot_attack(_Result(history=history, n_points=n_steps - 1, bound=_Bound(0.0), induced_bound=_Bound(0.0)))
    assert axes[0].get_lines()[0].get_marker() == "o"
    axes[0].figure.savefig(tmp_path / "plot.png")


def test_a_difference_of_zero_does_not_break_the_logarithmic_axis(tmp_path: Path) -> None:
    axes = plot_attack(_Result(history=_history(5) | {"max_loss_difference": np.zeros(5)}, n_points=4))
    axes[0].figure.savefig(tmp_path / "plot.png")


def test_an_unattainable_target_has_no_finite_bound(tmp_path: Path) -> None:
    history = _history(5) | {"lower_bound": np.array([0.0, 1.0, np.inf, np.inf, np.inf])}
    axes = plot_attack(_Result(history=history, n_points=4, bound=_Bound(np.inf), induced_bound=_Bound(2.0)))
    axes[0].figure.savefig(tmp_path / "plot.png")


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r"convexpoison\[plot\]"):
        plot_attack(_Result())
