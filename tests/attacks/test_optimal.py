"""The optimal attack: between the certified bound and exhaustion, and checked by trainers of other people."""

from __future__ import annotations

from itertools import combinations_with_replacement, product
from time import perf_counter

import numpy as np
import pytest
from scipy.optimize import linprog
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

import convexpoison as cp
from convexpoison.attacks.base import Budget
from convexpoison.attacks.kkt_check import residual
from convexpoison.attacks.optimal import nearest_attainable, optimal, tolerance
from convexpoison.attacks.optimal_integer import MixedIntegerProgram
from convexpoison.bounds.tight import tight_bound
from convexpoison.bounds.tight_perspective import Relaxation, kinds_of, perspective_bound
from convexpoison.bounds.tight_program import TightProgram
from convexpoison.data.training_data import TrainingData
from convexpoison.errors import UnattainableTargetError
from convexpoison.problem import Problem
from convexpoison.solvers import highs
from convexpoison.threats import AddRows


def written_out(attack, data):
    """The poisoned rows, copies and all."""
    rows = data.X.toarray() if hasattr(data.X, "toarray") else data.X
    X = np.vstack([rows, np.repeat(attack.points, attack.counts, axis=0)])
    return X, np.concatenate([data.y, np.repeat(attack.labels, attack.counts)])


def check(attack, problem, most_above=1):
    assert 0 <= attack.n_points - attack.bound.n_points <= most_above
    assert attack.status == "exact"
    assert attack.kkt.difference < 1e-6
    assert problem.space.contains(attack.points, tol=1e-9).all()
    assert residual(problem, attack) == pytest.approx(attack.kkt.residual, abs=1e-12)


# -------------------------------------------------------------------- digits

LEARNERS = [
    ("hinge", {"C_R": 0.05}),
    ("hinge", {"C": 1.0}),
    ("logistic", {"C_R": 0.02}),
    ("logistic", {"C": 1.0}),
    ("squared_hinge", {"C": 1.0}),
]


@pytest.fixture(scope="module", params=LEARNERS, ids=lambda p: f"{p[0]}-{next(iter(p[1]))}")
def solved(request, digits):
    loss, strength = request.param
    victim = cp.Victim(loss, **strength)
    data = TrainingData.from_user(digits.train)
    target = cp.targets.label_flip(victim, digits.train, error=0.1, quantiles=(0.1, 0.2)).model
    problem = Problem(victim, data, AddRows(cp.Space.box(0, 1, 64)), target)
    return problem, optimal(problem, Budget())


def test_digits_need_at_most_one_point_more_than_the_bound(solved):
    problem, attack = solved
    check(attack, problem)
    assert len(attack.counts) <= 5
    assert attack.kkt.proven_least == (attack.n_points == attack.bound.n_points)


def test_scikit_learn_learns_the_target(solved):
    problem, attack = solved
    victim, (X, y) = problem.victim, written_out(attack, problem.data)
    C = 1.0 / victim.rho(len(y))
    if victim.loss.name == "logistic":  # with the intercept as one more column its penalty is the victim's
        theirs = LogisticRegression(C=C, fit_intercept=False, tol=1e-10, max_iter=10_000).fit(
            np.c_[X, np.ones(len(y))], y
        )
        coef, intercept = theirs.coef_[0, :-1], theirs.coef_[0, -1]
    else:
        settings = {"loss": victim.loss.name, "tol": 1e-10, "max_iter": 1_000_000, "random_state": 0}
        theirs = LinearSVC(C=C, **settings).fit(X, y)
        coef, intercept = theirs.coef_[0], theirs.intercept_[0]
    np.testing.assert_allclose(coef, problem.target.coef, atol=1e-4)
    assert intercept == pytest.approx(problem.target.intercept, abs=1e-4)


