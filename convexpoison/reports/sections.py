"""Sections about results of convex models, about sweeps, and about any other :class:`~convexpoison.display.shown.Shown`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from convexpoison.certificates.base import Certificate
from convexpoison.display.bracket import plot_brackets
from convexpoison.display.images import Shape
from convexpoison.display.shown import Facts, Shown
from convexpoison.reports.read import claims_of
from convexpoison.reports.section import Picture, Section, Step, Table
from convexpoison.results.attack_result import AttackResult
from convexpoison.sweeps.records import Record
from convexpoison.sweeps.result import SweepResult

_MOST_ROWS = 200
"""Largest number of rows of a table, so that a page stays readable."""
_MOST_POINTS = 10
_ABOUT = {"bound": "for the target", "induced_bound": "for the model of this attack", "certificate": "the certificate"}


@dataclass(frozen=True)
class Source:
    """The location of a run, and further information about it.

    Attributes
    ----------
    name : str
        The name on the page.
    path : str or None
        The file, for commands; None for a result that was not saved.
    data : pair (X, y) or None
        The clean rows; certificates are verified with them.
    image_shape : tuple or None
        The shape of a row, if rows are images and the run does not record it.
    """

    name: str
    path: str | None = None
    data: Any = None
    image_shape: Shape | None = None


@singledispatch
def section_of(result: Any, source: Source) -> Section:
    """Build the section about a result.

    Raises
    ------
    TypeError
        If it is not a result.
    """
    if not isinstance(result, Shown):
        raise TypeError(f"a report is made of results and of paths of saved runs; got {type(result).__name__}")
    kind = type(result).__name__
    facts = result.facts()
    name, value = next(iter(facts.items()))
    answer = f"{name}: {value if isinstance(value, str) else f'{value:,.6g}'}" if facts else kind
    steps, proven = _proofs(claims_of(result), source, {})
    return Section(kind, source.name, answer, facts, (Picture.of(result.plot, kind),), proven, steps)


@section_of.register
def _attack(result: AttackResult, source: Source) -> Section:
    lower, used = result.induced_bound.n_points, result.n_points
    answer = (
        f"{used:,} added rows induce this model; no attack can with fewer than {lower:,.0f}."
        if isfinite(lower)
        else f"{used:,} rows were added."
    )
    shape = result.provenance.get("image_shape") or source.image_shape
    points = _caption(result)
    pictures = [Picture.of(result.plot, "Approach of the attack to its target, and the bracket of numbers of points")]
    if result.n_points:
        pictures.append(Picture.of(lambda: result.plot_points(_MOST_POINTS, shape=shape), points))
    steps, proven = _proofs(claims_of(result), source, result.provenance)
    command = result.provenance.get("command")
    again = () if command is None else (Step("The command that made this run:", command),)
    tables = (*proven, *(() if shape is not None or not result.n_points else (_points(result, points),)))
    provenance = {name: value for name, value in result.provenance.items() if name != "command"}
    return Section(
        "Attack", source.name, answer, result.facts(), tuple(pictures), tables, (*steps, *again), provenance
    )  # fmt: skip


@section_of.register(Certificate)
def _claim(claim: Certificate, source: Source) -> Section:
    facts: Facts = {"points needed": claim.n_points, "before rounding up": claim.value}
    facts |= {"note": claim.note} if claim.note else {}
    picture = Picture.of(
        lambda: plot_brackets({"certificate": (claim.value, None)}), "Numbers of points excluded by the certificate"
    )
    steps, proven = _proofs({"certificate": claim}, source, {})
    sentence = claim.sentence[0].upper() + claim.sentence[1:] + "."
    return Section("Certificate", source.name, sentence, facts, (picture,), proven, steps)


@section_of.register
def _sweep(result: SweepResult, source: Source) -> Section:
    facts = result.facts()
    answer = f"{facts['finished']:,} of {facts['tasks']:,} tasks are finished, {facts['failed']:,} have failed."
    pictures: tuple[Picture, ...] = ()
    if len(result.varied()) >= 2 and any("n_points" in (record.result or {}) for record in result.records):
        pictures = (
            Picture.of(result.plot, "Points used, over the first two parameters that vary; means of the others"),
        )
    words = "This completes the sweep; tasks that have a record are not run again:"
    steps = [Step(words, f"convexpoison sweep GRID.yaml --store {shlex.quote(str(result.store or 'runs/'))}")]
    kept = next((record for record in result.records if _attack_of(result, record) is not None), None)
    if kept is not None:
        words = "Each saved attack is a file that can be verified with its training rows, for example:"
        rows = {"dataset": kept.params["dataset"]} if isinstance(kept.params.get("dataset"), str) else {}
        steps.append(Step(words, _verify_command(str(_attack_of(result, kept)), rows)))
    versions = sorted({record.version for record in result.records})
    provenance = {"convexpoison": versions, "store": str(result.store)}
    return Section("Sweep", source.name, answer, facts, pictures, _tasks(result), tuple(steps), provenance)


def _proofs(
    claims: dict[str, Certificate], source: Source, provenance: dict[str, Any]
) -> tuple[tuple[Step, ...], tuple[Table, ...]]:
    """Return the step that verifies certificates, and a table of them, with verdicts if the clean rows are given."""
    if not claims:
        return (), ()
    words = "Verify the bounds from the clean rows, in interval arithmetic and without a solver:"
    step = Step(words, _verify_command(source.path or "FILE.npz", provenance))
    about = [["statement", *(claim.statement for claim in claims.values())]]
    columns = ["", *(_ABOUT[name] for name in claims)]
    about.append(["claim", *(claim.sentence for claim in claims.values())])
    if source.data is not None:
        about.append(["verified for this page", *(_verdict(claim, source.data) for claim in claims.values())])
    return (step,), (Table("Certificates", columns, about),)


def _verdict(claim: Certificate, data: Any) -> str:
    try:
        verdict = claim.verify(data)
    except ValueError as error:  # a page can contain runs on other rows
        return f"not verified: the rows differ ({error})"
    return f"{'holds' if verdict else 'does not hold'}: {verdict.reason}"


def _verify_command(path: str, provenance: dict[str, Any]) -> str:
    """Return the command that verifies a file, with the rows of the provenance or a placeholder for them."""
    if "dataset" in provenance:
        rows = f"--dataset {shlex.quote(provenance['dataset'])}"
    elif "data" in provenance:
        label = provenance.get("label")
        rows = shlex.quote(provenance["data"]) + ("" if label is None else f" --label {shlex.quote(label)}")
    else:
        rows = "ROWS.npz"
    return f"convexpoison verify {shlex.quote(path)} {rows}"


def _caption(result: AttackResult) -> str:
    n, shown = result.n_distinct, min(_MOST_POINTS, result.n_distinct)
    if result.counts.size and result.distinct()[2][0] == 1:
        return f"The first {shown} of {n:,} poison points, in the order in which they were chosen"
    return f"The {shown} of {n:,} poison points that are added most often" if shown < n else "All poison points"


def _points(result: AttackResult, caption: str) -> Table:
    """Tabulate labels, copies and the largest entries of the poison points."""
    rows, labels, counts = result.distinct()
    lines = []
    for row, label, count in zip(rows[:_MOST_POINTS], labels, counts, strict=False):
        largest = np.argsort(-np.abs(row), kind="stable")[:5]
        lines.append([label, int(count), ", ".join(f"{j}: {row[j]:.4g}" for j in largest if row[j])])
    return Table(caption, ["label", "copies", "largest entries (feature: value)"], lines)


def _tasks(result: SweepResult) -> tuple[Table, ...]:
    """Tabulate the parameters that vary with the results, and the errors of failed tasks."""
    frame = result.to_frame()
    varied = [name for name in result.varied() if frame[name].map(str).nunique() > 1] or result.varied()
    numbers = ("n_points", "bound.n_points", "induced_bound.n_points", "max_loss_difference", "accuracy", "value")
    shown = [*varied, *(n for n in numbers if n in frame.columns and n not in varied), "status", "seconds"]
    rows = frame[shown].iloc[:_MOST_ROWS].astype(object).to_numpy().tolist()
    more = "" if len(frame) <= _MOST_ROWS else f", the first {_MOST_ROWS} of {len(frame):,}"
    tables = [Table(f"Tasks{more}", shown, rows)]
    if result.failed:
        why = [[str(record.params), _last_line(record.error)] for record in result.failed[:_MOST_ROWS]]
        tables.append(Table("Failed", ["task", "error"], why))
    return tuple(tables)


def _last_line(error: str | None) -> str:
    return (error or "").strip().rsplit("\n", 1)[-1]


def _attack_of(result: SweepResult, record: Record) -> Path | None:
    """Return the file of a task's attack; None if the attack was not saved."""
    path = None if result.store is None else result.store / f"{record.key}.npz"
    return path if path is not None and path.is_file() else None


def brackets(results: Sequence[Any], names: Sequence[str]) -> tuple[Picture, ...]:
    """Return the brackets of several attacks in one picture."""
    attacks = {
        name: (result.induced_bound.n_points, float(result.n_points))
        for name, result in zip(names, results, strict=True)
        if isinstance(result, AttackResult)
    }
    found = []
    if len(attacks) > 1:
        found.append(
            Picture.of(lambda: plot_brackets(attacks), "Points used by the attacks, and lower bounds for their models")
        )
    return tuple(found)
