"""The library's own upper bound: never below any point of the space, and tight where it says so."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convexpoison.geometry.weak_duality import linear_upper_bound
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.losses import LOSSES, get_loss
from convexpoison.loss_difference.backends import backend
from convexpoison.loss_difference.query import Proposal, Question
from convexpoison.loss_difference.upper_bound import upper_bound
from convexpoison.numerics.ellipsoid_method import minimize
from convexpoison.spaces.parts import Slab
from convexpoison.spaces.space import Space
from tests.loss_difference.queries import best_of, random_question, random_space, sample

seeds = st.integers(0, 2**32 - 1)
any_parts = st.sets(st.sampled_from(["one_hot", "integer", "slab", "ball"]))
convex_parts = st.sets(st.sampled_from(["one_hot", "slab", "ball"]))


def anywhere(question: Question) -> Proposal:
    """A proposal that helps in nothing."""
    return Proposal(np.where(np.isfinite(question.space.lower), question.space.lower, 0.0), 1.0, None, "made up")


@settings(max_examples=40)
@given(seed=seeds, loss=st.sampled_from(sorted(LOSSES)), parts=any_parts)
def test_no_point_of_the_space_exceeds_the_bound(seed: int, loss: str, parts: set[str]) -> None:
    rng = np.random.default_rng(seed)
    question = random_question(rng, loss, parts)
    bound = upper_bound(question, anywhere(question))
    assert isinstance(bound, float)
    assert best_of(question, sample(question.space, rng)) <= bound


@settings(max_examples=40)
@given(seed=seeds, parts=any_parts)
def test_no_point_of_the_space_exceeds_a_linear_bound(seed: int, parts: set[str]) -> None:
    rng = np.random.default_rng(seed)
    space = random_space(rng, parts, 4)
    c = rng.normal(size=4)
    assert (sample(space, rng) @ c).max(initial=-np.inf) <= linear_upper_bound(space, c)


@settings(max_examples=25)
@given(seed=seeds, parts=convex_parts)
def test_tight_for_hinge_over_convex_spaces(seed: int, parts: set[str]) -> None:
    question = random_question(np.random.default_rng(seed), "hinge", parts)
    proposal = backend("cvxpy").propose(question, None)
    value = question.value_at(proposal.point, proposal.label)
    # The point may leave the space by a solver's rounding, and the value be too high by as much.
    assert -1e-7 <= (upper_bound(question, proposal) - value) / max(1.0, abs(value)) <= 1e-7


@settings(max_examples=30)
@given(seed=seeds, loss=st.sampled_from(sorted(LOSSES)), hull=st.booleans())
def test_never_below_the_polygons_exact_value(seed: int, loss: str, hull: bool) -> None:
    """Before ``answer`` takes the larger of value and bound; for curved losses this is the sandwich's own bound."""
    question = random_question(np.random.default_rng(seed), loss, {"one_hot"} if hull else set())
    exact, proposal = (backend(name).propose(question, None) for name in ("polygon", "highs"))
    value = question.value_at(exact.point, exact.label)
    upper = upper_bound(question, proposal) if proposal.upper is None else proposal.upper
    assert value <= upper <= value + 1e-6 * max(1.0, abs(value))


@pytest.mark.parametrize("d", [1, 5])
def test_exact_over_a_box_against_all_corners(d: int, rng: np.random.Generator) -> None:
    """A linear function of a box is largest at a corner."""
    space, c = Space.box(-rng.random(d), rng.random(d)), rng.normal(size=d)
    corners = np.array(list(itertools.product(*zip(space.lower, space.upper, strict=True))))
    assert linear_upper_bound(space, c) == pytest.approx((corners @ c).max(), rel=1e-13)


def test_closed_forms() -> None:
    # |c| over the unit ball; the knapsack 3 + 1 / 2; the largest entry over a one-hot hull, or 0 if that is allowed.
    ball = Space.box(-np.inf, np.inf, 2).with_ball([1.0, -1.0], 2.0)
    assert linear_upper_bound(ball, np.array([3.0, 4.0])) == pytest.approx(-1.0 + 10.0, rel=1e-9)
    slab = Space.box(0, 1, 3).with_slab([1, 1, 1], upper=1.5)
    assert linear_upper_bound(slab, np.array([3.0, 1.0, 1.0])) == pytest.approx(3.5, rel=1e-9)
    hull = Space.box(0, 1, 3).with_one_hot([0, 1, 2])
    assert linear_upper_bound(hull, np.array([-3.0, -1.0, -2.0])) == pytest.approx(-1.0)
    loose = Space.box(0, 1, 3).with_one_hot([0, 1, 2], at_most_one=True)
    assert linear_upper_bound(loose, np.array([-3.0, -1.0, -2.0])) == pytest.approx(0.0, abs=1e-12)


