"""Bounds as whole numbers of points."""

from __future__ import annotations

import math

import numpy as np
import pytest

import convexpoison as cp
from convexpoison._utils.integers import whole_points


@pytest.mark.parametrize(
    ("value", "points"),
    [(0.0, 0), (0.3, 1), (1.0, 1), (1.0 + 5e-9, 1), (1.00001, 2), (97.2, 98), (6741.8, 6742), (math.inf, math.inf)],
)
def test_what_exceeds_a_whole_number_by_rounding_is_not_counted(value: float, points: float) -> None:
    assert whole_points(value) == points


@pytest.mark.parametrize("seed", range(20))
def test_one_point_never_induces_what_one_point_cannot(seed: int) -> None:
    # The bound of a model that was trained to a tolerance may exceed 1 in its ninth digit.
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(60, 4))
    y = np.where(X[:, 0] + 0.3 * rng.normal(size=60) > 0.5, 1.0, -1.0)
    victim, space = cp.Victim("logistic", C=1.0, intercept="free"), cp.Space.box(0.0, 1.0, 4)
    point, label = rng.integers(0, 2, size=4).astype(float), rng.choice([-1.0, 1.0])
    induced = victim.fit(np.vstack([X, point]), np.append(y, label))
    assert cp.lower_bound(induced, (X, y), victim=victim, space=space).n_points <= 1
