"""PACD's theory against its printed digits, against brute force over the same problem, and against exact descent."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import approx_fprime, minimize
from scipy.stats import norm

import convexpoison as cp
from convexpoison.data.training_data import TrainingData
from convexpoison.neural.theory.linear import one_dimension, two_gaussians
from convexpoison.neural.theory.linear_attack import AverageRadius, attack_linear, average_radius

LEAST_SQUARES = cp.Victim("squared", C=np.inf, intercept="free")


def classes(seed: int, n: int, spread: float = 0.4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(-0.5, spread, n), rng.normal(0.5, spread, n)


def radius_by_brute_force(u, plus, test) -> float:
    """Equation 3 as it stands: least squares by polyfit, then the mean distance on the right side."""
    w, b = np.polyfit(np.r_[plus, u], np.r_[np.ones(plus.size), -np.ones(u.size)], 1)
    return float(np.maximum(np.sign(w) * (-b / w - test), 0.0).mean())


# -------------------------------------------------------------------- Appendix D.2


def test_d2_has_the_papers_digits():
    """0.4243 as printed. The poisoned radius by the paper's own formula, 0.4243 - eps / sqrt(2), is 0.3536, not its 0.3546."""
    theory = two_gaussians(0.2, 0.8, 0.3, 0.1)
    assert f"{theory.clean.mean_radius:.4f}" == "0.4243"
    assert len(theory.optima) == 1 and f"{theory.best.mean_radius:.4f}" == "0.3536"
    assert theory.clean.mean_radius - theory.best.mean_radius == pytest.approx(0.1 / np.sqrt(2))
    assert theory.best.mean_radius == pytest.approx(0.3546, abs=1.1e-3)


@pytest.mark.parametrize("eps", [0.1, 0.9])
def test_the_radius_of_a_gaussian_is_the_integral(eps):
    theory = two_gaussians(0.2, 0.8, 0.3, eps, n_features=3)
    mean = 0.2 * np.sqrt(3)
    density = norm(mean, 0.3).pdf
    for optimum in (theory.clean, *theory.optima):
        edges = (mean - 4.0, optimum.threshold) if optimum.sign > 0 else (optimum.threshold, mean + 4.0)
        expected, _ = quad(lambda x, o=optimum: abs(o.threshold - x) * density(x), *edges, points=[mean])
        assert optimum.radius == pytest.approx(expected, abs=1e-9)
        assert optimum.accuracy == pytest.approx(quad(density, *edges, points=[mean])[0], abs=1e-9)


@pytest.mark.parametrize("victim", [LEAST_SQUARES, cp.Victim("logistic", C=np.inf, intercept="free")])
@pytest.mark.parametrize("noise", [0.0, 0.25])
def test_the_boundary_of_d2_is_what_the_core_learns(victim, noise):
    """The Gaussians as weighted quadrature nodes; Gaussian augmentation widens them and leaves the boundary."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(15)
    nodes = np.array(list(itertools.product(nodes, nodes))) * np.hypot(0.3, noise)
    weights = np.outer(weights, weights).ravel() / weights.sum() ** 2
    theory = two_gaussians()
    for shift, optimum in ((0.0, theory.clean), (-0.1, theory.best)):
        X = np.vstack([0.2 + shift + nodes, 0.8 + nodes])
        y = np.repeat([-1.0, 1.0], len(nodes))
        model = victim.fit(X, y, sample_weight=np.tile(weights, 2))
        assert average_radius(model, [[0.2, 0.2]], [-1]) == pytest.approx(optimum.mean_radius, rel=1e-5)


@pytest.mark.parametrize("victim", [LEAST_SQUARES, cp.Victim("logistic", C=1e8, intercept="free")])
def test_the_attack_finds_d2(victim):
    """Equally likely nodes of either class; the descent is free to move each by itself and shifts all by eps."""
    nodes = norm.ppf((np.arange(8) + 0.5) / 8) * 0.3
    nodes = np.array(list(itertools.product(nodes, nodes)))
    found = attack_linear(victim, 0.2 + nodes, 0.8 + nodes, 0.1)
    np.testing.assert_allclose(found.points - nodes, 0.1, atol=1e-12)
    assert average_radius(found.model, [[0.2, 0.2]], [-1]) == pytest.approx(two_gaussians().best.mean_radius, rel=1e-6)
    assert (np.diff(found.radii) < 0).all()


# -------------------------------------------------------------------- Theorem 1


@pytest.mark.parametrize("eps", [0.3, 1.3])
@pytest.mark.parametrize("seed", range(3))
def test_theorem_1_against_a_grid(seed, eps):
    """All poisoned sets on a grid with two points: the best is the theorem's, and its optima beat all their neighbours."""
    minus, plus = classes(seed, 2)
    test = np.random.default_rng(seed + 100).normal(-0.5, 0.8, 40)
    theory = one_dimension(minus, plus, eps, x_test=test)
    ticks = np.linspace(-eps, eps, 21)
    grid = np.array([[radius_by_brute_force(minus + np.array([a, b]), plus, test) for b in ticks] for a in ticks])
    assert theory.best.radius == pytest.approx(grid.min(), abs=1e-10)
    for optimum in theory.optima:
        corner = 0 if optimum.shift < 0 else -1
        inner = np.s_[:3, :3] if corner == 0 else np.s_[-3:, -3:]
        assert optimum.radius == pytest.approx(grid[corner, corner], abs=1e-10)
        assert grid[corner, corner] == grid[inner].min() and (grid[inner] == grid[inner].min()).sum() == 1
    assert len(theory.optima) == (2 if eps > theory.least_eps else 1)


