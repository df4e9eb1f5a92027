"""Filters that sanitise training data, and their cost to an attacker."""

from convexpoison.defenses.cost import FilterCost, filter_cost
from convexpoison.defenses.filters import PERCENTILE, Filter, slab, sphere

__all__ = ["PERCENTILE", "Filter", "FilterCost", "filter_cost", "slab", "sphere"]
