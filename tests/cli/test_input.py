"""What the command line takes: models from files and modules, rows from tables and arrays."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression

from convexpoison.cli.rows import read_rows
from convexpoison.datasets import Dataset
from tests.cli.command import refused, run

DIGITS = ("--dataset", "digits_17")
MODULE = """
import numpy as np
from sklearn.linear_model import LogisticRegression

rng = np.random.default_rng(0)
model = LogisticRegression(C=0.01, tol=1e-10).fit(rng.random((40, 64)), np.arange(40) % 2)
pair = (np.zeros(64), 0.1)
name = "no model"

def make():
    return model
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder, with a module in it."""
    (tmp_path / "models_of_the_user.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def bound(*arguments: Any) -> float:
    return float(json.loads(run("bound", *DIGITS, *arguments, "--json").stdout)["bound"]["value"])


@pytest.fixture
def estimator(digits: Dataset) -> LogisticRegression:
    y = np.where(np.arange(len(digits.y_train)) % 5 == 0, 8 - digits.y_train, digits.y_train)
    return LogisticRegression(C=0.01, tol=1e-10).fit(digits.X_train, y)


def test_a_model_from_a_module_is_the_model_itself(folder: Path, estimator: LogisticRegression) -> None:
    import joblib

    joblib.dump(estimator, "model.joblib")
    (folder / "same_model.py").write_text(
        "import joblib\nmodel = joblib.load('model.joblib')\ndef make(): return model\n"
    )
    values = [bound("--target", name) for name in ("model.joblib", "same_model:model", "same_model:make")]
    assert values[0] > 1.0 and values == values[:1] * 3


def test_what_is_no_model_in_a_module_is_refused(folder: Path) -> None:
    start = ("bound", *DIGITS, "--target")
    assert "cannot be imported" in refused(*start, "no_such_module:model")
    assert "has no object 'other'" in refused(*start, "models_of_the_user:other")
    assert "is not a file, and is not written as package.module:object" in refused(*start, "model.joblib")
    refused(*start, "models_of_the_user:name")


def test_a_model_from_a_skops_file(folder: Path, estimator: LogisticRegression) -> None:
    skops = pytest.importorskip("skops.io", reason="skops is not installed (extra 'skops')")
    import joblib

    joblib.dump(estimator, "model.joblib")
    skops.dump(estimator, "model.skops")
    assert bound("--target", "model.skops") == bound("--target", "model.joblib")
    (folder / "broken.skops").write_bytes(b"broken")
    assert "cannot be read as an estimator saved by skops.io.dump" in refused(
        "bound", *DIGITS, "--target", "broken.skops"
    )
    skops.dump(Path("strange"), "strange.skops")
    assert "which skops does not trust" in refused("bound", *DIGITS, "--target", "strange.skops")


def test_without_skops_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "model.skops").write_bytes(b"any")
    monkeypatch.setitem(sys.modules, "skops.io", None)
    assert "pip install 'convexpoison[skops]'" in refused("bound", *DIGITS, "--target", "model.skops")


def test_rows_are_the_same_from_every_kind_of_file(tmp_path: Path, digits: Dataset) -> None:
    pandas = pytest.importorskip("pandas", reason="tables need pandas, which is not installed")
    pytest.importorskip("pyarrow", reason="parquet needs pyarrow, which is not installed")
    X, y = digits.train
    table = pandas.DataFrame(X, columns=[f"pixel {j}" for j in range(64)]).assign(digit=y)
    table.to_csv(tmp_path / "rows.csv", index=False)
    table.to_parquet(tmp_path / "rows.parquet")
    np.savez(tmp_path / "plain.npz", X=X, y=y)
    np.savez(tmp_path / "named.npz", X=X, digit=y)
    sparse = sp.csr_matrix(X)
    parts = {name: getattr(sparse, name) for name in ("data", "indices", "indptr")}
    np.savez(tmp_path / "sparse.npz", shape=sparse.shape, digit=y, **parts)
    for name in ("rows.csv", "rows.parquet", "plain.npz", "named.npz", "sparse.npz"):
        rows, labels = read_rows(tmp_path / name, None if name == "plain.npz" else "digit")
        np.testing.assert_array_equal(rows.toarray() if sp.issparse(rows) else rows, X)
        np.testing.assert_array_equal(labels, y)
    given = ("--data", tmp_path / "rows.parquet", "--label", "digit", "--target-error", 0.1)
    assert json.loads(run("bound", *given, "--json").stdout)["bound"]["n_points"] > 0


def test_tables_that_cannot_be_read(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="parquet needs pyarrow, which is not installed")
    for name in ("rows.parquet", "rows.csv"):
        (tmp_path / name).write_bytes(b"\xff\xfe\x00broken")
        assert "cannot be read as a" in refused(
            "bound", "--data", tmp_path / name, "--label", "y", "--target-error", 0.1
        )
    np.savez(tmp_path / "rows.npz", X=np.eye(2))
    told = refused("bound", "--data", tmp_path / "rows.npz", "--label", "digit", "--target-error", 0.1)
    assert "must contain the arrays digit; it contains X" in told


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas", reason="tables need pandas, which is not installed")
    (tmp_path / "rows.parquet").write_bytes(b"any")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    told = refused("bound", "--data", tmp_path / "rows.parquet", "--label", "y", "--target-error", 0.1)
    assert "pip install 'convexpoison[frame]'" in told