@pytest.mark.parametrize("strength", [{"C_R": 0.05}, {"C": 1.0}])
@pytest.mark.parametrize("loss", ["hinge", "logistic"])
def test_a_target_that_no_training_has_made(loss, strength, digits):
    """Without clean rows at margin 1 whole hinge masses are not enough: points with a share have to balance the rest."""
    victim, data = cp.Victim(loss, **strength), TrainingData.from_user(digits.train)
    clean = victim.trainer(data).model
    problem = Problem(
        victim, data, AddRows(cp.Space.box(0, 1, 64)), cp.LinearModel(0.9 * clean.coef, clean.intercept + 0.1)
    )
    assert problem.subdifferential.pull_b.size == 0
    check(optimal(problem, Budget()), problem, most_above=2)


def test_the_two_ways_to_the_bound_agree(digits):
    victim, data = cp.Victim("logistic", C=1.0), TrainingData.from_user(digits.train)
    target = cp.targets.label_flip(victim, digits.train, error=0.1, quantiles=(0.1,)).model
    problem = Problem(victim, data, AddRows(cp.Space.box(0, 1, 64)), target)
    tangents, slices = perspective_bound(TightProgram(problem)), tight_bound(problem)
    assert tangents.value == pytest.approx(slices.value, rel=1e-5)
    assert tangents.mass - tangents.value <= 1e-6 * tangents.mass


# -------------------------------------------------------------------- small instances


LOSSES = ("hinge", "logistic", "squared_hinge", "squared")


def random_problem(seed, loss, least_rows=8, summed=None):
    """Rows in one to three dimensions, and a target that some points induce or that lies on the way to it."""
    rng = np.random.default_rng([seed, 3])
    d, n = int(rng.integers(1, 4)), int(rng.integers(least_rows, 30))
    summed = seed // len(LOSSES) % 2 if summed is None else summed  # every loss in both conventions
    strength = {"C": float(10 ** rng.uniform(-1, 1))} if summed else {"C_R": float(10 ** rng.uniform(-2, -0.5))}
    victim = cp.Victim(loss, **strength)
    X, space = rng.uniform(-1, 1, (n, d)), cp.Space.box(-2, 2, d)
    if loss == "squared":
        y = X @ rng.normal(size=d) + 0.1 * rng.normal(size=n)
        space = space.with_response(float(y.min()), float(y.max()))
        labels = space.response
    else:
        y = np.where(X @ rng.normal(size=d) + 0.3 * rng.normal(size=n) > 0, 1, -1)
        y[:2], labels = (-1, 1), (-1.0, 1.0)
    data = TrainingData.from_user((X, y), regression=loss == "squared")
    trainer = victim.trainer(data)
    clean = trainer.model
    for _ in range(int(rng.integers(1, 12))):
        trainer.add(rng.uniform(-2, 2, d), float(rng.choice(labels)))
    return Problem(victim, data, AddRows(space), clean.between(trainer.model, float(rng.uniform(0.5, 1.0))))


def nothing_balances(problem, first, most=10):
    """Hinge: whether no whole numbers of points balance the intercept. Where no point reaches margin 1 (and no clean row is
    there) every point pulls in full, so what is left of the intercept's equation is a whole number."""
    target, space, clean = problem.target, problem.space, problem.subdifferential
    largest = np.maximum(target.coef * space.lower, target.coef * space.upper).sum() + abs(target.intercept)
    growth = problem.victim.kappa * problem.victim.penalty_gradient(target)[1]
    left = [clean.g.b + growth * n + n - 2 * k for n in range(first, first + most + 1) for k in range(n + 1)]
    return largest < 1.0 and not clean.pull_b.size and np.abs(left).min() > 100 * tolerance(problem)


def nothing_divides(problem, first, most=10):
    """Smooth losses: whether no whole numbers of points do it, however they divide over the labels. Tangents, here a fixed lot
    of them, lie outside the curve that points of a label draw, so a division that none of their points meets is impossible."""
    kinds = kinds_of(problem)
    relaxation = Relaxation(problem, kinds)
    for pulls in np.linspace(relaxation.least, relaxation.most, 200)[1:-1]:
        relaxation.add_tangents(pulls)
    for counts in product(range(first + most + 1), repeat=len(kinds)):
        if first <= sum(counts) <= first + most:
            found = highs.solve(relaxation.on_tangents(np.array(counts, dtype=float)))
            if found.status != "infeasible" and relaxation.exceeded(found.x) < 1e-6 * sum(counts):
                return False
    return True


