"""Certified robustness of many predictions, and the share of them that survives a number of added points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.display.curves import plot_shares
from convexpoison.display.shown import Facts, Shown, frame_of


@dataclass(frozen=True, eq=False)
class RobustnessCurve(Shown):
    """Numbers of added points, and the fraction of rows whose prediction survives that many; also as a pair to unpack.

    Attributes
    ----------
    n : int array
        0 and every number at which the fraction falls.
    fraction : array of the same shape
        Never rising.
    """

    n: np.ndarray
    fraction: FloatArray

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.n, self.fraction))

    def facts(self) -> Facts:
        """The share that survives, for the first ten numbers at which it falls."""
        told = zip(self.n[:10].tolist(), self.fraction[:10].tolist(), strict=True)
        return {f"predictions that survive {n:,} points": f"{share:.1%}" for n, share in told}

    def to_frame(self) -> Any:
        """One row a number of points, as a pandas DataFrame."""
        return frame_of({"n": self.n, "fraction": self.fraction}, "RobustnessCurve.to_frame")

    def plot(self, ax: Any = None) -> Any:
        """The fraction against the number of points."""
        words = {
            "xlabel": "added points",
            "ylabel": "share of predictions that survive",
            "title": "Certified robustness",
        }
        return plot_shares(self.n, {"certified": self.fraction}, ax, steps=True, **words)


@dataclass(frozen=True, eq=False)
class Robustness(Shown):
    """How many added points the predictions of a set of rows survive at least.

    Attributes
    ----------
    n_points : int array of shape (n_rows,)
        With fewer points than this the row's prediction cannot be changed.
    values : array of shape (n_rows,)
        The bounds before they are rounded up.
    margins : array of shape (n_rows,)
        Distance of the row's score from 0 under the clean model, in units of the score.
    predictions : array of shape (n_rows,)
        What the clean model says.
    certified : bool
        Whether every value is that of a certificate, as in :func:`~convexpoison.bounds.goal.goal_bound`; the
        certificates themselves are not kept.
    seconds : float
    """

    n_points: np.ndarray
    values: FloatArray
    margins: FloatArray
    predictions: np.ndarray
    certified: bool
    seconds: float

    def curve(self) -> RobustnessCurve:
        """See :func:`robustness_curve`."""
        return robustness_curve(self.n_points)

    def facts(self) -> Facts:
        """The main numbers in words."""
        median, ends = np.median(self.n_points), (int(self.n_points.min()), int(self.n_points.max()))
        return {
            "predictions": len(self.n_points),
            "points that change one: least, median, largest bound": (ends[0], float(median), ends[1]),
            "certified": self.certified,
            "seconds": self.seconds,
        }

    def plot(self, ax: Any = None) -> Any:
        """The share of predictions that survive a number of added points."""
        return self.curve().plot(ax)

    def to_frame(self) -> Any:
        """One row a prediction, as a pandas DataFrame."""
        columns = ("n_points", "values", "margins", "predictions")
        return frame_of({name: getattr(self, name) for name in columns}, "Robustness.to_frame")


def robustness_curve(n_points: Any) -> RobustnessCurve:
    """Numbers of added points, and the fraction of rows whose prediction survives that many.

    Parameters
    ----------
    n_points : int array of shape (n_rows,)
        With fewer points than this a row's prediction cannot be changed.

    Returns
    -------
    RobustnessCurve
        Unpacks as ``n, fraction``.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    least = np.sort(np.asarray(n_points).ravel())
    if not least.size:
        raise ValueError("a curve needs at least one row")
    n = np.unique(np.append(0, least))
    return RobustnessCurve(n, 1.0 - np.searchsorted(least, n, side="right") / least.size)
