"""The content of a page about one run, before it is HTML."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from convexpoison.display.shown import Facts


@dataclass(frozen=True)
class Picture:
    """A figure of matplotlib and its caption."""

    figure: Any
    caption: str

    @classmethod
    def of(cls, plot: Callable[[], Any], caption: str) -> Picture:
        """Build the picture from the Axes (or array of Axes) that ``plot`` returns."""
        axes = plot()
        return cls((axes.flat[0] if hasattr(axes, "flat") else axes).figure, caption)


@dataclass(frozen=True)
class Table:
    """Rows of values, each formatted by :func:`convexpoison.display.shown.in_words`."""

    caption: str
    columns: list[str]
    rows: list[list[Any]]


@dataclass(frozen=True)
class Step:
    """A step to verify the run: a sentence, and optionally a command."""

    words: str
    command: str = ""


@dataclass(frozen=True)
class Section:
    """One run.

    Attributes
    ----------
    kind : str
        "Attack", "Certificate", ...
    name : str
        The file, or a number.
    answer : str
        The result in a sentence.
    facts : dict
    pictures, tables, steps : tuples
    provenance : dict
    """

    kind: str
    name: str
    answer: str
    facts: Facts
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    steps: tuple[Step, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
