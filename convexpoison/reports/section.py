"""What a page tells of one run, before it is HTML."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from convexpoison.display.shown import Facts


@dataclass(frozen=True)
class Picture:
    """A figure of matplotlib and what it shows."""

    figure: Any
    caption: str

    @classmethod
    def of(cls, plot: Callable[[], Any], caption: str) -> Picture:
        """The figure of the Axes (or array of Axes) that ``plot`` returns."""
        axes = plot()
        return cls((axes.flat[0] if hasattr(axes, "flat") else axes).figure, caption)


@dataclass(frozen=True)
class Table:
    """Rows of values, each told as :func:`convexpoison.display.shown.in_words` has it."""

    caption: str
    columns: list[str]
    rows: list[list[Any]]


@dataclass(frozen=True)
class Step:
    """What a reader can do to check the run: a sentence, and a command where there is one."""

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
