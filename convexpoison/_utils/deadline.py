"""How long work may still take."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter


@dataclass(frozen=True)
class Clock:
    """How much of a time limit is left, for a solver with a name."""

    solver: str
    limit_s: float | None
    start: float = -1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", perf_counter())

    def left(self) -> float | None:
        """Seconds left, never negative; None without a limit."""
        return None if self.limit_s is None else max(0.0, self.limit_s - (perf_counter() - self.start))

    @property
    def over(self) -> bool:
        return self.left() == 0.0
