"""The command ``convexpoison report``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from convexpoison.cli.input import load_rows
from convexpoison.cli.options import FILE, check_folder, json_option
from convexpoison.cli.output import print_json, report_written
from convexpoison.errors import optional_import


def _image_shape(ctx: click.Context, option: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    try:
        return None if text is None else tuple(int(part) for part in text.lower().split("x"))
    except ValueError:
        raise click.BadParameter(f"{text!r} must be written as 28x28, or 32x32x3") from None


@click.command()
@click.argument("runs", nargs=-1, required=True, type=Path, metavar="RUN...")
@click.option(
    "--out", type=FILE, callback=check_folder, default=Path("report.html"), show_default=True, metavar="FILE.html"
)
@click.option("--title", help="[default: How many poisoned rows does it take?]")
@click.option("--dataset", metavar="NAME", help="Verify the certificates with the training rows of this data set.")
@click.option("--data", type=Path, metavar="FILE", help="Verify them with these rows: .csv, .parquet or .npz.")
@click.option("--label", metavar="COLUMN", help="The column of --data with the labels.")
@click.option(
    "--image-shape", callback=_image_shape, metavar="HxW", help="The image shape of a row, e.g. 28x28 [default: the run's]."
)  # fmt: skip
@json_option
def report(
    runs: tuple[Path, ...], out: Path, title: str | None, dataset: str | None, data: Path | None, label: str | None,
    image_shape: tuple[int, ...] | None, as_json: bool,
) -> None:  # fmt: skip
    """Write one HTML page about saved runs.

    RUN is a saved attack, certificate or poison (.npz), a file of certified radii (.tsv), or the folder of a sweep. The page
    embeds its figures, works offline, and shows how to verify each run.

    \b
    convexpoison report run.npz proof.npz runs/ --out report.html --dataset mnist_17
    """
    optional_import("matplotlib.figure", "plot", "convexpoison report")
    from convexpoison.reports import report as write_report

    rows = None if dataset is None and data is None else load_rows(dataset, data, label, None)
    options: dict[str, Any] = {} if title is None else {"title": title}
    write_report(runs, out, data=None if rows is None else rows.train, image_shape=image_shape, **options)
    if as_json:
        print_json({"out": str(out), "runs": [str(run) for run in runs]})
    else:
        report_written(out)