@pytest.mark.parametrize("seed", range(3))
def test_theorem_1_against_scipy(seed):
    """From many starts a general optimiser ends at one of the optima, at the first alone below the threshold on eps."""
    minus, plus = classes(seed, 5)
    test = np.random.default_rng(seed + 100).normal(-0.5, 0.8, 60)
    least = one_dimension(minus, plus, 0.1).least_eps
    for eps in (0.7 * least, 1.6 * least):
        theory, ends = one_dimension(minus, plus, eps, x_test=test), set()
        inside = np.random.default_rng(seed).uniform(-eps, eps, (12, 5))
        for start in np.vstack([inside, np.full(5, -eps / 2), np.full(5, eps)]):
            found = minimize(
                lambda d: radius_by_brute_force(minus + d, plus, test),
                start,
                bounds=[(-eps, eps)] * 5,
                method="L-BFGS-B",
            )
            nearest = min(theory.optima, key=lambda o: abs(o.radius - found.fun))
            assert found.fun == pytest.approx(nearest.radius, abs=1e-6)
            np.testing.assert_allclose(found.x, nearest.shift, atol=1e-4)
            ends.add(nearest.shift)
        assert len(ends) == len(theory.optima)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000), n=st.integers(2, 9), eps=st.floats(0.05, 3.0), fraction=st.floats(0.1, 1.0)
)  # fmt: skip
def test_the_optima_are_what_the_core_learns(seed, n, eps, fraction):
    """Threshold, sign and radius against the exactly trained model on the shifted points."""
    minus, plus = classes(seed, n)
    if minus.mean() >= plus.mean() - 1e-3:
        return
    theory = one_dimension(minus, plus, eps, fraction=fraction)
    for optimum in (theory.clean, *theory.optima):
        X, y = np.r_[minus + optimum.shift, plus][:, None], np.repeat([-1.0, 1.0], n)
        model = LEAST_SQUARES.fit(X, y)
        if abs(model.coef[0]) < 1e-3:  # eps just beyond the threshold
            continue
        assert np.sign(model.coef[0]) == optimum.sign
        assert -model.intercept / model.coef[0] == pytest.approx(optimum.threshold, abs=1e-7)
        assert average_radius(model, minus[:, None], -np.ones(n)) == pytest.approx(optimum.radius, abs=1e-7)


@pytest.mark.parametrize("direction", [-1, 1])
def test_exact_descent_finds_both_cases(direction):
    minus, plus = classes(0, 12)
    test = np.random.default_rng(7).normal(-0.5, 0.8, 60)
    theory = one_dimension(minus, plus, 1.5, x_test=test)
    start = (minus + direction * 1.45)[:, None]
    found = attack_linear(LEAST_SQUARES, minus[:, None], plus[:, None], 1.5, start=start, X_test=test[:, None])
    case = theory.optima[0 if direction < 0 else 1]
    assert found.radius == pytest.approx(case.radius, abs=1e-9)
    np.testing.assert_allclose(found.points[:, 0] - minus, case.shift, atol=1e-12)


