"""Test error, lambda and the model's norm against the share of poison, for four defenders (RMD, Figure 2).

    python experiments/rmd_figure2.py --scale paper [--only MNIST] [--splits 10] [--n-jobs 4] [--hypergradient reverse]
    python experiments/rmd_figure2.py --scale paper --page [--hypergradient reverse]

The second form runs nothing: it writes page, table and figure from the stored rows.

Implicit: attack and defender train to the exact optimum. Reverse: both by T steps of gradient descent, and models are tested as
RMD trains them; that is the paper's own victim, which stops early.

A split that is already in the results file is not run again, so that an interrupted run resumes.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from common import RESULTS, write
from joblib import Parallel, delayed
from rmd_common import DEFENDERS, STAND_IN, STAND_IN_WORDS, Pool, options, pools, run, split

import convexpoison as cp

Row = dict[str, Any]
_LABELS = {"small": "lambda = -8", "large": "lambda large", "clean": "lambda_CLEAN", "rmd": "lambda_RMD"}
_STEM = "rmd_figure2"


def one_split(pool: Pool, number: int, hypergradient: str) -> list[Row]:
    """Run all defenders on one split."""
    part, rows = split(pool, number), list[Row]()
    for defender in DEFENDERS:
        try:
            rows += run(part, defender, hypergradient)
        except cp.SolverError as error:  # almost no regularisation and separable rows: there is hardly a minimum
            print(f"{pool.setting.name}, split {number}, {defender}: left out ({error})", flush=True)
    return rows


def read(path: Path) -> list[Row]:
    """Read the rows of earlier runs."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return [{name: _number(text) for name, text in row.items()} for row in csv.DictReader(file)]


