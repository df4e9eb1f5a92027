"""The command ``convexpoison verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convexpoison.cli.input import load_rows
from convexpoison.cli.options import json_option
from convexpoison.cli.output import print_json, report_verdict
from convexpoison.cli.rows import read_weighted_rows

if TYPE_CHECKING:
    from convexpoison.certificates.base import Certificate
    from convexpoison.certificates.verification import Verification


@click.command(epilog="Exit status: 0 all claims hold; 1 a claim does not hold; 2 bad input; 130 after Ctrl-C.")
@click.argument("certificate", type=Path)
@click.argument("data", type=Path, required=False)
@click.option("--dataset", metavar="NAME", help="Instead of DATA: the training rows of a data set of the library.")
@click.option("--label", metavar="COLUMN", help="The column of DATA with the labels; in an .npz file, the array.")
@json_option
@click.pass_context
def verify(
    ctx: click.Context, certificate: Path, data: Path | None, dataset: str | None, label: str | None, as_json: bool
) -> None:
    """Verify the bounds of a saved CERTIFICATE, or of a saved attack.

    The bounds are proven again from the clean rows in DATA, in interval arithmetic and without a solver. DATA is .csv or
    .parquet (with --label), or .npz with X (or data, indices, indptr and shape, as in scipy.sparse.save_npz), y and, for
    weighted rows, sample_weight.

    \b
    convexpoison verify certificate.npz rows.npz
    convexpoison verify run.npz --dataset mnist_17
    """
    from convexpoison.reports.read import claims_in

    if (data is None) == (dataset is None):
        raise click.UsageError("give the clean rows either as DATA or as --dataset")
    if data is None:
        X, y = load_rows(dataset, data, label, None).train
        sample_weight = None
    else:
        X, y, sample_weight = read_weighted_rows(data, label)
    if not certificate.is_file():
        raise FileNotFoundError(f"{certificate} is not a file")
    claims = claims_in(certificate)
    verdicts = {name: claim.verify((X, y), sample_weight) for name, claim in claims.items()}
    if as_json:
        print_json(_facts(claims, verdicts))
    else:
        for name, claim in claims.items():
            report_verdict(claim, verdicts[name])
    ctx.exit(0 if all(verdicts.values()) else 1)


def _facts(claims: dict[str, Certificate], verdicts: dict[str, Verification]) -> dict[str, Any]:
    """Return the verdict of a certificate, or one verdict per bound of an attack and whether all hold."""
    facts = {
        name: {"statement": claim.statement, "note": claim.note, **verdicts[name].to_dict()}
        for name, claim in claims.items()
    }
    return facts["certificate"] if list(facts) == ["certificate"] else facts | {"holds": all(verdicts.values())}
