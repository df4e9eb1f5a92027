"""The commands report and verify, on a saved attack."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from convexpoison.datasets import Dataset
from tests.cli.command import refused, run

pytest.importorskip("matplotlib", reason="a report needs matplotlib, which is not installed")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "run.npz"
    run("attack", "--dataset", "digits_17", "--target-error", 0.1, "--max-points", 5, "--out", out)
    return out


def test_a_page_about_a_saved_attack(saved: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    told = json.loads(run("report", saved, "--out", page, "--dataset", "digits_17", "--json").stdout)
    assert told == {"out": str(page), "runs": [str(saved)]}
    text = page.read_text()
    assert f"convexpoison verify {saved} --dataset digits_17" in text and "holds: at least" in text
    assert run("report", saved, "--out", page, "--title", "A <title>").stdout == f"wrote {page}\n"
    assert "<title>A &lt;title&gt;</title>" in page.read_text() and "verified for this page" not in page.read_text()


def test_what_a_report_refuses(saved: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    (tmp_path / "broken.npz").write_bytes(b"broken")
    (tmp_path / "notes.txt").write_text("notes")
    assert "is neither a file nor a folder" in refused("report", tmp_path / "no.npz", "--out", page)
    for name in ("broken.npz", "notes.txt"):
        assert "cannot be read as a run" in refused("report", saved, tmp_path / name, "--out", page)
    assert "is not the store of a sweep" in refused("report", tmp_path, "--out", page)
    assert "Missing argument" in refused("report", "--out", page)
    assert "must be written as 28x28" in refused("report", saved, "--out", page, "--image-shape", "square")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.npz", "notes.txt"]


def test_without_matplotlib_the_extra_is_named(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    assert "pip install 'convexpoison[plot]'" in refused("report", saved)


def test_the_bounds_of_a_saved_attack_are_verified(saved: Path, tmp_path: Path, digits: Dataset) -> None:
    told = json.loads(run("verify", saved, "--dataset", "digits_17", "--json").stdout)
    assert set(told) == {"bound", "induced_bound", "holds"} and told["holds"] is True
    assert told["bound"]["holds"] and told["bound"]["claimed"] <= told["bound"]["value"]
    X, y = digits.train
    np.savez(tmp_path / "rows.npz", X=X, y=y)
    words = run("verify", saved, tmp_path / "rows.npz").stdout
    assert words.count("\nholds: ") == 2
    np.savez(tmp_path / "other.npz", X=X, y=np.roll(y, 60))
    assert "does not hold" in run("verify", saved, tmp_path / "other.npz", status=1).stdout
    assert "as DATA or as --dataset" in refused("verify", saved)
    assert "as DATA or as --dataset" in refused("verify", saved, tmp_path / "rows.npz", "--dataset", "digits_17")
