"""The KKT attack against a direct cone program, an independent minimiser, and targets that points did induce."""

from __future__ import annotations

import cvxpy
import numpy as np
import pytest
from scipy.optimize import minimize

import convexpoison as cp
from convexpoison.attacks.kkt import kkt, splits, start
from convexpoison.attacks.nearest import nearest_model
from convexpoison.data.training_data import TrainingData
from convexpoison.problem import Problem
from convexpoison.threats import AddRows
from tests.attacks.cases import case, changed

SMOOTH = ("logistic", "squared_hinge")
VICTIMS = [
    cp.Victim(loss, intercept=intercept, **strength)
    for loss in ("hinge", *SMOOTH)
    for intercept in ("regularized", "free", "none")
    for strength in ({"C": 0.5}, {"C_R": 0.1})
]


def induced(victim, data, points, labels, counts):
    trainer = victim.trainer(data)
    for x, y, count in zip(points, labels, counts, strict=True):
        trainer.add(np.asarray(x, dtype=np.float64), float(y), int(count))
    return trainer.model


def small_task(victim, seed=0, d=3, counts=(4, 6), space=None):
    """A target that two points with these copies induced."""
    rng = np.random.default_rng(seed)
    y = np.where(np.arange(20) % 2, 1, -1)
    X = np.clip(rng.normal(size=(20, d)) * 0.3 + 0.4 * y[:, None], -1, 1)
    data = TrainingData.from_user((X, y))
    target = induced(victim, data, [np.full(d, 0.6), np.full(d, -0.5)], [-1, 1], counts)
    return case(victim, data, space or cp.Space.box(-1, 1, d), sum(counts), target=target, progress=False)


def flip_task(digits, loss, n_points):
    victim = cp.Victim(loss, C_R=0.05)
    model = cp.targets.label_flip(victim, digits.train, error=0.1, quantiles=(0.2,), progress=False).model
    data = TrainingData.from_user(digits.train)
    rows = TrainingData.from_user(digits.test, classes=data.classes)
    return case(victim, data, cp.Space.box(0, 1, 64), n_points, target=model, rows=rows, progress=False)


@pytest.mark.parametrize("victim", VICTIMS, ids=str)
def test_finds_points_that_induced_the_target(victim):
    """Two points did it, so the right split leaves no gradient (hinge: but for rows on the margin, which count as without
    loss here and had a share of it)."""
    task = small_task(victim)
    poison = kkt(*task, n_splits=11)
    at_kink = Problem(victim, task.data, AddRows(task.space), task.target).subdifferential.pull_b.size
    assert poison.counts.sum() == 10 and len(poison.points) <= 2
    assert task.space.contains(poison.points).all()
    assert len(poison.info["splits"]) >= 11 - 1
    least = min(split["residual"] for split in poison.info["splits"])
    if victim.loss.smooth:
        assert least < 1e-6 and poison.info["distance"] < 1e-5
    else:
        assert least <= 2.5 * at_kink + 1e-6  # a row's gradient is no longer than sqrt(1 + 3 * 1)
    if victim.intercept != "free":  # a hinge may leave a free intercept an interval to choose from
        model = induced(victim, task.data, poison.points, poison.labels, poison.counts)
        assert model.distance(task.target) == pytest.approx(poison.info["distance"], abs=1e-7)


def cone_program(task, n_positive, conditions=lambda x: []):
    """One split as Koh et al. write it, built afresh: gradients row by row, two points, the losses at the target active."""
    X = task.data.X.toarray() if hasattr(task.data.X, "toarray") else task.data.X
    y, theta, b, victim = task.data.y, task.target.coef, task.target.intercept, task.victim
    n = len(y) + task.max_points
    active = y * (X @ theta + b) < 1 - 1e-9
    gradient = -(y[active, None] * X[active]).sum(axis=0) + victim.rho(n) * theta
    bias = -y[active].sum() + victim.rho(n) * b * victim.intercept_weight
    plus, minus = cvxpy.Variable(theta.size), cvxpy.Variable(theta.size)
    n_negative = task.max_points - n_positive
    low, high = task.space.lower, task.space.upper
    inside = [plus >= low, plus <= high, minus >= low, minus <= high, *conditions(plus), *conditions(minus)]
    inside += [theta @ plus + b <= 1] if n_positive else []
    inside += [theta @ minus + b >= -1] if n_negative else []
    norm = cvxpy.norm(gradient - n_positive * plus + n_negative * minus, 2)
    problem = cvxpy.Problem(cvxpy.Minimize(norm), inside)
    problem.solve(solver="CLARABEL")
    return float(np.hypot(problem.value, bias - n_positive + n_negative))


