"""The Markdown of the project's own files as docutils nodes: headings, paragraphs, lists, tables, listings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from docutils import nodes

_INLINE = re.compile(r"`([^`]+)`|\*\*(.+?)\*\*|(?<!\w)\*([^*\s]+)\*(?!\w)|\[([^\]]+)\]\(([^)]+)\)")
_NUMBER = re.compile(r"\d+\. ")
_PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")


def blocks(text: str) -> Iterator[list[str]]:
    """Split lines into blocks that belong together."""
    block: list[str] = []
    fenced = False
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        heading = line.startswith("#") and not fenced
        if not fenced and (heading or not line.strip()):
            if block:
                yield block
            block = []
            if heading:
                yield [line]
        else:
            block.append(line)
    if block:
        yield block


def kind(block: Sequence[str]) -> str:
    """Return the kind of a block: "heading", "table", "list", "numbers", "listing", "picture" or "paragraph"."""
    first = block[0]
    for mark, name in (("#", "heading"), ("|", "table"), ("- ", "list"), ("```", "listing")):
        if first.startswith(mark):
            return name
    if _NUMBER.match(first):
        return "numbers"
    return "picture" if _PICTURE.fullmatch(first.strip()) else "paragraph"


def inline(text: str) -> list[nodes.Node]:
    """Parse words with code, bold and stressed words and links; a link to a file of the project becomes the file's name."""
    found: list[nodes.Node] = []
    end = 0
    for match in _INLINE.finditer(text):
        found.append(nodes.Text(text[end : match.start()]))
        code, bold, stressed, words, target = match.groups()
        if code is not None:
            found.append(nodes.literal(text=code))
        elif bold is not None:
            found.append(nodes.strong("", "", *inline(bold)))
        elif stressed is not None:
            found.append(nodes.emphasis(text=stressed))
        elif "://" in target:
            found.append(nodes.reference(text=words, refuri=target))
        else:
            found.append(nodes.literal(text=target))
        end = match.end()
    return [*found, nodes.Text(text[end:])]


def paragraph(block: Sequence[str]) -> nodes.paragraph:
    """Parse a paragraph."""
    return nodes.paragraph("", "", *inline(" ".join(line.strip() for line in block)))


def listing(block: Sequence[str]) -> nodes.literal_block:
    """Parse a fenced listing."""
    return nodes.literal_block(text="\n".join(block[1:-1]), language="text")


def heading(block: Sequence[str]) -> nodes.rubric:
    """Parse a heading below the title of the page."""
    return nodes.rubric("", "", *inline(block[0].lstrip("# ")))


def picture(block: Sequence[str]) -> tuple[str, str]:
    """Parse alternative words and file name."""
    match = _PICTURE.fullmatch(block[0].strip())
    assert match is not None
    return match[1], match[2]


def bullets(block: Sequence[str]) -> nodes.bullet_list:
    """Parse a list of one level; an item may continue in the next line."""
    return nodes.bullet_list("", *_items(block, re.compile("- ")))


def numbers(block: Sequence[str]) -> nodes.enumerated_list:
    """Parse a numbered list of one level."""
    return nodes.enumerated_list("", *_items(block, _NUMBER))


def _items(block: Sequence[str], mark: re.Pattern[str]) -> list[nodes.list_item]:
    items: list[list[str]] = []
    for line in block:
        match = mark.match(line)
        if match:
            items.append([line[match.end() :]])
        else:
            items[-1].append(line)
    return [nodes.list_item("", paragraph(item)) for item in items]


def table(block: Sequence[str], columns: Sequence[str] = (), rows: str = "") -> nodes.table:
    """Parse a table: the columns asked for in that order, and the rows in which a word occurs.

    Raises
    ------
    ValueError
        If there is no such column, or no such row.
    """
    head, *body = [_cells(line) for line in (block[0], *block[2:])]
    missing = [name for name in columns if name not in head]
    if missing:
        raise ValueError(f"the table has no column {missing}; it has {head}")
    places = [head.index(name) for name in columns or head]
    kept = [[row[place] for place in places] for row in body if rows in " ".join(row)]
    if not kept:
        raise ValueError(f"the table has no row with {rows!r}")
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in places), cols=len(places))
    group += nodes.thead("", _row(head[place] for place in places))
    group += nodes.tbody("", *map(_row, kept))
    return nodes.table("", group, classes=["result"])


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _row(words: Iterable[str]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *inline(word))) for word in words))
