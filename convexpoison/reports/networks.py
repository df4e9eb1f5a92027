"""Sections about results of deep networks; torch is not needed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np

from convexpoison.display.curves import plot_curves
from convexpoison.neural.evaluation.evaluation import Evaluation, certified_accuracy_curves
from convexpoison.neural.poisoning.model_targeted_result import ModelTargetedPoison
from convexpoison.neural.poisoning.result import PoisonResult
from convexpoison.reports.section import Picture, Section, Step, Table
from convexpoison.reports.sections import Source, section_of


@section_of.register
def _evaluation(result: Evaluation, source: Source) -> Section:
    norm = result.settings.get("norm", 2)
    answer = f"The average certified l{norm} radius of {len(result):,} images is {result.acr:.4f}."
    picture = Picture.of(
        result.plot, "The fraction of images that are classified correctly with at least a given radius"
    )
    digest = result.settings.get("weights_sha256")
    weights = "" if digest is None else f", with the weights whose SHA-256 is {digest}"
    step = Step(f"Certify the images again{weights}:", _certify_command(result.settings, source))
    return Section(
        "Certified radii", source.name, answer, result.facts(), (picture,), (), (step,), dict(result.settings)
    )  # fmt: skip


@section_of.register
def _poison(result: PoisonResult, source: Source) -> Section:
    largest = float(result.distances(result.norm).max(initial=0.0))
    changed = int((result.labels != result.base_labels).sum())
    clean = "no label is changed" if not changed else f"{changed:,} labels are changed"
    answer = f"{result.n_points:,} images are changed by at most {largest:.4g} ({result.norm}), and {clean}."
    pictures = [Picture.of(result.plot, "Images before and after")]
    steps = result.trace.get("judged_step", np.empty(0))
    if len(steps):
        caption = "Value of the poison on held-out images at each outer step; the poison with the least value was kept"
        value = {"soft radius or negated loss": result.trace["judged_value"]}
        pictures.append(Picture.of(lambda: plot_curves(steps, value, xlabel="outer step", ylabel="value"), caption))
    provenance = {name: value for name, value in result.provenance.items() if name not in ("command", "evaluation")}
    command = result.provenance.get("command")
    again = (
        "The same command, with the same seed and on the same kind of machine, makes the poison again:"
        if command
        else "Distances and labels can be recomputed from the file: it contains the base images."
    )
    tables = _trained_on(result.provenance.get("evaluation"))
    steps_to_verify = (Step(again, command or ""),)
    return Section(
        "Poisoned images", source.name, answer, result.facts(), tuple(pictures), tables, steps_to_verify, provenance
    )  # fmt: skip


@section_of.register
def _model_targeted(result: ModelTargetedPoison, source: Source) -> Section:
    answer = f"{result.n_points:,} added images steer the network towards its target."
    picture = Picture.of(result.plot, "Approach of the network to its target")
    return Section(
        "Model-targeted poison", source.name, answer, result.facts(), (picture,), provenance=dict(result.settings)
    )  # fmt: skip


def curves(results: Sequence[Any], names: Sequence[str]) -> tuple[Picture, ...]:
    """Return the curves of several evaluations in one picture."""
    found = {name: run for name, run in zip(names, results, strict=True) if isinstance(run, Evaluation)}
    if len(found) < 2:
        return ()
    return (Picture.of(certified_accuracy_curves(found).plot, "Certified accuracy of all evaluations on this page"),)


def _trained_on(evaluation: dict[str, Any] | None) -> tuple[Table, ...]:
    """Tabulate the networks trained with and without the poison."""
    if not evaluation:
        return ()
    columns = ["trained on", "networks", "average certified radius", "certified accuracy", "accuracy, all classes"]
    rows = [
        [name, len(metrics["acr"]), *(_spread(metrics[key]) for key in ("acr", "aca", "accuracy"))]
        for name, metrics in evaluation.items()
    ]
    n_images = next(iter(evaluation.values()))["n_images"]
    caption = f"Networks trained from scratch, certified on {n_images:,} test images of the class (mean ± deviation)"
    return (Table(caption, columns, rows),)


def _spread(values: list[float]) -> str:
    return f"{np.mean(values):.4f} ± {np.std(values):.4f}"


def _certify_command(settings: dict[str, Any], source: Source) -> str:
    """Return the command line of these settings; unknown values are words in capitals."""
    words = str(settings.get("images", "FILE.npz"))
    images = ["--dataset", words.removesuffix(" (test)")] if words.endswith(" (test)") else ["--data", words]
    parts = [*images, "--network", str(settings.get("network", "NETWORK")), "--weights", "WEIGHTS"]
    for name in ("sigma", "noise", "votes", "beta", "n0", "n", "alpha", "bound", "tolerance"):
        if name in settings and not (name == "beta" and settings.get("votes") != "soft"):
            parts += [f"--{name}", str(settings[name])]
    parts += ["--two-sided"] if settings.get("two_sided") else []
    if settings.get("classifier") == "MemoryClassifier":
        parts.append("--data-dependent")
        for name in (name for name in settings if name.startswith("sigma_")):
            parts += ["--sigma-option", f"{name.removeprefix('sigma_')}={settings[name]}"]
    return shlex.join(["convexpoison", "certify", *parts, "--out", "again.tsv"])
