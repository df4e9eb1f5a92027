"""``python -m convexpoison`` is the command ``convexpoison``."""

from convexpoison.cli.commands import main

main(prog_name="convexpoison")
