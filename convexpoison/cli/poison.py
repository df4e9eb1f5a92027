"""The command ``convexpoison poison``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from convexpoison.cli.input import exactly_one
from convexpoison.cli.network import check_fit, device_of, factory_of, load_part, need_torch, network_options
from convexpoison.cli.options import INTERRUPTED, json_option, out_option, plot_option, together
from convexpoison.cli.output import print_json, report_written, signed
from convexpoison.cli.settings import read_settings, settings_option
from convexpoison.cli.train import objective_options, read_objective, read_recipe, recipe_options
from convexpoison.display.shown import text_of_facts

if TYPE_CHECKING:
    from convexpoison.neural.poisoning.result import PoisonResult
    from convexpoison.neural.training.victim import NeuralVictim

attack_options = together(
    click.option("--target", type=int, metavar="CLASS", help="The class to attack."),
    click.option(
        "--target-image", type=click.IntRange(min=0), metavar="N", help="Instead of a class: lower the radius of this test image."
    ),
    click.option(
        "--goal", type=click.Choice(["radius", "accuracy"]), default="radius", show_default=True,
        help="The quantity of the class to lower.",
    ),
    click.option("--n-poison", type=click.IntRange(min=1), help="Images to change [default: all of the class]."),
    click.option(
        "--method", type=click.Choice(["bilevel", "watermark", "noise", "label_flip"]), default="bilevel", show_default=True
    ),
    click.option("--eps", type=float, default=0.1, show_default=True, help="Largest distance from the base image."),
    click.option("--norm", type=click.Choice(["linf", "l2"]), default="linf", show_default=True),
    click.option("--opacity", type=float, default=0.1, show_default=True, help="Opacity of watermarks."),
    click.option(
        "--preset", type=click.Choice(["code", "paper"]), default="code", show_default=True,
        help="bilevel: the settings of PACD, from its code or from its text.",
    ),
    settings_option("--setting", "bilevel: another value of convexpoison.neural.BilevelSettings, e.g. epochs=5; repeatable."),
    click.option(
        "--validation", type=click.FloatRange(0.0, 1.0, min_open=True, max_open=True), default=1.0 / 12.0, metavar="FRACTION",
        help="Fraction of the images held out to evaluate the poison [default: 1/12].",
    ),
    click.option("--test-data", type=Path, metavar="FILE.npz", help="Test images, in the form of --data."),
    click.option(
        "--checkpoint", type=Path, metavar="FILE", help="bilevel: written during the attack; if it exists, the attack resumes."
    ),
    click.option("--time-limit", type=float, metavar="SECONDS", help="Stop after this time, with the best poison so far."),
)  # fmt: skip
evaluation_options = together(
    click.option(
        "--evaluate", type=click.IntRange(min=1), metavar="N",
        help="Train N networks with the poison and N without it, and certify both on test images of the class.",
    ),
    click.option("--n-test", type=click.IntRange(min=1), default=500, show_default=True, help="Test images of the class."),
    click.option("--n0", type=int, default=100, show_default=True, help="Draws that choose the class."),
    click.option("--n", type=int, default=100_000, show_default=True, help="Draws that certify it."),
    click.option("--alpha", type=float, default=0.001, show_default=True, help="Probability of a wrong certificate, per image."),
)  # fmt: skip


@click.command()
@network_options
@attack_options
@objective_options
@recipe_options
@evaluation_options
@out_option
@plot_option
@json_option
@click.pass_context
def poison(
    ctx: click.Context, /, dataset: str | None, data: Path | None, test_data: Path | None, network: str, n_classes: int,
    device: str | None, seed: int, evaluate: int | None, n_test: int, n0: int, n: int, alpha: float, out: Path | None,
    plot: Path | None, as_json: bool, **what: Any,
) -> None:  # fmt: skip
    """Poison training images to lower the certified radius of a smoothed network.

    The methods change training images slightly and no label (Mehra et al., 2021, and its baselines); label_flip changes labels
    only. --network, --objective and the options after it define the training of the victim. After Ctrl-C the best poison so far
    is saved; with --checkpoint the same command resumes the attack.

    \b
    convexpoison poison --dataset mnist --network pacd_mnist --sigma 0.25 --target 8 --out poison.npz --evaluate 5
    """
    need_torch("convexpoison poison")
    from convexpoison.neural.training.victim import NeuralVictim

    victim = NeuralVictim(factory_of(network, n_classes), read_objective(what), read_recipe(what))
    where = device_of(device)
    X, y, words = load_part(dataset, data, "train")
    check_fit(victim.build(seed), X, y)
    needed = evaluate is not None or what["target_image"] is not None
    test = _test(dataset, test_data) if needed else None
    target, label = _target(what, test)
    result = _attack(victim, target, (X, y), where, seed, what)
    evaluation: dict[str, Any] = {}
    if evaluate is not None and result.stop_reason != "interrupted":
        assert test is not None
        options = {"n_seeds": evaluate, "n_test": n_test, "n0": n0, "n": n, "alpha": alpha, "device": where}
        evaluation = _evaluate(result, victim, (X, y), test, label, options | {"random_state": seed})
    result = signed(result, {"images": words} | ({"evaluation": evaluation} if evaluation else {}))
    if out is not None:
        result.save(out)
    if plot is not None:
        result.plot()[0, 0].figure.savefig(plot, dpi=150)
    if as_json:
        print_json(_facts(result, words, out, plot))
    else:
        _report(result)
        report_written(out, plot)
    if result.stop_reason == "interrupted":
        ctx.exit(INTERRUPTED)


def _target(what: dict[str, Any], test: tuple[Any, Any] | None) -> tuple[Any, int]:
    """Return the target, and the class whose test images are evaluated."""
    from convexpoison.neural.poisoning.goals import TargetClass, TargetPoint

    label, place = what["target"], what["target_image"]
    exactly_one(target=label, target_image=place)
    if place is None:
        return TargetClass(label, what["goal"], what["n_poison"]), label
    assert test is not None
    images, labels = test
    if place >= len(labels):
        raise ValueError(f"--target-image {place}: there are {len(labels)} test images, numbered from 0")
    label = int(labels[place])
    return TargetPoint(images[place], label, what["n_poison"]), label


def _test(dataset: str | None, test_data: Path | None) -> tuple[Any, Any]:
    """Load the test images, from the data set or from a file."""
    if dataset is None and test_data is None:
        raise click.UsageError("--evaluate and --target-image need test images: --dataset, or --test-data")
    return load_part(None if test_data is not None else dataset, test_data, "test")[:2]


def _attack(
    victim: NeuralVictim, target: Any, train: tuple[Any, Any], device: Any, seed: int, what: dict[str, Any]
) -> PoisonResult:
    from convexpoison.neural.poisoning.attack import attack
    from convexpoison.neural.poisoning.bilevel_settings import BilevelSettings

    chosen = read_settings(what["settings"], BilevelSettings, "method bilevel", flag="--setting")
    if what["method"] != "bilevel" and (chosen or what["checkpoint"] is not None):
        raise click.UsageError(f"--setting and --checkpoint require --method bilevel, not {what['method']}")
    settings = BilevelSettings.preset(what["preset"], victim.objective, color=train[0].shape[1] == 3)
    return attack(
        target, train, victim=victim, method=what["method"], eps=what["eps"], norm=what["norm"],
        settings=replace(settings, **chosen), validation=what["validation"], opacity=what["opacity"],
        random_state=seed, device=device, checkpoint=what["checkpoint"], time_limit_s=what["time_limit"],
    )  # fmt: skip


def _evaluate(
    poison: PoisonResult, victim: NeuralVictim, data: tuple[Any, Any], test: tuple[Any, Any], label: int,
    options: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Train networks without the poison and with it, and return their metrics, one entry per network."""
    from convexpoison.neural.poisoning.retraining import retrain

    found = {
        name: retrain(victim, train, test, label, **options)
        for name, train in (("clean", poison.clean(*data)), ("poisoned", poison.poisoned(*data)))
    }
    return {
        name: {"acr": r.acr.tolist(), "aca": r.aca.tolist(), "accuracy": r.accuracy.tolist(), "n_images": r.n_images}
        for name, r in found.items()
    }


def _facts(result: PoisonResult, images: str, out: Path | None, plot: Path | None) -> dict[str, Any]:
    return {
        "images": images, "n_points": result.n_points, "n_train": len(result.train_indices), "method": result.method,
        "eps": result.eps, "norm": result.norm, "largest_distance": float(result.distances(result.norm).max(initial=0.0)),
        "labels_changed": int((result.labels != result.base_labels).sum()), "stop_reason": result.stop_reason,
        "seconds": result.seconds, "evaluation": result.provenance.get("evaluation"),
    } | {name: str(path) for name, path in (("out", out), ("plot", plot)) if path is not None}  # fmt: skip


def _report(result: PoisonResult) -> None:
    click.echo(text_of_facts(result.facts()))
    for name, metrics in result.provenance.get("evaluation", {}).items():
        acr, aca = float(np.mean(metrics["acr"])), float(np.mean(metrics["aca"]))
        click.echo(
            f"trained on {name} images: average certified radius {acr:.4f}, certified accuracy {aca:.4f} "
            f"({len(metrics['acr'])} networks, {metrics['n_images']} images)"
        )
