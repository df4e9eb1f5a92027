"""The command ``convexpoison sweep``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convexpoison.cli.objects import look_here
from convexpoison.cli.options import INTERRUPTED, json_option
from convexpoison.cli.output import print_json
from convexpoison.errors import optional_import

if TYPE_CHECKING:
    from convexpoison.sweeps import SweepResult


def _check_parquet(ctx: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    if path is not None:
        optional_import("pandas", "frame", "--parquet")
        optional_import("pyarrow", "frame", "--parquet")
        if not path.parent.is_dir():
            raise click.BadParameter(f"the folder {path.parent} does not exist")
    return path


@click.command(epilog="Exit status: 0 all tasks are finished; 1 some have failed; 2 bad input; 130 after Ctrl-C.")
@click.argument("grid", type=click.Path(path_type=Path))
@click.option(
    "--store", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for the records."
)
@click.option(
    "--task", metavar="NAME", help="attack, lower_bound or MODULE:FUNCTION [default: the file's, else attack]."
)
@click.option("--n-jobs", type=int, default=1, show_default=True, help="Parallel tasks; -1: one per core.")
@click.option("--random-state", type=int, help="[default: the file's, else 0]")
@click.option("--retry-failed", is_flag=True, help="Run failed tasks again.")
@click.option("--keep-results", is_flag=True, help="Save every attack in the store.")
@click.option(
    "--parquet", type=click.Path(dir_okay=False, path_type=Path), callback=_check_parquet, metavar="FILE",
    help="Write the table.",
)  # fmt: skip
@json_option
@click.pass_context
def sweep(ctx: click.Context, /, grid: Path, parquet: Path | None, as_json: bool, **options: Any) -> None:
    """Run every task of a GRID (a YAML file) that has no record in the store yet.

    A task counts as failed if it failed in this run or, without --retry-failed, in an earlier one. After Ctrl-C the same
    command resumes the sweep. Functions are also looked up in the current folder.

    \b
    convexpoison sweep grid.yaml --n-jobs 2 --store runs/ --parquet table.parquet
    """
    import convexpoison as cp

    look_here()  # for MODULE:FUNCTION
    result = cp.sweep(grid, **options)
    if parquet is not None:
        result.to_parquet(parquet)
    if as_json:
        print_json(_facts(result, parquet))
    else:
        _report(result, parquet)
    ctx.exit(INTERRUPTED if result.interrupted else 1 if result.failed else 0)


def _facts(result: SweepResult, parquet: Path | None) -> dict[str, Any]:
    failed = [{"key": r.key, "params": r.params, "error": _last_line(r.error)} for r in result.failed]
    return {
        "store": str(result.store),
        "parquet": None if parquet is None else str(parquet),
        "tasks": len(result),
        "finished": len(result) - len(failed) - len(result.pending),
        "pending": len(result.pending),
        "interrupted": result.interrupted,
        "seconds": sum(record.seconds or 0.0 for record in result.records),
        "failed": failed,
    }


def _report(result: SweepResult, parquet: Path | None) -> None:
    facts = _facts(result, parquet)
    click.echo(
        f"{facts['tasks']} tasks: {facts['finished']} finished, {len(facts['failed'])} failed, {facts['pending']} pending"
    )
    for failure in facts["failed"]:
        click.echo(f"failed: {failure['params']}: {failure['error']}")
    click.echo(f"records are in {result.store}" + ("" if parquet is None else f", the table in {parquet}"))


def _last_line(error: str | None) -> str:
    return (error or "").strip().rsplit("\n", 1)[-1]
