"""What ``import convexpoison`` loads, seen from a fresh process."""

from __future__ import annotations

import subprocess
import sys

import pytest

import convexpoison

OPTIONAL = ("torch", "cvxpy", "gurobipy", "highspy", "pandas", "matplotlib", "numba", "dask", "pyarrow")


def _loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import convexpoison",
        "import convexpoison.cli.commands",
        "import convexpoison.api",
    ],
)
def test_nothing_optional_is_loaded(statement: str) -> None:
    loaded = _loaded_by(statement)
    assert "convexpoison" in loaded
    # PoisoningAudit is a scikit-learn estimator, and scikit-learn's base class loads pandas where that is installed.
    theirs = _loaded_by("import sklearn.base") if "*" in statement else set()
    assert not (loaded - theirs) & set(OPTIONAL)


def test_all_names_together_load_nothing_optional_that_scikit_learn_does_not() -> None:
    # PoisoningAudit is an estimator of scikit-learn, whose base module loads pandas where that is installed.
    loaded = _loaded_by("from convexpoison import *") - _loaded_by("import sklearn.base")
    assert "convexpoison" in loaded
    assert not loaded & set(OPTIONAL)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'atack'"):
        _ = convexpoison.atack
