"""Where an added row may lie."""

from convexpoison.spaces.space import Space

__all__ = ["Space"]
