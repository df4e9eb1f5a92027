"""``convexpoison verify``: the exit status is the verdict."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from click.testing import CliRunner, Result

import convexpoison as cp
from convexpoison.certificates.target import TargetCertificate, certify
from convexpoison.cli.commands import main
from convexpoison.learners.dual_vector import DualVector
from convexpoison.learners.victim import Victim
from convexpoison.spaces.space import Space


def run(*arguments: Any, status: int = 0) -> Result:
    result = CliRunner().invoke(main, ["verify", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    X = rng.integers(0, 5, (40, 3)) / 4.0
    return X, np.where(X @ [1.0, -1.0, 0.5] + 0.2 * rng.normal(size=40) > 0.2, "spam", "ham")


@pytest.fixture
def honest(rows: tuple[np.ndarray, np.ndarray]) -> TargetCertificate:
    X, y = rows
    victim = Victim("logistic", C=1.0)
    clean, other = victim.fit(X, y), victim.fit(X, np.roll(y, 7))
    target = replace(other, classes=("ham", "spam"))
    v = DualVector(clean.coef - target.coef, clean.intercept - target.intercept)
    return certify(victim, target, Space.box(0.0, 1.0, 3), v, (X, y))


@pytest.fixture
def saved(tmp_path: Path, honest: TargetCertificate) -> Path:
    honest.save(tmp_path / "certificate.npz")
    return tmp_path / "certificate.npz"


def test_holds(saved: Path, honest: TargetCertificate, rows: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", X=rows[0], y=rows[1])
    result = run(saved, tmp_path / "rows.npz")
    assert "logistic loss, C=1" in result.stdout and "\nholds: at least" in result.stdout
    told = json.loads(run(saved, tmp_path / "rows.npz", "--json").stdout)
    assert told["holds"] is True and told["claimed"] == honest.value <= told["value"]
    assert honest.value > 1.0


def test_sparse_and_weighted_rows(saved: Path, rows: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    X = sp.csr_matrix(rows[0])
    parts = {"data": X.data, "indices": X.indices, "indptr": X.indptr, "shape": X.shape, "y": rows[1]}
    np.savez(tmp_path / "rows.npz", **parts, sample_weight=np.ones(40))
    run(saved, tmp_path / "rows.npz")
    np.savez(tmp_path / "rows.npz", **parts, sample_weight=np.full(40, 0.5))
    run(saved, tmp_path / "rows.npz", status=1)
    np.savez(tmp_path / "rows.npz", **(parts | {"indices": X.indices + 10**6}))
    run(saved, tmp_path / "rows.npz", status=2)


def test_csv(saved: Path, rows: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed (extra 'frame')")
    table = pandas.DataFrame(rows[0], columns=["a", "b", "c"]).assign(kind=rows[1])
    table.to_csv(tmp_path / "rows.csv", index=False)
    run(saved, tmp_path / "rows.csv", "--label", "kind")


def test_does_not_hold(
    saved: Path, honest: TargetCertificate, rows: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    np.savez(tmp_path / "rows.npz", X=rows[0], y=rows[1])
    replace(honest, value=1.01 * honest.value).save(saved)
    result = run(saved, tmp_path / "rows.npz", status=1)
    assert "does not hold: these data prove at least" in result.stdout
    replace(honest, value=np.inf).save(saved)
    told = json.loads(run(saved, tmp_path / "rows.npz", "--json", status=1).stdout)
    assert told["holds"] is False and told["claimed"] is None and told["value"] > 0.0


def test_bad_input(saved: Path, rows: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    data = tmp_path / "rows.npz"
    np.savez(data, X=rows[0], y=rows[1])
    assert "is not a certificate" in run(data, data, status=2).stderr
    assert "is not a file" in run(tmp_path / "nothing.npz", data, status=2).stderr
    assert "is not a file" in run(saved, tmp_path / "nothing.npz", status=2).stderr
    np.savez(data, X=rows[0][:, :2], y=rows[1])
    assert "2 features" in run(saved, data, status=2).stderr
    np.savez(data, y=rows[1])
    assert "must contain the array X" in run(saved, data, status=2).stderr


@pytest.mark.parametrize("what", ["goal", "ball", "eps_close"])
def test_other_kinds_of_certificates(
    what: str, honest: TargetCertificate, rows: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    X, y = rows
    terms: dict[str, Any] = {"victim": honest.victim, "space": honest.space}
    if what == "goal":
        bound = cp.lower_bound(cp.goals.Flip(X[0]), rows, **terms)
    else:
        bound = cp.lower_bound(honest.target, rows, **terms, **{"delta" if what == "ball" else "eps": 1e-3})
    assert bound.certified and bound.value > 0.0 and float(bound) == bound.value
    assert json.loads(json.dumps(bound.to_dict()))["certified"] is True
    assert bound.certificate is not None
    bound.certificate.save(tmp_path / "other.npz")
    np.savez(tmp_path / "rows.npz", X=X, y=y)
    told = json.loads(run(tmp_path / "other.npz", tmp_path / "rows.npz", "--json").stdout)
    assert told["holds"] is True and told["claimed"] == bound.value
    assert "added points are needed" in run(tmp_path / "other.npz", tmp_path / "rows.npz").stdout
    replace(bound.certificate, value=2.0 * bound.value + 1.0).save(tmp_path / "other.npz")
    run(tmp_path / "other.npz", tmp_path / "rows.npz", status=1)
