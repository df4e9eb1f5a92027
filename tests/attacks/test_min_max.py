"""The min-max attack and its certificate: weak duality, small games in full, the paper's algorithm by hand."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations_with_replacement, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

import convexpoison as cp
from convexpoison.attacks.damage_bound import damage_bound, loss_upper
from convexpoison.attacks.min_max import _Game, min_max
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.losses import get_loss
from tests.attacks.cases import case

VICTIMS = [
    cp.Victim(loss, intercept=intercept, **strength)
    for loss in ("hinge", "squared_hinge", "logistic")
    for intercept in ("regularized", "free", "none")
    for strength in ({"C": 0.5}, {"C_R": 0.1})
]
LEARNERS = ("leader", "dual_averaging")
PLAYS = [(v, learner) for v in VICTIMS for learner in LEARNERS if (v.intercept, learner) != ("free", "dual_averaging")]


def clean_rows(rng, n=14, d=2):
    y = np.where(np.arange(n) % 2, 1, -1)
    return TrainingData.from_user((np.clip(rng.normal(size=(n, d)) * 0.4 + 0.4 * y[:, None], -1, 1), y))


def trained(victim, data, points, labels, counts):
    trainer = victim.trainer(data)
    for x, y, count in zip(points, labels, counts, strict=True):
        trainer.add(np.asarray(x, dtype=np.float64), float(y), float(count))
    return trainer


@pytest.mark.parametrize("victim, learner", PLAYS, ids=lambda p: getattr(p, "loss", p).__class__.__name__)
def test_no_attack_of_a_small_game_exceeds_the_bound(victim, learner):
    """All pairs of corners (a convex loss is largest at a corner): the brute-force value lies in the bracket."""
    data, k = clean_rows(np.random.default_rng(1)), 2
    poison = min_max(*case(victim, data, cp.Space.box(-1, 1, 2), k), learner=learner)
    atoms = list(product([(a, b) for a in (-1, 1) for b in (-1, 1)], (-1, 1)))
    values = []
    for chosen in combinations_with_replacement(atoms, k):
        trainer = trained(victim, data, *zip(*chosen, strict=True), [1] * k)
        values.append(trainer.objective / data.n_rows)
        assert trainer.clean_loss() / data.n_rows <= values[-1] + 1e-12
    assert poison.info["clean_loss"] <= poison.info["objective"] + 1e-12
    assert poison.info["objective"] <= max(values) + 1e-9
    assert max(values) <= poison.info["upper_bound"] * (1 + 1e-9)


@given(seed=st.integers(0, 2**32 - 1), which=st.integers(0, len(PLAYS) - 1))
@settings(max_examples=25)
def test_no_random_attack_exceeds_the_bound(seed, which):
    """Points anywhere, of any number up to the budget."""
    rng, (victim, learner) = np.random.default_rng(seed), PLAYS[which]
    data, k = clean_rows(rng), int(rng.integers(1, 8))
    bound = min_max(*case(victim, data, cp.Space.box(-1, 1, 2), k), learner=learner).info["upper_bound"]
    for _ in range(5):
        n = int(rng.integers(0, k + 1))
        trainer = trained(victim, data, rng.uniform(-1, 1, (n, 2)), rng.choice([-1, 1], n), [1] * n)
        assert trainer.objective / data.n_rows <= bound * (1 + 1e-9)


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "logistic"])
def test_brackets_the_worst_damage_to_digits(digits, loss):
    """The objective that the points cause is within a quarter of what no points exceed."""
    victim, data = cp.Victim(loss, C_R=0.05), TrainingData.from_user(digits.train)
    poison = min_max(*case(victim, data, cp.Space.box(0, 1, 64), 60))
    assert poison.status == "budget" and poison.counts.sum() == 60
    info, trainer = poison.info, trained(victim, data, poison.points, poison.labels, poison.counts)
    assert info["objective"] == pytest.approx(trainer.objective / data.n_rows, rel=1e-6)
    assert info["clean_loss"] == pytest.approx(trainer.clean_loss() / data.n_rows, rel=1e-4)
    assert info["objective"] <= info["upper_bound"] <= 1.25 * info["objective"]
    assert info["clean_loss"] > 1.5 * victim.trainer(data).clean_loss() / data.n_rows


@pytest.mark.parametrize("learner", LEARNERS)
def test_bound_closes_with_many_small_steps(learner):
    """The players' regret vanishes: the mean of late models and the points approach the value of the game."""
    data = clean_rows(np.random.default_rng(2), n=400)
    task = case(cp.Victim("logistic", C_R=0.2), data, cp.Space.box(-1, 1, 2), 200)
    info = min_max(*task, learner=learner).info
    assert info["objective"] <= info["upper_bound"] <= 1.02 * info["objective"]


