"""Common presentation of all results: named facts as text, and as a table in notebooks and reports."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from html import escape
from math import isfinite, isnan
from typing import Any

import numpy as np

from convexpoison.errors import optional_import

Facts = dict[str, Any]
"""Values by name: numbers, strings, or None if unknown."""


class Shown(ABC):
    """Base class of results, which have named facts (a table in notebooks), a plot and a data frame."""

    @abstractmethod
    def facts(self) -> Facts:
        """Return the main numbers by descriptive names, in reading order."""

    @abstractmethod
    def plot(self, *args: Any, **options: Any) -> Any:
        """Draw the result, on ``ax`` if passed, and return the Axes."""

    @abstractmethod
    def to_frame(self) -> Any:
        """Return the result as a pandas DataFrame."""

    def _repr_html_(self) -> str:
        return table_of_facts(type(self).__name__, self.facts())


def table_of_facts(title: str, facts: Mapping[str, Any]) -> str:
    """Return an HTML table of two columns, without scripts; all text is escaped.

    Parameters
    ----------
    title : str
        Caption; if empty, there is none.
    facts : mapping of name to value
        Values are formatted by :func:`in_words`.
    """
    rows = "".join(
        f'<tr><th scope="row" style="text-align: left">{escape(name)}</th>'
        f'<td style="text-align: left">{escape(in_words(value))}</td></tr>'
        for name, value in facts.items()
    )
    caption = f'<caption style="text-align: left">{escape(title)}</caption>' if title else ""
    return f"<table>{caption}<tbody>{rows}</tbody></table>"


def text_of_facts(facts: Mapping[str, Any]) -> str:
    """Return the facts as lines of plain text, with the values aligned."""
    width = max(map(len, facts), default=0)
    return "\n".join(f"{name:<{width}}  {in_words(value)}" for name, value in facts.items())


def in_words(value: Any) -> str:
    """Format a value: floats to four digits, integers in full, and words for None, booleans and non-finite numbers."""
    if value is None:
        return "unknown"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return f"{int(value):,}"
    if isinstance(value, (float, np.floating)):
        return _number(float(value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {in_words(entry)}" for name, entry in value.items()) or "none"
    if isinstance(value, (list, tuple, np.ndarray)):
        return ", ".join(map(in_words, value)) or "none"
    return str(value)


def _number(value: float) -> str:
    if isnan(value):
        return "unknown"
    if not isfinite(value):
        return "infinite" if value > 0 else "minus infinite"
    return f"{value:,.1f}" if 1e3 <= abs(value) < 1e7 else f"{value:.4g}"


def frame_of(columns: Any, purpose: str) -> Any:
    """Return a pandas DataFrame of the columns.

    Parameters
    ----------
    columns : dict of name to array, or list of dicts, one per row
    purpose : str
        Name of the caller in the error message, e.g. "Bound.to_frame".

    Raises
    ------
    MissingDependencyError
        If pandas is not installed; names the extra that installs it.
    """
    return optional_import("pandas", "frame", purpose).DataFrame(columns)
