"""Solvers of linear, mixed-integer and conic programs, with their capabilities as data."""

from functools import partial

from convexpoison._utils.moved import moved_name

__getattr__ = partial(moved_name, __name__)
