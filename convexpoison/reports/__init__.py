"""Pages that show runs to a colleague: one self-contained HTML file, from saved runs or from results.

``read`` makes results of files, ``sections`` says of every kind of result what is told of it, ``page`` writes HTML.
"""

from convexpoison.reports.write import report

__all__ = ["report"]
