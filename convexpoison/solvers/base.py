"""What a solver of programs is: its capabilities as data, and one function that solves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from convexpoison.solvers.linear_program import LinearProgram, Solution
from convexpoison.spaces.space import Space

SolveIn = Callable[[LinearProgram, float | None, Space], Solution]
"""Solves a program whose leading columns are a point of the space. The program has the space's linear rows; the solver
adds what is not linear (balls, constraints)."""

NAMES = ("highs", "gurobi", "cvxpy")
"""In the order in which ``solver="auto"`` prefers them; each module of that name holds one solver in ``SOLVER``."""


@dataclass(frozen=True)
class Solver:
    """A solver of linear, mixed-integer or conic programs over a space.

    Attributes
    ----------
    name : str
    package : str
        What has to be importable.
    parts : frozenset of str
        Parts of a :class:`~convexpoison.Space` that it takes.
    solve : callable
        ``solve(program, time_limit_s, space) -> Solution``.
    automatic : bool
        Whether ``solver="auto"`` may choose it.
    licensed : bool
        Whether it needs a licence of its maker.
    """

    name: str
    package: str
    parts: frozenset[str]
    solve: SolveIn
    automatic: bool = True
    licensed: bool = False

    def available(self) -> bool:
        """Return whether its package can be imported; takes no licence."""
        try:
            import_module(self.package)
        except ImportError:
            return False
        return True


def get_solver(name: str) -> Solver:
    """Return the solver of that name, one of ``NAMES``."""
    found: Solver = import_module(f"convexpoison.solvers.{name}").SOLVER
    return found