def check_random(seeds):
    """How often no whole numbers were found although none are ruled out, and how often they are ruled out."""
    missed, impossible = 0, 0
    for seed in seeds:
        problem = random_problem(seed, LOSSES[seed % len(LOSSES)])
        attack, smooth = optimal(problem, Budget()), problem.victim.loss.smooth
        if attack.status == "exact":
            assert attack.bound.n_points <= attack.n_points, seed
            assert attack.kkt.difference < 1e-6, seed
        elif (nothing_divides if smooth else nothing_balances)(problem, int(attack.bound.n_points)):
            impossible += 1
        else:
            assert smooth, seed
            missed += 1
        assert not attack.n_points or problem.space.contains(attack.points, tol=1e-9).all(), seed
    return missed, impossible


def test_no_bound_exceeds_what_the_attack_uses():
    missed, impossible = check_random(range(300))
    assert missed <= 1 and impossible <= 6


@pytest.mark.slow
def test_no_bound_exceeds_what_the_attack_uses_in_many_instances():
    missed, impossible = check_random(range(1000, 11_000))
    assert missed <= 10 and impossible <= 100


@pytest.mark.parametrize(("seed", "n_points"), [(1394, 5), (1094, 7), (1801, 8), (1631, 5)])
def test_whole_numbers_far_from_the_fractional_masses(seed, n_points):
    """The fractional attack has points of one label only; whole numbers take some of the other as well."""
    attack = optimal(random_problem(seed, LOSSES[seed % len(LOSSES)], summed=seed % 2), Budget())
    assert (attack.status, attack.n_points) == ("exact", n_points)
    assert len(set(attack.labels)) == 2


def test_a_target_that_is_nearly_the_clean_model():
    """It takes a billionth of a point, and the search needs to know which."""
    problem = random_problem(9166, "squared_hinge")
    assert 0.0 < tight_bound(problem).mass < 1e-8
    check(optimal(problem, Budget()), problem, most_above=1)


def test_regression_loss():
    problem = random_problem(7, "squared")
    attack = optimal(problem, Budget())
    check(attack, problem, most_above=2)
    assert set(attack.labels) <= set(problem.space.response)


# -------------------------------------------------------------------- exhaustion


def stationary(problem, points, labels):
    """Whether shares of the points at margin 1 make the target stationary, by a linear program of scipy's."""
    target, victim = problem.target, problem.victim
    penalty_w, penalty_b = victim.penalty_gradient(target)
    growth = victim.kappa * len(labels) * np.append(penalty_w, penalty_b)
    goal = -np.append(problem.subdifferential.g.w, problem.subdifferential.g.b) - growth
    pulls = [*np.column_stack([problem.subdifferential.pull_w, problem.subdifferential.pull_b])]
    for x, y in zip(points, labels, strict=True):
        margin, pull = y * (x @ target.coef + target.intercept), -y * np.append(x, 1.0)
        if abs(margin - 1.0) < 1e-9:
            pulls.append(pull)
        elif margin < 1.0:
            goal = goal - pull
    if not pulls:
        return bool(np.abs(goal).max() < 1e-8)
    shares = np.array(pulls).T
    eye = np.eye(goal.size)
    cost = np.append(np.zeros(shares.shape[1]), np.ones(2 * goal.size))
    bounds = [(0, 1)] * shares.shape[1] + [(0, None)] * (2 * goal.size)
    return linprog(cost, A_eq=np.hstack([shares, eye, -eye]), b_eq=goal, bounds=bounds).fun < 1e-8


