"""Solvers of linear, mixed-integer and conic programs, with their capabilities as data."""