def _number(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text


def save(path: Path, rows: list[Row]) -> None:
    """Write all rows, replacing the file at once."""
    RESULTS.mkdir(exist_ok=True)
    rows.sort(key=lambda row: (row["data"], row["split"], DEFENDERS.index(row["defender"]), row["points"]))
    half = path.with_suffix(".part")
    with open(half, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    half.replace(path)


def summary(rows: list[Row]) -> list[Row]:
    """Return mean and standard deviation over the splits."""
    out = []
    for name, defender, points in dict.fromkeys((row["data"], row["defender"], row["points"]) for row in rows):
        mine = [r for r in rows if (r["data"], r["defender"], r["points"]) == (name, defender, points)]
        out.append(
            {
                "data": name,
                "defender": _LABELS[defender],
                "poison, %": round(100 * mine[0]["fraction"], 1),
                "splits": len(mine),
                "lambda": _spread(mine, "lambda", 1, 2),
                "test error, %": _spread(mine, "test error", 100, 2),
                "test error with RMD's training, %": _spread(mine, "test error, RMD's training", 100, 2),
                "squared norm": _spread(mine, "squared norm", 1, 3),
            }
        )
    return out


def _spread(rows: list[Row], column: str, scale: float, digits: int) -> str:
    values = scale * np.array([row[column] for row in rows])
    mean = f"{values.mean():.{digits}f}"
    return f"{mean} ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else mean


def findings(rows: list[Row], error: str) -> Iterable[str]:
    """Yield RMD's statements, each with our figures: it prints curves, no numbers."""
    for name in dict.fromkeys(row["data"] for row in rows):
        mine = [row for row in rows if row["data"] == name]
        most = max(row["points"] for row in mine)

        def mean(defender: str, points: int, column: str, mine: list[Row] = mine) -> float:
            return float(np.mean([r[column] for r in mine if (r["defender"], r["points"]) == (defender, points)]))

        attacked = {d: 100 * mean(d, most, error) for d in DEFENDERS}
        clean = {d: 100 * mean(d, 0, error) for d in DEFENDERS}
        norms = [mean("rmd", n, "squared norm") for n in (0, most)]
        lams = [mean("rmd", n, "lambda") for n in (0, most)]
        below = attacked["rmd"] < min(attacked["small"], attacked["clean"])
        splits = len({row["split"] for row in mine})
        yield from (
            f"**{name}** ({splits} split{'' if splits == 1 else 's'}, {most} points at the strongest)",
            "",
            f"- Under attack lambda_RMD errs less than lambda small and lambda_CLEAN: {_verdict(below)}, {attacked['rmd']:.1f} % "
            f"against {attacked['small']:.1f} % and {attacked['clean']:.1f} % (lambda large: {attacked['large']:.1f} %).",
            f"- lambda_RMD rises with the share of poison: {_verdict(lams[1] > lams[0])}, {lams[0]:.2f} to {lams[1]:.2f}.",
            f"- The norm of the parameters falls: {_verdict(norms[1] < norms[0])}, {norms[0]:.3g} to {norms[1]:.3g}.",
            f"- Without an attack lambda_RMD is as good as lambda_CLEAN: {clean['rmd']:.2f} % against {clean['clean']:.2f} %.",
            f"- Without an attack lambda large underfits: {_verdict(clean['large'] > clean['clean'])}, {clean['large']:.2f} %.",
            "",
        )


def _verdict(holds: bool) -> str:
    return "holds" if holds else "does not hold here"


def plot(rows: list[Row], error: str, path: Path) -> None:
    """Plot the test error above, lambda and norm of lambda_RMD below; bars are one standard deviation over the splits."""
    names = list(dict.fromkeys(row["data"] for row in rows))
    figure, axes = plt.subplots(2, len(names), figsize=(5 * len(names), 7), squeeze=False)
    for top, bottom, name in zip(*axes, names, strict=True):
        for defender in DEFENDERS:
            x, mean, deviation = _curve(rows, name, defender, error)
            top.errorbar(100 * x, 100 * mean, 100 * deviation, marker="o", capsize=3, label=_LABELS[defender])
        top.set(title=name, xlabel="poison, % of the clean rows", ylabel=f"{error}, %")
        top.title.set_fontsize(9)
        x, mean, deviation = _curve(rows, name, "rmd", "lambda")
        bottom.errorbar(100 * x, mean, deviation, marker="o", capsize=3, color="C3")
        bottom.set(xlabel="poison, % of the clean rows", ylabel="lambda_RMD")
        x, mean, deviation = _curve(rows, name, "rmd", "squared norm")
        other = bottom.twinx()
        other.errorbar(100 * x, mean, deviation, marker="s", capsize=3, color="C4")
        other.set(ylabel="squared norm (squares)", yscale="log")
    axes[0, 0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _curve(rows: list[Row], name: str, defender: str, column: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mine = [row for row in rows if (row["data"], row["defender"]) == (name, defender)]
    x = sorted({row["fraction"] for row in mine})
    values = [[row[column] for row in mine if row["fraction"] == share] for share in x]
    return np.array(x), np.array([np.mean(v) for v in values]), np.array([np.std(v) for v in values])


_WORDS = """From `python experiments/rmd_figure2.py --scale {scale}{options}`; all rows in `{name}_runs.csv`. Mean ± standard
deviation over random splits. {splits}

Settings of RMD's Tables 1 to 3: {sizes}, lambda in [-8, log 200] (MNIST), [-8, log 400] (FMNIST), [-8, log 20,000] (ImageNet),
batches of 17 points, flipped clones of validation rows as starts, warm start lambda = log 5, lambda_CLEAN from 5-fold
cross-validation over [-8, 1] (by logistic loss), "lambda small" = -8, "lambda large" = the upper end.

RMD prints curves and no numbers, so that its statements are compared, not its values.

Where we differ from it:

- {training}
- Steps are scaled (option `step="scaled"`), because RMD's rates belong to a scaling of the objective that it does not state.
  `exp(lambda)` weighs the regulariser against the *sum* of the losses, and the intercept is regularised
  (`convexpoison/learners/implicit/tuning.py` says why).
- Poison is added to the training rows, as in RMD's Eq. 1 (its Appendix D says "replaced"); shares are of the clean rows, so
  that 85 points are 16.6 %.
"""


_TRAINING = {
    "test error": """Hypergradients are implicit, models are trained to the exact optimum in the attack and in the test. The
  column "with RMD's training" holds models trained on the same poison as RMD does (Table 3): a descent that ends far from the
  optimum where lambda is small, which regularises by itself. Poison that was made for the optimum does little to it; poison that
  is made for a short descent is what `--hypergradient reverse` makes: {reverse}.""",
    "test error, RMD's training": """As in RMD, hypergradients go through T steps of descent (reverse mode, Table 2), and the
  models that are tested are trained by stochastic descent (Table 3): findings and figure are about these. The column "test error"
  holds models that are trained to the exact optimum on the same poison.""",
}


def n_splits(rows: list[Row]) -> str:
    """Describe the number of splits of each data set."""
    seen = {
        name: {row["split"] for row in rows if row["data"] == name} for name in dict.fromkeys(r["data"] for r in rows)
    }
    return ", ".join(f"{name}: {len(numbers)}" for name, numbers in seen.items())


def splits_run(rows: list[Row]) -> str:
    """Describe the splits that were run and those left out, against the ten of RMD."""
    there = {(row["data"], row["split"], row["defender"]) for row in rows}
    missing = [(*key, d) for key in dict.fromkeys(t[:2] for t in there) for d in DEFENDERS if (*key, d) not in there]
    words = f"Splits that were run: {n_splits(rows)} (RMD: 10 of each)."
    if missing:
        named = "; ".join(f"{data}, split {number}: {_LABELS[d]}" for data, number, d in sorted(missing))
        words += f" Left out, because training did not converge: {named}."
    return f"{words}\n\n{STAND_IN_WORDS}" if any(row["data"] == STAND_IN for row in rows) else words


def reverse_run(scale: str) -> str:
    """Name the page of the poison made in reverse mode, or say that there is none."""
    name = f"{_STEM}_{scale}_reverse"
    rows = read(RESULTS / f"{name}_runs.csv")
    return f"`{name}.md` (splits of {n_splits(rows)})" if rows else "at this scale that was not run"


def page(name: str, scale: str, rows: list[Row], column: str) -> str:
    """Write Markdown, CSV of the summary, and the figure."""
    flags = " --hypergradient reverse" if name.endswith("reverse") else ""
    sizes = "512 training and 171 validation rows, balanced" if scale == "paper" else "smoke scale, 120 + 60 rows"
    words = [
        _WORDS.format(
            scale=scale,
            options=flags,
            name=name,
            sizes=sizes,
            splits=splits_run(rows),
            training=_TRAINING[column].format(reverse=reverse_run(scale)),
        ),
        "## Findings",
        "",
        *findings(rows, column),
        "## All figures",
        "",
    ]
    plot(rows, column, RESULTS / f"{name}.png")
    return write(name, "Poison against a defender who tunes lambda (RMD, Figure 2)", words, summary(rows))


def main() -> None:
    arguments = options(__doc__ or "")
    reverse = arguments.hypergradient == "reverse"
    name = f"{_STEM}_{arguments.scale}{'_reverse' if reverse else ''}"
    column = "test error, RMD's training" if reverse else "test error"
    store = RESULTS / f"{name}_runs.csv"
    rows = read(store)
    done = {(row["data"], row["split"]) for row in rows}
    chosen = [] if arguments.page else pools(arguments.scale, arguments.only)
    todo = [(pool, number) for pool in chosen for number in range(arguments.splits)]
    todo = [(pool, number) for pool, number in todo if (pool.setting.name, number) not in done]
    todo.sort(key=lambda job: job[1])  # a first split of every data set before any second one
    workers = Parallel(n_jobs=arguments.n_jobs, return_as="generator_unordered")
    for new in workers(delayed(one_split)(pool, number, arguments.hypergradient) for pool, number in todo):
        rows += new
        save(store, rows)
        page(name, arguments.scale, rows, column)
        print(f"{new[0]['data']}, split {new[0]['split']}: {sum({row['seconds'] for row in new}):.0f} s", flush=True)
    if rows:
        print(page(name, arguments.scale, rows, column))


if __name__ == "__main__":
    main()
