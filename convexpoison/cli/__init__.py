"""The command line: one file a command, gathered in ``commands``.

``input``, ``rows``, ``options``, ``settings`` and ``network`` read what is given, ``output`` writes results.
"""

from convexpoison.cli.commands import main

__all__ = ["main"]
