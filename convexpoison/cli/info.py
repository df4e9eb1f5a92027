"""The command ``convexpoison info``."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from convexpoison.cli.options import json_option
from convexpoison.cli.output import print_json
from convexpoison.errors import optional_import

_PACKAGES = (
    "numpy", "scipy", "scikit-learn", "joblib", "highspy", "cvxpy", "click", "tqdm", "gurobipy", "torch", "numba",
    "matplotlib", "pandas", "safetensors",
)  # fmt: skip


@click.command()
@click.option("--licences", is_flag=True, help="Also ask Gurobi for its licence (may take one from a server).")
@json_option
def info(licences: bool, as_json: bool) -> None:
    """Versions, solvers and data on this machine."""
    from convexpoison import datasets
    from convexpoison.solvers import base

    facts: dict[str, Any] = {
        "convexpoison": _version("convexpoison"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {package: _version(package) for package in _PACKAGES},
        "solvers": {name: base.backend(name).available() for name in base.names()},
        "data": dict(datasets.available()),
    }
    if licences:
        facts["gurobi_licence"] = _gurobi_licence()
    if as_json:
        print_json(facts)
        return
    words = {True: "yes", False: "no", None: "not installed"}
    for title, entry in facts.items():
        if isinstance(entry, dict):
            click.echo(f"{title}:")
            for name, value in entry.items():
                click.echo(f"  {name:<20}{words.get(value, value)}")
        else:
            click.echo(f"{title:<22}{words.get(entry, entry)}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _gurobi_licence() -> str:
    gurobipy = optional_import("gurobipy", "gurobi", "the state of Gurobi's licence")
    try:
        with gurobipy.Env(params={"OutputFlag": 0}) as environment:
            environment.start()
    except gurobipy.GurobiError as error:
        return f"refused: {error}"
    return "granted (a licence that came with the package ends at 2,000 variables and 2,000 constraints)"
