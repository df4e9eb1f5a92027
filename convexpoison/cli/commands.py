"""The command line: ``convexpoison demo | attack | bound | sweep | verify | info``.

With ``--json`` a command prints one JSON object on standard output and nothing else there; progress goes to standard
error. Bad input ends with exit status 2 and one sentence, a solver without an answer with 1.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from convexpoison.cli.input import load_task
from convexpoison.cli.output import attack_facts, describe_target, print_json, report, report_verdict, write
from convexpoison.cli.rows import read_weighted_rows
from convexpoison.cli.sweep import sweep
from convexpoison.errors import MissingDependencyError, SolverError, optional_import

Command = TypeVar("Command", bound=Callable[..., Any])

_PACKAGES = (
    "numpy", "scipy", "scikit-learn", "joblib", "highspy", "cvxpy", "click", "tqdm", "gurobipy", "torch", "numba",
    "matplotlib", "pandas",
)  # fmt: skip
_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)
_PICTURES = (".png", ".pdf", ".svg")


class _BadInput(click.ClickException):
    """Shown as its message, without a traceback; a plain ClickException, with exit status 1, is for solvers."""

    exit_code = 2


class _Group(click.Group):
    """Turns the errors that a user can mend into sentences."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except (ValueError, TypeError, OSError, MissingDependencyError, SolverError) as error:
            if ctx.params["debug"]:
                raise
            kind = click.ClickException if isinstance(error, SolverError) else _BadInput
            raise kind(str(error)) from error


