"""Rows that are placed and moved, against fresh fits on the rows where they stand."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest

from convexpoison.data.training_data import TrainingData
from convexpoison.learners.trainers import make_trainer
from convexpoison.learners.victim import Victim

LOSSES = ("hinge", "logistic", "squared_hinge", "squared")


def some_data(rng, n, regression, d=6):
    X = rng.normal(size=(n, d))
    scores = X @ np.linspace(-1.0, 1.5, d) + 0.7 * rng.normal(size=n)
    return TrainingData.from_user((X, scores if regression else np.sign(scores)), regression=regression)


def with_rows(data, *more):
    """The data with further rows, each group given as points, labels, weights."""
    X, y, weight = zip((data.X, data.y, data.sample_weight), *more, strict=True)
    return TrainingData(np.vstack(X), np.concatenate(y), np.concatenate(weight), data.classes)


def agrees(trainer, data):
    """Whether the trainer stands where a fresh one ends, and says so."""
    fresh = make_trainer(trainer.victim, data)
    assert trainer.model.distance(fresh.model) <= 1e-6
    assert trainer.objective == pytest.approx(trainer.victim.objective(trainer.model, data), rel=1e-12)
    assert trainer.gap <= 1e-9 * trainer.objective
    return trainer.objective - fresh.objective <= trainer.gap + 1e-12 * fresh.objective


@pytest.mark.parametrize("intercept", ["regularized", "free", "none"])
@pytest.mark.parametrize("strength", [{"C_R": 0.05}, {"C": 0.3}], ids=["mean", "sum"])
@pytest.mark.parametrize("loss", LOSSES)
def test_moved_rows_equal_a_fresh_fit(rng, loss, strength, intercept):
    data = some_data(rng, 150, loss == "squared")
    trainer = make_trainer(Victim(loss, intercept=intercept, **strength), data)
    x = rng.normal(size=6)
    trainer.add(x, 1.0, 2.0)  # stays, under the moving ones
    stays = (x[None], np.array([1.0]), np.array([2.0]))
    labels, weights = np.array([1.0, -1.0, 1.0]), np.array([1.0, 20.0, 5.0])
    points = rng.normal(size=(3, 6))
    places = trainer.place(points, labels, weights)
    assert agrees(trainer, with_rows(data, stays, (points, labels, weights)))
    for k in range(40):
        points = points + (3.0 if k % 10 == 0 else 0.1) * rng.normal(size=(3, 6))  # far, and near
        if loss == "squared":
            labels = labels + rng.normal(size=3)
        trainer.move(places, points, labels)
        assert agrees(trainer, with_rows(data, stays, (points, labels, weights)))
    trainer.add(x, 1.0)  # rows that are placed are nobody's twins
    trainer.add(points[0], labels[0])
    trainer.move(places, 0.0 * points, labels)
    later = (points[:1], labels[:1], np.ones(1))
    assert agrees(
        trainer, with_rows(data, stays, (x[None], *stays[1:2], np.ones(1)), later, (0.0 * points, labels, weights))
    )
    assert trainer.clean_loss() == pytest.approx(trainer.victim.data_loss(trainer.model, data), rel=1e-9)


@pytest.mark.parametrize("loss", ["hinge", "logistic"])
def test_a_copy_moves_by_itself(rng, loss):
    data = some_data(rng, 80, False)
    trainer = make_trainer(Victim(loss, C_R=0.05), data)
    points, label, weight = rng.normal(size=(1, 6)), np.array([1.0]), np.array([10])
    places = trainer.place(points, label, weight)
    before, twin = trainer.model, deepcopy(trainer)
    twin.move(places, -2.0 * points, label)
    assert twin.model.distance(before) > 1e-2
    trainer.move(places, points, label)
    assert trainer.model.distance(before) <= 1e-9


def test_the_label_of_a_class_stays(rng):
    trainer = make_trainer(Victim("hinge", C_R=0.05), some_data(rng, 40, False))
    places = trainer.place(np.zeros((1, 6)), np.array([1.0]), np.array([3.0]))
    with pytest.raises(ValueError, match="keep their labels"):
        trainer.move(places, np.ones((1, 6)), np.array([-1.0]))
