"""Newton's method finds the minimiser that scikit-learn finds, and keeps it while rows are added."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.svm import LinearSVC

from convexpoison.data.row_operator import RowOperator
from convexpoison.data.training_data import TrainingData
from convexpoison.errors import SolverError
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.trainers import Trainer, make_trainer, newton
from convexpoison.learners.trainers.hessian import HessianSolver
from convexpoison.learners.trainers.newton import NewtonTrainer
from convexpoison.learners.victim import Victim

SMOOTH = ("logistic", "squared_hinge", "squared")
INTERCEPTS = ("regularized", "free", "none")


def make_data(n: int = 300, d: int = 6, *, seed: int = 0, regression: bool = False) -> TrainingData:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + 0.5
    scores = X @ rng.normal(size=d) + rng.normal(size=n) - 0.3
    return TrainingData.from_user((X, scores if regression else np.sign(scores)), regression=regression)


def with_rows(data: TrainingData, X: Any, y: Any, weight: Any) -> TrainingData:
    rows = sp.vstack([data.X, X]).tocsr() if sp.issparse(data.X) else np.vstack([data.X, X])
    return TrainingData(rows, np.append(data.y, y), np.append(data.sample_weight, weight), data.classes)


def fit(data: TrainingData, loss: str, **options: Any) -> NewtonTrainer:
    return NewtonTrainer(Victim(loss, **options), data)


def assert_same(model: LinearModel, coef: Any, intercept: Any, tolerance: float = 1e-7) -> None:
    other = LinearModel(coef, intercept)
    assert model.distance(other) <= tolerance * (1 + np.linalg.norm(model.coef))


def assert_gap_is_true(trainer: Trainer, data: TrainingData, best: float) -> None:
    value = trainer.victim.objective(trainer.model, data)
    assert trainer.objective == pytest.approx(value, rel=1e-12)
    assert trainer.gap <= 1e-9 * value
    assert value - best <= trainer.gap + 1e-13 * value


# Against scikit-learn


@pytest.mark.parametrize("C", [0.01, 1.0, 30.0])
def test_logistic_with_a_free_intercept(C: float) -> None:
    data = make_data()
    reference = LogisticRegression(C=C, tol=1e-12, max_iter=10_000).fit(data.X, data.y)
    model = fit(data, "logistic", C=C, intercept="free").model
    assert_same(model, reference.coef_, reference.intercept_, 1e-6)


def test_logistic_with_a_regularised_intercept() -> None:
    data = make_data()
    for scaling in (1.0, 3.0):
        reference = LogisticRegression(
            solver="liblinear", C=0.5, tol=1e-10, intercept_scaling=scaling, max_iter=10_000
        ).fit(data.X, data.y)
        model = fit(data, "logistic", C=0.5, intercept_scaling=scaling).model
        assert_same(model, reference.coef_, reference.intercept_, 1e-6)


def test_logistic_without_an_intercept_or_regularisation() -> None:
    data = make_data()
    reference = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-12, max_iter=10_000).fit(data.X, data.y)
    assert_same(fit(data, "logistic", C=np.inf, intercept="none").model, reference.coef_, 0.0, 1e-5)


@pytest.mark.parametrize(("dual", "scaling", "C"), [(False, 1.0, 1.0), (True, 1.0, 0.01), (False, 5.0, 0.1)])
def test_squared_hinge(dual: bool, scaling: float, C: float) -> None:
    data = make_data()
    reference = LinearSVC(C=C, dual=dual, tol=1e-9, max_iter=100_000, intercept_scaling=scaling, random_state=0).fit(
        data.X, data.y
    )
    model = fit(data, "squared_hinge", C=C, intercept_scaling=scaling).model
    assert_same(model, reference.coef_, reference.intercept_, 1e-6)


@pytest.mark.parametrize("alpha", [1e-3, 1.0, 100.0])
def test_squared_is_ridge(alpha: float) -> None:
    data = make_data(regression=True)
    reference = Ridge(alpha=alpha, solver="cholesky").fit(data.X, data.y)
    model = fit(data, "squared", C=1 / (2 * alpha), intercept="free").model
    assert_same(model, reference.coef_, reference.intercept_, 1e-9)


def test_squared_without_regularisation_is_least_squares() -> None:
    data = make_data(regression=True)
    reference = LinearRegression().fit(data.X, data.y)
    for units in (1.0, np.array([1e-6, 1.0, 1e6, 1.0, 1.0, 1.0])):
        model = fit(
            TrainingData(data.X * units, data.y, data.sample_weight), "squared", C=np.inf, intercept="free"
        ).model
        np.testing.assert_allclose(model.coef * units, reference.coef_, rtol=1e-8)
        assert model.intercept == pytest.approx(reference.intercept_, rel=1e-8)


def test_data_that_are_fitted_exactly() -> None:
    X = np.random.default_rng(1).normal(size=(40, 3))
    data = TrainingData.from_user((X, X @ [1.0, 2.0, -3.0] + 4.0), regression=True)
    trainer = fit(data, "squared", C=np.inf, intercept="free")
    assert_same(trainer.model, [1.0, 2.0, -3.0], 4.0, 1e-12)
    trainer.add(np.ones(3), 4.0)
    assert_same(trainer.model, [1.0, 2.0, -3.0], 4.0, 1e-12)
    flat = TrainingData.from_user((X, np.zeros(40)), regression=True)
    assert fit(flat, "squared", C=1.0).objective == 0.0


# Rows, weights, conventions


@pytest.mark.parametrize("loss", SMOOTH)
@pytest.mark.parametrize("intercept", INTERCEPTS)
def test_weights_are_repeated_rows(loss: str, intercept: str) -> None:
    data = make_data(80, 4, regression=loss == "squared")
    weight = np.random.default_rng(2).integers(0, 4, size=80)
    weighted = TrainingData(data.X, data.y, weight.astype(float), data.classes)
    repeated = TrainingData(data.X.repeat(weight, axis=0), data.y.repeat(weight), np.ones(weight.sum()), data.classes)
    for convention in ({"C_R": 0.02}, {"C": 0.5}):
        a, b = (fit(rows, loss, intercept=intercept, **convention) for rows in (weighted, repeated))
        assert a.model.distance(b.model) <= 1e-8
        assert a.objective == pytest.approx(b.objective, rel=1e-12)
        assert a.clean_loss() == pytest.approx(b.clean_loss(), rel=1e-10)


@pytest.mark.parametrize("loss", SMOOTH)
@pytest.mark.parametrize("intercept", INTERCEPTS)
@pytest.mark.parametrize("convention", [{"C_R": 0.05}, {"C": 0.3}], ids=["mean", "sum"])
def test_adding_rows_equals_a_fresh_fit(loss: str, intercept: str, convention: dict[str, float]) -> None:
    data = make_data(150, 5, regression=loss == "squared")
    trainer = fit(data, loss, intercept=intercept, **convention)
    rng = np.random.default_rng(3)
    X, y, weight = rng.normal(size=(30, 5)), np.sign(rng.normal(size=30)), rng.uniform(0.5, 3.0, size=30)
    for k in range(30):
        trainer.add(X[k], y[k], weight[k])
        grown = with_rows(data, X[: k + 1], y[: k + 1], weight[: k + 1])
        fresh = fit(grown, loss, intercept=intercept, **convention)
        assert trainer.model.distance(fresh.model) <= 1e-7
        assert_gap_is_true(trainer, grown, fresh.objective)
        assert trainer.clean_loss() == pytest.approx(trainer.victim.data_loss(trainer.model, data), rel=1e-10)


@pytest.mark.parametrize("loss", ["logistic", "squared_hinge"])
@pytest.mark.parametrize("convention", [{"C_R": 0.05}, {"C": 0.3, "intercept": "free"}], ids=["mean", "sum"])
def test_a_thousand_additions(loss: str, convention: dict[str, Any]) -> None:
    data = make_data(200, 8)
    sparse = TrainingData(sp.csr_matrix(data.X), data.y, data.sample_weight, data.classes)
    trainers = [fit(rows, loss, **convention) for rows in (data, sparse)]
    rng = np.random.default_rng(4)
    X, y = (rng.random((1000, 8)) < 0.5) * 1.0, np.sign(rng.normal(size=1000))
    for x, label in zip(X, y, strict=True):
        for trainer in trainers:
            trainer.add(x, label)
    grown = with_rows(data, X, y, np.ones(1000))
    fresh = fit(grown, loss, **convention)
    for trainer in trainers:
        assert trainer.model.distance(fresh.model) <= 1e-8
        assert_gap_is_true(trainer, grown, fresh.objective)


def test_equal_rows_are_stored_once() -> None:
    data = make_data(100, 3)
    trainer = fit(data, "logistic", C_R=0.1)
    for x in ([0.0, 1.0, 2.0], [-0.0, 1.0, 2.0], [0.0, 1.0, 2.0]):
        trainer.add(np.array(x), -1.0)
    trainer.add(np.array([0.0, 1.0, 2.0]), 1.0)
    assert len(trainer._rows.added) == 2
    fresh = fit(with_rows(data, [[0.0, 1.0, 2.0]] * 2, [-1.0, 1.0], [3.0, 1.0]), "logistic", C_R=0.1)
    assert trainer.model.distance(fresh.model) <= 1e-9
    assert trainer.clean_loss() == pytest.approx(trainer.victim.data_loss(trainer.model, data), rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    loss=st.sampled_from(SMOOTH),
    intercept=st.sampled_from(INTERCEPTS),
    C=st.sampled_from([1e-3, 1.0, 1e4]),
    units=st.sampled_from([1e-2, 1.0, 1e2]),
)
def test_the_gap_is_never_understated(seed: int, loss: str, intercept: str, C: float, units: float) -> None:
    data = make_data(30, 3, seed=seed, regression=loss == "squared")
    y = data.y.copy()
    y[:2] = 1.0, -1.0
    data = TrainingData(data.X * units, y, data.sample_weight, data.classes)
    trainer = fit(data, loss, C=C, intercept=intercept)
    x = np.random.default_rng(seed).normal(size=3) * units
    trainer.add(x, 1.0, 2.0)
    grown = with_rows(data, x[None], [1.0], [2.0])
    assert_gap_is_true(trainer, grown, fit(grown, loss, C=C, intercept=intercept).objective)


def test_hard_margins_converge() -> None:
    data = make_data(200, 30)  # nearly separable: the rows that count change all the way down the path
    for C in (1e2, 1e6):
        for loss in ("squared_hinge", "logistic"):
            trainer = fit(data, loss, C=C)
            trainer.add(np.full(30, 3.0), -1.0)
            assert trainer.gap <= 1e-9 * trainer.objective


def test_many_sparse_columns_need_no_dense_matrix() -> None:
    rng = np.random.default_rng(5)
    X = sp.random(400, 20_000, density=0.002, format="csr", random_state=5)
    data = TrainingData.from_user((X, np.sign(rng.normal(size=400))))
    trainer = fit(data, "logistic", C=1.0, intercept="free")
    trainer.add(X[0].toarray()[0], -data.y[0])
    reference = LogisticRegression(tol=1e-10, max_iter=1000).fit(sp.vstack([X, X[0]]), np.append(data.y, -data.y[0]))
    assert_same(trainer.model, reference.coef_, reference.intercept_, 1e-5)


@pytest.mark.parametrize("intercept", ["regularized", "free"])
def test_more_columns_than_a_hessian_is_formed_for(intercept: str) -> None:
    """Rows that are hardly regularised, and close to others of the other class: the diagonal alone leads nowhere."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(40, 5100))
    latent = rng.normal(size=(200, 40)) / np.arange(1, 41)
    X = latent @ mixing + 1e-3 * rng.normal(size=(200, 5100))
    y = np.sign(latent[:, 0] + 0.3 * rng.normal(size=200))
    near = X[:33] + 1e-4 * rng.normal(size=(33, 5100))
    data = TrainingData.from_user((np.vstack([X, near]), np.append(y, -y[:33])))
    trainer = fit(data, "logistic", C=float(np.exp(14.0)), intercept=intercept)
    assert trainer.gap <= 1e-12 * trainer.objective
    trainer.add(near[0], y[0])
    assert trainer.gap <= 1e-12 * trainer.objective


