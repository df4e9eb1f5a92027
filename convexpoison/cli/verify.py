"""The command ``convexpoison verify``."""

from __future__ import annotations

from pathlib import Path

import click

from convexpoison.cli.options import json_option
from convexpoison.cli.output import print_json, report_verdict
from convexpoison.cli.rows import read_weighted_rows


@click.command()
@click.argument("certificate", type=Path)
@click.argument("data", type=Path)
@click.option("--label", metavar="COLUMN", help="The column of DATA that holds the labels, where DATA is a CSV file.")
@json_option
@click.pass_context
def verify(ctx: click.Context, certificate: Path, data: Path, label: str | None, as_json: bool) -> None:
    """Prove the bound of a saved CERTIFICATE again.

    From the clean rows in DATA, in interval arithmetic and without a solver. DATA is .csv (with --label), or .npz with X
    (or data, indices, indptr and shape, as scipy.sparse.save_npz has them), y and, where rows are weighted,
    sample_weight. The exit status is 0 if the certificate holds, 1 if it does not, and 2 for bad input.

    \b
    convexpoison verify certificate.npz rows.npz
    """
    from convexpoison.proofs.kinds import load_certificate

    X, y, sample_weight = read_weighted_rows(data, label)
    if not certificate.is_file():
        raise FileNotFoundError(f"{certificate} is not a file")
    proof = load_certificate(certificate)
    verdict = proof.verify((X, y), sample_weight)
    if as_json:
        print_json({"statement": proof.statement, "note": proof.note, **verdict.to_dict()})
    else:
        report_verdict(proof, verdict)
    ctx.exit(0 if verdict.holds else 1)
