"""The command line: one file per command, gathered in ``commands``.

``input``, ``rows``, ``options``, ``settings`` and ``network`` read the input, ``output`` writes results.
"""

from convexpoison.cli.commands import main

__all__ = ["main"]
