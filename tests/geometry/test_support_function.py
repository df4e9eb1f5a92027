"""The dearest point: against brute force over vertices and the segments between them, sampling, and linear programs."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convexpoison as cp
from convexpoison.errors import SolverError
from convexpoison.geometry.support_function import dearest, has_point_without_loss, prices, score_range
from convexpoison.learners.dual_vector import DualVector
from convexpoison.learners.losses import LOSSES
from convexpoison.solvers import highs
from convexpoison.solvers.linear_program import LinearProgram, space_rows
from tests.loss_difference.queries import random_space, sample

seeds = st.integers(0, 2**32 - 1)
FRACTIONS = np.linspace(0.0, 1.0, 401)


def pulls(victim, target, v, X, y):
    """``<a(z), v>``; a point that the hinge leaves without loss only adds regularisation."""
    argument = victim.loss.argument(target.decision_function(X), y)
    slope = victim.loss.derivative(argument) * victim.loss.slope(np.full(len(X), float(y)))
    penalty_w, penalty_b = victim.penalty_gradient(target)
    return slope * (X @ v.w + v.b) + victim.kappa * (penalty_w @ v.w + penalty_b * v.b)


def labels_of(victim, space):
    return space.labels if victim.loss.classification else space.response


def best_of(victim, target, space, v, X):
    return max(float(pulls(victim, target, v, X, y).max()) for y in labels_of(victim, space))


def question(rng, loss, d):
    """A victim, a target and a direction, of sizes that differ."""
    strength = [{"C": 0.7}, {"C_R": 0.2}][rng.integers(2)]
    intercept = ["regularized", "free", "none"][rng.integers(3)]
    b, v_b = (0.0, 0.0) if intercept == "none" else rng.normal(size=2)
    target = cp.LinearModel(rng.normal(size=d) * 2.0, b)
    return cp.Victim(loss, intercept=intercept, **strength), target, DualVector(rng.normal(size=d) * 3.0, v_b)


def random_labels(rng, space):
    return space.with_labels([(-1,), (1,), (-1, 1)][rng.integers(3)])


def vertices(space):
    """Of a box with at most one one-hot hull."""
    corners = np.array(list(product(*zip(space.lower, space.upper, strict=True))))
    for group in space.one_hot:
        ones = corners[:, list(group.columns)].sum(axis=1)
        corners = corners[(ones == 1) | ((ones == 0) & group.at_most_one)]
    return np.unique(corners, axis=0)


def along_segments(space, target):
    """Points on all segments between vertices, where the boundary of every image lies; margins of exactly 1 among them."""
    near, far = (np.array(side) for side in zip(*combinations(vertices(space), 2), strict=True))
    X = (near[:, None] + FRACTIONS[:, None] * (far - near)[:, None]).reshape(-1, space.n_features)
    scores = [target.decision_function(side) for side in (near, far)]
    crossings = []
    for y in (-1.0, 1.0):
        moves = scores[0] != scores[1]
        t = (y - scores[0][moves]) / (scores[1] - scores[0])[moves]
        hits = (t >= 0) & (t <= 1)
        crossings.append(near[moves][hits] + t[hits, None] * (far - near)[moves][hits])
    return np.vstack([X, *crossings])


@settings(max_examples=60)
@given(seed=seeds, loss=st.sampled_from(sorted(LOSSES)), hull=st.booleans())
def test_exact_over_boxes_and_hulls_against_all_segments(seed, loss, hull):
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 5 if hull else 6))
    space = random_labels(rng, random_space(rng, {"one_hot"} if hull else set(), d))
    victim, target, v = question(rng, loss, d)
    price = dearest(victim, target, space, v)
    X = along_segments(space, target)
    if loss == "hinge":  # a margin of 1 but for rounding counts as 1
        X = X - 1e-12 * np.outer(target.decision_function(X), target.coef)
    best = best_of(victim, target, space, v, X)
    size = max(1.0, abs(best))
    assert best <= price.upper + 1e-9 * size
    assert price.value <= best + 1e-3 * size  # what a fine grid may miss of a smooth maximum
    assert price.value <= price.upper <= price.value + 1e-9 * size


@settings(max_examples=40)
@given(seed=seeds, loss=st.sampled_from(sorted(LOSSES)), parts=st.sets(st.sampled_from(["one_hot", "slab"])))
def test_the_value_is_that_of_its_point(seed, loss, parts):
    rng = np.random.default_rng(seed)
    space = random_labels(rng, random_space(rng, parts, 4))
    victim, target, v = question(rng, loss, 4)
    price = dearest(victim, target, space, v)
    if price.point is None:
        penalty_w, penalty_b = victim.penalty_gradient(target)
        assert has_point_without_loss(target, space)
        assert price.value == pytest.approx(victim.kappa * (penalty_w @ v.w + penalty_b * v.b))
        return
    assert space.contains(price.point[None], tol=1e-7).all()
    assert price.score == pytest.approx(float(target.coef @ price.point), abs=1e-9)
    if loss == "hinge":
        assert price.label * (price.score + target.intercept) <= 1.0 + 1e-7
    inside = price.point if loss != "hinge" else price.point - 1e-6 * price.label * target.coef
    found = pulls(victim, target, v, inside[None], price.label)[0]
    assert found == pytest.approx(price.value, rel=1e-4, abs=1e-4)


@settings(max_examples=25)
@given(seed=seeds, loss=st.sampled_from(sorted(LOSSES)), hull=st.booleans())
def test_tight_over_slabs_and_never_below_any_point(seed, loss, hull):
    rng = np.random.default_rng(seed)
    space = random_labels(rng, random_space(rng, {"slab", "one_hot"} if hull else {"slab"}, int(rng.integers(2, 5))))
    check_against_points(rng, loss, space)


@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("parts", [{"ball"}, {"ball", "slab"}], ids=str)
def test_tight_over_balls_and_never_below_any_point(loss, parts, rng):
    check_against_points(rng, loss, random_space(rng, parts, 3))


def check_against_points(rng, loss, space):
    victim, target, v = question(rng, loss, space.n_features)
    price = dearest(victim, target, space, v)
    X = sample(space, rng)
    if len(X):
        assert best_of(victim, target, space, v, X) <= price.upper
    size = max(1.0, abs(price.value), float(np.abs(v.w).max()))
    assert -1e-7 * size <= price.upper - price.value <= 1e-7 * size


@pytest.mark.parametrize("parts", [set(), {"slab"}, {"one_hot", "slab"}], ids=str)
def test_hinge_against_linear_programs(parts, rng):
    """The largest ``-y v @ x`` where the margin is at most 1, one program a label."""
    for _ in range(5):
        space = random_space(rng, parts, 4)
        victim, target, v = question(rng, "hinge", 4)
        A, low, high = space_rows(space)
        found = [price for price in prices(victim, target, space, v) if price.point is not None]
        penalty_w, penalty_b = victim.penalty_gradient(target)
        growth = victim.kappa * (penalty_w @ v.w + penalty_b * v.b)
        for y, price in zip(space.labels, found, strict=True):
            rows = np.vstack([A.toarray(), y * target.coef])
            program = LinearProgram(
                -y * v.w,
                space.lower,
                space.upper,
                rows,
                np.append(low, -np.inf),
                np.append(high, 1.0 - y * target.intercept),
                maximize=True,
            )
            solution = highs.solve(program)
            if solution.optimal:
                assert price.value == pytest.approx(solution.objective - y * v.b + growth, abs=1e-7)
            else:
                assert price.value == -np.inf


def test_scaled_directions_have_scaled_prices(rng):
    space = random_space(rng, {"slab"}, 3)
    for loss in sorted(LOSSES):
        victim, target, v = question(rng, loss, 3)
        one = dearest(victim, target, space, v).upper
        for scale in (1e-6, 1e6):
            scaled = dearest(victim, target, space, DualVector(scale * v.w, scale * v.b)).upper
            assert scaled == pytest.approx(scale * one, rel=1e-7)


def test_integers_and_constraints_are_relaxed(rng):
    victim, target, v = question(rng, "logistic", 2)
    box = cp.Space.box(0, 1, 2)
    exact = dearest(victim, target, box, v)
    assert dearest(victim, target, box.with_integer(), v).upper == exact.upper
    assert dearest(victim, target, box.with_constraints(lambda x: [x[0] <= x[1]]), v).upper == exact.upper


def test_points_without_loss_are_worth_what_regularisation_they_add():
    """Under the score 10 x only margins from 10 up: the hinge has no gradient but kappa grad R = 0.1 * 10."""
    space, target = cp.Space.box(1, 2, 1).with_labels([1]), cp.LinearModel([10.0])
    for loss in ("hinge", "squared_hinge"):
        price = dearest(cp.Victim(loss, C_R=0.1, intercept="none"), target, space, DualVector(np.array([3.0]), 0.0))
        assert price.value == pytest.approx(3.0) and price.upper == pytest.approx(3.0, rel=1e-12)
        nothing = dearest(cp.Victim(loss, C=1.0, intercept="none"), target, space, DualVector(np.array([3.0]), 0.0))
        assert nothing.value == nothing.upper == 0.0  # exactly: rounding must not hide that a target is unattainable


def test_a_steep_edge_at_margin_one_is_let_in():
    """The second column hardly moves the margin and moves the product a lot: rounding decides where margin 1 lies on it."""
    target, v = cp.LinearModel([1.0, 1e-15]), DualVector(np.array([0.0, -1.0]), 0.0)
    price = dearest(
        cp.Victim("hinge", C=1.0, intercept="none"), target, cp.Space.box([1, 0], [1, 1]).with_labels([1]), v
    )
    assert price.upper >= 1.0


def test_the_range_of_scores_holds_all_points(rng):
    for parts in (set(), {"one_hot"}, {"slab", "ball"}):
        space, target = random_space(rng, parts, 3), cp.LinearModel(rng.normal(size=3), 5.0)
        low, high = score_range(target, space)
        scores = sample(space, rng) @ target.coef
        assert low <= scores.min() and scores.max() <= high


def test_an_unbounded_space_is_refused(rng):
    victim, target, v = question(rng, "hinge", 2)
    everything = cp.Space.box(-np.inf, np.inf, 2)
    for space in (everything.with_slab([1, 1], 0, 1), everything.with_constraints(lambda x: [x <= 1, x >= 0])):
        with pytest.raises(ValueError, match="finite bounds"):
            dearest(victim, target, space, v)


def test_an_empty_space_is_refused(rng):
    victim, target, v = question(rng, "hinge", 2)
    with pytest.raises(SolverError, match="no point satisfies"):
        dearest(victim, target, cp.Space.box(0, 1, 2).with_slab([1, 1], 1.5).with_slab([1, -1], 0.9), v)
