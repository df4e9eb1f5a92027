"""Rows that are removed, put back and reweighted, against fresh fits with these sample weights."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import scipy.sparse as sp

from convexpoison.data.training_data import TrainingData
from convexpoison.learners.trainers import Trainer, make_trainer
from convexpoison.learners.victim import Victim
from tests.learners.test_moves import LOSSES, some_data

VICTIMS = [
    Victim(loss, intercept=intercept, **strength)
    for loss in LOSSES
    for intercept in ("regularized", "free", "none")
    for strength in ({"C_R": 0.05}, {"C": 0.3})
]


def check(trainer: Trainer, data: TrainingData, clean: TrainingData) -> None:
    """The trainer has the model and the objective of a fresh fit on the data, with rows of weight 0 and without."""
    np.testing.assert_array_equal(trainer.weights, data.sample_weight)
    victim = trainer.victim
    for rows in (data, data.subset(np.flatnonzero(data.sample_weight))):
        fresh = make_trainer(victim, rows)
        assert trainer.model.distance(fresh.model) <= 1e-6 * (1.0 + np.linalg.norm(fresh.model.coef))
        assert trainer.objective == pytest.approx(victim.objective(trainer.model, rows), rel=1e-10)
        assert trainer.gap <= 1e-9 * trainer.objective
        assert trainer.objective - fresh.objective <= trainer.gap + 1e-11 * fresh.objective
    assert trainer.clean_loss() == pytest.approx(victim.data_loss(trainer.model, clean), rel=1e-9)


def weighted(data: TrainingData, weights: np.ndarray) -> TrainingData:
    return TrainingData(data.X, data.y, weights, data.classes)


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("victim", VICTIMS, ids=repr)
def test_any_sequence_equals_a_fresh_fit(victim, sparse, rng):
    d = 50 if sparse else 6
    clean = some_data(rng, 150, not victim.loss.classification, d)
    if sparse:
        X = clean.X * (rng.random(clean.X.shape) < 0.04)
        clean = TrainingData(sp.csr_matrix(X), clean.y, rng.uniform(0.5, 2.0, size=150))
    trainer = make_trainer(victim, clean)
    added, labels = rng.normal(size=(8, d)), np.array([1.0, -1.0] * 4)
    numbers = [trainer.add(x, y, 3.0) for x, y in zip(added[:4], labels, strict=False)]
    numbers += trainer.place(added[4:], labels[4:], np.full(4, 2.0)).tolist()
    assert numbers == list(range(150, 158))
    weights = np.concatenate([clean.sample_weight, np.full(4, 3.0), np.full(4, 2.0)])
    for k in range(12):
        index = rng.permutation(158)[: (1, 5, 40)[k % 3]]
        weights[index] = rng.choice([0.0, 0.0, 0.3, 1.0, 25.0], size=index.size)
        trainer.reweight(index, weights[index])
        if k % 4 == 1:
            added[4:] += rng.normal(size=(4, d))  # also where they have no weight
            trainer.move(np.arange(154, 158), added[4:], labels[4:])
        if k % 4 == 3:
            assert trainer.add(added[k // 4], labels[k // 4], 2.0) == 150 + k // 4  # a twin, removed or not
            weights[150 + k // 4] += 2.0
        now = clean.with_rows(added, labels, np.zeros(8))
        check(trainer, weighted(now, weights), clean)
    trainer.reweight(np.arange(158), np.concatenate([clean.sample_weight, np.zeros(8)]))
    check(trainer, weighted(now, np.append(clean.sample_weight, np.zeros(8))), clean)
    assert trainer.clean_loss() == pytest.approx(victim.data_loss(victim.trainer(clean).model, clean), rel=1e-6)


@pytest.mark.parametrize("intercept", ["regularized", "free", "none"])
def test_boundary_rows_of_the_svm_one_after_the_other(rng, intercept):
    clean = some_data(rng, 120, False)
    trainer, weights, seen = make_trainer(Victim("hinge", C=0.3, intercept=intercept), clean), np.ones(120), 0
    for k in range(40):
        margins = np.where(weights > 0, clean.y * trainer.model.decision_function(clean.X), np.inf)
        row = int(np.argmin(np.abs(margins - 1.0)))
        seen += abs(margins[row] - 1.0) < 1e-9
        weights[row] = 0.0 if k % 2 else 0.01
        trainer.reweight([row], [weights[row]])
        check(trainer, weighted(clean, weights), clean)
    assert seen >= 30


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("strength", [{"C_R": 0.05}, {"C": 0.3}], ids=["mean", "sum"])
def test_down_to_few_rows_and_back(rng, loss, strength):
    clean = some_data(rng, 300, loss == "squared")
    trainer = make_trainer(Victim(loss, **strength), clean)
    order, weights = rng.permutation(300), np.ones(300)
    for part in np.split(order, [150, 250, 290, 297, 299])[:-1]:
        weights[part] = 0.0
        trainer.reweight(part, weights[part])
        check(trainer, weighted(clean, weights), clean)
    trainer.reweight(order, np.ones(300))
    check(trainer, clean, clean)


@pytest.mark.parametrize("loss", ["hinge", "logistic"])
def test_flipping_and_changing_rows(rng, loss):
    clean = some_data(rng, 200, False)
    trainer, y, X = make_trainer(Victim(loss, C_R=0.05), clean), clean.y.copy(), np.array(clean.X)
    for row in range(15):
        trainer.reweight([row], [0.0])
        y[row], X[row] = -y[row], X[row] + (row % 2) * rng.normal(size=6)
        trainer.add(X[row], y[row])
    fresh = make_trainer(trainer.victim, TrainingData(X, y, np.ones(200)))
    assert trainer.model.distance(fresh.model) <= 1e-6


@pytest.mark.parametrize("loss", LOSSES)
def test_a_copy_is_reweighted_by_itself(rng, loss):
    clean = some_data(rng, 80, loss == "squared")
    trainer = make_trainer(Victim(loss, C_R=0.05), clean)
    before, twin = trainer.model, deepcopy(trainer)
    twin.reweight(np.arange(40), np.zeros(40))
    assert twin.model.distance(before) > 1e-2
    trainer.reweight(np.arange(3), np.ones(3))  # nothing changes
    assert trainer.model is before and trainer.weights.tolist() == clean.sample_weight.tolist() == [1.0] * 80


@pytest.mark.parametrize("loss", LOSSES)
def test_what_cannot_be_done_is_refused_and_changes_nothing(rng, loss):
    clean = some_data(rng, 30, loss == "squared")
    trainer = make_trainer(Victim(loss, C_R=0.05, intercept="free"), clean)
    before = trainer.model
    for index, weights, message in (
        ([0, 0], [1.0, 2.0], "different"),
        ([30], [1.0], "from 0 to 29"),
        ([-1], [1.0], "from 0 to 29"),
        ([0.5], [1.0], "integers"),
        ([0, 1], [1.0], "shapes"),
        ([0], [-1.0], "not negative"),
        ([0], [np.nan], "finite"),
        (np.arange(30), np.zeros(30), "no row"),
    ):
        with pytest.raises(ValueError, match=message):
            trainer.reweight(index, weights)
    if loss in ("logistic", "squared_hinge"):
        positive = np.flatnonzero(clean.y > 0)
        with pytest.raises(ValueError, match="one class"):
            trainer.reweight(positive, np.zeros(positive.size))
    if loss != "hinge":
        bare = make_trainer(Victim(loss, C=np.inf), some_data(np.random.default_rng(3), 60, loss == "squared", 2))
        with pytest.raises(ValueError, match="not unique"):
            bare.reweight(np.arange(2, 60), np.zeros(58))
    assert trainer.model is before
    check(trainer, clean, clean)
