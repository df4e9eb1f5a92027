"""Bounds for goals: no attack reaches a goal with fewer points than they say."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from convexpoison.data import TrainingData
from convexpoison.datasets import Dataset
from convexpoison.goal_bounds.bounds import GoalBound, certified_robustness, goal_bound, robustness_curve
from convexpoison.goal_bounds.certificate import Barrier, Ground
from convexpoison.goal_bounds.fit import support
from convexpoison.goal_bounds.search import Section
from convexpoison.goals import ErrorRate, Flip, Misclassify
from convexpoison.losses import get_loss
from convexpoison.model import LinearModel
from convexpoison.spaces import Space
from convexpoison.victim import Victim

LOSSES = ("hinge", "logistic", "squared_hinge")
INTERCEPTS = ("regularized", "free", "none")
losses, intercepts, means = st.sampled_from(LOSSES), st.sampled_from(INTERCEPTS), st.booleans()
seeds = st.integers(0, 2**32 - 1)


def make_victim(loss: str, mean: bool, intercept: str) -> Victim:
    size = {"C_R": 0.3} if mean else {"C": 0.2}
    return Victim(loss, intercept=intercept, intercept_scaling=1.5, **size)


def clean_rows(seed: int, d: int, n: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Two overlapping classes in the unit box."""
    rng = np.random.default_rng(seed)
    y = np.where(np.arange(n) % 2, 1.0, -1.0)
    return np.clip(0.5 + 0.25 * y[:, None] + rng.normal(scale=0.2, size=(n, d)), 0.0, 1.0), y


def poisoned(victim: Victim, data: TrainingData, points: np.ndarray, labels: np.ndarray) -> LinearModel:
    """What the victim learns from the clean rows and these, trained afresh."""
    X = np.vstack([data.X.toarray() if sp.issparse(data.X) else data.X, points])
    weights = np.append(data.sample_weight, np.ones(len(labels)))
    return victim.trainer(TrainingData(X, np.concatenate([data.y, labels]), weights, data.classes)).model


# -------------------------------------------------------------------- against every attack


@pytest.mark.parametrize("mean", [True, False])
@pytest.mark.parametrize("intercept", INTERCEPTS)
@pytest.mark.parametrize("loss", LOSSES)
def test_no_attack_on_a_grid_beats_the_bound(loss: str, intercept: str, mean: bool) -> None:
    """Every multiset of up to two points at the corners and in the middle (three at the corners), refitted exactly."""
    d = 1 if intercept == "none" else 2
    X, y = clean_rows(3, d)
    victim, space, data = make_victim(loss, mean, intercept), Space.box(0, 1, d), TrainingData.from_user((X, y))
    rows = np.random.default_rng(5).random((12, d))
    found = certified_robustness(rows, victim, (X, y), space, rounds=2)
    assert found.certified
    clean = np.sign(victim.fit(X, y).decision_function(rows))
    corners = np.array(list(itertools.product((0.0, 1.0), repeat=d)))
    grid = np.vstack([corners, np.full((1, d), 0.5)])
    for n, points in ((1, grid), (2, grid), (3, corners)):
        atoms = [(x, label) for x in points for label in (-1.0, 1.0)]
        for attack in itertools.combinations_with_replacement(atoms, n):
            chosen = np.array([x for x, _ in attack]), np.array([label for _, label in attack])
            scores = poisoned(victim, data, *chosen).decision_function(rows)
            flipped = clean * scores < -1e-7
            assert (found.n_points[flipped] <= n).all()


def test_the_bounds_of_the_grid_are_not_trivial() -> None:
    X, y = clean_rows(3, 2)
    rows = np.random.default_rng(5).random((12, 2))
    most = [
        certified_robustness(rows, make_victim(loss, True, "regularized"), (X, y), Space.box(0, 1, 2)).n_points.max()
        for loss in LOSSES
    ]
    assert min(most) >= 2 and max(most) >= 3


