"""Plots of rows: a grid of images if each row is an image, otherwise a coloured table."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np

from convexpoison.display.axes import GREY, axes_or_new

Shape = tuple[int, ...]


def as_images(rows: Any, shape: Shape) -> np.ndarray:
    """Reshape rows to images of shape (n, height, width) or (n, height, width, channels).

    Parameters
    ----------
    rows : array of shape (n, n_features)
    shape : (height, width), or (height, width, channels) with 3 channels

    Raises
    ------
    ValueError
        If the shape does not match the number of features.
    """
    rows, shape = np.asarray(rows, dtype=np.float64), tuple(int(n) for n in shape)
    if len(shape) not in (2, 3) or shape[2:] not in ((), (3,)) or int(np.prod(shape)) != rows.shape[1]:
        raise ValueError(
            f"a row has {rows.shape[1]} features, which do not form an image of shape {shape}; shape must be "
            "(height, width) or (height, width, 3), and its product the number of features"
        )
    return np.asarray(rows.reshape(-1, *shape))


def plot_images(images: Any, titles: Sequence[str], ax: Any = None, *, columns: int = 10) -> Any:
    """Draw images in a grid on one Axes, each with its title below.

    Parameters
    ----------
    images : array of shape (n, height, width) or (n, height, width, 3)
        Scaled from min(0, least value) to max(1, largest value).
    titles : one per image
    ax : matplotlib Axes, optional
    columns : int
        Images per line.

    Returns
    -------
    Axes
    """
    images = np.asarray(images, dtype=np.float64)
    n, height, width = images.shape[:3]
    across = max(1, min(n, columns))
    down = max(1, ceil(n / across))
    # A cell is one unit wide; below each image is space for two lines of text.
    tall = height / max(width, 1)
    wide, high = 1.1 * across, (tall + 0.5) * down
    ax = axes_or_new(ax, 1.1 * wide, 1.1 * high)
    least, most = float(images.min(initial=0.0)), float(images.max(initial=1.0))
    for i, (image, title) in enumerate(zip((images - least) / (most - least), titles, strict=True)):
        left, top = 1.1 * (i % across), (tall + 0.5) * (i // across)
        ax.imshow(image, cmap="gray", vmin=0.0, vmax=1.0, extent=(left, left + 1.0, top + tall, top))
        edges = [(left, top), (left + 1.0, top), (left + 1.0, top + tall), (left, top + tall), (left, top)]
        ax.plot(*zip(*edges, strict=True), color=GREY, linewidth=0.6)  # makes white images visible on a white page
        ax.text(left + 0.5, top + tall + 0.05, title, ha="center", va="top", fontsize="small")
    ax.set(xlim=(-0.05, max(wide, 2.2)), ylim=(high, -0.05), aspect="equal")
    ax.set_axis_off()
    return ax


def plot_rows(rows: Any, titles: Sequence[str], ax: Any = None) -> Any:
    """Draw rows of features as a coloured table, one line per row.

    Parameters
    ----------
    rows : array of shape (n, n_features)
    titles : one per row
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes
    """
    cells = np.atleast_2d(np.asarray(rows, dtype=np.float64))
    ax = axes_or_new(ax, 8.0, 1.2 + 0.3 * len(cells))
    if cells.size:
        picture = ax.imshow(cells, aspect="auto", cmap="viridis", interpolation="nearest")
        ax.figure.colorbar(picture, ax=ax, label="value")
    ax.set_yticks(range(len(cells)), list(titles))
    ax.set(xlabel="feature")
    return ax


def plot_points(rows: Any, titles: Sequence[str], ax: Any = None, *, shape: Shape | None = None) -> Any:
    """Draw the rows as images if ``shape`` is passed, otherwise as a coloured table."""
    if shape is None:
        return plot_rows(rows, titles, ax)
    return plot_images(as_images(rows, shape), titles, ax)
