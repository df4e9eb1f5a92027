"""Puts the figures of ``result.plot()`` into the gallery: they are made without pyplot, where sphinx-gallery looks for figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

_SHOWN = "docs_shown"


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the figures of the axes that the example has by now and that no block before had."""
    figures: list[Figure] = []
    for value in list(block_vars["example_globals"].values()):
        for ax in value.ravel() if isinstance(value, np.ndarray) and value.dtype == object else [value]:
            figure = ax.figure if isinstance(ax, Axes) else None
            managed = figure is not None and figure.canvas.manager is not None
            if figure is None or managed or hasattr(figure, _SHOWN):
                continue
            setattr(figure, _SHOWN, True)
            figures.append(figure)
    paths = []
    for figure in figures:
        path = next(block_vars["image_path_iterator"])
        figure.savefig(path, dpi=100)
        paths.append(path)
    return str(figure_rst(paths, gallery_conf["src_dir"])) if paths else ""


def _get_sg_image_scraper() -> Callable[[Any, dict[str, Any], dict[str, Any]], str]:
    """Asked for by sphinx-gallery."""
    return scrape
