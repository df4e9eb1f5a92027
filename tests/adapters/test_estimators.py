"""Reading targets: each estimator's victim learns what the estimator learns; what cannot be modelled is refused."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

import convexpoison as cp
from convexpoison.adapters.estimators import read_target
from convexpoison.data.training_data import TrainingData

CLASSIFIERS = [
    LinearSVC(loss="hinge", C=0.05, tol=1e-10, max_iter=1_000_000),
    LinearSVC(loss="hinge", C=0.05, tol=1e-10, max_iter=1_000_000, fit_intercept=False),
    LinearSVC(loss="squared_hinge", C=0.02, tol=1e-10, max_iter=1_000_000, intercept_scaling=2.0),
    SVC(kernel="linear", C=0.1, tol=1e-8),
    LogisticRegression(C=0.3, tol=1e-10, max_iter=10_000),
    LogisticRegression(C=0.3, tol=1e-10, max_iter=10_000, fit_intercept=False),
    LogisticRegression(C=0.3, tol=1e-10, max_iter=10_000, solver="liblinear", intercept_scaling=3.0),
]


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=str)
def test_victim_learns_what_the_estimator_learns(estimator, digits):
    names = np.where(digits.y_train == 7, "seven", "one")
    estimator.fit(digits.X_train, names)
    read = read_target(estimator)
    ours = read.victim.fit(digits.X_train, names)
    np.testing.assert_allclose(ours.coef, read.model.coef, atol=2e-5)
    assert ours.intercept == pytest.approx(read.model.intercept, abs=2e-5)
    assert read.model.classes == ("one", "seven")
    np.testing.assert_array_equal(read.model.predict(digits.X_test), estimator.predict(digits.X_test))


@pytest.mark.parametrize("loss", ["hinge", "log_loss", "squared_hinge"])
def test_sgd_descends_towards_our_objective(loss, digits):
    sgd = SGDClassifier(
        loss=loss, alpha=0.05, random_state=0, max_iter=2000, tol=1e-6, learning_rate="adaptive", eta0=0.01
    )
    sgd.fit(digits.X_train, digits.y_train)
    read = read_target(sgd)
    rows = TrainingData.from_user((digits.X_train, digits.y_train))
    best = read.victim.objective(read.victim.fit(digits.X_train, digits.y_train), rows)
    assert best <= read.victim.objective(read.model, rows) <= 1.02 * best


@pytest.mark.parametrize(
    "estimator", [Ridge(alpha=0.7), Ridge(alpha=0.7, fit_intercept=False), LinearRegression()], ids=str
)
def test_regressions(estimator):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 4))
    y = X @ [1.0, -2.0, 0.5, 0.0] + 3 + rng.normal(size=80)
    estimator.fit(X, y)
    read = read_target(estimator)
    ours = read.victim.fit(X, y)
    np.testing.assert_allclose(ours.coef, estimator.coef_, atol=1e-8)
    assert ours.intercept == pytest.approx(estimator.intercept_, abs=1e-8)


def test_pipeline_maps_the_poison_back(digits):
    pipeline = make_pipeline(StandardScaler(), LinearSVC(loss="hinge", C=1e-4))
    wrong = np.where(np.arange(len(digits.y_train)) % 6 == 0, 8 - digits.y_train, digits.y_train)
    pipeline.fit(digits.X_train, wrong)
    result = cp.attack(pipeline, (digits.X_train, digits.y_train), max_points=5)
    assert result.n_points == 5
    scaled = pipeline[:-1].transform(digits.X_train)
    assert (result.points >= scaled.min(axis=0) - 1e-9).all() and (result.points <= scaled.max(axis=0) + 1e-9).all()
    np.testing.assert_allclose(pipeline[:-1].transform(result.original_points), result.points, atol=1e-9)


def test_pipeline_that_does_not_invert_says_so(digits):
    from sklearn.preprocessing import Normalizer

    pipeline = make_pipeline(Normalizer(), LinearSVC(loss="hinge", C=0.01)).fit(digits.X_train, 8 - digits.y_train)
    result = cp.attack(pipeline, (digits.X_train, digits.y_train), max_points=2)
    assert result.original_points is None
    assert "no inverse_transform" in result.note


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda X, y: LinearSVC(), "not fitted"),
        (lambda X, y: GaussianNB().fit(X, y), "pass a fitted LinearSVC"),
        (lambda X, y: SVC(kernel="rbf").fit(X, y), "refit it with kernel='linear'"),
        (lambda X, y: LinearSVC(class_weight="balanced").fit(X, y), "class_weight"),
        (lambda X, y: LinearSVC(penalty="l1").fit(X, y), "l2 penalty"),
        (lambda X, y: SGDClassifier(loss="perceptron").fit(X, y), "refit it with one of"),
        (lambda X, y: LinearSVC().fit(X, y + np.arange(len(y)) % 2), "one at a time"),
        (lambda X, y: LinearRegression(positive=True).fit(X, y), "positive=False"),
        (lambda X, y: "model", "cannot read a target"),
        (lambda X, y: ([[1.0, 2.0], [3.0, 4.0]], [0.0, 1.0]), "one row of coef_"),
        (lambda X, y: ([np.nan] * 64, 0.0), "NaN"),
    ],
)
def test_refusals_say_what_to_do(make, sentence, digits):
    target = make(digits.X_train, digits.y_train)
    with pytest.raises((ValueError, TypeError), match=sentence):
        cp.attack(target, (digits.X_train, digits.y_train), max_points=1)
