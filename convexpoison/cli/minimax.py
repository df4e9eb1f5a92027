"""The command ``convexpoison minimax``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from convexpoison.cli.attack import method_settings, tell
from convexpoison.cli.input import Task, load_rows, make_victim
from convexpoison.cli.options import json_option, out_option, plot_option, rows_options, together, victim_options
from convexpoison.cli.rows import read_rows
from convexpoison.cli.settings import settings_option

_OWN = together(
    click.option("--max-points", type=int, required=True, help="Points to add; all of them are used."),
    click.option(
        "--validation", type=Path, metavar="FILE",
        help="Trusted rows on which the defender tunes and the attacker maximises the loss, in the form of --data.",
    ),
    click.option(
        "--validation-share", type=click.FloatRange(0.0, 1.0, min_open=True, max_open=True), metavar="FRACTION",
        help="Instead of a file: hold out this fraction of the training rows [default: 0.25].",
    ),
    click.option(
        "--tune", type=click.Choice(["l2", "per_class", "per_feature", "none"]), default="l2", show_default=True,
        help="Parameters that the defender tunes: one lambda, one for each class, one for each feature, none.",
    ),
    settings_option("--option", "A parameter of convexpoison.attacks.minimax, e.g. iterations=50; repeatable."),
    click.option("--time-limit", type=float, metavar="SECONDS", help="Stop after this time, with the current points."),
    click.option("--seed", type=int, default=0, show_default=True, help="Seed of the split of the rows and of the attack."),
)  # fmt: skip


@click.command()
@rows_options
@_OWN
@victim_options
@json_option
@out_option
@plot_option
def minimax(
    tune: str, options: tuple[str, ...], max_points: int, time_limit: float | None, seed: int, **what: Any
) -> None:
    """Attack a defender who tunes the regularisation.

    The attack of Carnerero-Cano et al. (2021): ascent in the points alternates with descent in lambda. The hinge is smoothed.
    exp(lambda) / 2 times the squared norm is added to the sum of the losses.

    \b
    convexpoison minimax --dataset mnist_17 --loss logistic --C 1 --max-points 85
    """
    import convexpoison as cp

    settings: dict[str, Any] = {"tune": None if tune == "none" else tune}
    settings |= method_settings("minimax", options, without=("tune",))
    out, plot, as_json = (what.pop(name) for name in ("out", "plot", "as_json"))
    task, validation = _task(seed=seed, **what)
    result = cp.attack(
        task.target,
        task.train,
        victim=task.victim,
        space=task.space,
        test_data=task.test,
        validation=validation,
        method="minimax",
        max_points=max_points,
        time_limit_s=time_limit,
        random_state=seed,
        **settings,
    )
    tell(result, task, out, plot, as_json)
    if not as_json:
        info = result.info
        click.echo(f"lambda, tuned on clean rows: {_numbers(info['lambda_clean'])}")
        click.echo(f"lambda, with {result.n_points} points: {_numbers(info['lambda'])}")


def _task(
    *, dataset: str | None, data: Path | None, label: str | None, test_data: Path | None, validation: Path | None,
    validation_share: float | None, seed: int, loss: str | None, C: float | None, C_R: float | None, intercept: Any,
) -> tuple[Task, tuple[Any, Any]]:  # fmt: skip
    """Return the task on the training rows, and the validation rows."""
    if validation is not None and validation_share is not None:
        raise click.UsageError("give --validation or --validation-share, not both")
    rows = load_rows(dataset, data, label, test_data)
    train, source = rows.train, rows.source
    if validation is not None:
        held_out = read_rows(validation, label)
    else:
        from sklearn.model_selection import train_test_split

        share, (X, y) = 0.25 if validation_share is None else validation_share, train
        X_train, X_held, y_train, y_held = train_test_split(X, y, test_size=share, stratify=y, random_state=seed)
        train, held_out = (X_train, y_train), (X_held, y_held)
        source = {name: source[name] for name in source if name == "image_shape"}  # no file contains these rows alone
    facts = {"kind": "validation loss", "n_train": len(train[1]), "n_validation": len(held_out[1])}
    return Task(
        _never, train, rows.test, make_victim(loss, C, C_R, intercept), rows.space, facts, "goal", source
    ), held_out


def _never(model: Any) -> bool:
    """Return False: the attack maximises the loss with all its points, and no outcome ends it."""
    return False


def _numbers(values: list[float], most: int = 8) -> str:
    more = f", ... ({len(values)} of them)" if len(values) > most else ""
    return ", ".join(f"{value:.4g}" for value in values[:most]) + more
