"""Goals count rows; shares of rows are rounded."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import convexpoison as cp
from convexpoison.attacks.goal_surrogate import GoalSurrogate
from convexpoison.data.training_data import TrainingData
from convexpoison.goals import rows_asked
from convexpoison.targets.rows import error_rate, n_wrong

RIGHT = cp.LinearModel(np.ones(1))


def with_wrong(n, wrong):
    """Rows of which the model has that many wrong."""
    y = np.where(np.arange(n) % 2, 1, -1)
    X = np.where(np.arange(n) < wrong, -y, y)[:, None].astype(float)
    return X, y


@given(st.integers(2, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))))
def test_a_rate_is_reached_with_exactly_its_rows(case):
    """1 - 9 / 10 is less than 0.1: one wrong row of ten did not count as a tenth."""
    n, k = case
    for rate in (k / n, 1.0 - (n - k) / n):
        assert rows_asked(rate, n) == k
        for wrong in (k - 1, k):
            X, y = with_wrong(n, wrong)
            goal, data = cp.goals.ErrorRate(rate, X, y), TrainingData.from_user((X, y))
            assert goal(RIGHT) == (wrong == k)
            assert n_wrong(RIGHT, data) == wrong and error_rate(RIGHT, data) == wrong / n
            assert GoalSurrogate.of(goal, RIGHT, data, data).n_wrong == k


def test_label_flips_count_as_goals_do():
    rng = np.random.default_rng(0)
    y = np.repeat([-1, 1], 30)
    data = np.clip(rng.normal(size=(60, 3)) * 0.2 + 0.3 * y[:, None], -1, 1), y
    options = {"flip": data, "quantiles": (0.2, 0.3, 0.5), "copies": (1, 2, 5), "progress": False}
    found = cp.targets.label_flip(cp.Victim(C=1.0), data, error=0.1 + 0.2, **options)
    same = cp.targets.label_flip(cp.Victim(C=1.0), data, error=0.3, **options)
    assert found.error == same.error and rows_asked(0.1 + 0.2, 60) == 18


@pytest.mark.parametrize("kind", [cp.goals.Misclassify, lambda X, y: cp.goals.ErrorRate(0.5, X, y)])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_rows_of_another_width_are_refused(kind, form):
    goal = kind(form(np.ones((2, 3))), [1, -1])
    with pytest.raises(ValueError, match="3 features where 1 are needed"):
        goal(RIGHT)
    data = np.linspace(-1, 1, 8)[:, None], np.repeat([-1, 1], 4)
    with pytest.raises(ValueError, match="3 features where 1 are needed"):
        cp.attack(goal, data, victim=cp.Victim(C=1.0))
