"""The command line: ``convexpoison COMMAND``, one file of this folder a command.

With ``--json`` a command prints one JSON object on standard output and nothing else there; progress goes to standard
error. Exit status: 0 done; 1 a solver without an answer, or what the command's help says; 2 bad input, with one sentence; 130
after Ctrl-C, where the same command goes on from there.
"""

from __future__ import annotations

from typing import Any

import click

from convexpoison.cli.attack import attack
from convexpoison.cli.bound import bound
from convexpoison.cli.certify import certify
from convexpoison.cli.demo import demo
from convexpoison.cli.info import info
from convexpoison.cli.minimax import minimax
from convexpoison.cli.sweep import sweep
from convexpoison.cli.train import train
from convexpoison.cli.verify import verify
from convexpoison.errors import MissingDependencyError, SolverError


class _BadInput(click.ClickException):
    """Shown as its message, without a traceback; a plain ClickException, with exit status 1, is for solvers."""

    exit_code = 2


class _Group(click.Group):
    """Turns the errors that a user can mend into sentences, and keeps the order of the commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

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


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="convexpoison")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """How many poisoned rows does it take to make a convex model learn what an attacker wants?

    The exit status is 0 if all went well, 1 if a solver has no answer (or what a command's help says), 2 for bad input.
    """


main.add_command(demo)
main.add_command(attack)
main.add_command(bound)
main.add_command(minimax)
main.add_command(sweep)
main.add_command(verify)
main.add_command(train)
main.add_command(certify)
main.add_command(info)