@settings(max_examples=60)
@given(seed=seeds, loss=losses, mean=means, intercept=intercepts, parts=st.sampled_from(["box", "hull", "loose hull"]))
def test_whatever_is_reached_is_not_excluded(seed: int, loss: str, mean: bool, intercept: str, parts: str) -> None:
    """Poison at random, and look at what the victim then says: no reference and no slopes may exclude that."""
    rng = np.random.default_rng(seed)
    d = 3
    space = (
        Space.box(0, 1, d) if parts == "box" else Space.box(0, 1, d).with_one_hot([0, 2], at_most_one="loose" in parts)
    )
    X, y = clean_rows(seed, d, 10)
    m, victim, data = int(rng.integers(1, 12)), make_victim(loss, mean, intercept), TrainingData.from_user((X, y))
    points = draw(rng, m, parts)
    model = poisoned(victim, data, points, rng.choice([-1.0, 1.0], size=m))
    ground = Ground(victim, data, replace(space, labels=(-1, 1)))
    goal_rows = rng.random((int(rng.integers(1, 4)), d))
    labels = -np.sign(model.decision_function(goal_rows))
    theta = np.append(model.coef, model.intercept)[: ground.metric.size]
    for spread in (0.0, 0.1, 1.0):
        reference = theta + spread * rng.normal(size=theta.size)
        for slopes in (rng.random(10), np.clip(-get_loss(loss).derivative(y * model.decision_function(X)), 0.0, None)):
            pulls = ground.pulls(goal_rows, labels, rng.random(labels.size))
            assert Barrier(ground, reference, slopes, pulls).excess(float(m)) <= 1e-6


def draw(rng: np.random.Generator, m: int, parts: str) -> np.ndarray:
    """Points of the space, often at its corners."""
    points = np.where(rng.random((m, 3)) < 0.5, rng.random((m, 3)), rng.integers(0, 2, size=(m, 3)))
    if parts != "box":
        hot = rng.integers(0, 2 + (parts == "loose hull"), size=m)
        points[:, 0], points[:, 2] = hot == 0, hot == 1
    return points


@settings(max_examples=25)
@given(seed=seeds, loss=losses, mean=means, intercept=intercepts)
def test_random_poison_below_the_bound_flips_nothing(seed: int, loss: str, mean: bool, intercept: str) -> None:
    rng = np.random.default_rng(seed)
    victim, (X, y) = make_victim(loss, mean, intercept), clean_rows(seed % 7, 2, 40)
    row = rng.random(2)
    bound = goal_bound(Flip(row), victim, (X, y), Space.box(0, 1, 2), rounds=1)
    n = bound.n_points - 1
    if n < 1:
        return
    data, clean = TrainingData.from_user((X, y)), bound.clean
    points = rng.integers(0, 2, size=(n, 2)).astype(float)
    # Labels that pull the row to the other side, most of the time.
    against = -np.sign(clean.decision_function(row[None])[0])
    model = poisoned(victim, data, points, np.where(rng.random(n) < 0.8, against, -against))
    assert not bound.goal(model)


def test_a_set_of_rows_costs_at_least_what_its_dearest_row_costs_roughly(digits: Dataset) -> None:
    victim = Victim("hinge", C_R=0.05)
    clean = victim.fit(*digits.train)
    right = np.flatnonzero(clean.predict(digits.X_test) == digits.y_test)[:6]
    goal = Misclassify(digits.X_test[right], digits.y_test[right])
    together = goal_bound(goal, victim, digits.train, digits.space)
    alone = certified_robustness(digits.X_test[right], victim, digits.train, digits.space)
    assert together.certified and together.value >= 0.95 * alone.values.max()
    data = TrainingData.from_user(digits.train)
    trainer, n = victim.trainer(data), 0
    opposite = np.where(digits.y_test[right] == clean.classes[1], -1.0, 1.0)
    while not goal(trainer.model):
        for x, label in zip(digits.X_test[right], opposite, strict=True):
            trainer.add(x, label)
            n += 1
    assert together.n_points <= n


