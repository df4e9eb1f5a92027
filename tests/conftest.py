"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from threadpoolctl import threadpool_limits

from convexpoison import datasets
from convexpoison.datasets import Dataset
from convexpoison.solvers.gurobi import licence_status

# A slow machine is no reason to fail, and the same examples every time make a failure repeatable.
settings.register_profile("convexpoison", deadline=None, derandomize=True)
settings.load_profile("convexpoison")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tests are small, and several threads would only get in each other's way."""
    with threadpool_limits(1):
        yield


@cache
def lacks(mark: str) -> str:
    """Why tests with this mark cannot run here; empty if they can."""
    if mark == "gurobi":
        status = licence_status()
        return "" if status.usable else status.message
    torch = pytest.importorskip("torch", reason="torch is not installed (extra 'neural')")
    return "" if torch.cuda.is_available() else "there is no CUDA device that torch can use"


@pytest.fixture(autouse=True)
def what_the_marks_need(request: pytest.FixtureRequest) -> None:
    """Tests marked ``gurobi`` or ``gpu`` are skipped, with a sentence, where they cannot run."""
    for mark in ("gurobi", "gpu"):
        if request.node.get_closest_marker(mark) and (why := lacks(mark)):
            pytest.skip(why)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of data files; tests that need it are skipped where there is none."""
    folder = os.environ.get("CONVEXPOISON_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("CONVEXPOISON_DATA names no folder of data files")
    return Path(folder)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """1 against 7 on 8 x 8 digits: 252 training rows of 64 features in [0, 1]."""
    return datasets.load("digits_17")


@pytest.fixture
def pandas() -> Any:
    """The library; tests that need it are skipped where it is not installed."""
    return pytest.importorskip("pandas", reason="pandas is not installed (extra 'frame')")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
