"""What a check of a certificate found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Verification:
    """What a check found.

    Attributes
    ----------
    holds : bool
        Whether at least the claim is proven; also the truth value of the verdict.
    value : float
        The lower bound that is proven, rounded down; ``inf`` if no number of points is enough.
    claimed : float
    seconds : float
    reason : str
    """

    holds: bool
    value: float
    claimed: float
    seconds: float
    reason: str

    @classmethod
    def of(cls, value: float, claimed: float, purpose: str, seconds: float) -> Verification:
        """From what is proven and what is claimed; ``purpose`` says what the points are for ("to ...")."""
        holds = bool(value >= claimed)
        if not holds:
            proven = "nothing" if value == 0.0 else f"at least {value:.10g} points"
            reason = f"these data prove {proven}, and the certificate claims {claimed:.10g}"
        elif math.isinf(value):
            reason = f"no number of added points is enough {purpose}"
        else:
            reason = f"at least {value:.10g} added points are needed {purpose}"
        return cls(holds, value, claimed, seconds, reason)

    def __bool__(self) -> bool:
        return self.holds

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and words, for JSON (infinite numbers become None)."""
        numbers = {name: _finite(getattr(self, name)) for name in ("value", "claimed")}
        return {
            "holds": self.holds,
            **numbers,
            "attainable": not math.isinf(self.value),
            "seconds": self.seconds,
            "reason": self.reason,
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
