"""The influence attack: groups of copies, the smoothed hinge, and what it promises."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convexpoison as cp
from convexpoison.attacks.gradient_ascent import Attacker
from convexpoison.attacks.influence import SmoothHinge, _groups, influence
from convexpoison.attacks.kkt_check import Copies, poisoned
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.implicit.at_optimum import AtOptimum, Block, mean_loss
from convexpoison.learners.losses import Hinge
from tests.attacks.cases import case, changed


@pytest.fixture(scope="module")
def task(digits):
    data = TrainingData.from_user((digits.X_train, digits.y_train))
    rows = TrainingData.from_user((digits.X_test, digits.y_test))
    return case(cp.Victim("logistic", C_R=0.09), data, cp.Space.box(0, 1, 64), 12, rows=rows, progress=False)


def loss_after_fresh_training(task, poison):
    copies = zip(poison.labels.tolist(), poison.points, poison.counts.tolist(), strict=True)
    data = poisoned(task.data, tuple(Copies(*one) for one in copies))
    return mean_loss(task.victim, task.victim.trainer(data).model, task.rows)


def test_smooth_hinge_is_a_loss_and_tends_to_the_hinge():
    u = np.linspace(-2, 4, 241)
    for temperature in (1.0, 0.1):
        loss, h = SmoothHinge(temperature), 1e-5
        np.testing.assert_allclose(loss.derivative(u), (loss.value(u + h) - loss.value(u - h)) / (2 * h), atol=1e-7)
        np.testing.assert_allclose(
            loss.curvature(u), (loss.derivative(u + h) - loss.derivative(u - h)) / (2 * h), atol=1e-6
        )
        # The largest difference to the hinge is t log 2, at the kink.
        assert np.abs(loss.value(u) - Hinge().value(u)).max() == pytest.approx(temperature * np.log(2), rel=1e-9)
    np.testing.assert_allclose(SmoothHinge(1e-6).derivative(u[u != 1.0]), Hinge().derivative(u[u != 1.0]), atol=1e-9)


def test_smoothed_derivative_tends_to_the_exact_one():
    """As the temperature falls, rows on the margin become stiff and all others lose their curvature."""
    rng = np.random.default_rng(5)
    X, direction = rng.normal(size=(40, 8)), np.resize([1.0, -1.0, 0.5], 8)
    data = TrainingData.from_user((X, np.where(X @ direction + 2.0 * rng.normal(size=40) > 0, 1, -1)))
    victim = cp.Victim("hinge", C=0.05)
    block = Block(np.array([-0.3 * direction, -0.4 * direction]), np.ones(2), np.array([1, 2]))
    copies = zip(block.labels.tolist(), block.points, block.counts.tolist(), strict=True)
    model = victim.trainer(poisoned(data, tuple(Copies(*one) for one in copies))).model
    assert (block.labels * model.decision_function(block.points) < 0.9).all()
    exact = AtOptimum(victim, data, data).at(model, block).points
    errors = [
        np.abs(AtOptimum(victim, data, data, SmoothHinge(t)).at(model, block).points - exact).max()
        for t in (1e-1, 1e-3, 1e-5)
    ]
    assert errors[2] < 1e-3 * np.abs(exact).max()
    assert errors[2] < errors[1] < errors[0]


@pytest.mark.parametrize("loss", ["hinge", "logistic", "squared_hinge"])
def test_few_points_many_copies_and_a_rising_loss(task, loss):
    task = changed(task, victim=cp.Victim(loss, C_R=0.09))
    poison = influence(*task, n_restarts=2, max_iter=15)
    assert poison.status == "budget"
    np.testing.assert_array_equal(poison.labels, [-1.0, 1.0])
    np.testing.assert_array_equal(poison.counts, [6, 6])
    assert task.space.contains(poison.points).all()
    losses = poison.info["validation_loss"]
    assert all(later > earlier for earlier, later in pairwise(losses[1:]))
    assert loss_after_fresh_training(task, poison) == pytest.approx(losses[-1], rel=1e-6)
    attacker = Attacker(*task)
    flips = attacker.stand(attacker.start(np.ones(12, dtype=np.int64))).loss
    assert losses[-1] - losses[0] > 1.5 * (flips - losses[0])


def test_labels_stay_and_responses_too():
    rng = np.random.default_rng(2)
    X = rng.uniform(size=(60, 3))
    data = TrainingData.from_user((X, X @ [1.0, 2.0, -1.0] + 0.1 * rng.normal(size=60)), regression=True)
    space = cp.Space.infer(X, data.y)
    poison = influence(*case(cp.Victim("squared", C=1.0), data, space, 6, rows=data, progress=False), n_distinct=4)
    np.testing.assert_array_equal(poison.labels, np.repeat(space.response, 2))
    assert poison.info["smoothing"] is None and poison.counts.sum() == 6


@settings(max_examples=200)
@given(
    n=st.integers(1, 12),
    total=st.integers(1, 30),
    share=st.floats(0, 1),
    labels=st.sampled_from([(-1, 1), (1,), (-1,)]),
)
def test_groups_share_the_budget(n, total, share, labels):
    data = TrainingData.from_user((np.array([[0.0], [1.0], [0.2]]), [0, 1, 1]))
    space = cp.Space.box(0, 1, 1).with_labels(labels)
    attacker = Attacker(*case(cp.Victim("logistic", C=1.0), data, space, total, rows=data))
    signs, counts = _groups(attacker, n, share)
    assert counts.sum() == total and (counts >= 1).all()
    assert 1 <= len(signs) == len(counts) <= min(n, total)
    assert set(signs) <= set(labels)
    if len(labels) == 2 and min(n, total) > 1:
        assert counts[signs > 0].sum() == round(share * total)


def test_whole_numbers_at_the_end():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.integers(0, 5, size=40), rng.normal(size=40)])
    data = TrainingData.from_user((X, np.where(X[:, 0] + X[:, 1] > 2.0, 1, -1)))
    space = cp.Space.infer(X).with_integer([0])
    task = case(cp.Victim("hinge", C_R=0.05), data, space, 6, rows=data, progress=False)
    poison = influence(*task)
    assert poison.info["rounded"]
    assert space.contains(poison.points, tol=0.0).all()
    assert poison.info["validation_loss"][-1] == pytest.approx(loss_after_fresh_training(task, poison), rel=1e-6)


def test_goal_time_limit_and_interruption(task, monkeypatch):
    reached = influence(*changed(task, goal=lambda model: True), n_restarts=1, max_iter=2)
    assert reached.status == "goal" and len(reached.labels) == 2
    assert influence(*changed(task, time_limit_s=1e-9)).status == "time limit"

    def interrupted(self, start, pace):
        raise KeyboardInterrupt

    monkeypatch.setattr(Attacker, "climb", interrupted)
    poison = influence(*task)
    assert poison.status == "interrupted" and poison.points.shape == (0, 64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_distinct": 0}, "n_distinct must be a positive whole number"),
        ({"positive_share": 1.2}, "positive_share is a fraction"),
        ({"smoothing": 0.0}, "smoothing must be positive"),
        ({"n_restarts": True}, "n_restarts must be a positive whole number"),
    ],
)
def test_refuses_options(task, options, message):
    with pytest.raises(ValueError, match=message):
        influence(*task, **options)
