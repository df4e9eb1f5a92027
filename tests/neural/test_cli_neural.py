"""The commands train and certify, on digits with a network of one layer."""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from convexpoison.cli.train import train
from tests.cli.command import refused, run

NETWORK = """
from torch import nn

def flat():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))

def wide():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.ReLU(), nn.Linear(16, 10))

def number():
    return 3
"""
QUICK = ("--device", "cpu", "--n0", 20, "--n", 100, "--sigma", 0.25)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The user's folder, with a module of networks in it and weights that the command has trained."""
    torch = pytest.importorskip("torch", reason="training needs torch, which is not installed")
    pytest.importorskip("safetensors", reason="weights need safetensors, which is not installed")
    folder = tmp_path_factory.mktemp("user")
    (folder / "networks_of_the_user.py").write_text(NETWORK)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", list(sys.path))
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the networks are small: threads would only wait for each other
        run("train", *DATA, "--sigma", 0.25, "--epochs", 4, "--learning-rate", 0.1, "--weights", "trained.st")
        yield folder
        torch.set_num_threads(threads)


FLAT = ("--network", "networks_of_the_user:flat")
DATA = ("--dataset", "digits", *FLAT, "--device", "cpu")
CERTIFY = ("certify", "--dataset", "digits", *FLAT, "--weights", "trained.st", *QUICK)


def weights(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(path))


# -------------------------------------------------------------------- train


def test_training_that_goes_on_ends_where_an_uninterrupted_one_does(folder: Path) -> None:
    common = ("train", *DATA, "--n-train", 100, "--objective", "macer", "--sigma", 0.25, "--k", 2, "--lam", 3)
    common = (*common, "--option", "beta=8", "--data-dependent", "--sigma-option", "learning_rate=1e-2")
    at_once = json.loads(run(*common, "--epochs", 3, "--weights", "at_once.st", "--json").stdout)
    resumed = (*common, "--checkpoint", "run.checkpoint", "--weights", "resumed.st")
    run(*resumed, "--epochs", 1)
    told = json.loads(run(*resumed, "--epochs", 3, "--json").stdout)
    assert told["losses"] == at_once["losses"] and len(told["losses"]) == told["epochs"] == 3
    assert told["n_train"] == 100 and "beta=8" in told["objective"] and "DataDependent" in told["objective"]
    one, other = weights(folder / "at_once.st"), weights(folder / "resumed.st")
    assert one.keys() == other.keys() and all((one[name] == other[name]).all() for name in one)
    assert "another run" in refused(*resumed, "--epochs", 3, "--batch-size", 32)


def test_training_tells_what_it_did_in_words(folder: Path) -> None:
    start = ("train", *DATA, "--n-train", 32, "--epochs", 2, "--milestones", "1,2", "--augment")
    for more in (("--objective", "standard"), ("--objective", "smoothadv", "--sigma", 0.5, "--option", "steps=1")):
        told = run(*start, *more, "--optimizer", "adam", "--weights", "words.st").stdout
        assert told.startswith("trained networks_of_the_user:flat on 32 images of digits (train): ")
        assert told.endswith("wrote words.st\n")


def test_images_of_ones_own(folder: Path, rng: np.random.Generator) -> None:
    np.savez("own.npz", X=rng.random((12, 1, 28, 28), dtype=np.float32), y=np.arange(12) % 3)
    own = ("--data", "own.npz", "--network", "lenet", "--n-classes", 3, "--device", "cpu")
    run("train", *own, "--sigma", 0.25, "--epochs", 1, "--weights", "lenet.st")
    told = json.loads(run("certify", *own, "--weights", "lenet.st", *QUICK, "--limit", 1, "--json").stdout)
    assert told["images"] == "own.npz" and told["n_images"] == 1
    np.savez("small.npz", X=rng.random((2, 1, 8, 8), dtype=np.float32), y=np.arange(2))
    small = ("--data", "small.npz", *FLAT, "--sigma", 0.25, "--weights", "no.st")
    assert "does not take images of shape (1, 8, 8)" in refused("train", *small)
    assert "from 0 to 1" in refused("train", *own[:4], "--n-classes", 2, "--sigma", 0.25, "--weights", "no.st")


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("convexpoison.neural.training.fit.fit", stop)
    monkeypatch.setattr("convexpoison.neural.evaluation.evaluate.evaluate", stop)
    told = run("train", *DATA, "--sigma", 1, "--weights", "no.st", "--checkpoint", "no.c", status=130)
    assert told.stdout == "" and "resumes from no.c" in told.stderr
    told = run(*CERTIFY, "--out", "no.tsv", status=130)
    assert told.stdout == "" and "resumes from no.tsv" in told.stderr
    assert not (folder / "no.st").exists()


