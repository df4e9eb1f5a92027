"""Pages that show runs to a colleague: one self-contained HTML file, from saved runs or from results.

``read`` loads results from files, ``sections`` describes every kind of result, ``page`` writes HTML.
"""

from convexpoison.reports.write import report

__all__ = ["report"]
