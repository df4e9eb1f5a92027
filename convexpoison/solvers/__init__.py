"""Backends that answer the maximum-loss-difference question, chosen by declared capability."""

from convexpoison.solvers.base import Backend, Capabilities, backend, choose, names

__all__ = ["Backend", "Capabilities", "backend", "choose", "names"]
