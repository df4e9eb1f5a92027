"""Many attacks or bounds at once: a grid of parameters, in parallel, with one record per task that a later run reuses."""

from convexpoison.sweeps.records import Record
from convexpoison.sweeps.result import SweepResult

load = SweepResult.load

__all__ = ["Record", "SweepResult", "load"]
