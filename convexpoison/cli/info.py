"""The command ``convexpoison info``."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from convexpoison.cli.options import json_option
from convexpoison.cli.output import print_json

_PACKAGES = {
    "needed": (
        "numpy", "scipy", "scikit-learn", "joblib", "highspy", "cvxpy", "click", "tqdm", "threadpoolctl", "pyyaml",
    ),
    "gurobi": ("gurobipy",), "neural": ("torch", "safetensors"), "fast": ("numba",), "plot": ("matplotlib",),
    "frame": ("pandas", "pyarrow"), "skops": ("skops",), "distributed": ("dask", "distributed"),
}  # fmt: skip
"""Packages by the extra that installs them."""
_NOT_CHECKED = "not checked (--licences)"


@click.command()
@click.option("--licences", is_flag=True, help="Also check the licences of solvers (may check one out from a server).")
@json_option
def info(licences: bool, as_json: bool) -> None:
    """Print versions, solvers with their capabilities, licences, and data on this machine."""
    from convexpoison import datasets
    from convexpoison.datasets.files import ENVIRONMENT_VARIABLE
    from convexpoison.datasets.images import available as images_available
    from convexpoison.loss_difference import backends

    facts: dict[str, Any] = {
        "convexpoison": _version("convexpoison"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {package: _version(package) for group in _PACKAGES.values() for package in group},
        "solvers": {name: _solver(backends.backend(name), licences) for name in backends.names()},
        "data_folder": os.environ.get(ENVIRONMENT_VARIABLE),
        "data": dict(datasets.available()),
        "images": dict(images_available()),
    }
    if as_json:
        print_json(facts)
    else:
        _report(facts)


def _solver(backend: Any, licences: bool) -> dict[str, Any]:
    """Return the facts about a solver; its licence is checked only if ``licences`` is true."""
    can, installed = backend.capabilities, backend.available()
    if not can.licensed:
        licence = "none needed"
    elif not installed:
        licence = "not installed"
    else:
        licence = _gurobi_licence() if licences else _NOT_CHECKED
    return {
        "installed": installed,
        "licence": licence,
        "automatic": can.automatic,
        "losses": can.loss_names,
        "spaces": sorted(can.parts),
    }


def _gurobi_licence() -> str:
    from convexpoison.solvers.gurobi import licence_status

    return licence_status().message


def _report(facts: dict[str, Any]) -> None:
    for name in ("convexpoison", "python", "platform"):
        click.echo(f"{name:<16}{facts[name]}")
    click.echo("\npackages")
    for extra, names in _PACKAGES.items():
        for name in names:
            found = facts["packages"][name]
            missing = "not installed" + ("" if extra == "needed" else f": pip install 'convexpoison[{extra}]'")
            click.echo(f"  {name:<16}{found or missing}")
    click.echo("\nsolvers")
    for name, solver in facts["solvers"].items():
        words = ["installed" if solver["installed"] else "not installed", f"licence: {solver['licence']}"]
        words += [] if solver["automatic"] else [f"only by name (--solver {name})"]
        click.echo(f"  {name:<16}{'; '.join(words)}")
        click.echo(f"  {'':<16}losses {', '.join(solver['losses'])}; spaces {', '.join(solver['spaces'])}")
    folder = facts["data_folder"] or "CONVEXPOISON_DATA is not set"
    for title, key in ((f"data ({folder})", "data"), ("images, for networks", "images")):
        click.echo(f"\n{title}")
        for name, here in facts[key].items():
            click.echo(f"  {name:<20}{'found' if here else 'not found'}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
