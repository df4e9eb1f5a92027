"""The victim's optimum as a function of poison: it is the victim's, and its derivatives are those of finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime, check_grad

import convexpoison as cp
from convexpoison.attacks.goal_surrogate import GoalSurrogate
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.implicit.best_response import Response, RoundedHinge

LABELS = np.array([-1.0, 1.0])
VICTIMS = [
    cp.Victim(loss, intercept=intercept, **strength)
    for loss in ("hinge", "squared_hinge", "logistic")
    for intercept in ("regularized", "free", "none")
    for strength in ({"C": 0.5}, {"C_R": 0.05})
]


def rows(rng, n=40, d=6):
    y = np.where(np.arange(n) % 2, 1, -1)
    return TrainingData.from_user((rng.normal(size=(n, d)) + 0.5 * y[:, None], y))


def test_the_rounded_hinge_is_the_hinge_but_for_its_kink():
    loss, u = RoundedHinge(0.2), np.linspace(0.5, 1.5, 1001)
    hinge = np.maximum(0.0, 1.0 - u)
    gap = loss.value(u) - hinge
    assert gap.min() >= -1e-15 and gap.max() == pytest.approx(0.2 / 8)  # at the kink
    np.testing.assert_array_equal(gap[np.abs(u - 1.0) > 0.1001], 0.0)
    step = 1e-6
    np.testing.assert_allclose(
        (loss.value(u + step) - loss.value(u - step)) / (2 * step), loss.derivative(u), atol=1e-5
    )
    inside = np.abs(np.abs(u - 1.0) - 0.1) > 1e-4
    slope = (loss.derivative(u + step) - loss.derivative(u - step)) / (2 * step)
    np.testing.assert_allclose(slope[inside], loss.curvature(u)[inside], atol=1e-5)


@pytest.mark.parametrize("victim", [v for v in VICTIMS if v.loss.smooth], ids=repr)
def test_it_is_the_victims_optimum(victim, rng):
    data = rows(rng)
    response, points = Response(victim, data, LABELS), rng.normal(size=(2, 6))
    for counts in ([3.0, 0.0], [2.0, 7.0], [0.0, 0.0]):
        response.put(points, np.array(counts))
        X, y = np.vstack([data.X, points]), np.append(data.y, LABELS)
        exact = victim.fit(X, y, np.append(np.ones(40), counts))
        assert response.model.distance(exact) < 1e-6


def test_the_rounded_hinge_leads_close_to_the_svm(rng):
    victim, data, points = cp.Victim("hinge", C_R=0.05), rows(rng), rng.normal(size=(2, 6))
    response = Response(victim, data, LABELS)
    response.put(points, np.array([3.0, 4.0]))
    exact = victim.fit(np.vstack([data.X, points]), np.append(data.y, LABELS), np.append(np.ones(40), [3.0, 4.0]))
    # Values differ by width / 8 a row at most, and F is strongly convex with modulus rho: that bounds the distance.
    assert 0.5 * victim.rho(47) * response.model.distance(exact) ** 2 <= 47 * 0.05 / 8


@pytest.mark.parametrize("victim", VICTIMS, ids=repr)
def test_derivatives_are_those_of_finite_differences(victim, rng):
    data = rows(rng)
    response, points, counts = Response(victim, data, LABELS), rng.normal(size=(2, 6)), np.array([4.0, 6.0])
    direction = rng.normal(size=response.theta.size)

    def value(z):
        response.put(z[:12].reshape(2, 6), z[12:])
        return float(direction @ response.theta)

    z = np.append(points.ravel(), counts)
    value(z)
    found = response.slope(direction)
    found = np.append(found.points.ravel(), found.counts)
    # Curvature jumps where a row meets its kink, and one that does so within a step spoils that step alone.
    steps = (1e-4, 1e-5, 1e-6)
    numeric = np.array([[(value(z + t * e) - value(z - t * e)) / (2 * t) for e in np.identity(14)] for t in steps])
    assert (np.abs(numeric - found).min(axis=0) < 2e-6 + 1e-5 * np.abs(found)).all()


@pytest.mark.parametrize("name", ["share_wrong", "nearest_wrong"])
@pytest.mark.parametrize("intercept", [True, False])
def test_aims_have_the_gradients_of_finite_differences(name, intercept, rng):
    X, y = rng.normal(size=(30, 4)), rng.choice([-1.0, 1.0], 30)
    aim, theta = GoalSurrogate(X, y, 9, 0.7), rng.normal(size=4 + intercept)
    height = getattr(aim, name)
    assert check_grad(lambda t: height(t, 0.3)[0], lambda t: height(t, 0.3)[1], theta) < 1e-6
    assert np.isfinite(approx_fprime(theta, lambda t: height(t, 0.3)[0])).all()


def test_an_aim_is_reached_where_its_goal_is(rng):
    X, y = rng.normal(size=(30, 4)), rng.choice([-1, 1], 30)
    data = TrainingData.from_user((X, y))
    for goal in (cp.goals.ErrorRate(0.3, X, y), cp.goals.ErrorRate(0.31, X, y), cp.goals.Misclassify(X[:2], y[:2])):
        for _ in range(60):
            model = cp.LinearModel(rng.normal(size=4), rng.normal())
            aim = GoalSurrogate.of(goal, model, data, data)
            wrong = np.count_nonzero(aim.margins(np.append(model.coef, model.intercept)) <= 0.0)
            assert (wrong >= aim.n_wrong) == goal(model)


@pytest.mark.parametrize(("C", "seed"), [*((1.0, seed) for seed in range(8)), (0.05, 0), (100.0, 0)])
def test_a_free_intercept_is_held_where_no_row_is_at_its_kink(C, seed):
    """It was loose there, and Newton's method ran away (SolverError, or an overflow) for most of these seeds."""
    rng = np.random.default_rng(seed)
    X = np.clip(np.vstack([rng.normal(m, 0.15, (40, 3)) for m in (0.3, 0.7)]), 0.0, 1.0)
    data, victim = TrainingData.from_user((X, np.repeat([-1, 1], 40))), cp.Victim("hinge", C=C, intercept="free")
    response = Response(victim, data, LABELS)
    for counts in ([0.0, 0.0], [30.0, 5.0], [3.0, 15.0], [80.0, 80.0]):
        points = rng.random((2, 3))
        response.put(points, np.array(counts))
        joined = np.vstack([X, points]), np.append(data.y, LABELS), np.append(np.ones(80), counts)
        exact, rows = victim.fit(*joined), TrainingData.from_user(joined[:2], sample_weight=joined[2])
        # Rounding costs width / 8 a row at most, the trace of a penalty a millionth of the intercept's square.
        worst = (0.05 / 8 + 1e-6 * victim.rho(80 + sum(counts)) * exact.intercept**2) * (80 + sum(counts))
        assert victim.objective(response.model, rows) <= victim.objective(exact, rows) + worst
