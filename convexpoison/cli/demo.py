"""The command ``convexpoison demo``."""

from __future__ import annotations

from pathlib import Path

import click

from convexpoison.cli.input import load_task
from convexpoison.cli.options import json_option
from convexpoison.cli.output import attack_facts, print_json, report, signed, write
from convexpoison.errors import optional_import


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("demo_output"), show_default=True)
@json_option
def demo(out: Path, as_json: bool) -> None:
    """Run one small attack; print its table, and save its plot and its result.

    A linear SVM that separates the handwritten digits 1 and 7 is turned into one with an error of at least 15 %.
    """
    optional_import("matplotlib.figure", "plot", "the demo's plot")
    import convexpoison as cp

    task = load_task(dataset="digits_17", target_error=0.15)
    result = cp.attack(task.target, task.train, victim=task.victim, space=task.space, test_data=task.test, eps=0.1)
    optimal = cp.attack(task.target, task.train, victim=task.victim, space=task.space, method="optimal")
    result = signed(result, task.source)
    out.mkdir(parents=True, exist_ok=True)
    run, plot = out / "run.npz", out / "demo.png"
    write(result, run, plot)
    if as_json:
        print_json(attack_facts(result, task, run, plot) | {"optimal": optimal.to_dict()})
        return
    click.echo("How many poisoned rows does it take to turn a linear SVM, 1 against 7 on 8 x 8 digits,")
    click.echo("into a model of the attacker's choice?\n")
    report(result, task, run, plot)
    click.echo(
        f"\nThe target itself: {optimal.n_points} points ({optimal.n_distinct} distinct) make the victim learn it exactly, "
        f"and no attack does with fewer than {optimal.bound.n_points:.0f} (certified)."
    )