@pytest.mark.parametrize(
    "victim",
    [
        Victim("hinge", C_R=0.05),
        Victim("hinge", C=1.0, intercept="free"),
        Victim("logistic", C_R=0.02, intercept="free"),
        Victim("squared_hinge", C_R=0.05),
    ],
)
def test_copies_of_the_row_bracket_the_bound_on_digits(victim: Victim, digits: Dataset) -> None:
    rows = digits.X_test[:3]
    found = certified_robustness(rows, victim, digits.train, digits.space)
    assert found.certified and found.n_points.max() > 1
    data = TrainingData.from_user(digits.train)
    for row, bound in zip(rows, found.n_points, strict=True):
        trainer, n = victim.trainer(data), 0
        sign = np.sign(trainer.model.decision_function(row[None])[0])
        while sign * trainer.model.decision_function(row[None])[0] > 0:
            trainer.add(row, -sign)
            n += 1
        assert bound <= n


# -------------------------------------------------------------------- the parts


@settings(max_examples=50)
@given(seed=seeds, loss=losses)
def test_support_lines_stay_below_the_loss(seed: int, loss: str) -> None:
    rng = np.random.default_rng(seed)
    slopes = rng.random(20) * (3.0 if loss == "squared_hinge" else 1.0)
    u = rng.normal(scale=4.0, size=200)
    lines = support(get_loss(loss), slopes)[:, None] - slopes[:, None] * u
    assert (lines <= get_loss(loss).value(u) + 1e-12).all()


@cache
def small_bound() -> GoalBound:
    return goal_bound(Flip([0.9, 0.9]), Victim("hinge", C_R=0.2), small_rows(), Space.box(0, 1, 2))


def small_rows() -> tuple[np.ndarray, np.ndarray]:
    return clean_rows(0, 2, 60)


def test_what_a_bound_says() -> None:
    bound = small_bound()
    assert bound.certified and bound.verify() and bound.method == "reference_model"
    assert float(bound) == bound.value and bound.n_points == np.ceil(bound.value) > 1
    assert bound.goal.label == 1.0 and bound.goal(bound.constrained.between(bound.clean, -0.1))
    assert len(bound.references) == len(bound.proof) and bound.seconds > 0
    assert "certified=True" in repr(bound)


def test_a_stretched_proof_is_refused() -> None:
    bound = small_bound()
    last = bound.proof[-1]
    stretched = Section(last.barrier, last.first, 2.0 * last.last)
    assert not replace(bound, proof=(*bound.proof[:-1], stretched), value=stretched.last).verify()
    assert not replace(bound, value=2.0 * bound.value).verify()
    assert not replace(bound, proof=(replace(bound.proof[0], first=0.5), *bound.proof[1:])).verify()


def test_labels_of_any_kind_sparse_rows_and_weights() -> None:
    bound, (X, y) = small_bound(), small_rows()
    words = np.where(y > 0, "yes", "no")
    victim, space = Victim("hinge", C_R=0.2), Space.box(0, 1, 2)
    sparse = goal_bound(Flip(sp.csr_matrix([[0.9, 0.9]]), "yes"), victim, (sp.csr_matrix(X), words), space)
    assert sparse.value == pytest.approx(bound.value, rel=5e-3) and sparse.goal.label == "yes"
    doubled = goal_bound(Flip([0.9, 0.9]), victim, (X, y), space, sample_weight=np.full(60, 2.0))
    assert doubled.value == pytest.approx(2.0 * bound.value, rel=5e-3)  # mean convention: everything scales


def test_fewer_choices_for_the_attacker_never_weaken_the_bound() -> None:
    bound, (X, y) = small_bound(), small_rows()
    victim = Victim("hinge", C_R=0.2)
    harmless = goal_bound(Flip([0.9, 0.9]), victim, (X, y), Space.box(0, 1, 2).with_labels([1]))
    small = goal_bound(Flip([0.9, 0.9]), victim, (X, y), Space.box(0.4, 0.6, 2))
    assert harmless.value > 3 * bound.value and small.value > bound.value


