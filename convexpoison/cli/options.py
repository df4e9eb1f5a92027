"""Options shared by several commands, and checks of their values before the computation starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from convexpoison.errors import optional_import
from convexpoison.learners.losses.registry import LOSSES

Command = TypeVar("Command", bound=Callable[..., Any])

INTERRUPTED = 130
"""The exit status that a shell reports for a program ended by Ctrl-C."""
EXIT_STATUS = (
    "Exit status: 0 success; 1 a solver has no answer; 2 bad input, with a message of one sentence; 130 after Ctrl-C."
)
"""The default last line of a command's help."""
FILE = click.Path(dir_okay=False, writable=True, path_type=Path)
PICTURES = (".png", ".pdf", ".svg")


def check_folder(ctx: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """Check that the folder of an output path exists, before the computation rather than after it."""
    if path is not None and not path.parent.is_dir():
        raise click.BadParameter(f"the folder {path.parent} does not exist")
    return path


def check_picture(ctx: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """Check an output path as :func:`check_folder`, and that the format and matplotlib are available for a picture."""
    if path is not None:
        if path.suffix not in PICTURES:
            raise click.BadParameter(f"{path} must end in one of {', '.join(PICTURES)}")
        optional_import("matplotlib.figure", "plot", "--plot")
    return check_folder(ctx, option, path)


def together(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Combine several options into one decorator, in the order of the help text."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
plot_option = click.option(
    "--plot", type=FILE, callback=check_picture, metavar="FILE", help="Save the plot (.png, .pdf, .svg)."
)
out_option = click.option("--out", type=FILE, callback=check_folder, metavar="FILE.npz", help="Save the result.")

rows_options = together(
    click.option("--dataset", metavar="NAME", help="A data set of the library, e.g. mnist_17 (see: info)."),
    click.option(
        "--data", type=Path, metavar="FILE", help="Your rows: .csv or .parquet (with --label), or .npz with X and y."
    ),
    click.option(
        "--label",
        metavar="COLUMN",
        help="The column with the labels; in an .npz file, the array [default: y].",
    ),
    click.option("--test-data", type=Path, metavar="FILE", help="Test rows, in the form of --data."),
)
target_options = together(
    click.option(
        "--target", metavar="MODEL",
        help="The model to induce: a fitted estimator saved by joblib (which can run code: open only files that "
        "you trust) or by skops (.skops), package.module:object, or .npz with coef and intercept.",
    ),
    click.option(
        "--target-error", type=float, metavar="FRACTION",
        help="Create the target by flipping labels until its error on the test rows is at least this.",
    ),
    click.option(
        "--flip-test", is_flag=True,
        help="Flip labels of the test rows, as Suya et al. (2021) do, instead of held-out training rows.",
    ),
)  # fmt: skip
goal_options = together(
    click.option(
        "--goal-flip-row", type=click.IntRange(min=0), metavar="N",
        help="A goal instead of a target: change the prediction of this test row (the first is 0).",
    ),
    click.option(
        "--goal-misclassify", type=Path, metavar="FILE",
        help="A goal instead of a target: misclassify every one of these rows, in the form of --data and with correct "
        "labels.",
    ),
)  # fmt: skip
victim_options = together(
    click.option(
        "--loss", type=click.Choice([name for name, loss in LOSSES.items() if loss.classification]),
        help="Loss of the victim [default: that of the estimator in --target, if any, else hinge].",
    ),
    click.option("--C", "C", type=float, help="Sum of the losses plus R / C, as in scikit-learn."),
    click.option(
        "--C-R", "C_R", type=float,
        help="Mean loss plus C_R * R, as in Suya et al. (2021) [default: 0.09, or that of the estimator in --target].",
    ),
    click.option(
        "--intercept", type=click.Choice(["regularized", "free", "none"]),
        help="[default: that of the estimator in --target, if any, else regularized]",
    ),
)  # fmt: skip
run_options = together(
    click.option(
        "--solver", default="auto", show_default=True, metavar="NAME", help="The solver that searches for points."
    ),
    click.option(
        "--time-limit", type=float, metavar="SECONDS", help="Stop after this time, with the best result so far."
    ),
    click.option(
        "--seed", type=int, default=0, show_default=True, help="Seed of the target, and of randomised methods."
    ),
    json_option,
)
