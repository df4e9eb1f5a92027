"""Seeds for torch's global generators, used for initial weights and dropout masks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_of(random_state: int | None) -> int:
    """Return the seed itself, or for None a new one from system entropy."""
    return int(np.random.SeedSequence().generate_state(1)[0]) if random_state is None else int(random_state)


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed the global generators of the CPU and of ``device``, and restore them afterwards.

    ``torch.manual_seed`` would reseed the generators of all devices, including those that are not restored here.
    """
    cuda = device if device is not None and device.type == "cuda" else None
    with torch.random.fork_rng(devices=[] if cuda is None else [cuda]):
        torch.default_generator.manual_seed(seed)
        if cuda is not None:
            with torch.cuda.device(cuda):
                torch.cuda.manual_seed(seed)
        yield
