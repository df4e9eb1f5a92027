"""What README.md prints works as printed: every command and every block of Python.

Commands run in a folder of their own, where the files that the README takes for granted have been made. ``make`` and ``pip``
lines set up environments and are left out; what they name is checked. Lines about data from files are slow.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.svm import LinearSVC

import convexpoison as cp
from convexpoison.datasets import SOURCES, Dataset
from convexpoison.datasets.images import load_images

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.M | re.S)
LINES = [re.sub(r"\s+# .*", "", line) for kind, block in BLOCKS if kind == "console" for line in block.splitlines()]
COMMANDS = [line for line in LINES if line.startswith("convexpoison ")]
FILE = re.compile(r"[\w/]+\.(?:npz|csv|joblib|safetensors|yaml)")


def from_files(text: str) -> bool:
    """Whether a command or a block is about data that no package brings."""
    named = set(re.findall(r"\w+", text)) & {"mnist", *SOURCES}
    return any(SOURCES[name].files != ((),) if name in SOURCES else True for name in named)


def needs_data(text: str) -> bool:
    return from_files(text) or "proof.npz" in text  # which is about one of them


def marked(text: str) -> Any:
    slow = needs_data(text) or any(word in text for word in ("examples/", "neural", "poison --"))
    return pytest.param(text, marks=[pytest.mark.slow] if slow else [], id=text.splitlines()[0][:70])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, digits: Dataset) -> Path:
    """The user's files: rows and a wanted model, and the example grid."""
    home, rng = tmp_path_factory.mktemp("readme"), np.random.default_rng(0)
    X = rng.uniform(size=(200, 3)).round(3)
    y = np.where(X @ [1.0, 0.5, -1.0] > 0.25, ">50K", "<=50K")
    lines = [f"{a},{b},{c},{label}" for (a, b, c), label in zip(X, y, strict=True)]
    (home / "rows.csv").write_text("\n".join(["age,hours,debt,income", *lines]))
    wrong = np.where((X[:, 0] > 0.7) & (rng.uniform(size=200) < 0.5), ">50K", y)
    joblib.dump(
        LinearSVC(loss="hinge", C=0.1, random_state=0, max_iter=100_000, tol=1e-8).fit(X, wrong), home / "wanted.joblib"
    )
    (home / "examples").symlink_to(ROOT / "examples")
    return home


@pytest.fixture(scope="module")
def ran() -> dict[str, str]:
    """What the commands that have run already printed."""
    return {}


def run(line: str, folder: Path, ran: dict[str, str]) -> str:
    """Run a line, after the line that makes a file that it reads."""
    if line in ran:
        return ran[line]
    for name in FILE.findall(line):
        maker = next(other for other in COMMANDS if name in other)
        if maker != line and not (folder / name).exists():
            run(maker, folder, ran)
    done = subprocess.run([sys.executable, "-m", *shlex.split(line)], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ran[line] = done.stdout
    return done.stdout


@pytest.mark.parametrize("line", [marked(line) for line in COMMANDS])
def test_a_command_works_as_printed(
    line: str, folder: Path, ran: dict[str, str], request: pytest.FixtureRequest
) -> None:
    for option, package, extra in (
        ("--plot", "matplotlib", "plot"),
        ("demo", "matplotlib", "plot"),
        (".csv", "pandas", "frame"),
        ("--network", "safetensors.torch", "neural"),
    ):
        if option in line:
            pytest.importorskip(package, reason=f"{package} is not installed (extra {extra!r})")
    if needs_data(line):
        request.getfixturevalue("data_folder")
    if "rows.npz" in line:
        adult = cp.datasets.load("adult")
        np.savez(folder / "rows.npz", X=adult.X_train, y=adult.y_train)
    printed = run(line, folder, ran)
    assert printed
    for name in re.findall(r"--(?:out|plot|certificate|weights|store) (\S+)", line):
        assert (folder / name).exists(), f"{line} wrote no {name}"


@pytest.fixture
def names(digits: Dataset) -> dict[str, Any]:
    """What the blocks take for granted: the reader's own rows, models and estimator."""
    X, y = digits.train
    wrong = np.where(np.arange(len(y)) % 8 == 0, 8 - y, y)
    fitted = LinearSVC(loss="hinge", C=0.05, random_state=0, max_iter=100_000).fit(X, wrong)
    victim = cp.Victim("hinge", C_R=0.09)
    return {
        "cp": cp, "X": X, "y": y, "X_test": digits.X_test, "y_test": digits.y_test, "row": digits.X_test[0],
        "fitted_estimator": fitted, "victim": victim, "model_a": victim.fit(X, y), "model_b": victim.fit(X, wrong),
    }  # fmt: skip


@pytest.mark.parametrize("block", [marked(block) for kind, block in BLOCKS if kind == "python"])
def test_a_block_of_python_runs(
    block: str, names: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    if ".plot(" in block:
        pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'plot')")
    if ".to_frame(" in block:
        request.getfixturevalue("pandas")
    if from_files(block):
        request.getfixturevalue("data_folder")
    if "neural" in block:
        pytest.importorskip("safetensors.torch", reason="torch or safetensors is not installed (extra 'neural')")
        images = load_images("digits").subset(64, 1)
        names |= {part: getattr(images, part) for part in ("X_train", "y_train", "X_test", "y_test")}
    exec(compile(block, "README.md", "exec"), names)
    for name in re.findall(r"(?:savefig|save)\(\"(\S+)\"\)", block):
        assert (tmp_path / name).exists()


def test_the_other_lines_name_what_is_there() -> None:
    """They make or fill an environment: what they name is looked up and not run."""
    makefile, pyproject = ((ROOT / name).read_text(encoding="utf-8") for name in ("Makefile", "pyproject.toml"))
    others = [line for line in LINES if line not in COMMANDS]
    assert others
    for line in others:
        first, *words = shlex.split(line)
        assert first in ("make", "pip"), f"{line!r} is neither run nor left out with a reason"
        if first == "make":
            assert re.search(rf"^{words[0]}:", makefile, re.M), f"the Makefile has no {words[0]}"
        for file in FILE.findall(line):
            assert (ROOT / file).exists()
        for extra in re.findall(r"\[([\w,]+)\]", line):
            assert all(re.search(rf"^{name} = \[", pyproject, re.M) for name in extra.split(","))
