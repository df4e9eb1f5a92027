"""Hypergradients against finite differences and against each other."""

from __future__ import annotations

import numpy as np
import pytest

from convexpoison import Victim
from convexpoison.data.training_data import TrainingData
from convexpoison.errors import SolverError
from convexpoison.learners.implicit import (
    ImplicitGradient,
    InnerProblem,
    SmoothHinge,
    largest_rate,
    make_tuning,
    reverse_mode,
    solve_inner,
    tuned_victim,
)
from convexpoison.learners.losses import Hinge
from tests.learners.bilevel import CASES, LOSSES, bilevel, central, relative

INTERCEPTS = ("regularized", "free", "none")


@pytest.mark.parametrize("intercept", INTERCEPTS)
@pytest.mark.parametrize(("loss", "tune"), CASES, ids=str)
def test_implicit_is_the_derivative_by_points_and_lambda(loss: object, tune: str, intercept: str) -> None:
    given = bilevel(loss, tune, intercept)
    problem, gradient = given.problem, ImplicitGradient(given.problem, given.outer, precision=1e-13)
    found = gradient(given.lam)

    def by_points(points: np.ndarray) -> float:
        problem.place(points)
        return gradient.value(given.lam)

    assert relative(found.points, central(by_points, given.points)) < 1e-5
    problem.place(given.points)
    assert relative(found.lam, central(gradient.value, given.lam)) < 1e-5


@pytest.mark.parametrize(("loss", "tune"), CASES, ids=str)
def test_reverse_mode_is_the_derivative_of_a_short_descent(loss: object, tune: str) -> None:
    given = bilevel(loss, tune)
    problem = given.problem
    options = {"steps": 9, "rate": 0.3 * largest_rate(problem, given.lam)}
    found = reverse_mode(problem, given.outer, given.lam, **options)

    def by_points(points: np.ndarray) -> float:
        problem.place(points)
        return reverse_mode(problem, given.outer, given.lam, **options).value

    assert relative(found.points, central(by_points, given.points)) < 1e-5
    problem.place(given.points)
    by_lambda = central(lambda lam: reverse_mode(problem, given.outer, lam, **options).value, given.lam)
    assert relative(found.lam, by_lambda) < 1e-5


@pytest.mark.parametrize("intercept", INTERCEPTS)
@pytest.mark.parametrize(("loss", "tune"), CASES, ids=str)
def test_reverse_mode_tends_to_the_implicit_gradient(loss: object, tune: str, intercept: str) -> None:
    given = bilevel(loss, tune, intercept)
    exact = ImplicitGradient(given.problem, given.outer, precision=1e-12)(given.lam)
    rate, errors = 0.4 * largest_rate(given.problem, given.lam), []
    for steps in (2, 15, 2000):
        found = reverse_mode(given.problem, given.outer, given.lam, steps=steps, rate=rate)
        errors.append(max(relative(found.points, exact.points), relative(found.lam, exact.lam)))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-9


@pytest.mark.parametrize(("loss", "tune"), CASES, ids=str)
def test_products_are_derivatives_of_the_gradient(loss: object, tune: str) -> None:
    given = bilevel(loss, tune)
    problem, rng = given.problem, np.random.default_rng(0)
    theta, v = 0.3 * rng.normal(size=(2, problem.rows.n_parameters))
    state = problem.at(theta, given.lam)
    assert relative(state.gradient, central(lambda t: problem.at(t, given.lam).value, theta)) < 1e-6
    hessian_v = central(lambda t: float(v @ problem.at(t, given.lam).gradient), theta, 1e-5)
    assert relative(problem.hessian_product(state, v), hessian_v) < 1e-6
    points, lam = problem.mixed_products(state, v, problem.rows.dot(v))
    assert relative(lam, central(lambda x: float(v @ problem.at(theta, x).gradient), given.lam, 1e-5)) < 1e-6

    def by_points(moved: np.ndarray) -> float:
        problem.place(moved)
        return float(v @ problem.at(theta, given.lam).gradient)

    assert relative(points, central(by_points, given.points, 1e-5)) < 1e-6


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_training_is_that_of_the_victim(loss: object) -> None:
    given = bilevel(loss)
    n = given.data.n_rows + 3
    rows = TrainingData(
        np.vstack([given.data.X, given.points]),
        given.problem.y,
        np.append(given.data.sample_weight, np.ones(3)),
    )
    for base in (given.victim, Victim(loss, C_R=0.1)):
        victim = tuned_victim(base, float(given.lam[0]), n)
        assert victim.convention == base.convention
        expected = victim.trainer(rows).model
        found = given.problem.model(solve_inner(given.problem, given.lam).theta)
        assert found.distance(expected) < 1e-6
        again = make_tuning("l2", victim, rows.sample_weight, rows.y, rows.n_features).initial()
        assert again == pytest.approx(given.lam)


def test_equal_lambdas_are_one_lambda() -> None:
    one = bilevel("logistic", "l2", "none")
    lam = 0.7
    expected = solve_inner(one.problem, np.array([lam])).theta
    for tune, size in (("per_class", 2), ("per_feature", 5)):
        many = bilevel("logistic", tune, "none")
        assert solve_inner(many.problem, np.full(size, lam)).theta == pytest.approx(expected, abs=1e-8)


