"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from threadpoolctl import threadpool_limits

from convexpoison import datasets
from convexpoison.datasets import Dataset

# A slow machine is no reason to fail, and the same examples every time make a failure repeatable.
settings.register_profile("convexpoison", deadline=None, derandomize=True)
settings.load_profile("convexpoison")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tests are small, and several threads would only get in each other's way."""
    with threadpool_limits(1):
        yield


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
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
