"""The active-set trainer against scikit-learn, against fresh fits, and against its own promise."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.svm import SVC, LinearSVC

from convexpoison import LinearModel, Victim
from convexpoison.data.row_operator import RowOperator
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.trainers import active_set
from convexpoison.learners.trainers.active_set import ActiveSetTrainer

INTERCEPTS = ("regularized", "free", "none")


def digits(classes=(1, 7)):
    X, y = load_digits(return_X_y=True)
    keep = np.isin(y, classes)
    return X[keep] / 16.0, np.where(y[keep] == classes[1], 1, -1)


def data_of(X, y, weight=None):
    return TrainingData.from_user((X, y), sample_weight=weight)


def dual_value(trainer):
    """The dual objective, from the multipliers alone."""
    rows, alpha, y = trainer._rows, trainer._alpha, trainer._y
    victim = trainer.victim
    g = rows.transposed_dot(alpha * y)
    scale = victim.intercept_scaling**2 if victim.intercept == "regularized" else 0.0
    return alpha.sum() - (g @ g + scale * (alpha @ y) ** 2) / (2 * victim.rho(trainer._c.sum()))


@pytest.mark.parametrize("intercept", INTERCEPTS)
@pytest.mark.parametrize("strength", [{"C_R": 0.09}, {"C_R": 0.001}, {"C": 1.0}, {"C": 0.01}])
def test_gap_is_what_weak_duality_says(intercept, strength):
    X, y = digits()
    victim = Victim("hinge", intercept=intercept, **strength)
    data = data_of(X, y)
    trainer = victim.trainer(data)
    primal, dual = victim.objective(trainer.model, data), dual_value(trainer)
    assert ((trainer._alpha >= 0) & (trainer._alpha <= trainer._c)).all()
    if intercept == "free":
        assert abs(trainer._alpha @ trainer._y) * (1 + abs(trainer.model.intercept)) <= 1e-9 * primal
    assert trainer.gap <= 1e-9 * primal
    assert primal - dual <= trainer.gap + 1e-12 * primal
    assert trainer.objective == pytest.approx(primal, rel=1e-12)
    assert trainer.clean_loss() == pytest.approx(victim.data_loss(trainer.model, data), rel=1e-10)


@pytest.mark.parametrize("scaling", [1.0, 3.0])
def test_agrees_with_linear_svc(scaling):
    X, y = digits()
    theirs = LinearSVC(loss="hinge", C=0.05, tol=1e-10, max_iter=2_000_000, intercept_scaling=scaling).fit(X, y)
    ours = Victim("hinge", C=0.05, intercept_scaling=scaling).fit(X, y)
    np.testing.assert_allclose(ours.coef, theirs.coef_[0], atol=1e-6)
    assert ours.intercept == pytest.approx(theirs.intercept_[0], abs=1e-6)


def test_agrees_with_svc_whose_intercept_is_free():
    X, y = digits((3, 8))
    theirs = SVC(kernel="linear", C=0.1, tol=1e-9).fit(X, y)
    ours = Victim("hinge", C=0.1, intercept="free").fit(X, y)
    np.testing.assert_allclose(ours.coef, theirs.coef_[0], atol=1e-6)
    assert ours.intercept == pytest.approx(theirs.intercept_[0], abs=1e-6)


def additions(X, n, rng):
    """Vertices of the box with labels that hurt, some of them again and again."""
    pool = (rng.random((40, X.shape[1])) < 0.5).astype(float)
    return pool[rng.integers(0, 40, n)] * rng.choice([1.0, 0.5], (n, 1)), rng.choice([-1.0, 1.0], n)


@pytest.mark.parametrize("intercept", INTERCEPTS)
@pytest.mark.parametrize("strength", [{"C_R": 0.05}, {"C": 0.1}])
def test_thousand_additions_equal_a_fresh_fit(intercept, strength):
    X, y = digits()
    rng = np.random.default_rng(0)
    victim = Victim("hinge", intercept=intercept, **strength)
    trainer = victim.trainer(data_of(X, y))
    points, labels = additions(X, 1000, rng)
    for x, label in zip(points, labels, strict=True):
        trainer.add(x, label)
    joined = data_of(np.vstack([X, points]), np.concatenate([y, labels]))
    fresh = victim.trainer(joined)
    best = min(victim.objective(trainer.model, joined), victim.objective(fresh.model, joined))
    assert victim.objective(trainer.model, joined) <= best * (1 + 1e-9)
    assert trainer.model.distance(fresh.model) <= 1e-5
    assert trainer.objective == pytest.approx(best, rel=1e-9)
    assert trainer.clean_loss() == pytest.approx(victim.data_loss(trainer.model, data_of(X, y)), rel=1e-8)


def test_dense_and_sparse_rows_give_the_same_model():
    X, y = digits()
    assert np.count_nonzero(X) > 0.25 * X.size  # else the dense matrix would be stored sparse as well
    models = []
    for rows in (X, sp.csr_matrix(X)):
        trainer = Victim("hinge", C_R=0.05).trainer(data_of(rows, y))
        for x in X[:20]:
            trainer.add(x, -1.0, 2.0)
        models.append(trainer.model)
    assert models[0].distance(models[1]) <= 1e-8


def _after(trainer, added):
    """The trainer with these rows of alternating labels, twice each."""
    for x, label in zip(added, (-1.0, 1.0) * (len(added) // 2), strict=True):
        trainer.add(x, label, 2.0)
    return trainer


@pytest.mark.parametrize("intercept", INTERCEPTS)
def test_rows_with_few_nonzeros_stay_sparse_and_train_alike(intercept):
    rng = np.random.default_rng(4)
    X = sp.csr_matrix(rng.random((300, 120)) * (rng.random((300, 120)) < 0.03))
    y = np.where(X @ rng.normal(size=120) + 0.1 * rng.normal(size=300) > 0, 1.0, -1.0)
    victim = Victim("hinge", C=5.0, intercept=intercept)
    data, added = TrainingData(X, y, np.ones(300)), rng.random((20, 120))
    sparse = _after(ActiveSetTrainer(victim, data), added)
    with patch.object(RowOperator, "is_sparse", False):
        dense = _after(ActiveSetTrainer(victim, data), added)
    assert sp.issparse(sparse._free.rows) and not sp.issparse(dense._free.rows)
    assert sparse.model.distance(dense.model) < 1e-6 * np.linalg.norm(dense.model.coef)
    assert sparse.gap <= 1e-9 * sparse.objective


def test_weights_count_as_repeated_rows():
    X, y = digits()
    weight = np.random.default_rng(1).integers(0, 4, len(y))
    victim = Victim("hinge", C_R=0.05)
    weighted = victim.fit(X, y, sample_weight=weight)
    repeated = victim.fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    assert weighted.distance(repeated) <= 1e-6


def test_duplicate_and_dependent_rows():
    """More free rows than dimensions, and rows that are copies of each other: the Gram matrix is singular."""
    rng = np.random.default_rng(2)
    X = np.repeat(rng.integers(0, 3, (30, 2)).astype(float), 5, axis=0)
    y = np.where(X.sum(axis=1) + rng.normal(size=150) > 2, 1, -1)
    victim = Victim("hinge", C=1.0)
    data = data_of(X, y)
    trainer = victim.trainer(data)
    assert victim.objective(trainer.model, data) - dual_value(trainer) <= 1e-9 * trainer.objective


def test_needs_regularisation():
    X, y = digits()
    with pytest.raises(ValueError, match="needs regularisation"):
        Victim("hinge", C=np.inf).fit(X, y)


@pytest.mark.parametrize("strength", [{"C_R": 0.01}, {"C": 1.0}])
def test_cold_start_with_more_contradictions_than_enter_at_once(strength, monkeypatch):
    """Rows far on the wrong side of the margin are not near it, and have to be looked at all the same."""
    monkeypatch.setattr(ActiveSetTrainer, "_start", lambda self: self._restore_sums())
    rng = np.random.default_rng(4)
    X = np.repeat(rng.normal(size=(600, 5)), 3, axis=0)
    y = np.where(X @ np.ones(5) + rng.normal(size=1800) > 0, 1, -1)
    victim = Victim("hinge", **strength)
    data = data_of(X, y)
    trainer = victim.trainer(data)
    primal = victim.objective(trainer.model, data)
    assert primal - dual_value(trainer) <= 1e-9 * primal
    theirs = LinearSVC(loss="hinge", C=1 / victim.rho(1800), tol=1e-8, max_iter=1_000_000).fit(X, y)
    assert primal <= victim.objective(LinearModel(theirs.coef_, theirs.intercept_), data) * (1 + 1e-9)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(2, 60),
    d=st.integers(1, 6),
    C=st.floats(1e-3, 1e3),
    intercept=st.sampled_from(INTERCEPTS),
    mean=st.booleans(),
    batch=st.sampled_from([1, 3, 128]),
)
def test_random_problems_are_solved_to_the_promised_gap(seed, n, d, C, intercept, mean, batch):
    with patch.object(active_set, "_BATCH", batch):
        check_random_problem(np.random.default_rng(seed), n, d, C, intercept, mean)


def check_random_problem(rng, n, d, C, intercept, mean):
    X = np.round(rng.normal(size=(n, d)), 1)
    y = rng.choice([-1, 1], n)
    y[:2] = -1, 1
    strength = {"C_R": 1 / (C * n)} if mean else {"C": C}
    victim = Victim("hinge", intercept=intercept, **strength)
    data = data_of(X, y)
    trainer = ActiveSetTrainer(victim, data)
    rows, labels = [X], [y]
    for _ in range(5):
        x, label = np.round(rng.normal(size=d), 1), rng.choice([-1.0, 1.0])
        trainer.add(x, label, 2.0)
        rows += [x[None]] * 2
        labels += [[label]] * 2
    joined = data_of(np.vstack(rows), np.concatenate(labels))
    primal = victim.objective(trainer.model, joined)
    # Weak duality as the check; a free intercept's imbalance of multipliers is part of the gap.
    imbalance = abs(trainer._alpha @ trainer._y) * (1 + abs(trainer.model.intercept)) if intercept == "free" else 0.0
    assert primal - dual_value(trainer) <= 2e-9 * primal + imbalance
    assert imbalance <= 2e-9 * primal