def test_the_defaults_of_training_are_those_of_the_recipe() -> None:
    pytest.importorskip("torch", reason="training needs torch, which is not installed")
    from convexpoison.neural.training.fit import Recipe

    ours = {option.name: option for option in train.params}
    for name, parameter in inspect.signature(Recipe).parameters.items():
        default = ours[name].get_default(click.Context(train))
        assert default == (parameter.default or type(default)()), name


def test_what_training_refuses(folder: Path) -> None:
    start = ("train", *DATA, "--weights", "no.st")
    assert "ga needs --sigma" in refused(*start)
    assert "standard has no --sigma and no --lam" in refused(
        *start, "--objective", "standard", "--sigma", 1, "--lam", 1
    )
    assert "ga takes no further settings" in refused(*start, "--sigma", 1, "--option", "beta=2")
    assert "name of gamma, beta" in refused(*start, "--objective", "macer", "--sigma", 1, "--option", "k=2")
    assert "requires --data-dependent" in refused(*start, "--sigma", 1, "--sigma-option", "n=2")
    assert "sigma must be positive" in refused(*start, "--sigma", -1)
    assert "epochs >= 1" in refused(*start, "--sigma", 1, "--epochs", 0)
    assert "numbers separated by commas" in refused(*start, "--sigma", 1, "--milestones", "1;2")
    assert "does not exist" in refused("train", *DATA, "--sigma", 1, "--weights", "nowhere/no.st")
    assert "exactly one of --dataset and --data" in refused("train", *FLAT, "--sigma", 1, "--weights", "no.st")
    assert not (folder / "no.st").exists()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (("--network", "lenett"), "unknown network 'lenett'"),
        (("--network", "no_such_module:make"), "cannot be imported"),
        (("--network", "networks_of_the_user:tall"), "has no object 'tall'"),
        (("--network", "networks_of_the_user:number"), "must return a torch.nn.Module"),
        (("--dataset", "letters"), "unknown images 'letters'"),
        (("--device", "abacus"), "--device abacus"),
    ],
)
def test_networks_images_and_devices_that_do_not_exist(folder: Path, more: tuple[str, ...], why: str) -> None:
    assert why in refused("train", *DATA, "--sigma", 1, "--weights", "no.st", *more)


