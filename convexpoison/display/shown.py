"""What all results have in common for a reader: facts in words, as text, as a table in a notebook and in a report."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from html import escape
from math import isfinite, isnan
from typing import Any

import numpy as np

from convexpoison.errors import optional_import

Facts = dict[str, Any]
"""What is told, by what it is called: numbers, words, or None where it is unknown."""


class Shown(ABC):
    """A result that can be looked at: as facts in words, which notebooks show as a table, as a picture, and as a frame."""

    @abstractmethod
    def facts(self) -> Facts:
        """The main numbers, by their names in plain words, in the order in which they are read."""

    @abstractmethod
    def plot(self, *args: Any, **options: Any) -> Any:
        """A picture; ``ax`` is where to draw it, and its Axes are returned."""

    @abstractmethod
    def to_frame(self) -> Any:
        """A table, as a pandas DataFrame."""

    def _repr_html_(self) -> str:
        return table_of_facts(type(self).__name__, self.facts())


def table_of_facts(title: str, facts: Mapping[str, Any]) -> str:
    """An HTML table of two columns, without script; everything is escaped.

    Parameters
    ----------
    title : str
        Its caption; none where it is empty.
    facts : mapping of name to value
        Told as :func:`in_words` has them.
    """
    rows = "".join(
        f'<tr><th scope="row" style="text-align: left">{escape(name)}</th>'
        f'<td style="text-align: left">{escape(in_words(value))}</td></tr>'
        for name, value in facts.items()
    )
    caption = f'<caption style="text-align: left">{escape(title)}</caption>' if title else ""
    return f"<table>{caption}<tbody>{rows}</tbody></table>"


def text_of_facts(facts: Mapping[str, Any]) -> str:
    """The same as lines of plain text, the values below one another."""
    width = max(map(len, facts), default=0)
    return "\n".join(f"{name:<{width}}  {in_words(value)}" for name, value in facts.items())


def in_words(value: Any) -> str:
    """A number to four digits, whole numbers in full, and a word for what is no number."""
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
    """A pandas DataFrame, or the sentence which extra brings it.

    Parameters
    ----------
    columns : dict of name to array, or list of dicts, one a row
    purpose : str
        Whose frame it is, as in "Bound.to_frame".
    """
    return optional_import("pandas", "frame", purpose).DataFrame(columns)
