"""Implicit derivatives against finite differences, and the gradient attack against brute force."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convexpoison as cp
from convexpoison.attacks.gradient import gradient
from convexpoison.attacks.gradient_ascent import Attacker, Pace
from convexpoison.attacks.kkt_check import Copies, poisoned
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.implicit.at_optimum import AtOptimum, Block, mean_loss
from tests.attacks.cases import case, changed


def some_rows(rng, victim, n, d=4):
    X = rng.normal(size=(n, d))
    scores = X @ np.linspace(-1.0, 1.0, d) + 0.5 * rng.normal(size=n)
    regression = not victim.loss.classification
    return TrainingData.from_user((X, scores if regression else np.where(scores > 0, 1, -1)), regression=regression)


def loss_after_fresh_training(victim, data, rows, block):
    """What finite differences are taken of: nothing warm, nothing shared with the derivative."""
    poison = tuple(
        Copies(float(y), x, int(c)) for x, y, c in zip(block.points, block.labels, block.counts, strict=True)
    )
    model = victim.trainer(poisoned(data, poison)).model
    return mean_loss(victim, model, rows), model


def central_differences(f, block, h, responses=True):
    points, labels = np.zeros_like(block.points), np.zeros_like(block.labels)
    for place in np.ndindex(points.shape):
        move = np.zeros_like(points)
        move[place] = h
        points[place] = (
            f(replace(block, points=block.points + move)) - f(replace(block, points=block.points - move))
        ) / (2 * h)
    for k in range(len(labels) if responses else 0):
        move = np.zeros_like(labels)
        move[k] = h
        labels[k] = (f(replace(block, labels=block.labels + move)) - f(replace(block, labels=block.labels - move))) / (
            2 * h
        )
    return points, labels


@pytest.mark.parametrize("intercept", ["regularized", "free", "none"])
@pytest.mark.parametrize("regularisation", [{"C": 0.7}, {"C_R": 0.05}], ids=["sum", "mean"])
@pytest.mark.parametrize("loss", ["logistic", "squared_hinge", "squared"])
def test_derivative_of_smooth_losses(rng, loss, regularisation, intercept):
    scaling = 2.0 if intercept == "regularized" else 1.0
    victim = cp.Victim(loss, intercept=intercept, intercept_scaling=scaling, **regularisation)
    data, rows = some_rows(rng, victim, 40), some_rows(rng, victim, 30)
    labels = rng.normal(size=3) if loss == "squared" else np.array([1.0, -1.0, 1.0])
    block = Block(rng.normal(size=(3, 4)), labels, np.array([1, 4, 2]))
    implicit = AtOptimum(victim, data, rows)
    model = loss_after_fresh_training(victim, data, rows, block)[1]
    implicit.at(model, block + block)  # places that are left over from a larger block must not count
    slope = implicit.at(model, block)
    points, responses = central_differences(
        lambda moved: loss_after_fresh_training(victim, data, rows, moved)[0], block, 1e-4, responses=loss == "squared"
    )
    np.testing.assert_allclose(slope.points, points, rtol=0, atol=1e-5 * np.abs(points).max())
    if loss == "squared":
        np.testing.assert_allclose(slope.labels, responses, rtol=0, atol=1e-5 * np.abs(responses).max())


@pytest.mark.parametrize("intercept", ["regularized", "free", "none"])
@pytest.mark.parametrize("regularisation", [{"C": 0.7}, {"C_R": 0.05}], ids=["sum", "mean"])
def test_derivative_of_the_hinge_away_from_kinks(rng, regularisation, intercept):
    victim = cp.Victim("hinge", intercept=intercept, **regularisation)
    data, rows = some_rows(rng, victim, 40), some_rows(rng, victim, 30)
    sides = set()
    for _ in range(3):
        block = Block(rng.normal(size=(3, 4)), np.array([1.0, -1.0, 1.0]), np.array([1, 4, 2]))
        model = loss_after_fresh_training(victim, data, rows, block)[1]
        slope = AtOptimum(victim, data, rows).at(model, block)
        points, _ = central_differences(
            lambda moved: loss_after_fresh_training(victim, data, rows, moved)[0], block, 1e-6, responses=False
        )
        np.testing.assert_allclose(slope.points, points, rtol=0, atol=1e-5 * np.abs(points).max())
        margins = block.labels * model.decision_function(block.points)
        sides |= set(np.sign(np.round(margins - 1.0, 6)))
    assert sides == {-1.0, 0.0, 1.0}  # poison inside, on and beyond the margin


def plane(rng, n):
    """Two overlapping clouds in the unit square."""
    y = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    X = np.clip(0.5 + 0.15 * y[:, None] * np.array([1.0, 0.4]) + 0.12 * rng.normal(size=(n, 2)), 0, 1)
    return TrainingData.from_user((X, y))


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "logistic"])
def test_one_point_is_nearly_the_best_of_a_grid(loss):
    rng = np.random.default_rng(3)
    victim = cp.Victim(loss, C_R=0.05)
    data, rows = plane(rng, 24), plane(rng, 40)
    space = cp.Space.box(0, 1, 2)
    clean = mean_loss(victim, victim.trainer(data).model, rows)
    ticks = np.linspace(0.0, 1.0, 13)
    best = max(
        loss_after_fresh_training(victim, data, rows, Block(np.array([[a, b]]), np.array([y]), np.array([1])))[0]
        for a in ticks
        for b in ticks
        for y in (-1.0, 1.0)
    )
    poison = gradient(*case(victim, data, space, 1, rows=rows, progress=False), n_restarts=8)
    found = loss_after_fresh_training(victim, data, rows, Block(poison.points, poison.labels, poison.counts))[0]
    assert found == pytest.approx(poison.info["validation_loss"][-1], rel=1e-6)
    assert best > clean * 1.01
    assert found - clean >= 0.95 * (best - clean)


class Watched(Attacker):
    """Remembers every block that it was asked to try."""

    def stand(self, block, earlier=None):
        self.__dict__.setdefault("tried", []).append(block)
        return super().stand(block, earlier)


def spaces_around(data):
    box = cp.Space.infer(data.X)
    wide = cp.Space.box(-5, 5, 4)
    center = data.X.mean(axis=0)
    return {
        "box": box,
        "slab": box.with_slab([1, 1, 0, 0], -1.5, 1.5),
        "ball and slab": wide.with_ball(center, 2.5).with_slab([1, -1, 0.5, 0], -1, 2),
        "constraints": wide.with_constraints(lambda x: [x[0] + x[1] <= 1.0, x[2] ** 2 <= 4.0]),
    }


@pytest.mark.parametrize("kind", ["box", "slab", "ball and slab", "constraints"])
@settings(max_examples=6)
@given(seed=st.integers(0, 10**6), loss=st.sampled_from(["hinge", "logistic", "squared"]))
def test_every_trial_lies_in_the_space_and_the_loss_rises(kind, seed, loss):
    rng = np.random.default_rng(seed)
    victim = cp.Victim(loss, C_R=0.1)
    data, rows = some_rows(rng, victim, 30), some_rows(rng, victim, 20)
    task = case(victim, data, spaces_around(data)[kind], 3, rows=rows, random_state=seed)
    attacker = Watched(*task)
    place = attacker.climb(attacker.start(np.array([1, 2])), Pace(1.0, 3 if kind == "constraints" else 8, 1e-4))
    for block in attacker.tried:
        assert task.space.contains(block.points).all()
        if loss == "squared":
            assert (block.labels >= data.y.min()).all() and (block.labels <= data.y.max()).all()
    assert all(later > earlier for earlier, later in pairwise(place.losses))
    assert place.loss == pytest.approx(loss_after_fresh_training(victim, data, rows, place.block)[0], rel=1e-6)


def test_whole_numbers_at_the_end(rng):
    victim = cp.Victim("logistic", C_R=0.05)
    X = np.column_stack([rng.integers(0, 5, size=40), np.eye(3)[rng.integers(0, 3, size=40)], rng.normal(size=40)])
    y = np.where(X[:, 0] + X[:, 4] + X[:, 1] > 2.5, 1, -1)
    data = TrainingData.from_user((X, y))
    space = cp.Space.infer(X).with_integer([0]).with_one_hot([1, 2, 3])
    for jointly in (False, True):
        poison = gradient(*case(victim, data, space, 4, rows=data, progress=False), jointly=jointly)
        assert poison.info["rounded"] and len(poison.labels) == 4
        assert space.contains(poison.points, tol=0.0).all()
        assert poison.info["validation_loss"][-1] > poison.info["validation_loss"][0]


@pytest.mark.parametrize("jointly", [False, True])
@pytest.mark.parametrize("loss", ["hinge", "logistic"])
def test_does_more_than_the_flips_that_it_starts_from(digits, loss, jointly):
    victim = cp.Victim(loss, C_R=0.09)
    data = TrainingData.from_user((digits.X_train, digits.y_train))
    rows = TrainingData.from_user((digits.X_test, digits.y_test))
    task = case(victim, data, cp.Space.box(0, 1, 64), 8, rows=rows, progress=False)
    poison = gradient(*task, jointly=jointly)
    assert (poison.status, int(poison.counts.sum())) == ("budget", 8)
    assert task.space.contains(poison.points).all() and set(poison.labels) <= {-1.0, 1.0}
    attacker = Attacker(*task)
    flips = attacker.stand(attacker.start(np.ones(8, dtype=np.int64))).loss
    losses = poison.info["validation_loss"]
    assert losses[-1] - losses[0] > 1.5 * (flips - losses[0])
    block = Block(poison.points, poison.labels, poison.counts)
    assert loss_after_fresh_training(victim, data, rows, block)[0] == pytest.approx(losses[-1], rel=1e-6)


@pytest.mark.parametrize("loss", ["hinge", "logistic"])
def test_a_copied_trainer_grows_by_itself(digits, loss):
    """Trials are copies of the settled trainer; they share the clean rows and nothing that changes."""
    victim = cp.Victim(loss, C_R=0.09)
    data = TrainingData.from_user((digits.X_train, digits.y_train))
    trainer, fresh = victim.trainer(data), victim.trainer(data)
    for x in digits.X_train[:20]:  # more rows than the first block of added rows has places
        twin = deepcopy(trainer)
        twin.add(1.0 - x, 1.0)
        twin.add(0.5 * x, -1.0, 2.0)
        trainer.add(x, -1.0)
        fresh.add(x, -1.0)
    assert trainer.model.distance(fresh.model) == 0.0
    trainer.add(1.0 - x, 1.0)
    assert trainer.model.distance(fresh.model) > 1e-3


def test_stops_at_the_goal_and_at_the_time_limit(digits):
    victim = cp.Victim("hinge", C_R=0.09)
    data = TrainingData.from_user((digits.X_train, digits.y_train))
    clean = victim.trainer(data).model
    task = case(victim, data, cp.Space.box(0, 1, 64), 9, rows=data, progress=False)
    moved = gradient(*changed(task, goal=lambda model: model.distance(clean) > 0.1))
    assert moved.status == "goal" and 1 <= len(moved.labels) < 9
    assert gradient(*changed(task, time_limit_s=1e-9)).status == "time limit"


def test_interrupted_keeps_what_is_settled(digits, monkeypatch):
    data = TrainingData.from_user((digits.X_train, digits.y_train))
    task = case(cp.Victim("logistic", C_R=0.09), data, cp.Space.box(0, 1, 64), 5, rows=data, progress=False)
    climb, calls = Attacker.climb, []

    def twice(self, start, pace):
        calls.append(0)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return climb(self, start, pace)

    monkeypatch.setattr(Attacker, "climb", twice)
    poison = gradient(*task)
    assert poison.status == "interrupted" and len(poison.labels) == 2


def test_the_same_seed_gives_the_same_points(digits):
    data = TrainingData.from_user((digits.X_train, digits.y_train))
    task = case(cp.Victim("logistic", C_R=0.09), data, cp.Space.box(0, 1, 64), 3, rows=data, progress=False)
    np.testing.assert_array_equal(gradient(*task).points, gradient(*task).points)
    assert not np.array_equal(gradient(*task).points, gradient(*changed(task, random_state=1)).points)


def test_allowed_labels(digits):
    data = TrainingData.from_user((digits.X_train, digits.y_train))
    space = cp.Space.box(0, 1, 64).with_labels([1])
    task = case(cp.Victim("logistic", C_R=0.09), data, space, 4, rows=data, progress=False)
    np.testing.assert_array_equal(gradient(*task).labels, np.ones(4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_restarts": 0}, "n_restarts must be a positive whole number"),
        ({"max_iter": 1.5}, "max_iter must be a positive whole number"),
        ({"step": 0.0}, "step must be positive"),
        ({"tol": -1.0}, "tol must be finite"),
    ],
)
def test_refuses_options(digits, options, message):
    data = TrainingData.from_user((digits.X_train, digits.y_train))
    task = case(cp.Victim("hinge", C_R=0.09), data, cp.Space.box(0, 1, 64), 4, rows=data)
    with pytest.raises(ValueError, match=message):
        gradient(*task, **options)


def test_refuses_tasks_without_rows_or_starts(digits):
    data = TrainingData.from_user((digits.X_train, digits.y_train))
    task = case(cp.Victim("hinge", C_R=0.09), data, cp.Space.box(0, 1, 64), 4)
    with pytest.raises(ValueError, match="validation"):
        gradient(*task)
    nowhere = cp.Space.box(0, 1, 64).with_ball(np.full(64, 0.9), 0.1)
    with pytest.raises(ValueError, match="none with a label"):
        gradient(*changed(task, rows=data, space=nowhere))


@pytest.mark.parametrize("jointly", [False, True])
def test_copies_spend_the_budget(digits, jointly):
    """Ten copies a point, and the rest in the last one."""
    data = TrainingData.from_user(digits.train)
    task = case(cp.Victim("logistic", C_R=0.05), data, digits.space, 24, rows=TrainingData.from_user(digits.test))
    poison = gradient(*task, copies=10, max_iter=2, jointly=jointly)
    assert poison.counts.tolist() == [10, 10, 4] and len(poison.points) == 3
    assert poison.info["validation_loss"][-1] > poison.info["validation_loss"][0]
    with pytest.raises(ValueError, match="copies"):
        gradient(*task, copies=0)
