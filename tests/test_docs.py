"""The documentation: examples that compile, pages that are found, names that are listed, and the whole build."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from inspect import ismodule
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PAGES = sorted(
    path.relative_to(DOCS).with_suffix("").as_posix() for path in [*DOCS.glob("*.rst"), *DOCS.glob("papers/*.rst")]
)
MODULES = ("", ".defenses")


def toctree(page: str) -> list[str]:
    """The pages that a page lists."""
    lines = (DOCS / f"{page}.rst").read_text(encoding="utf-8").splitlines()
    listed = []
    for i, line in enumerate(lines):
        if line.strip() == ".. toctree::":
            for entry in lines[i + 1 :]:
                if entry and not entry.startswith(" "):
                    break
                if entry.strip() and not entry.strip().startswith(":"):
                    listed.append((Path(page).parent / entry.strip()).as_posix())
    return listed


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_gallery_scripts(path):
    """A title and words at the top, code that compiles, and no block without words."""
    text = path.read_text(encoding="utf-8")
    words = ast.get_docstring(ast.parse(text)) or ""
    title, rule, *_ = words.splitlines()
    assert set(rule) == {"="} and len(rule) >= len(title)
    assert re.search(r"^# %%\n# \S", text, flags=re.MULTILINE)
    compile(text, str(path), "exec")


def test_every_page_is_reached_from_the_front_page():
    seen, todo = set(), ["index"]
    while todo:
        page = todo.pop()
        seen.add(page)
        if page in PAGES:
            todo += [entry for entry in toctree(page) if entry not in seen]
    assert set(PAGES) <= seen
    beyond = seen - set(PAGES)
    assert beyond == {"gallery/index", "gallery/five_minutes"}
    assert (ROOT / "examples" / "five_minutes.py") in EXAMPLES


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_on_the_api_page(module):
    package = import_module(f"convexpoison{module}")
    listed = (DOCS / "api.rst").read_text(encoding="utf-8").split()
    for name in package.__all__:
        heading = f"convexpoison.{name}" if ismodule(getattr(package, name)) else name
        assert heading in listed


def test_every_public_name_of_neural_is_on_the_api_page():
    from convexpoison.neural import __all__ as names  # loads no torch

    assert set(names) <= set((DOCS / "api.rst").read_text(encoding="utf-8").split())


def test_results_that_pages_ask_for_have_a_script():
    """``.. result:: NAME`` is for an experiment that exists, run or not."""
    scripts = [path.stem for path in (ROOT / "experiments").glob("*.py")]
    for page in PAGES:
        for name in re.findall(
            r"^\.\. result:: (\S+)", (DOCS / f"{page}.rst").read_text(encoding="utf-8"), re.MULTILINE
        ):
            assert any(name.startswith(stem) for stem in scripts), f"{page}: no script writes {name}"


@pytest.mark.slow
def test_the_pages_build_without_a_warning(tmp_path):
    """As ``make docs`` does, in a copy and without data files, so that what needs them is shown and not executed."""
    pytest.importorskip("sphinx_gallery", reason="the documentation's packages are not installed (extra 'docs')")
    made = shutil.ignore_patterns("_build", "gallery", "generated", "__pycache__")
    for folder in ("docs", "examples", "experiments/results", "benchmarks/results"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=made)
    for file in ("CHANGELOG.md", "SECURITY.md"):
        shutil.copy(ROOT / file, tmp_path)
    environment = {key: value for key, value in os.environ.items() if key != "CONVEXPOISON_DATA"}
    sphinx = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", "docs", "html"]
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
    done = subprocess.run(sphinx, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    page = tmp_path / "html" / "gallery" / "attack_a_spam_filter.html"
    assert "was not executed" in page.read_text(encoding="utf-8")
