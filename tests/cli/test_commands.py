"""The command line, run inside this process by click's own runner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

import convexpoison as cp
from convexpoison.cli.commands import main
from convexpoison.datasets import Dataset
from tests.cli.command import refused, run

DIGITS = ("--dataset", "digits_17")


@pytest.fixture(scope="module")
def wrong_digits(digits: Dataset) -> Any:
    """A target: an SVM fitted to digits of which every fifth has the wrong label."""
    y = np.where(np.arange(len(digits.y_train)) % 5 == 0, 8 - digits.y_train, digits.y_train)
    return LinearSVC(loss="hinge", C=0.01, random_state=0).fit(digits.X_train, y)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Two kinds of iris as a CSV file with labels in words."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed (extra 'frame')")
    X, y = load_iris(return_X_y=True)
    table = pandas.DataFrame(X[50:], columns=["a", "b", "c", "d"])
    table["kind"] = np.where(y[50:] == 1, "versicolor", "virginica")
    path = tmp_path / "rows.csv"
    table.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("command", [[], *([command] for command in main.commands)])
def test_help(command: list[str]) -> None:
    assert "Usage:" in run(*command, "-h").stdout


def test_demo(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'plot')")
    result = run("demo", "--out", tmp_path / "out")
    assert "poison points used" in result.stdout
    assert (tmp_path / "out" / "demo.png").stat().st_size > 10_000
    saved = cp.AttackResult.load(tmp_path / "out" / "run.npz")
    assert 0 < saved.induced_bound.n_points <= saved.n_points
    assert saved.history["max_loss_difference"][-1] <= 0.1


def test_attack_prints_one_json_object_and_writes_a_file(tmp_path: Path) -> None:
    out = tmp_path / "run.npz"
    result = run("attack", *DIGITS, "--target-error", 0.1, "--json", "--out", out)
    facts = json.loads(result.stdout)
    assert facts["stop_reason"] == "close" and facts["max_loss_difference"] <= 0.1
    assert facts["target"]["error"] >= 0.1
    assert facts["induced_bound"]["certified"] and facts["induced_bound"]["n_points"] <= facts["n_points"]
    assert cp.AttackResult.load(out).n_points == facts["n_points"]


def test_attack_draws_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'plot')")
    plot = tmp_path / "plot.svg"
    facts = json.loads(run("attack", *DIGITS, "--target-error", 0.1, "--json", "--plot", plot).stdout)
    assert facts["plot"] == str(plot) and plot.read_text().startswith("<?xml")


def test_attack_prints_a_table() -> None:
    result = run("attack", *DIGITS, "--target-error", 0.1, "--max-points", 5, "--loss", "logistic", "--C", 1)
    assert result.stdout.startswith("target: label flips (error 0.")
    assert "poison points used" in result.stdout


def test_the_same_seed_gives_the_same_answer() -> None:
    told = [json.loads(run("bound", *DIGITS, "--target-error", 0.1, "--json").stdout) for _ in range(2)]
    assert told[0] == told[1]


def test_bound_of_an_estimator_reads_loss_and_regularisation_from_it(tmp_path: Path, digits: Dataset) -> None:
    model = LogisticRegression(C=0.01, tol=1e-10).fit(digits.X_train, digits.y_train)
    joblib.dump(model, tmp_path / "clean.joblib")
    facts = json.loads(run("bound", *DIGITS, "--target", tmp_path / "clean.joblib", "--json").stdout)
    assert facts["bound"]["attainable"] and facts["bound"]["value"] < 0.01  # the clean model is to be had for nothing


def test_bound_in_words(tmp_path: Path, wrong_digits: Any) -> None:
    joblib.dump(wrong_digits, tmp_path / "wrong.joblib")
    told = run("bound", *DIGITS, "--target", tmp_path / "wrong.joblib").stdout
    assert "added points are needed to reproduce this target" in told and "certified" in told


def test_target_of_plain_numbers(tmp_path: Path, wrong_digits: Any) -> None:
    np.savez(tmp_path / "wrong.npz", coef=wrong_digits.coef_[0], intercept=wrong_digits.intercept_[0])
    arguments = ("attack", *DIGITS, "--target", tmp_path / "wrong.npz", "--C", 0.01, "--max-points", 3, "--json")
    assert json.loads(run(*arguments).stdout)["n_points"] == 3


def test_an_unattainable_target(tmp_path: Path) -> None:
    np.savez(tmp_path / "huge.npz", coef=np.full(64, 1e3), intercept=0.0)
    assert "no number of added points" in run("bound", *DIGITS, "--target", tmp_path / "huge.npz").stdout
    assert "no number of added points" in refused("attack", *DIGITS, "--target", tmp_path / "huge.npz")


def test_rows_of_ones_own(rows: Path) -> None:
    arguments = ("--data", rows, "--label", "kind", "--target-error", 0.2, "--max-points", 10, "--json")
    facts = json.loads(run("attack", *arguments).stdout)
    assert facts["n_points"] <= 10 and facts["accuracy"] is None
    facts = json.loads(run("attack", *arguments, "--test-data", rows, "--flip-test").stdout)
    assert facts["accuracy"] is not None


def test_rows_from_npz(tmp_path: Path, digits: Dataset) -> None:
    np.savez(tmp_path / "rows.npz", X=digits.X_train, y=digits.y_train)
    facts = json.loads(run("bound", "--data", tmp_path / "rows.npz", "--target-error", 0.1, "--json").stdout)
    assert facts["bound"]["n_points"] > 0


def test_options_that_exclude_one_another(rows: Path) -> None:
    assert "exactly one of --dataset and --data" in refused("attack", "--target-error", 0.1)
    assert "exactly one of --dataset and --data" in refused("bound", *DIGITS, "--data", rows, "--target-error", 0.1)
    assert "exactly one of --target, --target-error, --goal-error" in refused("attack", *DIGITS)
    assert "exactly one of C" in refused("attack", *DIGITS, "--target-error", 0.1, "--C", 1, "--C-R", 0.1)
    assert "require --data" in refused("attack", *DIGITS, "--label", "y", "--target-error", 0.1)
    assert "needs test rows" in refused(
        "attack", "--data", rows, "--label", "kind", "--target-error", 0.1, "--flip-test"
    )


def test_files_that_cannot_be_used(tmp_path: Path, rows: Path) -> None:
    absent, text = tmp_path / "absent.joblib", tmp_path / "text.joblib"
    text.write_text("not a pickle")
    np.savez(tmp_path / "other.npz", w=np.zeros(64))
    (tmp_path / "broken.npz").write_bytes(b"broken")
    assert "is not a file" in refused("attack", *DIGITS, "--target", absent)
    assert "cannot be read as an estimator" in refused("attack", *DIGITS, "--target", text)
    assert "must contain the arrays coef, intercept" in refused("attack", *DIGITS, "--target", tmp_path / "other.npz")
    assert "not an npz file" in refused("attack", *DIGITS, "--target", tmp_path / "broken.npz")
    assert "is not a file" in refused("attack", "--data", tmp_path / "no.csv", "--target-error", 0.1)
    wrong_label = refused("attack", "--data", rows, "--label", "sort", "--target-error", 0.1)
    assert "its columns are a, b, c, d, kind" in wrong_label
    assert "does not exist" in refused("attack", *DIGITS, "--target-error", 0.1, "--out", tmp_path / "no" / "run.npz")
    assert "must end in one of" in refused("attack", *DIGITS, "--target-error", 0.1, "--plot", tmp_path / "plot.doc")


def test_values_that_cannot_be_used() -> None:
    assert "unknown data set 'iris'" in refused("attack", "--dataset", "iris", "--target-error", 0.1)
    assert "C must be positive" in refused("attack", *DIGITS, "--target-error", 0.1, "--C", 0)
    assert "between 0 and 1" in refused("attack", *DIGITS, "--target-error", 1.5)
    assert "unknown solver" in refused("bound", *DIGITS, "--target-error", 0.1, "--solver", "abacus")
    assert "eps must not be negative" in refused("attack", *DIGITS, "--target-error", 0.1, "--eps", -1)


def test_text_columns_are_refused_with_a_way_out(rows: Path) -> None:
    assert "encode text columns first" in refused("attack", "--data", rows, "--label", "a", "--target-error", 0.1)


def test_debug_shows_where_an_error_comes_from() -> None:
    result = CliRunner().invoke(main, ["--debug", "attack", "--dataset", "iris", "--target-error", "0.1"])
    assert isinstance(result.exception, ValueError)


def test_without_pandas_the_extra_is_named(rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    assert "convexpoison[frame]" in refused("attack", "--data", rows, "--label", "kind", "--target-error", 0.1)


def test_info() -> None:
    facts = json.loads(run("info", "--json").stdout)
    assert facts["convexpoison"] and facts["packages"]["numpy"] == np.__version__
    polygon, gurobi = facts["solvers"]["polygon"], facts["solvers"]["gurobi"]
    assert polygon["installed"] is True and polygon["licence"] == "none needed" and "hinge" in polygon["losses"]
    assert gurobi["licence"] in ("not checked (--licences)", "not installed") and gurobi["automatic"] is False
    assert facts["data"]["digits_17"] is True and facts["images"]["digits"] is True
    words = run("info").stdout
    assert "digits_17" in words and "licence: none needed" in words and "only by name (--solver gurobi)" in words


def test_info_names_the_extra_of_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    def version(package: str) -> str:
        if package == "numba":
            raise metadata.PackageNotFoundError(package)
        return metadata.version(package)

    monkeypatch.setattr("convexpoison.cli.info.version", version)
    assert "not installed: pip install 'convexpoison[fast]'" in run("info").stdout


@pytest.mark.gurobi
def test_info_tells_the_state_of_the_licence_when_asked() -> None:
    told = json.loads(run("info", "--licences", "--json").stdout)["solvers"]["gurobi"]
    assert told["installed"] and "not checked" not in told["licence"] and told["licence"]


@pytest.mark.slow
def test_the_main_job_on_mnist(data_folder: Path) -> None:
    facts = json.loads(run("attack", "--dataset", "mnist_17", "--target-error", 0.15, "--json").stdout)
    assert facts["stop_reason"] == "close" and facts["max_loss_difference"] <= 0.1
    assert facts["target"]["error"] >= 0.15 and 0.75 < facts["accuracy"] < 0.9
    assert facts["induced_bound"]["n_points"] <= facts["n_points"] < 13_007
