"""The examples in the docstrings give what they say."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import convexpoison
from convexpoison.errors import MissingDependencyError

PACKAGE = Path(convexpoison.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runner = doctest.DebugRunner(optionflags=doctest.ELLIPSIS)
    try:
        examples = [found for found in doctest.DocTestFinder().find(import_module(name)) if found.examples]
        for example in examples:
            runner.run(example)
    except doctest.DocTestFailure as failure:
        pytest.fail(f"{failure.example.source}should print {failure.example.want!r}, not {failure.got!r}")
    except (doctest.UnexpectedException, ImportError) as failure:
        error = failure.exc_info[1] if isinstance(failure, doctest.UnexpectedException) else failure
        if isinstance(error, MissingDependencyError):
            pytest.skip(str(error))
        if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("convexpoison"):
            pytest.skip(f"{name} needs {error.name}, which is not installed")
        raise error from None
    assert examples


def test_the_front_door_has_examples() -> None:
    assert {
        "convexpoison.api",
        "convexpoison.spaces.space",
        "convexpoison.learners.victim",
    } <= set(MODULES)
