"""The command line: ``convexpoison COMMAND``, one file of this folder per command.

With ``--json`` a command prints one JSON object on standard output and nothing else there; progress and errors go to
standard error. The last line of a command's help explains its exit status.
"""

from __future__ import annotations

import shlex
from typing import Any

import click

from convexpoison.cli.attack import attack
from convexpoison.cli.bound import bound
from convexpoison.cli.certify import certify
from convexpoison.cli.completion import completion
from convexpoison.cli.demo import demo
from convexpoison.cli.info import info
from convexpoison.cli.minimax import minimax
from convexpoison.cli.options import EXIT_STATUS, INTERRUPTED
from convexpoison.cli.output import COMMAND_LINE
from convexpoison.cli.poison import poison
from convexpoison.cli.report import report
from convexpoison.cli.sweep import sweep
from convexpoison.cli.train import train
from convexpoison.cli.verify import verify
from convexpoison.errors import MissingDependencyError, SolverError


class _BadInput(click.ClickException):
    """Shown as its message, without a traceback; a plain ClickException, with exit status 1, is for solvers."""

    exit_code = 2


class _Group(click.Group):
    """A group that prints the errors a user can correct as sentences, and keeps the order of the commands."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        cmd.epilog = cmd.epilog or EXIT_STATUS
        super().add_command(cmd, name)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        typed = shlex.join(["convexpoison", *args])
        context = super().make_context(info_name, args, parent, **extra)
        context.meta[COMMAND_LINE] = typed
        return context

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)
        except (ValueError, TypeError, OSError, MissingDependencyError, SolverError) as error:
            if ctx.params["debug"]:
                raise
            kind = click.ClickException if isinstance(error, SolverError) else _BadInput
            raise kind(str(error)) from error


@click.group(
    cls=_Group, epilog=EXIT_STATUS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="convexpoison")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Compute how many poisoned rows it takes to make a convex model learn what an attacker wants.

    With --json a command prints one JSON object on standard output; progress and errors go to standard error.
    """


main.add_command(demo)
main.add_command(attack)
main.add_command(bound)
main.add_command(minimax)
main.add_command(sweep)
main.add_command(verify)
main.add_command(train)
main.add_command(certify)
main.add_command(poison)
main.add_command(report)
main.add_command(info)
main.add_command(completion)