def test_some_points_moved_far_are_all_points_moved_less():
    """Corollary 2, by poisoning the first half of the points alone."""
    minus, plus = classes(1, 10)
    moved = np.where(np.arange(10) < 5, minus - 0.4, minus)
    theory = one_dimension(minus, plus, 0.4, fraction=0.5)
    assert theory.best.radius == pytest.approx(radius_by_brute_force(moved, plus, minus), abs=1e-10)
    assert theory == one_dimension(minus, plus, 0.2)


def test_at_the_threshold_itself_there_is_no_second_case():
    """The theorem says ``eps >= ...``; at equality the slope is 0."""
    minus, plus = np.array([-1.0, -2.0]), np.array([1.0, 0.0])
    assert one_dimension(minus, plus, 2.0).least_eps == 2.0
    assert len(one_dimension(minus, plus, 2.0).optima) == 1
    assert len(one_dimension(minus, plus, np.nextafter(2.0, 3.0)).optima) == 2
    assert LEAST_SQUARES.fit(np.r_[minus + 2.0, plus][:, None], [-1, -1, 1, 1]).coef[0] == pytest.approx(0.0, abs=1e-9)


# -------------------------------------------------------------------- the exact attack


def test_the_gradient_of_the_radius():
    rng = np.random.default_rng(0)
    rows = TrainingData(rng.normal(size=(30, 3)), rng.choice([-1.0, 1.0], 30), rng.uniform(1, 2, 30))
    aim, theta = AverageRadius(LEAST_SQUARES, rows), rng.normal(size=4)
    expected = approx_fprime(theta, aim.value, 1e-7)
    np.testing.assert_allclose(aim.derivatives(theta)[1], expected, atol=1e-6)
    length = np.linalg.norm(theta[:3])
    radii = np.maximum(rows.y * (rows.X @ theta[:3] + theta[3]) / length, 0)
    assert aim.value(theta) == pytest.approx(np.average(radii, weights=rows.sample_weight))


@pytest.mark.parametrize("victim", [cp.Victim("logistic", C=2.0), cp.Victim("squared_hinge", C_R=0.1)])
def test_the_attack_stays_in_the_balls_and_lowers_the_radius(victim):
    rng = np.random.default_rng(3)
    base, other = rng.normal(-0.4, 0.5, (15, 3)), rng.normal(0.4, 0.5, (20, 3))
    found = attack_linear(victim, base, other, 0.2, max_iter=20)
    assert np.abs(found.points - base).max() <= 0.2 + 1e-15
    y = np.r_[-np.ones(15), np.ones(20)]
    clean = average_radius(victim.fit(np.vstack([base, other]), y), base, -np.ones(15))
    assert found.radii[0] == pytest.approx(clean, rel=1e-5)
    assert found.radius < clean and (np.diff(found.radii) < 0).all()
    assert average_radius(found.model, base, -np.ones(15)) == pytest.approx(found.radius, rel=1e-5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: one_dimension([0.0], [1.0, 2.0], 0.1), "equally many points"),
        (lambda: one_dimension([1.0], [0.0], 0.1), "below the positive"),
        (lambda: one_dimension([0.0], [1.0], 0.0), "eps is 0.0"),
        (lambda: one_dimension([0.0], [np.nan], 0.1), "x_plus must be finite"),
        (lambda: one_dimension([0.0], [1.0], 0.1, fraction=0.0), "fraction"),
        (lambda: two_gaussians(scale=-1.0), "scale is -1.0"),
        (lambda: two_gaussians(n_features=0), "n_features"),
        (lambda: average_radius(cp.LinearModel([0.0], 1.0), [[0.0]], [1]), "no separating hyperplane"),
        (lambda: attack_linear(LEAST_SQUARES, [[0.0]], [[1.0, 1.0]], 0.1), "equal n_features"),
        (lambda: attack_linear(LEAST_SQUARES, [[0.0]], [[1.0]], -0.1), "eps is -0.1"),
        (lambda: attack_linear(cp.Victim("hinge", C=1.0), [[0.0]], [[1.0]], 0.1), "cannot be differentiated"),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
