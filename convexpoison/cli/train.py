"""The command ``convexpoison train``."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from convexpoison.cli.network import build, check_fit, load_part, need_torch, network_options, numbers
from convexpoison.cli.options import FILE, INTERRUPTED, check_folder, json_option, together
from convexpoison.cli.output import print_json, report_written
from convexpoison.cli.settings import read_settings, settings_option

if TYPE_CHECKING:
    from convexpoison.neural.training.fit import Recipe
    from convexpoison.neural.training.objectives import Objective

OBJECTIVES = {"ga": "GaussianAugmentation", "smoothadv": "SmoothAdv", "macer": "Macer", "standard": "Standard"}
_OWN = ("sigma", "k", "lam")

objective_options = together(
    click.option("--objective", type=click.Choice(list(OBJECTIVES)), default="ga", show_default=True),
    click.option("--sigma", type=float, help="Noise in training; required by all objectives except standard."),
    click.option("--k", type=int, help="Noise draws per image [default: the objective's]."),
    click.option("--lam", type=float, help="macer: weight of the robustness loss [default: 16]."),
    settings_option(
        "--option", "A further setting of the objective (see convexpoison.neural.training.objectives); repeatable."
    ),
    click.option("--data-dependent", is_flag=True, help="Adapt the noise level to each image (Alfarra et al., 2022)."),
    settings_option("--sigma-option", "A setting of --data-dependent, e.g. start_epoch=5; repeatable."),
)
recipe_options = together(
    click.option("--epochs", type=int, default=20, show_default=True),
    click.option("--batch-size", type=int, default=64, show_default=True),
    click.option("--optimizer", type=click.Choice(["sgd", "adam"]), default="sgd", show_default=True),
    click.option("--learning-rate", type=float, default=0.01, show_default=True),
    click.option("--momentum", type=float, default=0.9, show_default=True, help="Momentum of sgd."),
    click.option("--weight-decay", type=float, default=5e-4, show_default=True),
    click.option(
        "--milestones", default="", callback=numbers(int), metavar="EPOCHS",
        help="Epochs, as in 200,400, after which the learning rate is multiplied by --decay.",
    ),
    click.option("--decay", type=float, default=0.1, show_default=True),
    click.option("--mixed-precision", is_flag=True, help="bfloat16 in the forward pass, on CUDA."),
    click.option("--augment", is_flag=True, help="Flip and shift the images, as is usual for photographs."),
)  # fmt: skip


@click.command()
@network_options
@click.option("--n-train", type=click.IntRange(min=1), help="Train on this many images, drawn at random.")
@objective_options
@recipe_options
@click.option(
    "--checkpoint", type=FILE, callback=check_folder, metavar="FILE",
    help="Written after each epoch; if it exists, training resumes from it.",
)  # fmt: skip
@click.option(
    "--weights", type=FILE, callback=check_folder, required=True, metavar="FILE.safetensors", help="Save the weights."
)
@json_option
@click.pass_context
def train(
    ctx: click.Context, /, dataset: str | None, data: Path | None, network: str, n_classes: int, device: str | None, seed: int,
    n_train: int | None, checkpoint: Path | None, weights: Path, as_json: bool, **what: Any,
) -> None:  # fmt: skip
    """Train a network for randomized smoothing.

    After Ctrl-C the same command with --checkpoint resumes after the last complete epoch.

    \b
    convexpoison train --dataset mnist --network lenet --objective macer --sigma 0.25 --weights macer.safetensors
    """
    need_torch("convexpoison train")
    from convexpoison.neural.training.checkpoint import save_weights
    from convexpoison.neural.training.fit import fit

    aim, how = read_objective(what), read_recipe(what)
    X, y, words = load_part(dataset, data, "train")
    if n_train is not None and n_train < len(y):
        chosen = np.sort(np.random.default_rng(seed).permutation(len(y))[:n_train])
        X, y = X[chosen], y[chosen]
    module = build(network, n_classes, device, seed)
    check_fit(module, X, y)
    try:
        trained = fit(module, aim, X, y, how, random_state=seed, checkpoint=checkpoint)
    except KeyboardInterrupt:
        again = (
            "" if checkpoint is None else f"; the same command resumes from {checkpoint}, after its last complete epoch"
        )
        click.echo(f"interrupted{again}", err=True)
        ctx.exit(INTERRUPTED)
    save_weights(weights, module)
    facts = {
        "images": words, "n_train": len(y), "network": network, "objective": str(aim), "epochs": how.epochs,
        "losses": trained.losses, "seconds": trained.seconds, "weights": str(weights),
        "checkpoint": None if checkpoint is None else str(checkpoint),
    }  # fmt: skip
    if as_json:
        print_json(facts)
        return
    click.echo(f"trained {network} on {len(y):,} images of {words}: {aim}")
    click.echo(
        f"{how.epochs} epochs, loss {trained.losses[0]:.4g} -> {trained.losses[-1]:.4g}, {trained.seconds:.1f} s"
    )
    report_written(checkpoint, weights)


def read_objective(what: dict[str, Any]) -> Objective:
    """Build the objective that :data:`objective_options` describe; these are removed from ``what``.

    Raises
    ------
    click.UsageError, ValueError
        As :func:`make_objective`; also for settings of ``--data-dependent`` without that option.
    """
    from convexpoison.neural.training.objectives import DataDependent

    own, options = {name: what.pop(name) for name in _OWN}, what.pop("options")
    aim = make_objective(what.pop("objective"), own, options)
    settings, data_dependent = what.pop("sigma_options"), what.pop("data_dependent")
    if not data_dependent:
        if settings:
            raise click.UsageError("--sigma-option requires --data-dependent")
        return aim
    return DataDependent(aim, **read_settings(settings, DataDependent, "--data-dependent", flag="--sigma-option"))


def read_recipe(what: dict[str, Any]) -> Recipe:
    """Build the recipe that :data:`recipe_options` describe; these are removed from ``what``."""
    from convexpoison.neural.training.fit import Recipe, flip_and_crop

    names = [name for name in inspect.signature(Recipe).parameters if name in what and name != "augment"]
    how = {name: what.pop(name) for name in names}
    return Recipe(**how, augment=flip_and_crop if what.pop("augment") else None)


def make_objective(name: str, own: dict[str, Any], options: tuple[str, ...]) -> Objective:
    """Build the objective of that name with its settings.

    Raises
    ------
    click.UsageError
        If a setting is missing, or unknown to the objective.
    ValueError
        If a value is out of its range.
    """
    from convexpoison.neural.training import objectives

    kind = getattr(objectives, OBJECTIVES[name])
    takes = inspect.signature(kind).parameters
    given = {key: value for key, value in own.items() if value is not None}
    strange = [f"--{key}" for key in given if key not in takes]
    if strange:
        raise click.UsageError(f"objective {name} has no {' and no '.join(strange)}")
    if "sigma" in takes and "sigma" not in given:
        raise click.UsageError(f"objective {name} needs --sigma, the noise in training, for example 0.25")
    made: Objective = kind(**given, **read_settings(options, kind, f"objective {name}", without=_OWN))
    return made