def _check_folder(ctx: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a path that cannot be written to before the work, not after it."""
    if path is not None and not path.parent.is_dir():
        raise click.BadParameter(f"the folder {path.parent} does not exist")
    return path


def _check_picture(ctx: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    if path is not None:
        if path.suffix not in _PICTURES:
            raise click.BadParameter(f"{path} must end in one of {', '.join(_PICTURES)}")
        optional_import("matplotlib.figure", "plot", "--plot")
    return _check_folder(ctx, option, path)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="convexpoison")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """How many poisoned rows does it take to make a convex model learn what an attacker wants?"""


def _task_options(command: Command) -> Command:
    """The options that say what is attacked, shared by attack and bound."""
    options = (
        click.option("--dataset", metavar="NAME", help="A data set of the library, e.g. mnist_17 (see: info)."),
        click.option("--data", type=Path, metavar="FILE", help="Your rows: .csv (with --label), or .npz with X and y."),
        click.option("--label", metavar="COLUMN", help="The column of --data that holds the labels."),
        click.option("--test-data", type=Path, metavar="FILE", help="Test rows, in the form of --data."),
        click.option(
            "--target", type=Path, metavar="FILE",
            help="The model to induce: a fitted estimator saved by joblib (which can run code: open only files that "
            "you trust), or .npz with coef and intercept.",
        ),
        click.option(
            "--target-error", type=float, metavar="FRACTION",
            help="Make the target by flipping labels until its error on the test rows is at least this.",
        ),
        click.option(
            "--flip-test", is_flag=True,
            help="Flip labels of the test rows, as Suya et al. (2021) did, not of held-out training rows.",
        ),
        click.option(
            "--loss", type=click.Choice(["hinge", "squared_hinge", "logistic"]),
            help="Loss of the victim [default: read from the estimator in --target, else hinge].",
        ),
        click.option("--C", "C", type=float, help="Sum of the losses plus R / C, as in scikit-learn."),
        click.option(
            "--C-R", "C_R", type=float,
            help="Mean loss plus C_R * R, as in Suya et al. (2021) [default: 0.09, unless read from --target].",
        ),
        click.option(
            "--intercept", type=click.Choice(["regularized", "free", "none"]),
            help="[default: read from the estimator in --target, else regularized]",
        ),
        click.option("--solver", default="auto", show_default=True, metavar="NAME", help="Who searches for points."),
        click.option("--time-limit", type=float, metavar="SECONDS", help="Stop then, with the best found so far."),
        click.option("--seed", type=int, default=0, show_default=True, help="For making the target."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@main.command()
@_task_options
@click.option(
    "--method",
    type=click.Choice(["follow_the_leader", "optimal", "nearest"]),
    default="follow_the_leader",
    show_default=True,
    help="optimal: the fewest points that reproduce the target itself.",
)
@click.option("--eps", type=float, help="Stop at this maximum loss difference [default: 0.1; not for optimal].")
@click.option("--max-points", type=int, help="Stop at this many points.")
@click.option("--copies", type=int, default=1, show_default=True, help="Add each point found this many times.")
@click.option("--out", type=_FILE, callback=_check_folder, metavar="FILE.npz", help="Save the result.")
@click.option("--plot", type=_FILE, callback=_check_picture, metavar="FILE", help="Save the plot (.png, .pdf, .svg).")
def attack(
    method: str,
    eps: float | None,
    max_points: int | None,
    copies: int,
    out: Path | None,
    plot: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Induce a model; bracket the number of points.

    \b
    convexpoison attack --dataset mnist_17 --target-error 0.15
    convexpoison attack --data rows.csv --label y --target wanted.joblib --out run.npz
    """
    import convexpoison as cp

    task = load_task(**options)
    result = cp.attack(
        task.target,
        task.train,
        victim=task.victim,
        space=task.space,
        test_data=task.test,
        solver=options["solver"],
        method=method,
        eps=0.1 if eps is None and method != "optimal" else eps,
        max_points=max_points,
        copies=copies,
        time_limit_s=options["time_limit"],
    )
    write(result, out, plot)
    if as_json:
        print_json(attack_facts(result, task, out, plot))
    else:
        report(result, task, out, plot)


@main.command()
@_task_options
@click.option("--certificate", type=_FILE, callback=_check_folder, metavar="FILE.npz", help="Save what proves it.")
def bound(as_json: bool, certificate: Path | None, **options: Any) -> None:
    """The certified lower bound alone.

    Nobody makes the victim learn exactly the target with fewer points than this.

    \b
    convexpoison bound --dataset mnist_17 --target-error 0.15
    """
    import convexpoison as cp

    task = load_task(**options)
    found = cast(
        "cp.Bound",
        cp.lower_bound(
            task.target,
            task.train,
            victim=task.victim,
            space=task.space,
            solver=options["solver"],
            time_limit_s=options["time_limit"],
        ),
    )
    if certificate is not None and found.certificate is not None:
        found.certificate.save(certificate)
    if as_json:
        print_json({"target": task.facts, "bound": found.to_dict()})
        return
    click.echo(describe_target(task))
    if not found.attainable:
        click.echo("no number of added points reproduces this target exactly")
        return
    proof = "certified" if found.certified else "not certified"
    by = f"value {found.value:.2f}, {proof}; {found.method}, {found.solver}"
    click.echo(f"at least {found.n_points:,.0f} added points are needed to reproduce this target ({by})")


main.add_command(sweep)


@main.command()
@click.argument("certificate", type=Path)
@click.argument("data", type=Path)
@click.option("--label", metavar="COLUMN", help="The column of DATA that holds the labels, where DATA is a CSV file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
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


@main.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("demo_output"), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def demo(out: Path, as_json: bool) -> None:
    """Table, plot and run of one small attack.

    A linear SVM that tells the handwritten digits 1 and 7 apart is turned into one that errs on 15 % of them or more.
    """
    optional_import("matplotlib.figure", "plot", "the demo's plot")
    import convexpoison as cp

    task = load_task(dataset="digits_17", target_error=0.15)
    result = cp.attack(task.target, task.train, victim=task.victim, space=task.space, test_data=task.test, eps=0.1)
    optimal = cp.attack(task.target, task.train, victim=task.victim, space=task.space, method="optimal")
    out.mkdir(parents=True, exist_ok=True)
    run, plot = out / "run.npz", out / "demo.png"
    write(result, run, plot)
    if as_json:
        print_json(attack_facts(result, task, run, plot) | {"optimal": optimal.to_dict()})
        return
    click.echo("How many poisoned rows does it take to turn a linear SVM, 1 against 7 on 8 x 8 digits,")
    click.echo("into a model of the attacker's choice?\n")
    report(result, task, run, plot)
    click.echo(
        f"\nThe target itself: {optimal.n_points} points ({optimal.n_distinct} distinct) make the victim learn it exactly, "
        f"and no attack can with fewer than {optimal.bound.n_points:.0f} (certified)."
    )


@main.command()
@click.option("--licences", is_flag=True, help="Also ask Gurobi for its licence (may take one from a server).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
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