@pytest.mark.parametrize("command", ["train", "certify"])
def test_without_torch_the_extra_is_named(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    told = refused(command, "--dataset", "digits", "--network", "lenet", "--sigma", 1, "--weights", "no.st")
    assert f"convexpoison {command} needs the package 'torch'" in told and "convexpoison[neural]" in told


# -------------------------------------------------------------------- certify


def test_certification_goes_on_and_ends_where_an_uninterrupted_one_does(folder: Path) -> None:
    from convexpoison.neural import Evaluation

    run(*CERTIFY, "--every", 50, "--limit", 3, "--out", "resumed.tsv")
    before = (folder / "resumed.tsv").read_text()
    told = json.loads(run(*CERTIFY, "--every", 50, "--limit", 8, "--out", "resumed.tsv", "--json").stdout)
    assert (folder / "resumed.tsv").read_text().startswith(before)
    run(*CERTIFY, "--every", 50, "--limit", 8, "--out", "at_once.tsv")
    one, other = Evaluation.read("resumed.tsv"), Evaluation.read("at_once.tsv")
    np.testing.assert_array_equal(one.idx, np.arange(0, 400, 50))
    np.testing.assert_array_equal(one.radius, other.radius)
    np.testing.assert_array_equal(one.prediction, other.prediction)
    assert told["n_images"] == 8 and told["norm"] == 2 and told["draws"] == 800
    assert told["acr"] == one.acr > 0.05
    accuracy = {row["radius"]: row["accuracy"] for row in told["certified_accuracy"]}
    assert accuracy[0.25] == one.certified_accuracy(0.25) and accuracy[0.0] >= accuracy[0.25] >= accuracy[0.5]


def test_a_file_of_other_weights_or_settings_is_not_continued(folder: Path) -> None:
    run(*CERTIFY, "--limit", 1, "--out", "file.tsv")
    before = (folder / "file.tsv").read_bytes()
    run("train", *DATA, "--n-train", 32, "--sigma", 1, "--epochs", 1, "--weights", "other.st")
    assert "weights_sha256" in refused(*CERTIFY, "--limit", 2, "--out", "file.tsv", "--weights", "other.st")
    assert "alpha: 0.001 there, 0.01 now" in refused(*CERTIFY, "--limit", 2, "--out", "file.tsv", "--alpha", 0.01)
    assert (folder / "file.tsv").read_bytes() == before


def test_a_sigma_for_each_image(folder: Path) -> None:
    own = (*CERTIFY, "--every", 100, "--data-dependent", "--sigma-option", "check=20", "--out", "own.tsv")
    told = json.loads(run(*own, "--sigma-option", "steps=5", "--json").stdout)
    assert told["n_images"] == 6 and told["mean_sigma"] > 0.25
    assert "sigma_steps: 5 there, 6 now" in refused(*own, "--sigma-option", "steps=6")


def test_draws_only_until_it_is_clear_which_radii_an_image_has(folder: Path) -> None:
    from convexpoison.neural import Evaluation

    decided = (*CERTIFY, "--every", 50, "--n", 2000, "--radii", "0.1,0.2", "--decide", "--out", "decided.tsv")
    told = json.loads(run(*decided, "--json").stdout)
    assert told["draws"] < 0.5 * 2000 * told["n_images"]
    assert set(Evaluation.read("decided.tsv").radius) <= {0.0, 0.1, 0.2}
    run(*CERTIFY, "--every", 50, "--n", 2000, "--out", "all.tsv")
    accuracies = [row["accuracy"] for row in told["certified_accuracy"]]
    np.testing.assert_allclose(accuracies, Evaluation.read("all.tsv").certified_accuracy([0.1, 0.2]), atol=0.1)
    assert "radii: [0.1, 0.2] there, [0.3] now" in refused(*decided, "--radii", "0.3")
    assert "--decide excludes" in refused(*CERTIFY, "--decide", "--two-sided")


def test_certification_in_words_and_as_a_picture(folder: Path) -> None:
    pytest.importorskip("matplotlib", reason="a picture needs matplotlib, which is not installed")
    more = ("--noise", "uniform", "--votes", "soft", "--beta", 2, "--bound", "hoeffding", "--two-sided")
    told = run(*CERTIFY, "--limit", 2, *more, "--radii", "0,0.1", "--plot", "curve.svg").stdout.splitlines()
    assert told[0] == "2 images of digits (test), l1 radii, each certified with probability 0.999"
    assert told[3] == "radius  certified accuracy" and [line.split()[0] for line in told[4:6]] == ["0", "0.1"]
    assert told[-1] == "wrote curve.svg" and (folder / "curve.svg").stat().st_size > 1000


def test_what_certification_refuses(folder: Path) -> None:
    assert "is not a file" in refused(*CERTIFY, "--weights", "none.st")
    (folder / "text.st").write_text("no weights")
    assert "cannot be read as a safetensors file" in refused(*CERTIFY, "--weights", "text.st")
    told = refused(*CERTIFY, "--network", "networks_of_the_user:wide")
    assert "another architecture" in told and len(told) < 500
    assert "sigma" in refused(*CERTIFY, "--sigma", 0)
    assert "bound" in refused(*CERTIFY, "--limit", 1, "--bound", "bernstein")
    assert "tolerance needs hard votes" in refused(*CERTIFY, "--limit", 1, "--votes", "soft", "--tolerance", 0.1)
    assert "requires --data-dependent" in refused(*CERTIFY, "--sigma-option", "n=2")
    assert "name of sigma0" in refused(*CERTIFY, "--limit", 1, "--data-dependent", "--sigma-option", "K=2")
