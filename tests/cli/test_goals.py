"""The command line where an outcome is wanted and no model: attack, bound, minimax, and settings of methods."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np
import pytest

import convexpoison as cp
from convexpoison.cli.commands import main
from convexpoison.cli.settings import read_settings
from convexpoison.datasets import Dataset
from tests.cli.command import refused, run

DIGITS = ("--dataset", "digits_17", "--loss", "logistic", "--C", 1)
QUICK = ("--option", "iterations=3", "--option", "clean_iterations=3")


@pytest.fixture
def some_rows(tmp_path: Path, digits: Dataset) -> Path:
    """Two test rows with their right labels."""
    np.savez(tmp_path / "some.npz", X=digits.X_test[:2], y=digits.y_test[:2])
    return tmp_path / "some.npz"


def test_the_prediction_of_a_row_is_flipped_and_no_bound_forbids_it(tmp_path: Path, digits: Dataset) -> None:
    told = json.loads(run("attack", *DIGITS, "--goal-flip-row", 3, "--json", "--out", tmp_path / "run.npz").stdout)
    assert told["goal"] == {"kind": "flip", "row": 3} and told["stop_reason"] == "goal"
    saved = cp.AttackResult.load(tmp_path / "run.npz")
    X, y = saved.poisoned(*digits.train)
    poisoned = cp.Victim("logistic", C=1.0).fit(X, y)
    row = digits.X_test[[3]]
    assert poisoned.predict(row)[0] != saved.clean.predict(row)[0]
    bound = json.loads(run("bound", *DIGITS, "--goal-flip-row", 3, "--json").stdout)["bound"]
    assert 0 < bound["n_points"] <= told["n_points"]


def test_bound_for_a_set_of_rows_with_its_certificate(tmp_path: Path, some_rows: Path, digits: Dataset) -> None:
    proof = tmp_path / "proof.npz"
    told = run("bound", *DIGITS, "--goal-misclassify", some_rows, "--certificate", proof).stdout
    assert told.startswith("goal: misclassify") and "needed to reach this goal" in told and "certified" in told
    np.savez(tmp_path / "train.npz", X=digits.X_train, y=digits.y_train)
    assert run("verify", proof, tmp_path / "train.npz").stdout.splitlines()[-1].startswith("holds")


@pytest.mark.parametrize(
    "method",
    [
        ("label_flip", "--option", "choose=nearest", "--option", "fraction=0.5"),
        ("min_max", "--option", "learner=dual_averaging"),
        ("gradient", "--option", "max-iter=1"),
        ("influence", "--option", "max_iter=1", "--option", "n_restarts=1"),
    ],
)
def test_methods_with_a_budget(method: tuple[str, ...], some_rows: Path) -> None:
    arguments = ("--goal-error", 0.5, "--method", *method, "--max-points", 4, "--validation", some_rows, "--json")
    told = json.loads(run("attack", *DIGITS, *arguments).stdout)
    assert told["goal"]["kind"] == "error rate" and told["stop_reason"] == "budget"
    assert 0 < told["n_points"] <= 4


def test_methods_towards_a_model() -> None:
    target = (*DIGITS, "--target-error", 0.1, "--max-points", 6, "--json")
    kkt = json.loads(
        run("attack", *target, "--method", "kkt", "--option", "n_splits=2", "--option", "n_starts=1").stdout
    )
    near = json.loads(run("attack", *target, "--method", "nearest").stdout)
    assert kkt["n_points"] <= 6 and near["n_points"] <= 6 and near["eps"] is None
    assert kkt["info"]["residual"] > 0 and near["stop_reason"] == kkt["stop_reason"] == "budget"


def test_what_methods_refuse(some_rows: Path) -> None:
    goal, target = (*DIGITS, "--goal-error", 0.2), (*DIGITS, "--target-error", 0.1)
    assert "name of choose, pool, fraction" in refused("attack", *goal, "--method", "label_flip", "--option", "k=1")
    assert "fraction must be a number; got 'much'" in refused(
        "attack", *goal, "--method", "label_flip", "--option", "fraction=much"
    )
    assert "method optimal has no options" in refused("attack", *target, "--method", "optimal", "--option", "a=1")
    assert "name the method with --method" in refused("attack", *target, "--option", "a=1")
    assert "has a budget; pass max_points" in refused("attack", *goal, "--method", "label_flip")
    assert "needs a model as target" in refused("attack", *goal, "--method", "kkt", "--max-points", 3)
    assert "aims at a model" in refused("attack", *goal, "--method", "nearest")
    assert "does not take validation" in refused("attack", *target, "--validation", some_rows)
    shared = refused("attack", *goal, "--method", "min_max", "--max-points", 3, "--option", "max_points=4")
    assert "name of learner" in shared and "max_points," not in shared.split("takes")[1]


def test_what_goals_refuse(tmp_path: Path, some_rows: Path) -> None:
    assert "exactly one of" in refused("attack", *DIGITS, "--goal-error", 0.2, "--target-error", 0.1)
    assert "exactly one of --target, --target-error, --goal-flip-row and --goal-misclassify" in refused(
        "bound", *DIGITS
    )
    assert "numbered 0 to 108" in refused("bound", *DIGITS, "--goal-flip-row", 109)
    assert "between 0 and 1" in refused("attack", *DIGITS, "--goal-error", 2)
    assert "is not a file" in refused("attack", *DIGITS, "--goal-misclassify", tmp_path / "no.npz")
    assert "--goal-flip-row needs test rows" in refused("bound", "--data", some_rows, "--goal-flip-row", 0)
    assert "--flip-test requires --target-error" in refused("bound", *DIGITS, "--goal-flip-row", 0, "--flip-test")


# -------------------------------------------------------------------- minimax


def test_minimax_tells_what_the_defender_has_learned(tmp_path: Path) -> None:
    out = tmp_path / "run.npz"
    told = json.loads(run("minimax", *DIGITS, "--max-points", 5, *QUICK, "--json", "--out", out).stdout)
    assert told["n_points"] == 5 and told["goal"] == {
        "kind": "validation loss", "n_train": 189, "n_validation": 63,
    }  # fmt: skip
    (lam,) = told["info"]["lambda"]
    assert told["info"]["victim"]["C"] == pytest.approx(np.exp(-lam))
    assert cp.AttackResult.load(out).info["lambda"] == [lam]


def test_minimax_in_words_with_validation_rows_of_ones_own(tmp_path: Path, digits: Dataset) -> None:
    np.savez(tmp_path / "held.npz", X=digits.X_test, y=digits.y_test)
    arguments = ("minimax", *DIGITS, "--max-points", 3, "--validation", tmp_path / "held.npz", *QUICK)
    told = run(*arguments, "--tune", "none", "--option", "initial_lambda=-1.5").stdout
    assert "252 training rows, 109 validation rows" in told
    assert told.endswith("lambda, tuned on clean rows: -1.5\nlambda, with 3 points: -1.5\n")
    assert "lambda, with 3 points: " in run(*arguments, "--tune", "per_class").stdout


def test_what_minimax_refuses(some_rows: Path) -> None:
    start = ("minimax", *DIGITS, "--max-points", 3)
    assert "not both" in refused(*start, "--validation", some_rows, "--validation-share", 0.5)
    assert "name of lambda_range" in refused(*start, "--option", "tune=l2")
    assert "lambda_range must be [a number, a number]" in refused(*start, "--option", "lambda_range=3")
    assert "batch_size must be an integer" in refused(*start, "--option", "batch_size=2.5")
    assert "--max-points" in refused("minimax", *DIGITS)
    assert "exactly one of --dataset and --data" in refused("minimax", "--max-points", 3)


# -------------------------------------------------------------------- settings, and how the program is started


def a_function(
    wanted: int, *, rate: float = 0.1, kind: Literal["a", "b"] | None = "a", on: bool = False,
    span: tuple[float, int] = (0.0, 1), free: Any = None, shared: int = 1,
) -> None:  # fmt: skip
    """Something with settings."""


def test_settings_are_read_by_their_annotations() -> None:
    pairs = ("rate=1e-4", "kind=null", "on=true", "span=[0.5, 2]", "free=word")
    assert read_settings(pairs, a_function, "it") == {
        "rate": 1e-4, "kind": None, "on": True, "span": [0.5, 2], "free": "word",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("pair", "why"),
    [
        ("rate", "takes NAME=VALUE, with a name of rate, kind, on, span, free"),
        ("wanted=3", "takes NAME=VALUE"),
        ("shared=3", "takes NAME=VALUE"),
        ("rate=true", "rate must be a number; got True"),
        ("kind=c", "kind must be a or b or null"),
        ("on=1", "on must be true or false"),
        ("span=[1, 2.5]", r"span must be \[a number, an integer\]"),
        ("free=[1", "neither JSON nor YAML"),
    ],
)
def test_settings_that_are_refused(pair: str, why: str) -> None:
    with pytest.raises(click.UsageError, match=why):
        read_settings([pair], a_function, "it", without=("shared",))


def test_a_setting_given_twice_is_refused() -> None:
    with pytest.raises(click.UsageError, match="given twice"):
        read_settings(["rate=1", "rate=2"], a_function, "it")


def test_python_m_and_the_entry_point_are_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "convexpoison", "-h"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: convexpoison ") and "certify" in done.stdout
    project = tomllib.loads((Path(cp.__file__).parents[1] / "pyproject.toml").read_text())
    module, _, name = project["project"]["scripts"]["convexpoison"].partition(":")
    assert getattr(__import__(module, fromlist=[name]), name) is main