def test_nothing_is_proven_where_nothing_holds() -> None:
    X, y = small_rows()
    everywhere = goal_bound(Flip([0.9, 0.9]), Victim("hinge", C_R=0.2), (X, y), Space.box(-np.inf, np.inf, 2))
    loose = goal_bound(Flip([0.9, 0.9]), Victim("logistic", C=np.inf), (X, y), Space.box(0, 1, 2))
    for bound in (everywhere, loose):
        assert bound.value == 0.0 and bound.n_points == 0 and bound.method == "trivial" and bound.references == ()
    reached = goal_bound(Misclassify([[0.9, 0.9]], [-1.0]), Victim("hinge", C_R=0.2), (X, y))
    assert reached.value == 0.0 and reached.goal(reached.clean)


def test_the_curve_falls_from_all_to_none(digits: Dataset) -> None:
    n, fraction = robustness_curve([3, 1, 3, 7])
    assert n.tolist() == [0, 1, 3, 7] and fraction.tolist() == [1.0, 0.75, 0.25, 0.0]
    victim = Victim("hinge", C_R=0.05)
    one, two = (certified_robustness(digits.X_test[:4], victim, digits.train, digits.space, n_jobs=k) for k in (1, 2))
    assert one.values == pytest.approx(two.values, rel=5e-3)
    assert (np.diff(one.curve()[1]) < 0).all()
    assert list(one.to_frame().columns) == ["n_points", "values", "margins", "predictions"]
    with pytest.raises(ValueError, match="at least one row"):
        robustness_curve([])


def test_goals_stop_an_attack() -> None:
    model = LinearModel(np.array([1.0, 0.0]), -0.5, classes=("no", "yes"))
    assert Flip([0.0, 1.0], "yes")(model) and not Flip([0.0, 1.0], "no")(model)
    assert Flip([1.0, 1.0]).bind(model).label == "yes"
    assert Misclassify([[1.0, 0.0], [0.0, 0.0]], ["no", "yes"])(model)
    assert not Misclassify([[1.0, 0.0], [0.0, 0.0]], ["no", "no"])(model)
    with pytest.raises(ValueError, match="does not know what the clean model predicts"):
        Flip([1.0, 0.0])(model)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda X, y, v: Flip([np.nan, 0.0]), ValueError, "NaN"),
        (lambda X, y, v: Flip([[0.0, 0.0], [1.0, 1.0]]), ValueError, "one row"),
        (lambda X, y, v: Misclassify([[0.0, 0.0]], [1, 1]), ValueError, "must match"),
        (lambda X, y, v: goal_bound(Flip([0.0]), v, (X, y)), ValueError, "1 features where 2"),
        (lambda X, y, v: goal_bound(Misclassify([[0.0]], [1.0]), v, (X, y)), ValueError, "1 features where 2"),
        (lambda X, y, v: goal_bound(Misclassify([[0.0, 0.0]], [7]), v, (X, y)), ValueError, "does not know"),
        (
            lambda X, y, v: goal_bound(Flip([0.9, 0.9], -1.0), v, (X, y)),
            ValueError,
            "predicts 1.0 for this row already",
        ),
        (lambda X, y, v: goal_bound(ErrorRate(0.1, X, y), v, (X, y)), TypeError, "Flip or Misclassify"),
        (lambda X, y, v: goal_bound(Flip([0, 0]), Victim("squared", C=1.0), (X, y)), ValueError, "regression"),
        (lambda X, y, v: goal_bound(Flip([0, 0]), v, (X, y), Space.box(0, 1, 3)), ValueError, "space has 3 columns"),
        (lambda X, y, v: goal_bound(Flip([0, 0]), v, (X, y), rounds=-1), ValueError, "rounds"),
        (lambda X, y, v: certified_robustness(np.ones((2, 3)), v, (X, y)), ValueError, "3 features where 2"),
    ],
)
def test_bad_input_is_named(make, error: type[Exception], message: str) -> None:  # type: ignore[no-untyped-def]
    X, y = clean_rows(0, 2)
    with pytest.raises(error, match=message):
        make(X, y, Victim("hinge", C_R=0.2))
