"""One HTML page without scripts that works offline: figures are embedded, nothing is fetched."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from convexpoison import __version__
from convexpoison.display.shown import in_words, table_of_facts
from convexpoison.errors import optional_import
from convexpoison.reports.section import Picture, Section, Step, Table

_LARGEST_SVG = 300_000
"""Size in bytes above which a figure is embedded as pixels."""
_DOTS_PER_INCH = 160
_NUMBER = ' class="number"'


def page(title: str, sections: Sequence[Section], pictures: Iterable[Picture] = ()) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    title : str
    sections : sequence of Section
    pictures : iterable of Picture
        Comparisons of several sections.
    """
    folder = files("convexpoison.reports")
    return Template((folder / "page.html").read_text("utf-8")).substitute(
        title=escape(title),
        style=(folder / "page.css").read_text("utf-8"),
        contents=_contents(sections),
        pictures="".join(map(_picture, pictures)),
        sections="".join(_section(i, section) for i, section in enumerate(sections)),
        version=escape(__version__),
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    )


def _contents(sections: Sequence[Section]) -> str:
    if len(sections) < 2:
        return ""
    items = "".join(
        f'<li><a href="#run-{i}">{escape(s.kind)}: {escape(s.name)}</a> {escape(s.answer)}</li>'
        for i, s in enumerate(sections)
    )
    return f'<nav aria-label="Contents"><ol>{items}</ol></nav>'


def _section(i: int, section: Section) -> str:
    parts = [
        f'<h2><span class="kind">{escape(section.kind)}</span> {escape(section.name)}</h2>',
        f'<p class="answer">{escape(section.answer)}</p>',
        *map(_picture, section.pictures),
        f'<div class="facts">{table_of_facts("In numbers", section.facts)}</div>',
        *map(_table, section.tables),
        _verify(section.steps),
    ]
    if section.provenance:
        parts.append(f'<div class="facts provenance">{table_of_facts("Provenance", section.provenance)}</div>')
    return f'<section id="run-{i}">{"".join(parts)}</section>'


def _verify(steps: Sequence[Step]) -> str:
    if not steps:
        return ""
    paragraphs = "".join(
        f"<p>{escape(step.words)}</p>" + (f"<pre><code>{escape(step.command)}</code></pre>" if step.command else "")
        for step in steps
    )
    return f"<h3>How to verify</h3>{paragraphs}"


def _table(table: Table) -> str:
    numeric = [_is_number(value) for value in table.rows[0]] if table.rows else [False] * len(table.columns)
    head = "".join(map(_head, table.columns, numeric))
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
    return (
        f'<div class="table"><table><caption>{escape(table.caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _head(name: str, numeric: bool) -> str:
    broken = escape(name).replace(".", ".<wbr>").replace("_", "_<wbr>")  # long names of parameters
    return f'<th scope="col"{_NUMBER if numeric else ""}>{broken}</th>'


def _cell(value: Any) -> str:
    return f"<td{_NUMBER if _is_number(value) else ''}>{escape(in_words(value))}</td>"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _picture(picture: Picture) -> str:
    caption = escape(picture.caption)
    return f'<figure><img src="{_data_uri(picture.figure)}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'


def _data_uri(figure: Any) -> str:
    matplotlib = optional_import("matplotlib", "plot", "a figure of a report")
    with matplotlib.rc_context({"svg.hashsalt": "convexpoison", "svg.fonttype": "path"}):
        image, kind = io.BytesIO(), "svg+xml"
        figure.savefig(image, format="svg", metadata={"Date": None})
        if image.tell() > _LARGEST_SVG:
            image, kind = io.BytesIO(), "png"
            figure.savefig(image, format="png", dpi=_DOTS_PER_INCH)
    return f"data:image/{kind};base64,{b64encode(image.getvalue()).decode()}"