@pytest.mark.parametrize("n_points", [20, 60])
def test_hinge_is_the_authors_cone_program(digits, n_points):
    task = flip_task(digits, "hinge", n_points)
    poison = kkt(*task, keep="residual")
    for split in poison.info["splits"]:
        assert split["residual"] == pytest.approx(cone_program(task, split["n_positive"]), rel=1e-5, abs=1e-4)
    assert poison.info["residual"] == min(split["residual"] for split in poison.info["splits"])


@pytest.mark.parametrize("part", ["ball", "slab", "constraints"])
def test_hinge_over_convex_spaces(part):
    task = small_task(cp.Victim("hinge", C_R=0.1))
    box = task.space
    space, conditions = {
        "ball": (box.with_ball([0.1, 0, 0], 0.7), lambda x: [cvxpy.norm(x - np.array([0.1, 0, 0])) <= 0.7]),
        "slab": (box.with_slab([1, 1, 0], -0.3, 0.4), lambda x: [x[0] + x[1] >= -0.3, x[0] + x[1] <= 0.4]),
        "constraints": (box.with_constraints(lambda x: [cvxpy.norm1(x) <= 1]), lambda x: [cvxpy.norm1(x) <= 1]),
    }[part]
    task = changed(task, space=space)
    poison = kkt(*task)
    assert space.contains(poison.points, tol=1e-5).all()
    for split in poison.info["splits"]:
        expected = cone_program(task, split["n_positive"], conditions)
        assert split["residual"] == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("loss", SMOOTH)