def test_first_points_are_those_of_largest_loss(digits):
    """The first step by the closed form over a box: the corner against the clean model's coefficients."""
    victim, data = cp.Victim("hinge", C_R=0.05), TrainingData.from_user(digits.train)
    poison = min_max(*case(victim, data, cp.Space.box(0, 1, 64), 2))
    clean = victim.trainer(data).model
    corners = {y: np.where(y * clean.coef < 0, 1.0, 0.0) for y in (-1, 1)}
    losses = {y: max(0.0, 1 - y * (x @ clean.coef + clean.intercept)) for y, x in corners.items()}
    worst = max(losses, key=losses.get)
    assert poison.labels[0] == worst
    used = np.abs(clean.coef) > 1e-12
    np.testing.assert_array_equal(poison.points[0][used], corners[worst][used])


def test_dual_averaging_is_the_papers_algorithm(rng):
    """Algorithm 1 of Steinhardt et al. in a few lines of NumPy: no regulariser, a step size, a ball."""
    n, k, radius, eta = 30, 8, 0.1, 0.7  # the ball is reached
    X, y = rng.uniform(-1, 1, (n, 2)), np.where(np.arange(n) % 2, 1, -1)  # labels at random: the victim has an optimum
    victim = cp.Victim("logistic", C=np.inf, intercept="none")
    task = case(victim, TrainingData.from_user((X, y)), cp.Space.box([-1, -0.9], [0.8, 1]), k)
    poison = min_max(*task, learner="dual_averaging", radius=radius, step_size=eta)
    corners, bound = np.array(list(product((-1, 0.8), (-0.9, 1)))), np.inf
    z, lam, theta = np.zeros(2), 1 / eta, np.zeros(2)
    for x, label in zip(poison.points, poison.labels, strict=True):
        largest = np.log1p(np.exp(np.abs(corners @ theta))).max()  # both labels are allowed
        assert np.log1p(np.exp(-label * (x @ theta))) == pytest.approx(largest, rel=1e-12)
        bound = min(bound, (np.log1p(np.exp(-y * (X @ theta))).sum() + k * largest) / n)
        g = -(y / (1 + np.exp(y * (X @ theta)))) @ X / n - k / n * label * x / (1 + np.exp(label * (x @ theta)))
        z = z - g
        lam = max(lam, np.linalg.norm(z) / radius)
        theta = z / lam
    assert poison.info["upper_bound"] <= bound * (1 + 1e-12)


def test_decoy_points_are_the_worst_with_little_loss_under_it(digits):
    """Every step against a linear program of SciPy for each label; the bound is still that of all points."""
    victim, data = cp.Victim("hinge", C_R=0.05), TrainingData.from_user(digits.train)
    decoy = cp.targets.label_flip(victim, digits.train, error=0.1, quantiles=(0.2,), progress=False).model
    task = case(victim, data, cp.Space.box(0, 1, 64), 12)
    poison = min_max(*task, decoy=decoy)
    margins = data.y * decoy.decision_function(data.X)
    least = {y: min(1.0, np.quantile(margins[data.y == y], 0.1)) for y in (-1, 1)}
    for t in range(12):
        before = trained(victim, data, poison.points[:t], poison.labels[:t], poison.counts[:t]).model
        worst = []
        for y in (-1, 1):
            row = -y * decoy.coef[None]
            found = linprog(y * before.coef, A_ub=row, b_ub=[y * decoy.intercept - least[y]], bounds=(0, 1))
            worst.append(1 - found.fun - y * before.intercept)
        x, y = poison.points[t], poison.labels[t]
        assert y * (x @ decoy.coef + decoy.intercept) >= least[y] - 1e-7
        assert 1 - y * (x @ before.coef + before.intercept) == pytest.approx(max(worst), abs=1e-5)
    free = min_max(*task)
    assert poison.info["objective"] <= min(poison.info["upper_bound"], free.info["upper_bound"])


@pytest.mark.parametrize(
    "space",
    [
        cp.Space.box(-1, 1, 2).with_integer(),
        cp.Space.box(-1, 1, 2).with_ball([0, 0], 1.0),
        cp.Space.box(-1, 1, 2).with_slab([1, 1], -0.5, 0.5),
        cp.Space.box(0, 1, 2).with_one_hot([0, 1]),
        cp.Space.box(-1, 1, 2).with_labels([1]),
    ],
    ids=["integer", "ball", "slab", "one-hot", "one label"],
)
def test_points_lie_in_the_space_and_the_bound_holds_there(space, rng):
    data = clean_rows(rng)
    for loss in ("hinge", "logistic"):
        victim = cp.Victim(loss, C_R=0.1)
        poison = min_max(*case(victim, data, space, 8))
        assert space.contains(poison.points, tol=1e-6).all()
        assert set(poison.labels) <= set(space.labels)
        assert poison.info["objective"] <= poison.info["upper_bound"] < np.inf


