"""The command ``convexpoison completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_VARIABLE = "_CONVEXPOISON_COMPLETE"
"""The environment variable in which a shell requests completions from click."""
_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands in SHELL.

    \b
    bash: put  eval "$(convexpoison completion bash)"  into ~/.bashrc
    zsh:  put  eval "$(convexpoison completion zsh)"   into ~/.zshrc
    fish: put  convexpoison completion fish | source   into ~/.config/fish/config.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "convexpoison", _VARIABLE).source())
