"""Put the figures of ``result.plot()`` into the gallery: made without pyplot, they are not found by sphinx-gallery."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

_SEEN = "seen_by_the_gallery"


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the figures of the axes that the example has by now and had not before; runs before pyplot's are closed."""
    paths = []
    for figure in _figures(block_vars["example_globals"].values()):
        if not hasattr(figure, _SEEN) and figure.canvas.manager is None:
            paths.append(next(block_vars["image_path_iterator"]))
            figure.savefig(paths[-1], dpi=100)
        setattr(figure, _SEEN, True)
    return str(figure_rst(paths, gallery_conf["src_dir"])) if paths else ""


def _figures(values: Iterable[Any]) -> list[Figure]:
    """Return the figures of all axes among the values, each once."""
    found: dict[int, Figure] = {}
    for value in values:
        for ax in value.ravel() if isinstance(value, np.ndarray) and value.dtype == object else [value]:
            if isinstance(ax, Axes) and isinstance(ax.figure, Figure):
                found[id(ax.figure)] = ax.figure
    return list(found.values())


def _get_sg_image_scraper() -> Callable[[Any, dict[str, Any], dict[str, Any]], str]:
    """Return the scraper; called by sphinx-gallery."""
    return scrape
