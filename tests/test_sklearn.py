"""PoisoningAudit: a scikit-learn estimator that answers how much poison it takes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import check_estimator

import convexpoison as cp

EXPECTED_FAILED_CHECKS: dict[str, str] = {}
"""None: a check of scikit-learn's that fails is a bug here. Checks that need other settings of the machine are skipped."""


def blobs(n=80, d=3, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    return rng.normal(size=(n, d)) + y[:, None], np.where(y == 1, "spam", "ham")


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [LinearSVC(), LogisticRegression()], ids=["svc", "logistic"])
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_own_checks(estimator):
    found = check_estimator(
        cp.PoisoningAudit(estimator), expected_failed_checks=EXPECTED_FAILED_CHECKS, on_skip=None, on_fail="raise"
    )
    assert sum(one["status"] == "passed" for one in found) >= 50


@pytest.mark.parametrize(
    "estimator",
    [LinearSVC(), LinearSVC(loss="hinge", C=0.1), LogisticRegression(), make_pipeline(StandardScaler(), LinearSVC())],
    ids=["svc", "hinge", "logistic", "pipeline"],
)
def test_the_error_rises_as_asked_with_the_points_found(estimator):
    X, y = blobs()
    audit = cp.PoisoningAudit(estimator).fit(X, y)
    plain = clone(estimator).fit(X, y)
    error = 1 - plain.score(X, y)
    assert audit.score(X, y) == plain.score(X, y)
    steps = plain[:-1] if hasattr(plain, "steps") else None
    rows = X if steps is None else steps.transform(X)
    assert 1 - audit.attack_.model.accuracy(rows, y) >= error + 0.05 - 1e-12
    assert 1 <= audit.bound_.n_points <= audit.n_points_ == audit.attack_.n_points
    assert audit.bound_.certificate.verify((rows, y)).holds
    # Retrained with the rows in the user's own columns, the steps held fixed, the victim is the induced model.
    poisoned, labels = audit.attack_.poisoned(X, y, original=True)
    again = audit.attack_.victim.fit(poisoned if steps is None else steps.transform(poisoned), labels)
    assert again.distance(audit.attack_.model) < 1e-6


def test_more_error_takes_more_points():
    X, y = blobs()
    few, many = (cp.PoisoningAudit(LinearSVC(), error_increase=share).fit(X, y).n_points_ for share in (0.025, 0.2))
    assert few < many


@pytest.mark.parametrize("n_rows", [1, 3])
def test_flips_have_a_bound_for_every_attack(n_rows):
    X, y = blobs()
    wanted = X[:n_rows]
    audit = cp.PoisoningAudit(LogisticRegression(), flip=wanted).fit(X, y)
    assert (audit.attack_.model.predict(wanted) != audit.predict(wanted)).all()
    assert audit.bound_.n_points <= audit.n_points_
    assert audit.bound_.certificate.verify((X, y)).holds
    assert isinstance(audit.goal_, cp.goals.Flip if n_rows == 1 else cp.goals.Misclassify)


def test_a_frame_with_words_through_a_pipeline():
    pd = pytest.importorskip("pandas", reason="pandas is not installed (extra 'frame')")
    X, y = blobs()
    frame = pd.DataFrame(
        {"size": X[:, 0], "count": np.round(3 * X[:, 1]).astype(int), "kind": np.where(X[:, 2] > 0.5, "a", "b")}
    )
    steps = ColumnTransformer([("s", StandardScaler(), ["size", "count"]), ("h", OneHotEncoder(), ["kind"])])
    audit = cp.PoisoningAudit(make_pipeline(steps, LogisticRegression()), flip=frame.iloc[:1]).fit(frame, y)
    assert audit.feature_names_in_.tolist() == ["size", "count", "kind"]
    assert audit.n_features_in_ == 3
    assert audit.attack_.original_points.dtypes.tolist() == frame.dtypes.tolist()
    assert audit.bound_.n_points <= audit.n_points_ < math.inf


def test_a_model_as_goal_and_a_budget_that_is_too_small():
    X, y = blobs()
    victim = cp.Victim("logistic", C=1.0, intercept="free")
    target = victim.fit(np.vstack([X, X[:4]]), np.concatenate([y, y[1:5]]))
    audit = cp.PoisoningAudit(LogisticRegression(), goal=target).fit(X, y)
    assert audit.bound_.n_points <= audit.n_points_ <= 5
    small = cp.PoisoningAudit(LogisticRegression(), error_increase=0.4, max_points=1).fit(X, y)
    assert (small.n_points_, small.attack_, small.bound_) == (math.inf, None, None)


def test_what_the_estimator_can_do_the_audit_can():
    X, y = blobs()
    audit = cp.PoisoningAudit(LogisticRegression(), max_points=30)
    with pytest.raises(NotFittedError):
        audit.predict(X)
    audit.fit(sp.coo_matrix(X), y)
    inner = audit.estimator_
    for name in ("predict", "decision_function", "predict_proba"):
        np.testing.assert_array_equal(getattr(audit, name)(X), getattr(inner, name)(X))
    assert not hasattr(cp.PoisoningAudit(LinearSVC()), "predict_proba")
    assert hasattr(cp.PoisoningAudit(LinearSVC()), "decision_function")
    assert audit.classes_.tolist() == ["ham", "spam"]


def test_parameters_reach_the_estimator():
    audit = cp.PoisoningAudit(LinearSVC(C=0.5), error_increase=0.1)
    assert audit.get_params()["estimator__C"] == 0.5
    assert clone(audit).set_params(estimator__C=2.0).estimator.C == 2.0
    X, y = blobs(40)
    search = GridSearchCV(cp.PoisoningAudit(LogisticRegression()), {"estimator__C": [0.1, 1.0]}, cv=2).fit(X, y)
    assert search.best_estimator_.n_points_ > 0


@pytest.mark.parametrize(
    ("audit", "labels", "sentence"),
    [
        (cp.PoisoningAudit(LinearSVC(), flip=[[0.0]], goal=([1.0], 0.0)), 2, "flip or goal"),
        (cp.PoisoningAudit(LinearSVC(), error_increase=0.0), 2, "between 0 and 1"),
        (cp.PoisoningAudit(LinearSVC()), 3, "Only binary classification"),
        (cp.PoisoningAudit(Ridge()), 2, "classes"),
        (cp.PoisoningAudit(LinearSVC(penalty="l1")), 2, "l2 penalty"),
    ],
)
def test_refusals(audit, labels, sentence):
    X, _ = blobs()
    with pytest.raises((ValueError, TypeError), match=sentence):
        audit.fit(X, np.arange(len(X)) % labels)
