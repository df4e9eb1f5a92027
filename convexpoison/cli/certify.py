"""The command ``convexpoison certify``."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from convexpoison.cli.network import build, check_fit, load_part, need_torch, network_options, numbers
from convexpoison.cli.options import FILE, INTERRUPTED, check_folder, json_option, plot_option, together
from convexpoison.cli.output import print_json, report_written
from convexpoison.cli.settings import read_settings, settings_option

if TYPE_CHECKING:
    from convexpoison.neural.evaluation.evaluation import Evaluation

smoothing_options = together(
    click.option("--sigma", type=float, required=True, help="Standard deviation of the noise."),
    click.option("--noise", type=click.Choice(["gaussian", "uniform"]), default="gaussian", show_default=True),
    click.option("--votes", type=click.Choice(["hard", "soft"]), default="hard", show_default=True),
    click.option("--beta", type=float, default=1.0, show_default=True, help="Inverse temperature of soft votes."),
    click.option("--n0", type=int, default=100, show_default=True, help="Draws that choose the class."),
    click.option("--n", type=int, default=100_000, show_default=True, help="Draws that certify it."),
    click.option("--alpha", type=float, default=0.001, show_default=True, help="Probability of a wrong certificate, per image."),
    click.option(
        "--bound", type=click.Choice(["clopper_pearson", "randomized", "bernstein", "hoeffding"]),
        help="[default: clopper_pearson for hard votes, bernstein for soft]",
    ),
    click.option("--two-sided", is_flag=True, help="Bound the other classes too; each bound has half of alpha."),
    click.option("--tolerance", type=float, help="Draw less where the radius loses at most this fraction of sigma (hard votes)."),
    click.option(
        "--decide", is_flag=True,
        help="Draw only until it is decided which of --radii an image attains; its radius is the largest of these.",
    ),
    click.option(
        "--batch-size", type=int, help="Maximum number of noisy images per batch [default: 100 on a CPU, 4096 on CUDA]."
    ),
    click.option(
        "--data-dependent", is_flag=True,
        help="Choose a sigma for each image and store the predictions (Alfarra et al., 2022): the guarantee is "
        "that of convexpoison.neural.MemoryClassifier.",
    ),
    settings_option("--sigma-option", "A parameter of convexpoison.neural.optimize_sigma, e.g. steps=20; repeatable."),
)  # fmt: skip


@click.command()
@network_options
@click.option("--weights", type=Path, required=True, metavar="FILE", help="Weights or a checkpoint written by train.")
@smoothing_options
@click.option(
    "--every", type=click.IntRange(min=1), default=1, show_default=True, help="Certify one image in this many."
)
@click.option("--limit", type=click.IntRange(min=1), help="Certify at most this many of these.")
@click.option(
    "--radii", default="0,0.25,0.5,0.75,1,1.25,1.5", show_default=True, callback=numbers(float), metavar="NUMBERS",
    help="Radii for the summary, and for --decide.",
)  # fmt: skip
@click.option(
    "--out", type=FILE, callback=check_folder, metavar="FILE.tsv",
    help="Write one line per image, as soon as it is certified; images already in the file are skipped.",
)  # fmt: skip
@plot_option
@json_option
@click.pass_context
def certify(
    ctx: click.Context, /, dataset: str | None, data: Path | None, network: str, n_classes: int, device: str | None, seed: int,
    weights: Path, every: int, limit: int | None, radii: tuple[float, ...], out: Path | None, plot: Path | None,
    as_json: bool, n0: int, n: int, alpha: float, bound: str | None, two_sided: bool, tolerance: float | None,
    decide: bool, data_dependent: bool, sigma_options: tuple[str, ...], **smoothing: Any,
) -> None:  # fmt: skip
    """Certify the radii of a smoothed network on test images.

    Gaussian noise gives l2 radii, uniform noise l1 radii. After Ctrl-C the same command with --out resumes the run.

    \b
    convexpoison certify --dataset mnist --network lenet --weights macer.safetensors --sigma 0.25 --every 20 --out macer.tsv
    """
    need_torch("convexpoison certify")
    from convexpoison.neural.evaluation.evaluate import evaluate
    from convexpoison.neural.smoothing.classifier import SmoothedClassifier
    from convexpoison.neural.training.checkpoint import load_weights

    if sigma_options and not data_dependent:
        raise click.UsageError("--sigma-option requires --data-dependent")
    if not weights.is_file():
        raise FileNotFoundError(f"{weights} is not a file")
    X, y, words = load_part(dataset, data, "test")
    places = np.arange(len(y))[::every][:limit]
    module = build(network, n_classes, device, seed)
    load_weights(weights, module)
    check_fit(module, X[places], y[places])
    classifier: Any = SmoothedClassifier(module, **smoothing, random_state=seed)
    chosen: dict[str, Any] = {}
    if data_dependent:
        classifier, chosen = _with_memory(classifier, sigma_options)
    extra: dict[str, Any] = {
        name: value for name, value in (("bound", bound), ("tolerance", tolerance)) if value is not None
    }
    extra |= {"two_sided": True} if two_sided else {}
    if decide and extra:
        raise click.UsageError("--decide excludes --bound, --two-sided and --tolerance")
    extra |= {"radii": list(radii)} if decide else {}
    digest = sha256(weights.read_bytes()).hexdigest()
    about = {"images": words, "network": network, "weights_sha256": digest} | {
        f"sigma_{k}": v for k, v in chosen.items()
    }
    try:
        found = evaluate(
            classifier, X[places], y[places], path=out, idx=places, n0=n0, n=n, alpha=alpha, about=about, **extra
        )
    except KeyboardInterrupt:
        click.echo("interrupted" + ("" if out is None else f"; the same command resumes from {out}"), err=True)
        ctx.exit(INTERRUPTED)
    if plot is not None:
        found.plot().figure.savefig(plot, dpi=150)
    facts = _facts(found, words, radii, classifier.norm, alpha)
    if as_json:
        print_json(facts | {name: str(path) for name, path in (("out", out), ("plot", plot)) if path is not None})
    else:
        _report(facts)
        report_written(out, plot)


def _with_memory(classifier: Any, options: tuple[str, ...]) -> tuple[Any, dict[str, Any]]:
    """Return the classifier with a sigma for every image, and the settings of the search for sigma."""
    from convexpoison.neural.smoothing.memory import MemoryClassifier
    from convexpoison.neural.smoothing.sigma import optimize_sigma

    chosen = read_settings(options, optimize_sigma, "--data-dependent", flag="--sigma-option")
    return MemoryClassifier(classifier, partial(optimize_sigma, **chosen)), chosen


def _facts(found: Evaluation, images: str, radii: tuple[float, ...], norm: int, alpha: float) -> dict[str, Any]:
    return {
        "images": images, "n_images": len(found), "norm": norm, "alpha": alpha, "acr": found.acr,
        "abstentions": found.abstentions,
        "certified_accuracy": [{"radius": r, "accuracy": float(found.certified_accuracy(r))} for r in radii],
        "mean_sigma": float(np.mean(found.sigma)), "draws": int(np.sum(found.n)), "seconds": float(np.sum(found.seconds)),
    }  # fmt: skip


def _report(facts: dict[str, Any]) -> None:
    click.echo(
        f"{facts['n_images']:,} images of {facts['images']}, l{facts['norm']} radii, each certified with probability "
        f"{1.0 - facts['alpha']:g}"
    )
    click.echo(f"average certified radius  {facts['acr']:.4f}")
    click.echo(f"abstentions               {facts['abstentions']}")
    click.echo("radius  certified accuracy")
    for row in facts["certified_accuracy"]:
        click.echo(f"{row['radius']:<6g}  {row['accuracy']:.4f}")
    click.echo(f"{facts['draws']:,} draws, {facts['seconds']:.1f} s")