def test_smooth_losses_do_as_well_as_another_minimiser(loss):
    """One split of a target out of reach, by SLSQP with numerical derivatives from many starts."""
    victim = cp.Victim(loss, C_R=0.1)
    task = changed(small_task(victim, d=2), max_points=4)
    X, y, target = task.data.X, task.data.y, task.target
    found = {split["n_positive"]: split["residual"] for split in kkt(*task).info["splits"]}
    theta = np.append(target.coef, target.intercept)

    def residual(flat, n_positive):
        points = flat.reshape(2, 2)
        rows = np.vstack([X, points])
        labels, weights = np.append(y, [-1, 1]), np.append(np.ones(20), [4 - n_positive, n_positive])
        pull = weights * labels * victim.loss.derivative(labels * (rows @ target.coef + target.intercept))
        return np.linalg.norm(np.append(pull @ rows, pull.sum()) + 0.1 * 24 * theta)

    rng = np.random.default_rng(1)
    for n_positive in (0, 1, 3):
        others = [
            minimize(residual, rng.uniform(-1, 1, 4), (n_positive,), method="SLSQP", bounds=[(-1, 1)] * 4)
            for _ in range(12)
        ]
        best = min(other.fun for other in others)
        assert found[n_positive] == pytest.approx(best, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("loss", ["hinge", "logistic"])
def test_nearest_model_leaves_no_more(digits, loss):
    """The stronger relative, which also chooses the split and the rows on the margin."""
    task = flip_task(digits, loss, 60)
    problem = Problem(task.victim, task.data, AddRows(task.space), task.target)
    assert nearest_model(problem, 60).residual <= kkt(*task, keep="residual", n_starts=3).info["residual"] + 1e-6


def test_reaches_the_targets_error_on_digits(digits):
    """With about as many points as it takes, the kept split's model errs as the target does."""
    task = flip_task(digits, "hinge", 60)
    poison = kkt(*task, keep="error")
    errors = [split["error"] for split in poison.info["splits"]]
    assert poison.info["error"] == max(errors) > 0.01
    model = induced(task.victim, task.data, poison.points, poison.labels, poison.counts)
    assert np.mean((model.decision_function(task.rows.X) > 0) != (task.rows.y > 0)) == poison.info["error"]


class TestSplits:
    def test_grid_and_balance(self):
        task = small_task(cp.Victim("hinge", C_R=0.1))
        problem = Problem(task.victim, task.data, AddRows(task.space), task.target)
        found = splits(problem, 10, 5)
        balance = 0.5 * (10 + start(problem, 10)[-1])
        assert {0, 2, 5, 8, 10} <= set(found) <= {0, 2, 5, 8, 10, round(balance)}
        assert round(balance) in found

    def test_fewer_points_than_splits(self):
        task = small_task(cp.Victim("logistic", C_R=0.1))
        assert splits(Problem(task.victim, task.data, AddRows(task.space), task.target), 2, 7) == [0, 1, 2]

    def test_one_label(self):
        task = small_task(cp.Victim("hinge", C_R=0.1), space=cp.Space.box(-1, 1, 3).with_labels([1]))
        assert (kkt(*task).labels == 1).all()

    def test_time_limit_keeps_one(self, digits):
        poison = kkt(*changed(flip_task(digits, "hinge", 60), time_limit_s=1e-9))
        assert poison.status == "time limit" and len(poison.info["splits"]) == 1


def test_same_seed_same_points():
    task = small_task(cp.Victim("logistic", C_R=0.1))
    np.testing.assert_array_equal(kkt(*task, n_starts=3).points, kkt(*task, n_starts=3).points)


@pytest.mark.parametrize(
    "changes, options, message",
    [
        ({"target": None}, {}, "aims at a model"),
        ({"victim": cp.Victim("squared", C=1.0)}, {}, "regression"),
        ({}, {"n_splits": 1}, "n_splits must be"),
        ({}, {"n_starts": 0}, "n_starts must be"),
        ({}, {"keep": "best"}, "keep must be"),
        ({}, {"keep": "error"}, "needs rows"),
        ({"space": cp.Space.box(-1, 1, 3).with_integer()}, {}, "convex space"),
        ({"victim": cp.Victim("logistic", C=1.0), "space": cp.Space.box(-1, 1, 3).with_ball([0, 0, 0], 1)}, {}, "ball"),
        ({"space": cp.Space.box(0.9, 1, 3).with_labels([1])}, {}, "no split"),
    ],
)
def test_bad_input(changes, options, message):
    task = small_task(cp.Victim("hinge", C_R=0.1))
    if message == "no split":
        changes = changes | {"target": cp.LinearModel([5.0, 5.0, 5.0], 0.0)}
    with pytest.raises(ValueError, match=message):
        kkt(*changed(task, **changes), **options)


@pytest.mark.parametrize("part", ["ball", "slab", "both"])
def test_points_lie_in_the_space_where_the_solver_is_rough(part, monkeypatch):
    """Only the box was seen to: a solver that stops early leaves points outside balls and slabs."""
    space = cp.Space.box(-1, 1, 3)
    if part != "slab":
        space = space.with_ball(np.zeros(3), 0.7)
    if part != "ball":
        space = space.with_slab(np.array([1.0, 1.0, 1.0]), -1.0, 1.0)
    solve = cvxpy.Problem.solve

    def rough(self, **options):
        value = solve(self, **options)
        for variable in self.variables():
            if variable.shape == (3,):
                variable.value = variable.value * 1.01
        return value

    exact = kkt(*small_task(cp.Victim("hinge", C=0.5), space=space), n_splits=3)
    with monkeypatch.context() as patch:
        patch.setattr(cvxpy.Problem, "solve", rough)
        found = kkt(*small_task(cp.Victim("hinge", C=0.5), space=space), n_splits=3)
    assert space.contains(exact.points).all() and space.contains(found.points).all()
    assert not space.contains(1.01 * exact.points).all()  # so rough points do lie outside
    np.testing.assert_allclose(found.points, exact.points, atol=0.02)


@pytest.mark.parametrize("options", [{"n_splits": "a"}, {"n_starts": None}, {"n_splits": np.inf}])
def test_counts_that_are_no_numbers_are_refused(options):
    with pytest.raises(ValueError, match="must be a whole number of at least"):
        kkt(*small_task(cp.Victim("hinge", C=0.5)), **options)