def exhausted(problem, grid, most=6):
    """The least number of grid points that makes the target stationary; None if it is more than ``most``."""
    candidates = [(np.array(x, dtype=float), y) for x in grid for y in (-1.0, 1.0)]
    for n in range(most + 1):
        for chosen in combinations_with_replacement(candidates, n):
            if stationary(problem, [x for x, _ in chosen], [y for _, y in chosen]):
                return n
    return None


def excludes_fewer(problem, attack):
    """Whether the mixed-integer solver calls that number of points optimal."""
    first = int(attack.bound.n_points)
    solution = highs.solve(MixedIntegerProgram(problem, first, first + 10).program)
    return solution.optimal and round(solution.objective) == attack.n_points


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("strength", [{"C": 1.0}, {"C_R": 0.1}], ids=["sum", "mean"])
def test_never_above_exhaustion_over_a_grid(d, strength):
    """Points of a grid lie in its hull: the least number of them is no smaller than the bound, nor than the optimum of the
    mixed-integer program over the hull, which points of the grid alone may miss."""
    rng, equal = np.random.default_rng(d), 0
    grid = list(product((0.0, 1.0, 2.0) if d == 1 else (0.0, 1.0), repeat=d))
    victim, space = cp.Victim("hinge", **strength), cp.Space.box(0, max(map(max, grid)), d)
    for n_used in (1, 2, 3, 3):
        X = rng.uniform(0, 2, (8, d))
        y = np.where(X.sum(axis=1) + 0.5 * rng.normal(size=8) > d, 1, -1)
        y[:2] = -1, 1
        data = TrainingData.from_user((X, y))
        trainer = victim.trainer(data)
        for _ in range(n_used):
            trainer.add(np.array(grid[rng.integers(len(grid))]), float(rng.choice([-1, 1])))
        problem = Problem(victim, data, AddRows(space), trainer.model)
        attack = optimal(problem, Budget())
        least = exhausted(problem, grid, n_used)
        assert attack.status == "exact" and (attack.kkt.proven_least or excludes_fewer(problem, attack))
        assert least is not None and attack.bound.n_points <= attack.n_points <= least
        equal += attack.n_points == least
    assert equal >= 1


def test_equals_exhaustion_where_the_best_points_are_corners():
    """All of the pull is along the diagonal and wants its far end: the corner, which is a grid point."""
    X = np.array([[1.0, 1.0], [0.9, 1.0], [0.0, 0.0], [0.1, 0.0]])
    data = TrainingData.from_user((X, np.array([1, 1, -1, -1])))
    victim, corner = cp.Victim("hinge", C=0.2), np.array([1.0, 1.0])
    trainer = victim.trainer(data)
    trainer.add(corner, -1.0, 2)
    problem = Problem(victim, data, AddRows(cp.Space.box(0, 1, 2).with_labels([-1])), trainer.model)
    attack = optimal(problem, Budget())
    assert attack.n_points == exhausted(problem, list(product((0.0, 1.0), repeat=2)), 3) == 2


# -------------------------------------------------------------------- integer columns


@pytest.mark.parametrize("strength", [{"C": 0.5}, {"C_R": 0.1}], ids=["sum", "mean"])
@pytest.mark.parametrize("loss", ["hinge", "logistic"])
def test_binary_and_one_hot_columns_against_enumeration(loss, strength):
    """A target that points of the space induce: whole numbers of such points have to be found again."""
    rng = np.random.default_rng(5)
    categories = np.eye(3)[rng.integers(3, size=40)]
    X = np.c_[rng.integers(0, 2, (40, 3)), categories].astype(float)
    y = np.where(X[:, 0] + X[:, 3] + 0.3 * rng.normal(size=40) > 0.8, 1, -1)
    data, victim = TrainingData.from_user((X, y)), cp.Victim(loss, **strength)
    space = cp.Space.box(0, 1, 6).with_integer(range(3)).with_one_hot((3, 4, 5))
    trainer = victim.trainer(data)
    trainer.add(np.array([1.0, 1.0, 0.0, 1.0, 0.0, 0.0]), -1.0, 4)
    trainer.add(np.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.0]), 1.0, 2)
    problem = Problem(victim, data, AddRows(space), trainer.model)
    attack = optimal(problem, Budget(time_limit_s=20))
    assert space.contains(attack.points, tol=0).all()
    assert attack.bound.n_points <= 6
    assert attack.bound.n_points <= attack.n_points or attack.status != "exact"
    assert attack.kkt.difference < 1e-6 if attack.status == "exact" else attack.kkt.residual > 0
    assert attack.n_points <= 8


