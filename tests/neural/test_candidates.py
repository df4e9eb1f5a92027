"""The search for poison in the whole pixel range, against the exact answer for linear networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'neural')")

from torch import nn  # noqa: E402

import convexpoison as cp  # noqa: E402
from convexpoison.neural.poisoning.candidates import PixelBox  # noqa: E402
from convexpoison.neural.poisoning.model_targeted import MLP, model_targeted  # noqa: E402
from convexpoison.neural.poisoning.model_targeted_result import ModelTargetedPoison  # noqa: E402
from convexpoison.neural.training.full_batch import losses  # noqa: E402


def linear(seed: int) -> tuple[nn.Module, cp.LinearModel]:
    """A linear network of two classes on 4 x 4 pixels, and what it is as a logistic model."""
    rng = np.random.default_rng(seed)
    weight, bias = rng.normal(size=(2, 16)).astype(np.float32), rng.normal(size=2).astype(np.float32)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    with torch.no_grad():
        network[1].weight.copy_(torch.from_numpy(weight))
        network[1].bias.copy_(torch.from_numpy(bias))
    return network, cp.LinearModel(weight[1] - weight[0], float(bias[1] - bias[0]))


def rows(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    return rng.uniform(size=(n, 1, 4, 4)).astype(np.float32), np.arange(n) % 2


@pytest.mark.parametrize("seed", range(4))
def test_the_search_finds_the_maximum_loss_difference_of_linear_networks(seed: int) -> None:
    (network, model), (aim, wanted) = linear(seed), linear(100 + seed)
    exact = cp.max_loss_difference(model, wanted, cp.Space.box(0, 1, 16), loss="logistic")
    found = PixelBox(steps=200).search(rows(), aim).best(network)
    assert found.difference == pytest.approx(float(exact.value), rel=1e-3)
    X, y = found.point[None], np.array([found.label])
    assert found.difference == pytest.approx(losses(network, X, y)[0] - losses(aim, X, y)[0], rel=1e-5)
    assert found.place == -1 and found.point.min() >= 0 and found.point.max() <= 1


def test_the_networks_are_left_as_they_were() -> None:
    network, aim = linear(0)[0], linear(1)[0]
    network[1].bias.requires_grad_(False)
    before = [p.clone() for p in network.parameters()]
    PixelBox(starts=2, steps=3).search(rows(), aim).best(network)
    assert [p.requires_grad for p in network.parameters()] == [True, False]
    assert all((p == q).all() and p.grad is None for p, q in zip(network.parameters(), before, strict=True))


def test_free_images_are_added_kept_and_gone_on_with(tmp_path) -> None:
    X, y = rows()
    target, box = linear(3)[0], PixelBox(starts=3, steps=5)
    victim = replace(MLP, network=lambda: linear(5)[0])
    ask = {"victim": victim, "copies": 2, "test": (X, y), "target_class": 0, "progress": False}
    at_once = model_targeted(target, (X, y), box, max_points=6, **ask)
    path = tmp_path / "run.npz"
    model_targeted(target, (X, y), box, max_points=2, checkpoint=path, **ask)
    resumed = model_targeted(target, (X, y), box, max_points=6, checkpoint=path, **ask)
    for one, other in ((at_once.points, resumed.points), (at_once.labels, resumed.labels)):
        np.testing.assert_array_equal(one, other)
    assert at_once.chosen.tolist() == resumed.chosen.tolist() == [-1, -1, -1]
    at_once.save(tmp_path / "poison.npz")
    np.testing.assert_array_equal(ModelTargetedPoison.load(tmp_path / "poison.npz").points, at_once.points)
    with pytest.raises(ValueError, match="another attack"):
        model_targeted(target, (X, y), PixelBox(starts=3, steps=6), max_points=6, checkpoint=path, **ask)


@pytest.mark.parametrize("wrong", [{"starts": 0}, {"steps": 0}, {"rate": 0.0}, {"low": 1.0}])
def test_bad_settings_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PixelBox(**wrong)
