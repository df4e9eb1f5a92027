"""Output of the command line: tables, JSON and files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from convexpoison.cli.input import Task

if TYPE_CHECKING:
    from convexpoison.certificates.base import Certificate
    from convexpoison.certificates.verification import Verification
    from convexpoison.results.attack_result import AttackResult

Signed = TypeVar("Signed", bound=Any)
COMMAND_LINE = "convexpoison.command_line"
"""The key of the typed command in click's context."""


def signed(result: Signed, source: dict[str, Any]) -> Signed:
    """Return the result with its command and the origin of its rows in the provenance."""
    made: Signed = replace(result, provenance=result.provenance | source | {"command": command_line()})
    return made


def command_line() -> str:
    """Return the running command, quoted for a shell."""
    return str(click.get_current_context().find_root().meta[COMMAND_LINE])


def write(result: AttackResult, out: Path | None, plot: Path | None) -> None:
    """Save the result and its plot, each if its path is given."""
    if out is not None:
        result.save(out)
    if plot is not None:
        result.plot()[0].figure.savefig(plot, dpi=150)


def report(result: AttackResult, task: Task, out: Path | None, plot: Path | None) -> None:
    """Print the table of a result, further numbers of the method, and the names of the written files."""
    click.echo(describe(task))
    click.echo(result.summary())
    for name, value in result.info.items():
        if isinstance(value, (int, float)):
            click.echo(f"{name}: {value:.6g}")
    report_written(out, plot)


def report_written(*paths: Path | None) -> None:
    """Print the names of the written files."""
    for path in paths:
        if path is not None:
            click.echo(f"wrote {path}")


def describe(task: Task) -> str:
    """Describe the origin of the target, or the goal, in one line."""
    forms = {
        "error": "error {:.4f}", "n_flipped": "{:,} rows flipped", "rate": "at least {:g}", "row": "test row {}",
        "rows": "{}", "n_rows": "{:,} rows", "n_train": "{:,} training rows", "n_validation": "{:,} validation rows",
    }  # fmt: skip
    details = ", ".join(form.format(task.facts[name]) for name, form in forms.items() if name in task.facts)
    head = task.facts["from"] if task.aim == "target" else task.facts["kind"]
    return f"{task.aim}: {head}" + (f" ({details})" if details else "")


def attack_facts(result: AttackResult, task: Task, out: Path | None, plot: Path | None) -> dict[str, Any]:
    """Return a result as the JSON object that ``--json`` prints."""
    written = {name: str(path) for name, path in (("out", out), ("plot", plot)) if path is not None}
    return {task.aim: task.facts, **result.to_dict(), **written}


def report_verdict(certificate: Certificate, verdict: Verification) -> None:
    """Print the statement of a certificate and whether it holds."""
    click.echo(certificate.statement)
    if certificate.note:
        click.echo(f"note: {certificate.note}")
    click.echo(f"{'holds' if verdict.holds else 'does not hold'}: {verdict.reason} ({verdict.seconds:.2f} s)")


def print_json(facts: dict[str, Any]) -> None:
    """Print one JSON object."""
    click.echo(json.dumps(facts, indent=2, allow_nan=False))