def test_real_columns_among_binary_ones_make_up_for_rounding():
    rng = np.random.default_rng(2)
    X = np.c_[rng.uniform(0, 1, (60, 2)), rng.integers(0, 2, (60, 4))]
    y = np.where(X.sum(axis=1) + 0.5 * rng.normal(size=60) > 3, 1, -1)
    data, victim = TrainingData.from_user((X, y)), cp.Victim("hinge", C_R=0.05)
    target = cp.targets.label_flip(victim, (X, y), error=0.1).model
    space = cp.Space.box(0, 1, 6).with_integer(range(2, 6))
    attack = optimal(Problem(victim, data, AddRows(space), target), Budget(time_limit_s=5))
    assert space.contains(attack.points, tol=1e-9).all()
    start = cp.max_loss_difference(victim.trainer(data).model, target, space).value
    assert attack.kkt.difference < 0.2 * start
    assert attack.bound.n_points <= attack.n_points <= attack.bound.n_points + 3


# -------------------------------------------------------------------- what cannot be done


@pytest.mark.parametrize("loss", ["hinge", "logistic"])
def test_unattainable_targets_are_refused_with_the_nearest(loss, digits):
    victim, data = cp.Victim(loss, C_R=0.05), TrainingData.from_user(digits.train)
    clean = victim.trainer(data).model
    problem = Problem(victim, data, AddRows(cp.Space.box(0, 1, 64)), cp.LinearModel(5 * clean.coef, clean.intercept))
    with pytest.raises(UnattainableTargetError, match="no number of added points reproduces this target"):
        optimal(problem, Budget())
    nearest = nearest_attainable(problem)
    assert nearest.distance(problem.target) < clean.distance(problem.target)
    there = Problem(victim, data, AddRows(problem.space), nearest)
    assert np.isfinite((tight_bound(there) if loss == "hinge" else perspective_bound(TightProgram(there))).mass)


def test_the_clean_model_needs_nothing(digits):
    victim, data = cp.Victim("logistic", C=1.0), TrainingData.from_user(digits.train)
    attack = optimal(Problem(victim, data, AddRows(cp.Space.box(0, 1, 64)), victim.trainer(data).model), Budget())
    assert (attack.n_points, attack.status) == (0, "exact") and attack.bound.value < 1e-6
    assert attack.points.shape == (0, 64)


def test_spaces_that_are_not_linear_are_refused(digits):
    victim, data = cp.Victim("hinge", C_R=0.05), TrainingData.from_user(digits.train)
    space = cp.Space.box(0, 1, 64).with_ball(np.full(64, 0.5), 2.0)
    with pytest.raises(ValueError, match="this one has ball"):
        optimal(Problem(victim, data, AddRows(space), victim.trainer(data).model), Budget())


# -------------------------------------------------------------------- at size


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "seconds"), [("hinge", 10), ("logistic", 120)])
def test_mnist(loss, seconds, data_folder):
    mnist = cp.datasets.load("mnist_17", data_home=data_folder)
    victim, data = cp.Victim(loss, C_R=0.09), TrainingData.from_user(mnist.train)
    target = cp.targets.label_flip(victim, mnist.train, error=0.05, evaluate=mnist.test, quantiles=(0.2,)).model
    problem = Problem(victim, data, AddRows(cp.Space.box(0, 1, 784)), target)
    started = perf_counter()
    check(optimal(problem, Budget()), problem)
    assert perf_counter() - started < seconds
