"""How tests run the command line: inside this process, by click's own runner."""

from __future__ import annotations

from typing import Any

from click.testing import CliRunner, Result

from convexpoison.cli.commands import main


def run(*arguments: Any, status: int = 0) -> Result:
    """The command with these arguments; it must end with that exit status."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result


def refused(*arguments: Any) -> str:
    """The sentence with which a command refuses; nothing on standard output, no traceback."""
    result = run(*arguments, status=2)
    assert result.stdout == "" and "Traceback" not in result.stderr
    return result.stderr
