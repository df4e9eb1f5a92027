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
"""By the extra that brings them."""
_NOT_ASKED = "not asked (--licences)"


@click.command()
@click.option("--licences", is_flag=True, help="Also ask solvers for their licence (may take one from a server).")
@json_option
def info(licences: bool, as_json: bool) -> None:
    """Versions, solvers with what they can, licences, and data on this machine."""
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
    """What is known of a solver; its licence is only asked for where that is wanted."""
    can, installed = backend.capabilities, backend.available()
    if not can.licensed:
        licence = "none needed"
    elif not installed:
        licence = "not installed"
    else:
        licence = _gurobi_licence() if licences else _NOT_ASKED
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
    for name, told in facts["solvers"].items():
        words = ["installed" if told["installed"] else "not installed", f"licence: {told['licence']}"]
        words += [] if told["automatic"] else [f"only by name (--solver {name})"]
        click.echo(f"  {name:<16}{'; '.join(words)}")
        click.echo(f"  {'':<16}losses {', '.join(told['losses'])}; spaces {', '.join(told['spaces'])}")
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
