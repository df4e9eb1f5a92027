"""Interval arithmetic and the ellipsoid method: numerics that know nothing of learning."""
