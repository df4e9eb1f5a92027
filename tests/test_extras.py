"""Without the extras the library attacks, bounds and verifies; what needs one says which, before any work is lost."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import convexpoison as cp
from convexpoison import errors, neural
from convexpoison.cli.commands import main
from convexpoison.datasets import Dataset

OPTIONAL = ("matplotlib", "pandas", "pyarrow", "gurobipy", "torch", "safetensors", "numba", "dask")
VICTIM, BOX = cp.Victim("hinge", C_R=0.09), cp.Space.box(0, 1, 64)


@pytest.fixture(autouse=True)
def nothing_but_the_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every optional package as if it were not installed (make test-plain runs this where none of them is)."""

    def find(module: str) -> ModuleType:
        if module.split(".")[0] in OPTIONAL:
            raise ModuleNotFoundError(f"No module named {module!r}")
        return import_module(module)

    def without_torch(module: str) -> ModuleType:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(errors, "import_module", find)
    monkeypatch.setattr(neural, "import_module", without_torch)


@pytest.fixture
def result(digits: Dataset) -> cp.AttackResult:
    target = VICTIM.fit(digits.X_train, np.roll(digits.y_train, 1))
    return cp.attack(target, digits.train, victim=VICTIM, space=digits.space, max_points=2)


def test_the_core_attacks_bounds_and_verifies(result: cp.AttackResult, digits: Dataset, tmp_path: Path) -> None:
    assert result.n_points == 2
    bound = cp.lower_bound(result.model, digits.train, victim=VICTIM, space=digits.space)
    assert bound.certified and 0 < float(bound) <= 2
    assert bound.certificate is not None
    bound.certificate.save(tmp_path / "proof.npz")
    np.savez(tmp_path / "rows.npz", X=digits.X_train, y=digits.y_train)
    done = CliRunner().invoke(main, ["verify", str(tmp_path / "proof.npz"), str(tmp_path / "rows.npz")])
    assert done.exit_code == 0 and "holds" in done.stdout


@pytest.mark.parametrize(
    ("extra", "feature"),
    [
        ("plot", lambda result: result.plot()),
        ("frame", lambda result: result.to_frame()),
        ("gurobi", lambda result: cp.max_loss_difference(result.model, result.target, BOX, solver="gurobi")),
        ("neural", lambda result: neural.make_network),
    ],
)
def test_a_feature_names_its_extra(extra: str, feature: Callable[[Any], object], result: cp.AttackResult) -> None:
    with pytest.raises(cp.MissingDependencyError, match=rf"pip install 'convexpoison\[{extra}\]'"):
        feature(result)


@pytest.mark.parametrize(
    ("extra", "line"),
    [
        ("plot", "demo"),
        ("plot", "attack --dataset digits_17 --target-error 0.1 --plot a.png"),
        ("frame", "attack --data rows.csv --label y --target-error 0.1"),
        ("frame", "sweep grid.yaml --store runs --parquet table.parquet"),
        ("gurobi", "attack --dataset digits_17 --target-error 0.1 --solver gurobi"),
        ("neural", "train --dataset digits --network lenet --sigma 0.5 --weights w.safetensors"),
        ("neural", "certify --dataset digits --network lenet --sigma 0.5 --weights w.safetensors"),
    ],
)
def test_a_command_names_its_extra(extra: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("x,y\n0,1\n1,7\n")
    (tmp_path / "grid.yaml").write_text("a: [1]\n")
    done = CliRunner().invoke(main, line.split())
    assert done.exit_code in (1, 2)
    assert f"pip install 'convexpoison[{extra}]'" in done.stderr and done.stdout == ""
    assert not (tmp_path / "runs").exists()
