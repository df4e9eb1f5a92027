"""Small networks with known answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def halfspace() -> Callable[..., object]:
    """A network that answers class 1 where ``w x + b > 0``: smoothing it leaves the boundary where it is."""
    torch = pytest.importorskip("torch", reason="smoothing needs torch, which is not installed")

    def make(w: list[float], b: float) -> object:
        net = torch.nn.Linear(len(w), 2)
        with torch.no_grad():
            net.weight.copy_(torch.tensor([[0.0] * len(w), w]))
            net.bias.copy_(torch.tensor([0.0, b]))
        return net

    return make
