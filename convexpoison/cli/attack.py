"""The command ``convexpoison attack``."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Any

import click

from convexpoison.api import attack as attack_function
from convexpoison.attacks.base import METHODS, RENAMED, find_method
from convexpoison.cli.input import Task, load_task
from convexpoison.cli.options import (
    INTERRUPTED,
    goal_options,
    out_option,
    plot_option,
    rows_options,
    run_options,
    target_options,
    victim_options,
)
from convexpoison.cli.output import attack_facts, print_json, report, signed, write
from convexpoison.cli.rows import read_rows
from convexpoison.cli.settings import read_settings, settings_option

_METHODS = (*METHODS, *RENAMED)


@click.command()
@rows_options
@target_options
@click.option(
    "--goal-error",
    type=float,
    metavar="FRACTION",
    help="A goal instead of a target: an error on the test rows of at least this.",
)
@goal_options
@victim_options
@run_options
@click.option(
    "--method", type=click.Choice(_METHODS),
    help="[default: follow_the_leader; for a goal fewest_points] For a target: follow_the_leader, optimal (the fewest points "
    "that reproduce the target itself), nearest, kkt. The others are for goals.",
)  # fmt: skip
@settings_option("--option", "A parameter of the method (see its function in convexpoison.attacks); repeatable.")
@click.option(
    "--validation", type=Path, metavar="FILE",
    help="For goals: rows on which the attacker maximises the error, in the form of --data [default: those of the goal].",
)  # fmt: skip
@click.option(
    "--eps", type=float, help="For a target: stop at this maximum loss difference [default: 0.1, without --max-points]."
)
@click.option("--max-points", type=int, help="Stop at this many points; required by kkt and by most methods for goals.")
@click.option("--copies", type=int, default=1, show_default=True, help="Add each point found this many times.")
@click.option(
    "--bound-time-limit", type=float, metavar="SECONDS",
    help="For each of the two final bounds; 0: only the bounds from the attack's own models [default: --time-limit, at most 60].",
)  # fmt: skip
@out_option
@plot_option
def attack(
    method: str | None,
    options: tuple[str, ...],
    validation: Path | None,
    out: Path | None,
    plot: Path | None,
    as_json: bool,
    eps: float | None,
    max_points: int | None,
    copies: int,
    bound_time_limit: float | None,
    **what: Any,
) -> None:
    """Induce a model, or reach a goal; bracket the number of points.

    \b
    convexpoison attack --dataset mnist_17 --target-error 0.15
    convexpoison attack --data rows.csv --label y --target wanted.joblib --out run.npz
    convexpoison attack --dataset mnist_17 --goal-flip-row 3
    convexpoison attack --dataset mnist_17 --goal-error 0.1 --method min_max --max-points 400 --option learner=dual_averaging
    """
    if options and method is None:
        raise click.UsageError("--option sets a parameter of a method; name the method with --method")
    settings = {} if method is None else method_settings(method, options)
    task = load_task(**what)
    if validation is not None:
        settings["validation"] = read_rows(validation, what["label"])
    result = attack_function(
        task.target,
        task.train,
        victim=task.victim,
        space=task.space,
        test_data=task.test,
        solver=what["solver"],
        method=method,
        eps=eps,
        max_points=max_points,
        copies=copies,
        time_limit_s=what["time_limit"],
        bound_time_limit_s=bound_time_limit,
        random_state=what["seed"],
        **settings,
    )
    tell(result, task, out, plot, as_json)


def method_settings(method: str, options: tuple[str, ...], without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Read ``--option``, checked against the method's function; parameters shared by all methods have their own options."""
    shared = tuple(signature(attack_function).parameters)
    found = find_method(method, True)[1]
    if options and not found.options:
        raise click.UsageError(f"--option {options[0]}: method {method} has no options")
    return read_settings(options, found.load(), f"method {method}", without=(*shared, *without))


def tell(result: Any, task: Task, out: Path | None, plot: Path | None, as_json: bool) -> None:
    """Save and print a result; exit with status 130 after Ctrl-C."""
    result = signed(result, task.source)
    write(result, out, plot)
    if as_json:
        print_json(attack_facts(result, task, out, plot))
    else:
        report(result, task, out, plot)
    if result.stop_reason == "interrupted":
        click.get_current_context().exit(INTERRUPTED)