def test_a_factor_is_renewed_past_two_thousand_rows_and_columns() -> None:
    """Rows that grow in number past 2,000 were left with the factor of the last moment before."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(1995, 2050)) / np.arange(1, 2051) ** 0.5
    trainer = fit(TrainingData.from_user((X, np.sign(X[:, 0] + 0.1 * rng.normal(size=1995)))), "logistic", C_R=1e-3)
    factors = set()
    for x in 3 * rng.normal(size=(10, 2050)):
        trainer.add(x, 1.0)
        factors.add(id(trainer._hessian._factor) if len(trainer._point.y) > 2000 else 0)
    assert len(factors - {0}) > 1 and trainer.gap <= 1e-12 * trainer.objective


def test_rows_become_more_than_the_columns() -> None:
    data = make_data(12, 15)
    trainer = fit(data, "logistic", C=10.0)
    rng, X, y = np.random.default_rng(8), [], []
    for _ in range(10):
        X.append(rng.normal(size=15))
        y.append(float(rng.choice([-1.0, 1.0])))
        trainer.add(X[-1], y[-1])
    fresh = fit(with_rows(data, np.array(X), y, np.ones(10)), "logistic", C=10.0)
    assert_same(trainer.model, fresh.model.coef, fresh.model.intercept)


def test_a_factor_is_made_only_when_it_pays() -> None:
    made = []
    data = make_data(500, 60)
    trainer = fit(data, "logistic", C_R=0.001)
    preconditioner = trainer._hessian._preconditioner

    def counted(*arguments: Any) -> Any:
        before = trainer._hessian._factor
        solve = preconditioner(*arguments)
        made.append(trainer._hessian._factor is not before)
        return solve

    trainer._hessian._preconditioner = counted  # type: ignore[method-assign]
    rng = np.random.default_rng(6)
    for _ in range(100):
        trainer.add(rng.normal(size=60), 1.0)
    assert 0 < sum(made) < 0.5 * len(made)


def test_labels_are_the_users_and_every_smooth_loss_comes_here() -> None:
    X = make_data().X
    y = np.where(X[:, 0] > 0.5, "spam", "ham")
    assert Victim("logistic", C=1.0).fit(X, y).classes == ("ham", "spam")
    assert isinstance(make_trainer(Victim("squared_hinge", C=1.0), make_data()), NewtonTrainer)


# Newton systems


def test_a_singular_hessian_still_preconditions() -> None:
    rows = RowOperator(np.ones((10, 3)))
    step = HessianSolver(rows).solve(np.ones(3), np.ones(10), np.zeros(3), lambda *_: True)
    np.testing.assert_allclose(10 * step.scores, -np.ones(10), rtol=1e-6)


# What has no answer


def one_class(weight: float) -> TrainingData:
    data = make_data(20, 2)
    return TrainingData(data.X, data.y, np.where(data.y > 0, 1.0, weight), data.classes)


def test_a_loss_with_kinks_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a smooth loss; 'hinge' has kinks"):
        fit(make_data(), "hinge", C=1.0)


@pytest.mark.parametrize("loss", SMOOTH)
def test_collinear_columns_without_regularisation(loss: str) -> None:
    data = make_data(100, 3, regression=loss == "squared")
    for column in (data.X[:, :1] * 3.0 - 1.0, np.zeros((100, 1))):
        rows = TrainingData(np.hstack([data.X, column]), data.y, data.sample_weight, data.classes)
        with pytest.raises(ValueError, match=r"collinear.*add regularisation .* or drop the collinear columns"):
            fit(rows, loss, C=np.inf, intercept="free")
        fit(rows, loss, C=1.0, intercept="free")
    with pytest.raises(ValueError, match="fewer rows than columns"):
        fit(make_data(5, 6, regression=loss == "squared"), loss, C=np.inf)


@pytest.mark.parametrize("loss", ["logistic", "squared_hinge"])
@pytest.mark.parametrize("intercept", ["free", "none"])
def test_separable_rows_without_regularisation(loss: str, intercept: str) -> None:
    X = np.random.default_rng(8).normal(size=(50, 2))
    data = TrainingData.from_user((X, np.sign(X[:, 0])))
    with pytest.raises(ValueError, match=r"no finite minimiser.*add regularisation"):
        fit(data, loss, C=np.inf, intercept=intercept)


def test_partly_separable_rows_without_regularisation() -> None:
    data = make_data(100, 3)
    only_positive = np.where((data.y > 0) & (np.arange(100) % 3 == 0), 1.0, 0.0)[:, None]
    rows = TrainingData(np.hstack([data.X, only_positive]), data.y, data.sample_weight, data.classes)
    with pytest.raises(ValueError, match="no finite minimiser"):
        fit(rows, "logistic", C=np.inf)
    fit(rows, "logistic", C=1e3)


def test_flat_squared_hinge_without_regularisation() -> None:
    # The last two columns matter for rows far from the margin only.
    rng = np.random.default_rng(9)
    noisy = np.column_stack([rng.normal(size=60), np.zeros((60, 2))])
    far = np.column_stack([np.full(20, 50.0), rng.normal(size=(20, 2))])
    y = np.append(np.where(noisy[:, 0] + 0.3 * rng.normal(size=60) > 0, 1.0, -1.0), np.ones(20))
    data = TrainingData.from_user((np.vstack([noisy, far]), y))
    with pytest.raises(ValueError, match="rows with a positive loss do not fix all"):
        fit(data, "squared_hinge", C=np.inf, intercept="none")


def test_unregularised_classification_with_an_answer() -> None:
    data = make_data()
    for loss in ("logistic", "squared_hinge"):
        trainer, near = fit(data, loss, C=np.inf, intercept="free"), fit(data, loss, C=1e12, intercept="free")
        assert trainer.model.distance(near.model) <= 1e-6
        assert trainer.gap <= 1e-12 * trainer.objective
        trainer.add(data.X[0], -data.y[0])
        grown = with_rows(data, data.X[:1], -data.y[:1], [1.0])
        assert trainer.model.distance(fit(grown, loss, C=np.inf, intercept="free").model) <= 1e-7


def test_one_class_and_a_free_intercept() -> None:
    with pytest.raises(ValueError, match=r"of one class.*regularise the intercept"):
        fit(one_class(0.0), "logistic", C=1.0, intercept="free")
    for intercept in ("regularized", "none"):
        assert fit(one_class(0.0), "logistic", C=1.0, intercept=intercept).gap >= 0


@pytest.mark.parametrize(
    ("x", "y", "weight", "sentence"),
    [
        ([1.0, 2.0], 1.0, 1.0, r"must have shape \(6,\); got \(2,\)"),
        ([np.nan] * 6, 1.0, 1.0, "NaN or infinity"),
        ([0.0] * 6, np.inf, 1.0, "NaN or infinity"),
        ([0.0] * 6, 0.0, 1.0, "label of an added row must be -1 or"),
        ([0.0] * 6, 1.0, 0.0, "weight of an added row must be positive"),
        ([0.0] * 6, 1.0, np.nan, "weight of an added row must be positive"),
    ],
)
def test_a_bad_row_is_refused_and_changes_nothing(x: Any, y: float, weight: float, sentence: str) -> None:
    trainer = fit(make_data(), "logistic", C=1.0)
    model, objective = trainer.model, trainer.objective
    with pytest.raises(ValueError, match=sentence):
        trainer.add(np.array(x), y, weight)
    assert trainer.model is model and trainer.objective == objective


def test_no_convergence_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newton, "_MAX_STEPS", 1)
    with pytest.raises(SolverError, match="scale the features or regularise more"):
        fit(make_data(), "logistic", C=1.0)
