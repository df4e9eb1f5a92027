"""Filters, and what they cost: formulas by hand, bounds against other bounds, attacks by retraining."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import convexpoison as cp
from convexpoison.bounds.tight import tight_bound
from convexpoison.bounds.tight_by_label import least_mass_by_label
from convexpoison.data.training_data import TrainingData
from convexpoison.defenses import Filter, filter_cost, slab, sphere
from convexpoison.problem import Problem
from convexpoison.spaces.parts import Ball
from convexpoison.threats import AddRows

HINGE, LOGISTIC = cp.Victim("hinge", C_R=0.05), cp.Victim("logistic", C_R=0.05)


def few(rng, d=5, n=60):
    """Two clusters in [0, 1]^d, labels "no" and "yes"."""
    y = np.where(np.arange(n) % 2, "yes", "no")
    centres = np.where((y == "yes")[:, None], 0.65, 0.35)
    return np.clip(centres + 0.12 * rng.normal(size=(n, d)), 0.0, 1.0), y


def flipped_target(victim, X, y, rng, share=0.15):
    """A model trained on rows of which a few more have the wrong label."""
    chosen = rng.choice(len(y), int(share * len(y)), replace=False)
    wrong = np.where(y[chosen] == "yes", "no", "yes")
    return victim.fit(np.vstack([X, X[chosen]]), np.append(y, wrong))


@pytest.mark.parametrize("sparse", [False, True])
def test_a_sphere_is_a_percentile_of_the_distances_to_the_mean(rng, sparse):
    X, y = few(rng)
    made = sphere(sp.csr_matrix(X) if sparse else X, y, percentile=80.0)
    kept = made.keeps(X, y)
    for label, ball in zip(("no", "yes"), made.rules, strict=True):
        distances = np.linalg.norm(X[y == label] - X[y == label].mean(axis=0), axis=1)
        assert ball.radius == pytest.approx(np.percentile(distances, 80.0))
        np.testing.assert_array_equal(kept[y == label], distances <= np.percentile(distances, 80.0) + 1e-9)


def test_a_slab_is_a_percentile_along_the_line_between_the_means(rng):
    X, y = few(rng)
    means = {label: X[y == label].mean(axis=0) for label in ("no", "yes")}
    kept = slab(X, y, percentile=75.0).keeps(X, y)
    for label in ("no", "yes"):
        along = np.abs((X[y == label] - means[label]) @ (means["yes"] - means["no"]))
        np.testing.assert_array_equal(kept[y == label], along <= np.percentile(along, 75.0) + 1e-9)


@pytest.mark.parametrize("make", [sphere, slab])
def test_all_rows_pass_at_the_hundredth_percentile(rng, make):
    X, y = few(rng)
    assert make(X, y, percentile=100.0).keeps(X, y).all()


@pytest.mark.parametrize("make", [sphere, slab])
@settings(max_examples=25)
@given(seed=st.integers(0, 10**6))
def test_spaces_hold_what_the_filter_keeps(make, seed):
    rng = np.random.default_rng(seed)
    X, y = few(rng)
    made, box = make(X, y, percentile=60.0), cp.Space.box(0.0, 1.0, 5)
    points = rng.uniform(size=(40, 5))
    around = made.enclosing(box).contains(points)
    for label in ("no", "yes"):
        inside = made.space(label, box).contains(points)
        np.testing.assert_array_equal(inside, made.keeps(points, np.full(40, label)))
        assert (around | ~inside).all()


def test_the_ball_around_two_balls_touches_both_and_may_be_one_of_them():
    box, zero, one = cp.Space.box(-9.0, 9.0, 2), np.zeros(2), np.array([1.0, 0.0])
    (outer,) = Filter("sphere", 90.0, (0, 1), (Ball(zero, 1.0), Ball(one, 2.5))).enclosing(box).balls
    assert outer.radius == 2.5  # the first lies inside the second
    np.testing.assert_array_equal(outer.center, one)
    (around,) = Filter("sphere", 90.0, (0, 1), (Ball(zero, 1.0), Ball(3 * one, 2.0))).enclosing(box).balls
    assert around.radius == 3.0 and around.center[0] == pytest.approx(2.0)


@pytest.mark.parametrize(
    "victim, cut",
    [
        (HINGE, "none"),
        (HINGE, "ball"),
        (HINGE, "slab"),
        (LOGISTIC, "slab"),
        pytest.param(LOGISTIC, "ball", marks=pytest.mark.slow),
        pytest.param(cp.Victim("squared_hinge", C=0.5, intercept="free"), "slab", marks=pytest.mark.slow),
    ],
    ids=repr,
)
def test_one_space_for_both_labels_costs_what_the_tight_bound_says(rng, victim, cut):
    X, y = few(rng)
    space = cp.Space.box(0.0, 1.0, 5)
    space = {
        "none": space,
        "ball": space.with_ball(np.full(5, 0.5), 0.8),
        "slab": space.with_slab(np.ones(5), 1.0, 4.0),
    }[cut]
    problem = Problem(victim, TrainingData.from_user((X, y)), AddRows(space), flipped_target(victim, X, y, rng))
    whole = tight_bound(problem)
    box = Problem(victim, problem.data, AddRows(cp.Space.box(0.0, 1.0, 5)), problem.target)
    found = least_mass_by_label(box, {-1.0: space.with_labels([-1]), 1.0: space.with_labels([1])})
    assert found.bound == pytest.approx(whole.value, rel=1e-4)
    assert found.bound <= found.mass * (1 + 1e-6) and found.bound <= whole.mass * (1 + 1e-6)


@pytest.mark.parametrize(
    "victim, make",
    [(HINGE, sphere), (HINGE, slab), (LOGISTIC, slab), pytest.param(LOGISTIC, sphere, marks=pytest.mark.slow)],
)
def test_a_filter_can_only_cost_the_attacker_more_on_the_same_rows(rng, victim, make):
    X, y = few(rng)
    made, box = make(X, y, percentile=95.0), cp.Space.box(0.0, 1.0, 5)
    kept = made.keeps(X, y)
    problem = Problem(
        victim, TrainingData.from_user((X[kept], y[kept])), AddRows(box), flipped_target(victim, X, y, rng)
    )
    spaces = {-1.0: made.space("no", box), 1.0: made.space("yes", box)}
    found = least_mass_by_label(problem, spaces)
    free = tight_bound(problem)
    around = tight_bound(Problem(victim, problem.data, AddRows(made.enclosing(box)), problem.target))
    assert free.value <= around.value * (1 + 1e-5) <= found.mass * (1 + 2e-5)
    assert found.bound <= found.mass * (1 + 1e-6)
    for part in found.attack:
        assert spaces[part.label].contains(part.point[None], tol=1e-4).all()


@pytest.mark.parametrize("victim, make", [(HINGE, sphere), (HINGE, slab), (LOGISTIC, slab)])
def test_filter_cost_retrains_and_tells(rng, victim, make):
    X, y = few(rng)
    made = make(X, y, percentile=95.0)
    target = flipped_target(victim, X, y, rng)
    cost = filter_cost(target, (X, y), made, victim=victim, space=cp.Space.box(0.0, 1.0, 5))
    assert cost.n_points is not None and cost.bound <= cost.n_points + 1e-6
    assert cost.difference < 1.0 and cost.n_clean_dropped == np.count_nonzero(~made.keeps(X, y))
    assert cost.bound == pytest.approx(
        cp.lower_bound(target, (X, y), victim=victim, space=cp.Space.box(0.0, 1.0, 5)).value, rel=1e-4
    )
    if cost.n_points_filtered is not None:
        assert cost.bound_filtered <= cost.n_points_filtered + 1e-6
        assert cost.ratio == cost.n_points_filtered / cost.n_points
    assert json.dumps(cost.to_dict())


def test_the_cost_as_a_table(rng, pandas):
    X, y = few(rng)
    made = slab(X, y, percentile=95.0)
    cost = filter_cost(flipped_target(HINGE, X, y, rng), (X, y), made, victim=HINGE, space=cp.Space.box(0.0, 1.0, 5))
    assert cost.to_frame().shape == (1, len(cost.to_dict()))


def test_a_target_that_the_filter_puts_out_of_reach(digits):
    target = cp.targets.label_flip(HINGE, digits.train, error=0.10, evaluate=digits.test).model
    cost = filter_cost(target, digits.train, slab(*digits.train), victim=HINGE, space=digits.space)
    assert cost.n_points_filtered is None and cost.ratio == np.inf
    assert cost.bound_filtered > 10 * len(digits.y_train)
    assert cost.n_caught > 0


def test_what_cannot_be_used_is_refused(rng):
    X, y = few(rng)
    target, box = flipped_target(HINGE, X, y, rng), cp.Space.box(0.0, 1.0, 5)
    for percentile in (0.0, 101.0, float("nan")):
        with pytest.raises(ValueError, match="percentile"):
            sphere(X, y, percentile=percentile)
    with pytest.raises(ValueError, match="same mean"):
        slab(np.vstack([X, X]), np.append(np.full(60, "no"), np.full(60, "yes")))
    with pytest.raises(ValueError, match="no radius"):
        sphere(np.repeat([[0.0], [1.0]], 5, axis=0), np.repeat([0, 1], 5))
    with pytest.raises(ValueError, match="labels"):
        sphere(X, y).space("perhaps", box)
    with pytest.raises(TypeError, match="filter"):
        filter_cost(target, (X, y), box, victim=HINGE)
    with pytest.raises(ValueError, match="was made for labels"):
        filter_cost((target.coef, target.intercept), (X, np.where(y == "yes", 1, 0)), sphere(X, y), victim=HINGE)
    with pytest.raises(ValueError, match=r"attack\(goal"):
        filter_cost(cp.goals.ErrorRate(0.3, X, y), (X, y), sphere(X, y), victim=HINGE)
