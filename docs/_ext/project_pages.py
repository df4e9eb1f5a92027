"""Directives that put the project's own files and its command line into the pages, so that nothing is typed twice.

``.. markdown:: PATH``
    A Markdown file of the project without its title. ``:columns:`` (separated by ``;``) and ``:rows:`` (a word) choose from
    its tables, ``:only:`` (``table`` or ``text``) and ``:under:`` (a heading) from its blocks, and ``:missing:`` is said
    where there is no such file.
``.. result:: NAME``
    The same for a page of ``experiments/results``. ``{scale}`` in the name stands for the largest scale that was run; where
    there is none the page says so.
``.. commands::``, ``.. backends::``
    The help of every command, as click prints it; what the solver backends declare.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import click
import markdown_blocks as md
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
SCALES = ("paper", "small", "smoke")


class MarkdownDirective(SphinxDirective):
    """A Markdown file of the project."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {
        "columns": directives.unchanged_required,
        "rows": directives.unchanged_required,
        "only": lambda word: directives.choice(word, ("table", "text")),
        "under": directives.unchanged_required,
        "missing": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        path = self.find()
        if path is None:
            return [md.paragraph([self.absent()])]
        self.env.note_dependency(str(path))
        try:
            return list(self.translate(path))
        except ValueError as exc:
            raise self.error(f"{path.name}: {exc}") from exc

    def find(self) -> Path | None:
        """Return the file, None if there is none."""
        path = ROOT / self.arguments[0]
        return path if path.exists() else None

    def absent(self) -> str:
        """Return the words for a missing file."""
        if "missing" not in self.options:
            raise self.error(f"there is no file {self.arguments[0]}")
        return str(self.options["missing"])

    def translate(self, path: Path) -> Iterator[nodes.Node]:
        columns = [name.strip() for name in self.options.get("columns", "").split(";") if name.strip()]
        section = ""
        for block in md.blocks(path.read_text(encoding="utf-8")):
            kind = md.kind(block)
            if kind == "heading":
                section = block[0].lstrip("# ")
            if block[0].startswith("# ") or not self.wanted(kind, section):
                continue
            if kind == "table":
                yield md.table(block, columns, self.options.get("rows", ""))
            elif kind == "picture":
                yield self.picture(path.parent, block)
            else:
                yield _PLAIN[kind](block)

    def wanted(self, kind: str, section: str) -> bool:
        only, under = self.options.get("only"), self.options.get("under")
        return (only is None or (kind == "table") == (only == "table")) and under in (None, section)

    def picture(self, folder: Path, block: list[str]) -> nodes.image:
        words, name = md.picture(block)
        page = Path(self.env.doc2path(self.env.docname)).parent
        return nodes.image(uri=Path(os.path.relpath(folder / name, page)).as_posix(), alt=words)


class ResultDirective(MarkdownDirective):
    """The printed results of an experiment."""

    def find(self) -> Path | None:
        names = [self.arguments[0].format(scale=scale) for scale in SCALES]
        paths = [ROOT / "experiments" / "results" / f"{name}.md" for name in names]
        return next((path for path in paths if path.exists()), None)

    def absent(self) -> str:
        return self.options.get("missing", "Not run yet: there is no such page in `experiments/results`.")


class CommandsDirective(SphinxDirective):
    """One section a command."""

    def run(self) -> list[nodes.Node]:
        from convexpoison.cli.commands import main

        context = _context(main, "convexpoison")
        found: list[nodes.Node] = [_help(context)]
        for name in main.list_commands(context):
            command = main.get_command(context, name)
            assert command is not None
            section = nodes.section("", nodes.title(text=name), ids=[f"command-{name}"])
            section += _help(_context(command, name, context))
            found.append(section)
        return found


def _context(command: click.Command, name: str, parent: click.Context | None = None) -> click.Context:
    return command.make_context(name, [], parent, resilient_parsing=True, terminal_width=100)


def _help(context: click.Context) -> nodes.literal_block:
    return nodes.literal_block(text=context.get_help(), language="text")


class BackendsDirective(SphinxDirective):
    """The declared capabilities of each solver backend."""

    def run(self) -> list[nodes.Node]:
        from convexpoison import solvers

        lines = ["| backend | losses | parts of a space | chosen by `auto` |", "| --- | --- | --- | --- |"]
        for name in solvers.names():
            able = solvers.backend(name).capabilities
            losses, parts = ", ".join(able.loss_names), ", ".join(sorted(able.parts))
            lines.append(f"| `{name}` | {losses} | {parts} | {'yes' if able.automatic else 'only by name'} |")
        return [md.table(lines)]


_PLAIN = {
    "heading": md.heading,
    "list": md.bullets,
    "numbers": md.numbers,
    "listing": md.listing,
    "paragraph": md.paragraph,
}


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives; called by Sphinx."""
    app.add_directive("markdown", MarkdownDirective)
    app.add_directive("result", ResultDirective)
    app.add_directive("commands", CommandsDirective)
    app.add_directive("backends", BackendsDirective)
    return {"parallel_read_safe": True}
