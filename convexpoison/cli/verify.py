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
    from convexpoison.certificates.base import Claim
    from convexpoison.certificates.verification import Verdict


@click.command(epilog="Exit status: 0 all that is claimed holds; 1 it does not; 2 bad input; 130 after Ctrl-C.")
@click.argument("certificate", type=Path)
@click.argument("data", type=Path, required=False)
@click.option("--dataset", metavar="NAME", help="Instead of DATA: the training rows of a data set of the library.")
@click.option("--label", metavar="COLUMN", help="The column of DATA that holds the labels; of an .npz file, the array.")
@json_option
@click.pass_context
def verify(
    ctx: click.Context, certificate: Path, data: Path | None, dataset: str | None, label: str | None, as_json: bool
) -> None:
    """Prove the bounds of a saved CERTIFICATE, or of a saved attack, again.

    From the clean rows in DATA, in interval arithmetic and without a solver. DATA is .csv or .parquet (with --label), or
    .npz with X (or data, indices, indptr and shape, as scipy.sparse.save_npz has them), y and, where rows are weighted,
    sample_weight.

    \b
    convexpoison verify certificate.npz rows.npz
    convexpoison verify run.npz --dataset mnist_17
    """
    from convexpoison.reports.read import claims_in

    if (data is None) == (dataset is None):
        raise click.UsageError("give the clean rows as DATA, or as --dataset, and not both")
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


def _facts(claims: dict[str, Claim], verdicts: dict[str, Verdict]) -> dict[str, Any]:
    """Of a certificate its verdict; of an attack one a bound, and whether all hold."""
    told = {
        name: {"statement": claim.statement, "note": claim.note, **verdicts[name].to_dict()}
        for name, claim in claims.items()
    }
    return told["certificate"] if list(told) == ["certificate"] else told | {"holds": all(verdicts.values())}
