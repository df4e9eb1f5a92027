"""What CONTRIBUTING.md says about adding things is done here as it says, and has to work."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

import convexpoison as cp
from convexpoison.attacks.base import METHODS, Method
from convexpoison.cli.commands import main
from convexpoison.datasets import SOURCES, Dataset
from convexpoison.learners.losses import LOSSES, Hinge
from convexpoison.loss_difference import backends
from convexpoison.loss_difference.backends import backend
from convexpoison.loss_difference.query import Question
from convexpoison.loss_difference.solve import answer
from convexpoison.sweeps.recipes import MODELS
from tests.catalogue import CATALOGUE

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTIONS = {title: text for title, text in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)}


TABLES: tuple[dict[str, Any], ...] = (LOSSES, METHODS, SOURCES, MODELS)


@pytest.fixture(autouse=True)
def tables_as_they_were() -> Iterator[None]:
    before = [dict(table) for table in TABLES]
    yield
    for table, entries in zip(TABLES, before, strict=True):
        table.clear()
        table.update(entries)


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs the Python of a section as the module that it says it is."""

    def run(title: str, module: str = "contributed") -> ModuleType:
        (block,) = re.findall(r"^```python\n(.*?)^```", SECTIONS[title], re.M | re.S)
        made = ModuleType(module)
        monkeypatch.setitem(sys.modules, module, made)
        exec(compile(block, "CONTRIBUTING.md", "exec"), vars(made))
        return made

    return run


def test_a_loss(digits: Dataset, follow: Callable[..., Any]) -> None:
    loss = follow("Adding a loss").QuadraticHinge()
    u = np.linspace(-3.0, 3.0, 600)
    np.testing.assert_allclose((loss.value(u + 1e-6) - loss.value(u - 1e-6)) / 2e-6, loss.derivative(u), atol=1e-6)
    victim = cp.Victim("quadratic_hinge", C_R=0.05)
    clean = victim.fit(*digits.train)
    target = victim.fit(digits.X_train, np.where(np.arange(252) % 6 == 0, 8 - digits.y_train, digits.y_train))
    found = cp.max_loss_difference(clean, target, digits.space, loss="quadratic_hinge")
    assert found.certified and found.solver == "highs"
    question = Question(loss, clean, target, digits.space)
    corners = np.random.default_rng(0).integers(0, 2, size=(2000, 64)).astype(float)
    assert max(question.value_at(x, y) for x in corners for y in (-1.0, 1.0)) <= found.upper
    result = cp.attack(target, digits.train, victim=victim, space=digits.space, max_points=25)
    assert result.history["max_loss_difference"][-1] < 0.5 * result.history["max_loss_difference"][0]
    assert 0.0 < float(result.induced_bound) <= result.n_points and not result.induced_bound.certified


def test_a_loss_without_formulas_is_refused_where_they_are_needed(digits: Dataset, follow: Callable[..., Any]) -> None:
    """Goal bounds would otherwise prove with the formulas of another loss."""
    victim = cp.Victim(follow("Adding a loss").QuadraticHinge(), C_R=0.05)
    target = victim.fit(digits.X_train, np.roll(digits.y_train, 1))
    needs = pytest.raises(ValueError, match="not compatible with the loss 'quadratic_hinge': it must define ")
    with needs:
        cp.attack(target, digits.train, victim=victim, space=digits.space, method="optimal")
    with needs:
        cp.lower_bound(cp.goals.Flip(digits.X_test[0]), digits.train, victim=victim, space=digits.space)
    with needs:
        cp.lower_bound(target, digits.train, victim=victim, space=digits.space, delta=0.1)
    goal = cp.goals.ErrorRate(0.1, *digits.test)
    with pytest.raises(ValueError, match=r"damage is not compatible with the loss .* must define value_enclosure"):
        cp.attack(goal, digits.train, victim=victim, space=digits.space, method="min_max", max_points=3)


def test_a_loss_with_kinks_of_its_own_is_refused(digits: Dataset) -> None:
    """The trainer for kinks knows the hinge's alone."""

    class Absolute(Hinge):
        name = "absolute"

    with pytest.raises(ValueError, match=r"'absolute' has kinks.*round them off"):
        cp.Victim(Absolute(), C=1.0).fit(*digits.train)


def test_a_kind_of_space(follow: Callable[..., Any], rng: np.random.Generator) -> None:
    made = follow("Adding a kind of space")
    models = [cp.LinearModel(rng.normal(size=4)) for _ in range(2)]
    for space, points in (
        (made.distribution(4), rng.dirichlet(np.ones(4), size=500)),
        (made.within_l1(np.zeros(4), 0.5), rng.dirichlet(np.ones(4), size=500) * rng.choice([-0.5, 0.5], (500, 4))),
    ):
        assert space.contains(points, tol=1e-9).all()
        found = cp.max_loss_difference(*models, space)
        question = Question(LOSSES["hinge"], *models, space)
        assert space.contains(found.point[None], tol=1e-6).all()
        assert max(question.value_at(x, y) for x in points for y in (-1.0, 1.0)) <= found.upper


