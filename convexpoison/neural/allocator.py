"""What the C library's allocator is told, so that layers do not ask the system for the same memory again and again."""

from __future__ import annotations

from functools import cache

import torch

_LARGEST = 31 << 20
"""Bytes; the GNU allocator learns from blocks of up to 32 MiB."""


@cache
def keep_freed_memory() -> None:
    """Have the GNU allocator keep what layers free, up to 62 MB, instead of returning it to the system.

    It keeps blocks up to the size of the largest that was freed so far, and twice that in all. Otherwise each page that comes
    back costs a fault: up to a third of a small network's forward pass, and a tenth of its training. Other allocators lose
    nothing. For larger activations there are the allocator's own environment variables (``docs/scaling.rst``).
    """
    torch.empty(_LARGEST, dtype=torch.uint8)
