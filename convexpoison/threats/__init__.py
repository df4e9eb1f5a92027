"""Threats: what an attacker may do to the training data.

- :class:`AddRows`: add rows that lie in a :class:`~convexpoison.Space`.
"""

from convexpoison.threats.add_rows import AddRows
from convexpoison.threats.base import Threat

__all__ = ["AddRows", "Threat"]
