"""The nouns that everything starts from: LinearModel, TrainingData, Victim."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from convexpoison.data.training_data import TrainingData, check_rows, sign_labels
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Victim

X4 = np.array([[0.0, 1.0], [2.0, 0.0], [1.0, 1.0], [3.0, 2.0]])
Y4 = np.array([-1, 1, -1, 1])

# LinearModel


def test_a_model_scores_predicts_and_measures() -> None:
    model = LinearModel([1.0, -2.0], 0.5, classes=("ham", "spam"))
    np.testing.assert_allclose(model.decision_function(X4), [-1.5, 2.5, -0.5, -0.5])
    np.testing.assert_allclose(model.decision_function(sp.csr_matrix(X4)), [-1.5, 2.5, -0.5, -0.5])
    assert list(model.predict(X4)) == ["ham", "spam", "ham", "ham"]
    assert model.accuracy(X4, ["ham", "spam", "ham", "spam"]) == 0.75
    assert model.n_features == 2
    assert model.distance(LinearModel([1.0, 1.0], 4.5)) == pytest.approx(5.0)


def test_without_classes_labels_are_signs_and_zero_scores_are_negative() -> None:
    assert list(LinearModel([1.0]).predict(np.array([[0.0], [1.0], [-1.0]]))) == [-1, 1, -1]


def test_a_point_between_two_models() -> None:
    a, b = LinearModel([0.0, 2.0], 1.0, classes=(0, 1)), LinearModel([4.0, 2.0], 3.0)
    middle = a.between(b, 0.25)
    np.testing.assert_allclose(middle.coef, [1.0, 2.0])
    assert middle.intercept == 1.5
    assert middle.classes == (0, 1)


def test_coefficients_are_copied_and_frozen() -> None:
    mine = np.array([[1.0, 2.0]])
    model = LinearModel(mine, np.array([3.0]))
    mine[0, 0] = 9.0
    assert model.coef.shape == (2,) and model.coef[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        model.coef[0] = 1.0


@pytest.mark.parametrize(
    ("coef", "intercept", "sentence"),
    [
        (np.ones((2, 3)), 0.0, "one row of coef_ and one entry of intercept_"),
        ([], 0.0, "one coefficient vector"),
        (1.0, 0.0, "one coefficient vector"),
        ([1.0, np.nan], 0.0, "NaN or infinity"),
        ([1.0], np.inf, "NaN or infinity"),
        ([1.0], [1.0, 2.0], "needs one intercept; got 2"),
    ],
)
def test_a_bad_model_is_refused(coef: Any, intercept: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        LinearModel(coef, intercept)


# TrainingData


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([-1, 1, -1, 1], (-1, 1)),
        ([0, 1, 0, 1], (0, 1)),
        ([3.5, 7.5, 3.5, 7.5], (3.5, 7.5)),
        ([False, True, False, True], (False, True)),
        (["ham", "spam", "ham", "spam"], ("ham", "spam")),
        (np.array(["ham", "spam", "ham", "spam"], dtype=object), ("ham", "spam")),
        ([[0], [1], [0], [1]], (0, 1)),
    ],
)
def test_any_two_labels_become_signs(labels: Any, classes: tuple[Any, Any]) -> None:
    data = TrainingData.from_user((X4, labels))
    np.testing.assert_array_equal(data.y, Y4)
    assert data.classes == classes
    assert [type(label) for label in data.classes or ()] == [type(label) for label in classes]


@pytest.mark.parametrize("dtype", [None, "category"])
def test_labels_in_a_series(pandas: Any, dtype: str | None) -> None:
    data = TrainingData.from_user((X4, pandas.Series(["ham", "spam", "ham", "spam"], dtype=dtype)))
    np.testing.assert_array_equal(data.y, Y4)
    assert data.classes == ("ham", "spam")


def test_the_order_of_the_classes_can_be_given() -> None:
    data = TrainingData.from_user((X4, ["ham", "spam", "ham", "spam"]), classes=("spam", "ham"))
    np.testing.assert_array_equal(data.y, -Y4)
    assert data.classes == ("spam", "ham")


def test_shapes_weights_and_passing_through() -> None:
    data = TrainingData.from_user((X4, Y4), sample_weight=[1, 0, 2, 0.5])
    assert (data.n_samples, data.n_features, data.n_rows) == (4, 2, 3.5)
    assert TrainingData.from_user(data) is data
    assert TrainingData.from_user((X4, Y4)).n_rows == 4.0


def test_frames_keep_their_columns(pandas: Any) -> None:
    frame = pandas.DataFrame(X4, columns=["age", "height"])
    data = TrainingData.from_user((frame, Y4))
    assert data.columns == ("age", "height")
    np.testing.assert_array_equal(data.X, X4)


def test_sparse_rows_stay_sparse() -> None:
    for matrix in (sp.csc_matrix(X4), sp.coo_array(X4)):
        sparse = TrainingData.from_user((matrix, Y4)).X
        assert sp.issparse(sparse) and sparse.format == "csr"
        np.testing.assert_array_equal(sparse.toarray(), X4)


def test_regression_keeps_the_response() -> None:
    data = TrainingData.from_user((X4, [1, 2, 3, 4]), regression=True)
    np.testing.assert_array_equal(data.y, [1.0, 2.0, 3.0, 4.0])
    assert data.y.dtype == np.float64 and data.classes is None


@pytest.mark.parametrize(
    ("X", "y", "sentence"),
    [
        (X4, [1, 1, 1, 1], "one class only"),
        (X4, [1, 2, 3, 1], "3 classes .*one class against the rest"),
        (X4, [1, -1], r"X has 4 rows, so y must have shape \(4,\); got \(2,\)"),
        (X4, np.ones((4, 2)), "must have shape"),
        (X4, [1.0, -1.0, np.nan, 1.0], "missing labels"),
        (X4, np.array(["a", None, "b", "a"], dtype=object), "missing labels"),
        (np.where(X4 == 3, np.nan, X4), Y4, "X holds NaN or infinity"),
        (sp.csr_matrix(np.where(X4 == 3, np.inf, X4)), Y4, "X holds NaN or infinity"),
        (X4[:, 0], Y4, "two-dimensional"),
        (np.empty((4, 0)), Y4, "at least one row and one column"),
        ([["a", "b"]] * 4, Y4, "not numbers .*OneHotEncoder"),
    ],
)
def test_bad_data_are_refused(X: Any, y: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        TrainingData.from_user((X, y))


@pytest.mark.parametrize(
    ("weight", "sentence"),
    [
        ([1, 1, 1], r"sample_weight must have shape \(4,\)"),
        ([1, 1, 1, -1], "not negative"),
        ([1, 1, 1, np.nan], "finite"),
        ([0, 0, 0, 0], "not all zero"),
    ],
)
def test_bad_weights_are_refused(weight: list[float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        TrainingData.from_user((X4, Y4), sample_weight=weight)


def test_other_bad_inputs_are_refused() -> None:
    with pytest.raises(TypeError, match=r"pair \(X, y\); got ndarray"):
        TrainingData.from_user(X4)
    with pytest.raises(ValueError, match="labels 'eel' that the target does not know"):
        sign_labels(np.array(["ham", "eel"]), ("ham", "spam"))
    with pytest.raises(ValueError, match="2 features where 3 are needed"):
        check_rows(X4, n_features=3)
    with pytest.raises(ValueError, match="regression target needs numbers"):
        TrainingData.from_user((X4, ["a", "b", "c", "d"]), regression=True)
    with pytest.raises(ValueError, match="y holds NaN or infinity"):
        TrainingData.from_user((X4, [1, 2, np.inf, 4]), regression=True)


# Victim


def test_the_two_conventions() -> None:
    mean, total = Victim("logistic", C_R=0.1), Victim("logistic", C=4.0)
    assert (mean.convention, mean.kappa, mean.rho_0, mean.rho(30)) == ("mean", 0.1, 0.0, pytest.approx(3.0))
    assert (total.convention, total.kappa, total.rho_0, total.rho(30)) == ("sum", 0.0, 0.25, 0.25)
    assert Victim("squared", C=np.inf).rho(7) == 0.0


def test_penalty_and_its_gradient() -> None:
    model = LinearModel([3.0, 4.0], 2.0)
    for victim, weight in (
        (Victim(C=1.0), 1.0),
        (Victim(C=1.0, intercept_scaling=2.0), 0.25),
        (Victim(C=1.0, intercept="free"), 0.0),
        (Victim(C=1.0, intercept="none"), 0.0),
    ):
        assert victim.intercept_weight == weight
        assert victim.penalty(model) == pytest.approx(0.5 * (25 + weight * 4))
        gradient, in_intercept = victim.penalty_gradient(model)
        np.testing.assert_array_equal(gradient, model.coef)
        assert in_intercept == weight * 2.0
        gradient[0] = 0.0  # a copy: the model stays as it is
        assert model.coef[0] == 3.0


def test_objective_and_data_loss_with_weights() -> None:
    model, weight = LinearModel([0.5, -1.0], 0.25), np.array([1.0, 2.0, 0.0, 1.0])
    data = TrainingData.from_user((X4, Y4), sample_weight=weight)
    losses = np.maximum(0.0, 1.0 - Y4 * (X4 @ model.coef + 0.25))
    victim = Victim("hinge", C_R=0.5)
    assert victim.data_loss(model, data) == pytest.approx(weight @ losses)
    assert victim.objective(model, data) == pytest.approx(weight @ losses + 0.5 * 4.0 * victim.penalty(model))


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "logistic"])
def test_fit_speaks_the_users_labels(loss: str) -> None:
    model = Victim(loss, C=100.0).fit(X4, ["no", "yes", "no", "yes"])
    assert model.classes == ("no", "yes")
    assert model.accuracy(X4, ["no", "yes", "no", "yes"]) == 1.0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "exactly one of C .* and C_R"),
        ({"C": 1.0, "C_R": 1.0}, "exactly one of C .* and C_R"),
        ({"C": 0.0}, "C must be positive; got 0.0"),
        ({"C": -1.0}, "C must be positive"),
        ({"C": float("nan")}, "C must be positive"),
        ({"C_R": -0.1}, "C_R must be positive"),
        ({"C_R": float("inf")}, "C_R must be finite"),
        ({"C": 1.0, "intercept_scaling": 0.0}, "intercept_scaling must be positive"),
        ({"C": 1.0, "intercept": "some"}, "intercept must be one of .*got 'some'"),
        ({"C": 1.0, "loss": "huber"}, "unknown loss 'huber'"),
    ],
)
def test_a_bad_victim_is_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Victim(**arguments)
