"""The command ``convexpoison bound``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from convexpoison.cli.input import Task, load_task
from convexpoison.cli.options import (
    FILE,
    check_folder,
    goal_options,
    rows_options,
    run_options,
    target_options,
    victim_options,
)
from convexpoison.cli.output import describe, print_json


@click.command()
@rows_options
@target_options
@goal_options
@victim_options
@run_options
@click.option("--certificate", type=FILE, callback=check_folder, metavar="FILE.npz", help="Save the proof.")
def bound(as_json: bool, certificate: Path | None, **options: Any) -> None:
    """Compute the certified lower bound alone.

    No attack with fewer points makes the victim learn exactly the target, or reaches the goal. --solver is used only where
    there is no tight bound; bounds for goals use neither --solver nor --time-limit.

    \b
    convexpoison bound --dataset mnist_17 --target-error 0.15
    convexpoison bound --dataset mnist_17 --goal-flip-row 3 --certificate proof.npz
    """
    import convexpoison as cp

    task = load_task(**options)
    found = cp.lower_bound(
        task.target,
        task.train,
        victim=task.victim,
        space=task.space,
        solver=options["solver"],
        time_limit_s=options["time_limit"],
    )
    if certificate is not None and found.certificate is not None:
        found.certificate.save(certificate)
    if as_json:
        print_json({task.aim: task.facts, "bound": found.to_dict()})
    else:
        _report(found, task)


def _report(found: Any, task: Task) -> None:
    click.echo(describe(task))
    if not found.attainable:
        click.echo("no number of added points reproduces this target exactly")
        return
    proof = "certified" if found.certified else "not certified"
    by = ", ".join([f"value {found.value:.2f}", proof]) + f"; {found.method}"
    by += f", {found.solver}" if found.solver is not None else ""
    purpose = "reproduce this target" if task.aim == "target" else "reach this goal"
    click.echo(f"at least {found.n_points:,.0f} added points are needed to {purpose} ({by})")