def test_goal_budget_copies_and_time(digits):
    victim, data = cp.Victim("hinge", C_R=0.05), TrainingData.from_user(digits.train)
    space = cp.Space.box(0, 1, 64)
    many = min_max(*case(victim, data, space, 25), copies=10)
    np.testing.assert_array_equal(many.counts, [10, 10, 5])
    clean = victim.trainer(data).model
    goal = lambda model: model.distance(clean) > 0.5  # noqa: E731
    found = min_max(*case(victim, data, space, 60, goal=goal))
    assert found.status == "goal" and 0 < found.counts.sum() < 60
    assert goal(trained(victim, data, found.points, found.labels, found.counts).model)
    some = min_max(*case(victim, data, space, 10**6, time_limit_s=0.2))
    assert some.status == "time limit" and some.info["objective"] <= some.info["upper_bound"]


@pytest.mark.parametrize("learner", LEARNERS)
def test_ctrl_c_keeps_the_points_so_far(learner, rng):
    data, calls = clean_rows(rng), []

    class Interrupting(_Game):
        def answer(self, model):
            calls.append(model)
            if len(calls) == 5:
                raise KeyboardInterrupt
            return super().answer(model)

    task = case(cp.Victim("hinge", C_R=0.1), data, cp.Space.box(-1, 1, 2), 20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("convexpoison.attacks.min_max._Game", Interrupting)
        poison = min_max(*task, learner=learner)
    assert poison.status == "interrupted" and poison.counts.sum() == 4
    assert poison.info["objective"] <= poison.info["upper_bound"]


class TestDamageBound:
    @given(margin=st.floats(-1e6, 1e6), loss=st.sampled_from(["hinge", "squared_hinge", "logistic"]))
    @settings(max_examples=300)
    def test_losses_are_rounded_up(self, margin, loss):
        mpmath = pytest.importorskip("mpmath", reason="mpmath is not installed (extra 'test')")
        bound = mpmath.mpf(float(loss_upper(get_loss(loss), np.array([margin]))[0]))
        with mpmath.workdps(60):
            u = mpmath.mpf(margin)
            plus = max(mpmath.mpf(0), 1 - u)
            truth = {"hinge": plus, "squared_hinge": plus**2, "logistic": mpmath.log1p(mpmath.exp(-u))}[loss]
            assert truth <= bound <= truth * (1 + mpmath.mpf(2) ** -45) + mpmath.mpf(2) ** -45

    def test_exact_rationals_are_below(self, rng):
        data = clean_rows(rng)
        victim = cp.Victim("hinge", C=0.3, intercept_scaling=0.7)
        for _ in range(20):
            model = cp.LinearModel(rng.normal(size=2), rng.normal())
            top = float(rng.random())
            w, b = [Fraction(float(c)) for c in model.coef], Fraction(model.intercept)
            X = data.X.toarray() if hasattr(data.X, "toarray") else data.X
            total = 5 * Fraction(top)
            for row, label in zip(X, data.y, strict=True):
                score = sum(Fraction(float(a)) * c for a, c in zip(row, w, strict=True)) + b
                total += max(Fraction(0), 1 - int(label) * score)
            total += (sum(c * c for c in w) + (b / Fraction(0.7)) ** 2) / 2 / Fraction(0.3)
            bound = Fraction(damage_bound(victim, data, model, 5, top))
            assert total / 14 <= bound <= total / 14 * (1 + Fraction(1, 10**12))


@pytest.mark.parametrize(
    "victim, options, message",
    [
        (cp.Victim("squared", C=1.0), {}, "regression"),
        (cp.Victim("hinge", C=1.0), {"learner": "follower"}, "learner must be"),
        (cp.Victim("hinge", C=1.0), {"copies": 0}, "copies must be"),
        (cp.Victim("hinge", C=1.0, intercept="free"), {"learner": "dual_averaging"}, "intercept"),
        (cp.Victim("logistic", C=np.inf), {"learner": "dual_averaging"}, "step_size and radius"),
        (cp.Victim("hinge", C=1.0), {"decoy": ([1.0], 0.0)}, "the decoy has 1 features"),
        (cp.Victim("hinge", C=1.0), {"decoy": ([0.1, 0.1], 0.0), "decoy_quantile": 2.0}, "decoy_quantile"),
        (cp.Victim("hinge", C=1.0), {"learner": "dual_averaging", "radius": -1.0}, "radius must be positive"),
    ],
)
def test_bad_input(victim, options, message, rng):
    with pytest.raises(ValueError, match=message):
        min_max(*case(victim, clean_rows(rng), cp.Space.box(-1, 1, 2), 3), **options)