def test_an_unbounded_space_has_no_bound_and_columns_that_do_not_matter_are_no_obstacle() -> None:
    everything = Space.box(-np.inf, np.inf, 2)
    strip = replace(everything, slabs=(Slab(np.array([1.0, 0.0]), -1.0, 1.0),))
    assert linear_upper_bound(strip, np.array([1.0, 1.0])) == np.inf
    assert linear_upper_bound(strip, np.array([2.0, 0.0])) == pytest.approx(2.0)
    assert upper_bound(_difference_of_scores(strip, [1.0, 1.0]), Proposal(np.zeros(2), 1.0, None, "")) == np.inf
    half = Space.box(0, np.inf, 2).with_slab([1, 2], upper=2)
    assert linear_upper_bound(half, np.array([1.0, 1.0])) == pytest.approx(2.0)
    # x2 <= 3 follows from x1 <= 2, which the slab after it says.
    chain = Space.box(0, np.inf, 2).with_slab([-1, 1], upper=1).with_slab([1, 1e-9], upper=2)
    assert linear_upper_bound(chain, np.array([0.0, 1.0])) == pytest.approx(3.0, rel=1e-6)


def test_integers_count_as_intervals_and_constraints_are_left_out() -> None:
    whole = Space.box(0, 3, 1).with_integer().with_slab([2.0], upper=5.0)
    assert linear_upper_bound(whole, np.array([1.0])) == pytest.approx(2.5)
    cut = Space.box(0, 1, 2).with_constraints(lambda x: [x[0] + x[1] <= 1])
    assert linear_upper_bound(cut, np.ones(2)) == pytest.approx(2.0)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_tight_at_any_scale_of_the_features(scale: float) -> None:
    """Pixels in [0, 255] or incomes in the millions, with a budget on their sum."""
    rng = np.random.default_rng(1)
    space = Space.box(0, scale, 6).with_slab(np.ones(6), upper=2.0 * scale).with_ball(np.zeros(6), 1.2 * scale)
    w, reference = rng.normal(size=6) / scale, rng.normal(size=6) / scale
    question = Question(get_loss("hinge"), LinearModel(w, 0.1), LinearModel(reference, -0.2), space)
    unit = Question(
        question.loss,
        LinearModel(w * scale, 0.1),
        LinearModel(reference * scale, -0.2),
        Space.box(0, 1, 6).with_slab(np.ones(6), upper=2.0).with_ball(np.zeros(6), 1.2),
    )
    exact = backend("cvxpy").propose(unit, None)
    value = unit.value_at(exact.point, exact.label)
    assert upper_bound(question, anywhere(question)) == pytest.approx(value, rel=1e-6)


def test_many_multipliers() -> None:
    """Ten slabs through one point and a ball: eleven multipliers and lam."""
    rng = np.random.default_rng(3)
    d, inside = 8, rng.random(8)
    space = Space.box(0, 1, d).with_ball(inside, 0.5)
    for _ in range(10):
        g = rng.normal(size=d)
        space = space.with_slab(g, g @ inside - 0.1, g @ inside + 0.1)
    question = Question(
        get_loss("hinge"), LinearModel(rng.normal(size=d), 0.0), LinearModel(rng.normal(size=d), 0.0), space
    )
    proposal = backend("cvxpy").propose(question, None)
    value = question.value_at(proposal.point, proposal.label)
    assert -1e-8 <= upper_bound(question, proposal) - value <= 1e-7


@pytest.mark.parametrize("n", [1, 2, 5])
def test_the_ellipsoid_method_finds_kinked_and_far_minima(n: int) -> None:
    """``|z - target|_1`` with the target 300 radii away, and behind a bound."""
    target = np.linspace(300.0, -200.0, n) if n > 1 else np.array([300.0])

    def oracle(z: np.ndarray) -> tuple[float, np.ndarray]:
        return float(np.abs(z - target).sum()), np.sign(z - target)

    free = np.full(n, np.inf)
    found = minimize(oracle, np.zeros(n), np.ones(n), -free, free, tol=1e-9)
    assert 0.0 <= found <= 1e-6
    bounded = minimize(oracle, np.zeros(n), np.ones(n), -free, np.full(n, 100.0), tol=1e-9)
    assert bounded == pytest.approx(np.maximum(target - 100.0, 0.0).sum(), rel=1e-6)
    assert minimize(oracle, np.zeros(n), np.ones(n), -free, free, goal=1e9) == np.abs(target).sum()


def test_needs_no_solver() -> None:
    """The proof must not depend on what it checks."""
    code = "import sys, convexpoison.geometry.weak_duality; print(sorted({'highspy', 'cvxpy', 'gurobipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _difference_of_scores(space: Space, w: list[float]) -> Question:
    return Question(get_loss("hinge"), LinearModel(np.array(w)), LinearModel(np.zeros(len(w))), space)
