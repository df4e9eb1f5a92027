"""The command poison, on digits with a network of one layer."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.command import refused, run

pytest.importorskip("torch", reason="poisoning networks needs torch, which is not installed")
pytest.importorskip("safetensors", reason="checkpoints need safetensors, which is not installed")

NETWORK = """
from torch import nn

def flat():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
"""
START = ("poison", "--dataset", "digits", "--network", "network_of_the_user:flat", "--device", "cpu", "--target", 8)
START = (*START, "--sigma", 0.25, "--epochs", 2, "--learning-rate", 0.05)
QUICK = (
    "epochs=1",
    "steps_per_epoch=2",
    "batch_size=40",
    "batch_poison=10",
    "lower_steps=1",
    "system_steps=1",
    "draws=2",
)
BILEVEL = tuple(part for value in QUICK for part in ("--setting", value))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "network_of_the_user.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def load(path: str) -> Any:
    from convexpoison.neural.poisoning.result import PoisonResult

    return PoisonResult.load(path)


def test_a_bilevel_attack_is_saved_and_goes_on_where_it_was(folder: Path) -> None:
    first = (*START, *BILEVEL, "--n-poison", 12, "--eps", 0.2)
    told = json.loads(run(*first, "--out", "poison.npz", "--json").stdout)
    assert told["n_points"] == 12 and told["method"] == "bilevel" and told["labels_changed"] == 0
    found = load("poison.npz")
    assert 0.0 < found.distances().max() <= 0.2 + 1e-6 and told["largest_distance"] == found.distances().max()
    assert found.provenance["images"] == "digits (train)" and "--eps 0.2" in found.provenance["command"]
    run(*first, "--checkpoint", "run.checkpoint", "--out", "half.npz")
    longer = (*START, *BILEVEL[2:], "--setting", "epochs=2", "--n-poison", 12, "--eps", 0.2)
    run(*longer, "--checkpoint", "run.checkpoint", "--out", "resumed.npz")
    run(*longer, "--out", "at_once.npz")
    np.testing.assert_array_equal(load("resumed.npz").images, load("at_once.npz").images)


def test_a_watermark_with_networks_trained_on_it(folder: Path) -> None:
    evaluate = ("--evaluate", 2, "--n-test", 4, "--n0", 10, "--n", 50)
    method = ("--method", "watermark", "--opacity", 0.5, "--plot", "images.png", "--out", "poison.npz")
    words = run(*START, *method, *evaluate).stdout
    assert "trained on clean images: average certified radius" in words and "wrote poison.npz" in words
    assert (folder / "images.png").stat().st_size > 3_000
    told = load("poison.npz").provenance["evaluation"]
    assert set(told) == {"clean", "poisoned"} and len(told["clean"]["acr"]) == 2 and told["clean"]["n_images"] == 4
    assert all(0.0 <= accuracy <= 1.0 for name in told for accuracy in told[name]["aca"])


def test_images_of_ones_own_and_one_image_as_target(folder: Path, rng: np.random.Generator) -> None:
    X, y = rng.random((60, 1, 28, 28), dtype=np.float32), np.arange(60) % 3
    np.savez("own.npz", X=X, y=y)
    own = ("poison", "--data", "own.npz", *START[3:7], "--sigma", 0.25, "--method", "noise", "--validation", 0.2)
    told = json.loads(run(*own, "--target-image", 4, "--test-data", "own.npz", "--json").stdout)
    assert told["images"] == "own.npz" and told["n_points"] == 1 and told["evaluation"] is None
    assert "there are 60 test images" in refused(*own, "--target-image", 60, "--test-data", "own.npz")
    assert "need test images: --dataset, or --test-data" in refused(*own, "--target", 1, "--evaluate", 1)


def test_ctrl_c_saves_the_best_so_far_and_ends_with_130(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from convexpoison.neural.poisoning import attack as module

    whole = module.attack
    monkeypatch.setattr(
        module, "attack", lambda *given, **options: replace(whole(*given, **options), stop_reason="interrupted")
    )
    told = run(*START, "--method", "noise", "--evaluate", 1, "--out", "best.npz", "--json", status=130)
    assert json.loads(told.stdout)["evaluation"] is None and load("best.npz").stop_reason == "interrupted"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (("--target-image", 1), "exactly one of --target and --target-image"),
        (("--method", "noise", "--setting", "epochs=3"), "require --method bilevel"),
        (("--setting", "speed=3"), "method bilevel takes NAME=VALUE"),
        (("--setting", "epochs=0"), "epochs must be at least 1"),
        (("--method", "watermark", "--opacity", 2), "opacity must lie in [0, 1]"),
        (("--target", 11), "class 11 has no training images"),
        (("--n-poison", 100_000), "n_poison is 100000"),
        (("--out", "no/poison.npz"), "does not exist"),
    ],
)
def test_what_is_refused(folder: Path, more: tuple[Any, ...], why: str) -> None:
    assert why in " ".join(refused(*START, *more).split())


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "convexpoison[neural]" in refused("poison", "--dataset", "digits", "--network", "lenet", "--target", 8)