def test_a_backend(follow: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    follow("Adding a backend", "convexpoison.solvers.simplex")
    monkeypatch.setattr(backends, "_NAMES", (*backends._NAMES, "simplex"))
    able = [known for known in CATALOGUE if not backend("simplex").capabilities.missing(known.question)]
    assert len(able) > 5
    for known in able:
        found = answer(known.question, solver="simplex")
        assert found.certified and found.value == pytest.approx(known.value, abs=2e-7)


def test_an_attack(digits: Dataset, follow: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    mean_flip = follow("Adding an attack").mean_flip
    goal, victim = cp.goals.ErrorRate(1.0, *digits.test), cp.Victim("hinge", C_R=0.05)
    common: dict[str, Any] = {"victim": victim, "space": digits.space, "max_points": 9}
    result = cp.attack(goal, digits.train, **common, method=mean_flip, label=-1)
    assert result.counts.tolist() == [9] and result.labels.tolist() == [1]
    np.testing.assert_allclose(result.points[0], digits.X_train[digits.y_train == 7].mean(axis=0))
    assert victim.fit(*result.poisoned(*digits.train)).distance(result.model) < 1e-6
    with pytest.raises(TypeError, match="it has label"):
        cp.attack(goal, digits.train, **common, method=mean_flip, colour=1)
    monkeypatch.setitem(METHODS, "mean_flip", Method(mean_flip, "goal"))
    assert cp.attack(goal, digits.train, **common, method="mean_flip", label=-1).counts.tolist() == [9]
    grid = {"dataset": ["digits_17"], "C_R": [0.05], "target": [{"error_rate": {"rate": 1.0}}], "method": ["mean_flip"]}
    assert not cp.sweep(grid | {"max_points": [2]}).failed


def test_a_data_set(follow: Callable[..., Any]) -> None:
    follow("Adding a data set")
    data = cp.datasets.load("breast_cancer")
    assert data.X_train.shape == (400, 30) and data.space.contains(data.X_test).all()
    assert ("breast_cancer", True) in cp.datasets.available()
    line = "attack --dataset breast_cancer --goal-flip-row 0 --max-points 1 --method label_flip"
    done = CliRunner().invoke(main, shlex.split(line))
    assert done.exit_code == 0, done.output


def test_a_recipe(follow: Callable[..., Any]) -> None:
    follow("Adding a recipe for sweeps")
    grid = {"dataset": ["digits_17"], "C_R": [0.05], "target": [{"faint": {"share": 0.5}}], "max_points": [1]}
    (record,) = cp.sweep(grid).records
    assert record.status == "ok"
    with pytest.raises(TypeError, match="its options are share"):
        cp.sweep(grid | {"target": [{"faint": {"part": 0.5}}]})


def test_the_page_names_what_is_there() -> None:
    """Files, tables, commands and marks."""
    source = {path: path.read_text(encoding="utf-8") for path in (ROOT / "convexpoison").rglob("*.py")}
    for table, file in re.findall(r"`([_A-Z]+)`(?: of| in) `([\w/]+\.py)`", PAGE):
        assert re.search(rf"^{table}\b", source[ROOT / "convexpoison" / file], re.M), f"{file} has no {table}"
    for file in re.findall(r"`([\w/.-]+\.(?:py|txt|toml|md))`", PAGE):
        assert any((ROOT / home / file).exists() for home in ("", "convexpoison")), f"there is no {file}"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"make ([\w-]+)", PAGE):
        assert re.search(rf"^{target}:", makefile, re.M), f"the Makefile has no {target}"
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    marks = [mark.split(":")[0] for mark in settings["tool"]["pytest"]["ini_options"]["markers"]]
    told = re.findall(r"^\| `(\w+)` \|.*pytest -m \1", PAGE, re.M)
    assert sorted(told) == sorted(marks)


def test_the_hooks_are_the_tools_of_the_lint_extra() -> None:
    """None of them is fetched from elsewhere, so that a commit is checked with the versions of ``make lint``."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert [repo["repo"] for repo in hooks] == ["local"]
    lint = " ".join(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["lint"])
    for hook in hooks[0]["hooks"]:
        tool = hook["entry"].split()[0]
        assert hook["language"] == "system" and tool.startswith(".venv/bin/") and Path(tool).name in lint


def test_the_minimum_is_what_pyproject_permits() -> None:
    """Every lower bound has its line in constraints-minimum.txt, with that version or the first that was published of it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    least = dict(
        line.split("==") for line in (ROOT / "constraints-minimum.txt").read_text().splitlines() if "==" in line
    )
    for needed in project["dependencies"]:
        name, bound = needed.split(">=")
        assert least[name].startswith(bound), f"{name}: pyproject.toml permits {bound}, the minimum is {least[name]}"