def test_a_class_of_larger_lambda_counts_less() -> None:
    given = bilevel("logistic", "per_class", "free")
    models = [given.problem.model(solve_inner(given.problem, np.array(lam)).theta) for lam in ([0.0, 0.0], [0.0, 2.0])]
    scores = [model.decision_function(given.data.X).mean() for model in models]
    assert scores[1] < scores[0]


@pytest.mark.parametrize("tune", ["l2", "per_class", "per_feature"])
def test_fewer_rows_than_features_give_the_same_derivatives(tune: str) -> None:
    """Rows are the unknowns of the factor then, also an old one after points have moved."""
    given = bilevel("logistic", tune, n_rows=20, n_features=60)
    problem, lam = given.problem, given.lam - 3.0
    warm = ImplicitGradient(problem, given.outer, precision=1e-10)
    rng = np.random.default_rng(1)
    for _ in range(4):
        found = warm(lam)
        fresh = ImplicitGradient(problem, given.outer, precision=1e-12)(lam)
        assert relative(found.points, fresh.points) < 1e-6
        assert relative(found.lam, fresh.lam) < 1e-6
        state = problem.at(fresh.theta, lam)
        X = np.column_stack([np.vstack([given.data.X, problem.points]), np.ones(problem.y.size)])
        hessian = (X.T * state.curvatures) @ X + np.diag(state.ridge)
        v = np.linalg.solve(hessian, given.outer.derivatives(fresh.theta)[1])
        points, by_lam = problem.mixed_products(state, v, X @ v)
        assert relative(fresh.points, -points) < 1e-8
        assert relative(fresh.lam, -by_lam) < 1e-8
        problem.place(problem.points + rng.normal(size=problem.points.shape))
        lam = lam + 0.5


def test_a_rate_that_is_too_large_is_refused_and_the_advised_one_works() -> None:
    given = bilevel("logistic")
    lam = np.array([6.0])
    with pytest.raises(ValueError, match="diverges on the inner problem") as caught:
        reverse_mode(given.problem, given.outer, lam, steps=150, rate=1.0)
    advised = float(str(caught.value).split("a rate below ")[1].split(" ")[0])
    assert 0.3 * largest_rate(given.problem, lam) < advised < largest_rate(given.problem, lam)
    found = reverse_mode(given.problem, given.outer, lam, steps=150, rate=0.9 * advised)
    exact = ImplicitGradient(given.problem, given.outer)(lam)
    assert relative(found.points, exact.points) < 1e-3


def test_divergence_to_infinity_is_refused_too() -> None:
    given = bilevel("squared")
    with pytest.raises(ValueError, match="diverges"):
        reverse_mode(given.problem, given.outer, given.lam, steps=5000, rate=100.0)


@pytest.mark.parametrize(
    "options",
    [{"steps": 0, "rate": 0.1}, {"steps": 2.5, "rate": 0.1}, {"steps": 3, "rate": 0.0}, {"steps": 3, "rate": np.nan}],
)
def test_reverse_mode_checks_its_options(options: dict[str, float]) -> None:
    given = bilevel("logistic")
    with pytest.raises(ValueError, match=r"must be (positive|a positive whole number)"):
        reverse_mode(given.problem, given.outer, given.lam, **options)


def test_kinks_unknown_tuning_and_classes_of_numbers_are_refused() -> None:
    data = bilevel("logistic").data
    with pytest.raises(ValueError, match="SmoothHinge"):
        InnerProblem(Victim("hinge", C=1.0), data, np.ones(1))
    with pytest.raises(ValueError, match="tune must be one of"):
        InnerProblem(Victim("logistic", C=1.0), data, np.ones(1), "l1")
    with pytest.raises(ValueError, match="needs classes"):
        InnerProblem(Victim("squared", C=1.0), data, np.ones(1), "per_class")
    given = bilevel("logistic")
    with pytest.raises(ValueError, match="precision"):
        ImplicitGradient(given.problem, given.outer, precision=0.0)


def test_training_without_a_minimiser_is_an_error_and_not_nan() -> None:
    """Separable rows without regularisation: the parameters run away."""
    X = np.array([[1.0], [2.0], [-1.0], [-2.0]])
    data = TrainingData.from_user((X, np.sign(X[:, 0])))
    problem = InnerProblem(Victim("logistic", C=1.0, intercept="none"), data, np.empty(0))
    with pytest.raises(SolverError, match="lambda"):
        solve_inner(problem, np.array([-700.0]))


def test_smooth_hinge_lies_just_above_the_hinge() -> None:
    u = np.linspace(-3.0, 5.0, 401)
    for t in (0.01, 0.3):
        loss = SmoothHinge(t)
        above = loss.value(u) - Hinge().value(u)
        assert (above >= -1e-15).all()
        assert (above <= t * np.log(2) + 1e-15).all()
        assert above.max() == pytest.approx(t * np.log(2), rel=1e-2)
        h = 1e-6
        assert loss.derivative(u) == pytest.approx((loss.value(u + h) - loss.value(u - h)) / (2 * h), abs=1e-6)
        slope = (loss.derivative(u + h) - loss.derivative(u - h)) / (2 * h)
        assert loss.curvature(u) == pytest.approx(slope, abs=1e-4)
    assert SmoothHinge(0.1) == SmoothHinge(0.1) != SmoothHinge(0.2)
    assert len({SmoothHinge(0.1), SmoothHinge(0.1), SmoothHinge(0.2)}) == 2
    for wrong in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match="temperature"):
            SmoothHinge(wrong)
