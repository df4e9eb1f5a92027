"""Tables of the experiments on PACD: which runs there are at a size, ours beside the paper's, and what was not run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
from common import write
from pacd import SIZES, TARGETS, Params, job, measured, settings

KINDS = ("clean", "watermarked", "poisoned")
NOT_RUN = "not run"


def parse(description: str) -> argparse.Namespace:
    """Parse ``--scale smoke|small|paper``, and ``--data`` at paper scale."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--scale", choices=tuple(SIZES), default="smoke")
    parser.add_argument("--data", choices=tuple(TARGETS), nargs="+", default=["mnist"])
    return parser.parse_args()


def is_run(arguments: argparse.Namespace, data: str, sigma: float, *small: float) -> bool:
    """Return whether this part of a table is run: all of it at paper scale, elsewhere MNIST, with the sigmas ``small`` (default:
    0.5) at small scale and the first of them at smoke scale."""
    if arguments.scale == "paper":
        return data in arguments.data
    sigmas = small or (0.5,)
    return data == "mnist" and sigma in (sigmas if arguments.scale == "small" else sigmas[:1])


def shown(arguments: argparse.Namespace, data: str, sigma: float, *small: float) -> bool:
    """Return whether this part is on the page: at smoke scale only if it is run."""
    return arguments.scale != "smoke" or is_run(arguments, data, sigma, *small)


def data_name(arguments: argparse.Namespace, data: str) -> str:
    """Return the name of a row's images."""
    return "digits" if arguments.scale == "smoke" else data


def spread(found: Params | None, name: str, factor: float = 1.0, digits: int = 3) -> str:
    """Format mean ± standard deviation over the seeds of retraining."""
    if found is None:
        return NOT_RUN
    values = np.array(found[name], dtype=float)
    if np.isnan(values).all():
        return "no attack succeeded"
    return f"{factor * np.nanmean(values):.{digits}f} ± {factor * np.nanstd(values):.{digits}f}"


def fall(found: Params | None, clean: Params | None, name: str = "acr") -> str:
    """Format the decrease against clean data, in per cent of the mean."""
    if found is None or clean is None:
        return NOT_RUN
    before = float(np.mean(clean[name]))
    return f"{100.0 * (1.0 - float(np.mean(found[name])) / before):.0f} %" if before > 0 else "none to lose"


def clean_and_poisoned(row: Params, clean: Params | None, poisoned: Params | None) -> Params:
    """Extend a row by the results of retraining on clean and on poisoned data."""
    return row | {
        "ACR, clean": spread(clean, "acr"), "ACR, poisoned": spread(poisoned, "acr"),
        "fall of ACR": fall(poisoned, clean), "ACA %, clean": spread(clean, "aca", 100.0, 1),
        "ACA %, poisoned": spread(poisoned, "aca", 100.0, 1),
    }  # fmt: skip


def fetch(jobs: Sequence[Params | None]) -> list[Params | None]:
    """Run the jobs and return their outcomes, None where there is no job."""
    wanted = [how for how in jobs if how is not None]
    found = iter(measured(wanted)) if wanted else iter(())
    return [None if how is None else next(found) for how in jobs]


def missing(arguments: argparse.Namespace, rows: list[dict[str, Any]], **known: Any) -> list[dict[str, Any]]:
    """Return a row for each data set of the paper that was not run; ``known`` are columns that need no run."""
    left = [data for data in TARGETS if data not in arguments.data and arguments.scale != "smoke"]
    return [dict.fromkeys(rows[0], NOT_RUN) | known | {"data": data} for data in left]


def publish(arguments: argparse.Namespace, stem: str, heading: str, rows: list[dict[str, Any]], *words: str) -> None:
    """Write CSV and page, at smoke scale without the paper's columns, which are about other data."""
    scale = arguments.scale
    if scale == "smoke":
        rows = [{name: value for name, value in row.items() if "paper" not in name} for row in rows]
    data = f" --data {' '.join(arguments.data)}" if scale == "paper" else ""
    command = f"From `python experiments/{stem}.py --scale {scale}{data}`."
    print(write(f"{stem}_{scale}", heading, [command, *("\n" + w for w in (*words, *size_words(scale)))], rows))


def size_words(scale: str) -> list[str]:
    """Describe how the size differs from the paper's."""
    size, how = SIZES[scale], settings(scale)
    if isinstance(how, str):
        return []
    return [
        f"Reduced: {size.n_train:,} images, of which {100.0 * size.validation:.3g} % are set aside for the attacker; "
        f"{size.epochs} epochs of retraining, {size.seeds} seed{'s' * (size.seeds > 1)}; {size.certified} test images of the "
        f"target class at most, {size.draws:,} draws each; MACER retrains with k = {size.k}, lambda = {size.lam:g}. The attack "
        f"takes {how.epochs * (how.steps_per_epoch or 0)} outer steps with {how.system_steps} conjugate gradient steps each, and "
        "each step moves all images of the class alike, where the paper moves each by its own slope: with so few steps that "
        "does far less.",
        "± is the standard deviation over the seeds of retraining; the attack is made once. Compare the falls, not the values.",
    ]


def table(
    stem: str,
    method: str,
    heading: str,
    paper: dict[tuple[str, float], tuple[str, ...]],
    description: str,
    *small: float,
) -> None:
    """Write one of Tables 2 to 4: one objective, three kinds of data.

    ``paper`` has ACR and ACA in turn for each of them; ``small`` are the sigmas of :func:`is_run`.
    """
    arguments = parse(description)
    grid = [(d, s, kind) for d, s in paper if shown(arguments, d, s, *small) for kind in KINDS]
    jobs = [
        job(d, arguments.scale, kind, method, s) if is_run(arguments, d, s, *small) else None for d, s, kind in grid
    ]
    outcomes = dict(zip(grid, fetch(jobs), strict=True))
    rows = []
    for (data, sigma, kind), found in outcomes.items():
        theirs = paper[data, sigma][2 * KINDS.index(kind) :]
        rows.append(
            {
                "data": data_name(arguments, data), "sigma": sigma, "trained on": kind, "ACR": spread(found, "acr"),
                "fall of ACR": fall(found, outcomes[data, sigma, "clean"]), "ACA %": spread(found, "aca", 100.0, 1),
                "accuracy, all classes %": spread(found, "accuracy", 100.0, 1), "paper's ACR": theirs[0],
                "paper's ACA %": theirs[1],
            }
        )  # fmt: skip
    publish(arguments, stem, heading, rows)
