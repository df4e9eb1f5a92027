"""How Sphinx builds these pages; ``make docs`` calls it with warnings as errors."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import matplotlib

import convexpoison

matplotlib.use("Agg")

project, author = "convexpoison", "the convexpoison developers"
release = version = convexpoison.__version__
copyright = author

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "mathml",
    "project_pages",
]
exclude_patterns = ["_build", "_ext", "_templates", "gallery/**.ipynb", "gallery/**.py"]
templates_path = ["_templates"]
root_doc = "index"
nitpicky = False

autosummary_generate = True
autosummary_imported_members = False
autodoc_typehints = "none"  # numpydoc's sections say what is given and returned
autodoc_member_order = "bysource"
numpydoc_show_class_members = False  # the templates list them
numpydoc_class_members_toctree = False

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = "convexpoison"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sourcelink = False
html_theme_options: dict[str, Any] = {
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": False,
    "header_links_before_dropdown": 4,
}
html_sidebars: dict[str, list[str]] = {  # pages with none below them
    page: []
    for page in (
        *("index", "gallery/five_minutes", "which_method", "theory", "neural", "scaling", "limits"),
        *("command_line", "changelog"),
    )
}

NEEDS = {
    "attack_a_spam_filter": "enron1.npz",
    "one_person_s_prediction": "adult_57.npz",
}
"""Gallery examples that need a data file which cannot be fetched everywhere. Without it they are shown but not executed."""


def _lacking() -> dict[str, str]:
    home = os.environ.get("CONVEXPOISON_DATA")
    return {name: file for name, file in NEEDS.items() if home is None or not (Path(home) / file).exists()}


LACKING = _lacking()
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": rf"/(?!{'|'.join(LACKING)}\.py)\w+\.py$" if LACKING else r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 600,
    "write_computation_times": False,
    "image_scrapers": ("unmanaged_figures", "matplotlib"),
    "capture_repr": ("_repr_html_",),
    "reset_modules": ("matplotlib",),
    "remove_config_comments": True,
    "plot_gallery": "True",
}


def _say_what_is_missing(app: Sphinx, docname: str, source: list[str]) -> None:
    """Add a note to an example that was not executed."""
    name = docname.removeprefix("gallery/")
    if name in LACKING:
        source[0] += (
            "\n.. note::\n\n   This example is shown but was not executed, because its data were missing: "
            f"it needs ``{LACKING[name]}`` in the folder that ``CONVEXPOISON_DATA`` names.\n"
        )


def _skip(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out the methods that scikit-learn generates; their words refer to its own glossary."""
    return True if name.startswith("set_") and name.endswith("_request") else None


def setup(app: Sphinx) -> None:
    """Connect the handlers; called by Sphinx."""
    app.connect("autodoc-skip-member", _skip)
    for name, file in LACKING.items():
        logging.getLogger(__name__).info("examples/%s.py is shown but not executed: %s is missing", name, file)
    app.connect("source-read", _say_what_is_missing)
