"""The tight bound: never above what reproduces the target, as low and as high as independent programs say."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convexpoison as cp
from convexpoison import datasets
from convexpoison.bounds.tight import tight_bound
from convexpoison.bounds.tight_program import TightProgram
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.losses import LOSSES
from convexpoison.problem import Problem
from convexpoison.threats import AddRows
from tests.bounds.tight_problems import (
    INTERCEPTS,
    STRENGTHS,
    VICTIMS,
    check,
    columns,
    flipped,
    reachable,
    replace_space,
    training,
)
from tests.loss_difference.queries import random_space, sample

seeds = st.integers(0, 2**32 - 1)


# -------------------------------------------------------------------- against points that are known to be enough


@settings(max_examples=40)
@given(seed=seeds, k=st.integers(1, 6), victim=st.sampled_from(VICTIMS))
def test_no_more_than_the_points_that_were_added(seed, k, victim):
    rng = np.random.default_rng(seed)
    check(reachable(rng, victim, cp.Space.box(-1, 1, 2).with_response(-2, 2), k), k)


@settings(max_examples=20)
@given(seed=seeds, loss=st.sampled_from(sorted(LOSSES)), parts=st.sets(st.sampled_from(["one_hot", "slab", "integer"])))
def test_no_more_than_the_points_that_were_added_to_a_slab_or_hull(seed, loss, parts):
    rng = np.random.default_rng(seed)
    space = random_space(rng, parts, 3)
    if len(sample(space, np.random.default_rng(0))) < 100:
        return
    victim = cp.Victim(loss, intercept=INTERCEPTS[seed % 3], **STRENGTHS[seed % 2])
    check(reachable(rng, victim, space, 3), 3)


@pytest.mark.parametrize("loss", ["hinge", "logistic"])
def test_balls(loss, rng):
    space = cp.Space.box(-1, 1, 3).with_ball([0.2, 0.0, 0.0], 0.9).with_labels([1])
    problem = reachable(rng, cp.Victim(loss, C_R=0.1), space, 3)
    bound = check(problem, 3)
    # A smaller space costs no less.
    assert bound.value >= tight_bound(replace_space(problem, cp.Space.box(-1, 1, 3).with_labels([1]))).value - 1e-6


def test_a_ball_that_does_not_bind_changes_nothing(rng):
    space = cp.Space.box(-1, 1, 3)
    problem = reachable(rng, cp.Victim("hinge", C=1.0), space, 3)
    wide = replace_space(problem, space.with_ball(np.zeros(3), 2.0))
    assert tight_bound(wide).value == pytest.approx(tight_bound(problem).value, rel=1e-7)


def test_boundary_rows_carry_part_of_the_load(rng):
    """Rows with a margin of exactly 1 take any share; were they left out of G, the bound would exceed what is needed."""
    seen = 0
    for strength, intercept, k in product(STRENGTHS, INTERCEPTS, (1, 3)):
        problem = reachable(rng, cp.Victim("hinge", intercept=intercept, **strength), cp.Space.box(-1, 1, 2), k)
        seen += problem.subdifferential.pull_b.size
        assert check(problem, k).value <= k + 1e-7
    assert seen > 6


def test_points_without_loss(rng):
    """Far points on the right side add regularisation and no loss: in the mean convention they shrink the model."""
    X, y = rng.normal(size=(20, 2)) * 0.3 + np.repeat([[1.0, 0.0], [-1.0, 0.0]], 10, axis=0), np.repeat([1, -1], 10)
    victim, space = cp.Victim("hinge", C_R=0.05), cp.Space.box([40, 0], [50, 0]).with_labels([1])
    target = victim.fit(np.vstack([X, [[50.0, 0.0]] * 4]), np.append(y, [1] * 4))
    problem = Problem(victim, TrainingData.from_user((X, y)), AddRows(space), target)
    bound = check(problem, 4)
    assert [part.point for part in bound.attack] == [None] and bound.attack[0].label == 0.0
    assert bound.value == pytest.approx(4.0, rel=1e-7)


def test_nothing_to_do_for_the_clean_model(rng):
    for victim in VICTIMS:
        y = rng.uniform(-1, 1, 20) if not victim.loss.classification else np.where(np.arange(20) % 2, 1, -1)
        data = training(victim, rng.uniform(-1, 1, (20, 2)), y)
        space = cp.Space.box(-1, 1, 2).with_response(-1, 1)
        bound = tight_bound(Problem(victim, data, AddRows(space), victim.trainer(data).model))
        assert bound.value <= 1e-6 and bound.mass <= 1e-5


# -------------------------------------------------------------------- targets out of reach


@pytest.mark.parametrize("victim", VICTIMS, ids=lambda v: f"{v.loss.name}-{v.convention}-{v.intercept}")
def test_targets_out_of_reach_are_proven_so(victim, rng):
    """A model of the clean rows turned around and blown up, when all that may be added speaks against it."""
    X = rng.uniform(0.1, 1, (20, 2))
    y = X[:, 0] * 0.9 + 0.1 * rng.random(20)
    y = y if not victim.loss.classification else np.where(y > np.median(y), 1, -1)
    target = cp.LinearModel([-50.0, 3.0], 0.0)
    space = cp.Space.box(0.1, 1, 2).with_labels([1]).with_response(0.5, 1.0)
    problem = Problem(victim, training(victim, X, y), AddRows(space), target)
    for bound in (tight_bound(problem), tight_bound(problem, solver="cvxpy")):
        assert bound.value == np.inf and bound.mass == np.inf and bound.attack == ()
        assert TightProgram(problem).ratio(bound.direction)[0] == np.inf
    points = columns(problem, rng.uniform(0.1, 1, (2000, 2)))
    v = np.append(bound.direction.w, bound.direction.b)
    assert (points @ v).max() <= 0.0 < problem.subdifferential.dual_objective(bound.direction)


def test_infinity_is_not_claimed_where_rounding_decides():
    """Points x >= 0 of label +1 can only raise w, up to the point x = 0, which does nothing: h is exactly 0."""
    X, y = np.array([[1.0], [0.5], [0.2], [0.9]]), np.array([1, 1, -1, -1])
    problem = Problem(
        cp.Victim("logistic", C=1.0, intercept="none"),
        TrainingData.from_user((X, y)),
        AddRows(cp.Space.box(0, 1, 1).with_labels([1])),
        cp.LinearModel([-1.0]),
    )
    bound = tight_bound(problem)
    assert bound.value > 1e9 and bound.mass == np.inf


def test_labels_matter(rng):
    """What takes one label may be out of reach for the other."""
    problem = reachable(rng, cp.Victim("hinge", C=0.5), cp.Space.box(-1, 1, 2).with_labels([1]), 4)
    both = tight_bound(replace_space(problem, cp.Space.box(-1, 1, 2)))
    one = tight_bound(problem)
    other = tight_bound(replace_space(problem, cp.Space.box(-1, 1, 2).with_labels([-1])))
    assert both.value <= one.value + 1e-9 and both.value <= other.value + 1e-9


# -------------------------------------------------------------------- the rest


def test_whole_points_and_constraints_are_relaxed(rng):
    box = cp.Space.box(-1, 1, 2)
    problem = reachable(rng, cp.Victim("hinge", C_R=0.1), box.with_integer(), 3)
    assert TightProgram(problem).relaxed and check(problem, 3).value == tight_bound(replace_space(problem, box)).value
    cut = replace_space(problem, box.with_constraints(lambda x: [x[0] <= x[1]]))
    assert TightProgram(cut).relaxed and tight_bound(cut).value == tight_bound(replace_space(problem, box)).value


def test_weights_count_as_copies(rng):
    X, y = rng.uniform(-1, 1, (14, 2)), np.where(np.arange(14) % 2, 1, -1)
    copies = rng.integers(1, 4, 14)
    for loss in ("hinge", "logistic"):
        victim = cp.Victim(loss, C_R=0.1)
        X_all, y_all = np.repeat(X, copies, axis=0), np.repeat(y, copies)
        target = victim.fit(np.vstack([X_all, [[1, 1]] * 3]), np.append(y_all, [-1] * 3))
        weighted = TrainingData.from_user((X, y), sample_weight=copies)
        values = [
            tight_bound(Problem(victim, data, AddRows(cp.Space.box(-1, 1, 2)), target)).value
            for data in (weighted, TrainingData.from_user((X_all, y_all)))
        ]
        assert values[0] == pytest.approx(values[1], rel=1e-6) and values[0] <= 3 + 1e-7


def test_the_scale_of_features_does_not_matter(rng):
    """Without regularisation of its own a model in other units is the same model."""
    X, y, added = rng.uniform(0, 1, (30, 3)), np.where(np.arange(30) % 2, 1, -1), rng.uniform(0, 1, (4, 3))
    found = []
    for scale in (1e-2, 1.0, 1e2):
        victim = cp.Victim("hinge", C=0.5 / scale**2, intercept="free")
        target = victim.fit(np.vstack([X, added]) * scale, np.append(y, [1, -1, 1, 1]))
        data = TrainingData.from_user((X * scale, y))
        found.append(tight_bound(Problem(victim, data, AddRows(cp.Space.box(0, scale, 3)), target)).value)
    assert found == pytest.approx([found[1]] * 3, rel=1e-5)


def test_no_time_is_no_harm(digits):
    for loss in ("hinge", "logistic"):
        problem = flipped(digits, cp.Victim(loss, C_R=0.02))
        assert 0.0 <= tight_bound(problem, time_limit_s=0.0).value <= tight_bound(problem).value


def test_unknown_solvers_and_balls_that_a_solver_does_not_take(rng):
    problem = reachable(rng, cp.Victim("hinge", C=1.0), cp.Space.box(-1, 1, 2), 2)
    with pytest.raises(ValueError, match="choose one of"):
        tight_bound(problem, solver="glpk")
    with pytest.raises(ValueError, match="takes no balls"):
        tight_bound(replace_space(problem, cp.Space.box(-1, 1, 2).with_ball([0, 0], 1)), solver="highs")


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["hinge", "logistic"])
def test_mnist(loss, data_folder):
    mnist = datasets.load("mnist_17")
    victim, data = cp.Victim(loss, C_R=0.09), (mnist.X_train, mnist.y_train)
    flip = (mnist.X_test, mnist.y_test)
    model = cp.targets.label_flip(victim, data, error=0.1, flip=flip, quantiles=(0.5,), progress=False).model
    bound = check(Problem(victim, TrainingData.from_user(data), AddRows(cp.Space.box(0, 1, 784)), model))
    assert bound.value > 100 and bound.seconds < 60
