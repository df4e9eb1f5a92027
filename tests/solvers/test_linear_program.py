"""Linear programs: the same conventions, statuses and limits from every solver."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convexpoison.errors import SolverError
from convexpoison.loss_difference.solve import answer
from convexpoison.solvers import cvxpy as cvxpy_backend
from convexpoison.solvers import gurobi, highs
from convexpoison.solvers.linear_program import LinearProgram, homogeneous_rows, space_rows
from convexpoison.spaces.space import Space
from tests.loss_difference.queries import diet, random_space, sample, small_question

SOLVERS = [pytest.param(highs.solve, id="highs"), pytest.param(gurobi.solve, id="gurobi", marks=pytest.mark.gurobi)]
LINEAR_SOLVERS = [*SOLVERS, pytest.param(cvxpy_backend.solve, id="cvxpy")]


def hard_program() -> LinearProgram:
    """A market-split problem: whole x with A x = half the row sums, plus slack to make it feasible; hours of work."""
    rng = np.random.default_rng(0)
    A = rng.integers(0, 100, (5, 40)).astype(float)
    slack = np.hstack([np.eye(5), -np.eye(5)])
    half = np.floor(A.sum(axis=1) / 2)
    return LinearProgram(
        cost=np.append(np.zeros(40), np.ones(10)),
        upper=np.append(np.ones(40), np.full(10, np.inf)),
        A=np.hstack([A, slack]),
        row_lower=half,
        row_upper=half,
        integer=np.append(np.ones(40, dtype=bool), np.zeros(10, dtype=bool)),
    )


@pytest.mark.parametrize("solve", SOLVERS)
def test_a_time_limit_returns_the_best_point_and_the_bound(solve: Any) -> None:
    found = solve(hard_program(), time_limit_s=0.5)
    assert (found.status, found.has_point, found.optimal) == ("time_limit", True, False)
    assert found.bound <= found.objective
    assert found.checked("a test") is found


@contextmanager
def ctrl_c_after(seconds: float) -> Iterator[None]:
    def press(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, press)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def test_ctrl_c_stops_highs_and_keeps_the_best_point() -> None:
    with ctrl_c_after(0.7):
        found = highs.solve(hard_program(), time_limit_s=20.0)
    assert (found.status, found.has_point) == ("interrupted", True)


@pytest.mark.parametrize("solve", LINEAR_SOLVERS)
def test_optimum(solve: Any) -> None:
    found = solve(diet())
    np.testing.assert_allclose(found.x, [3.0, 1.0], atol=1e-9)
    assert (found.status, found.objective, found.bound) == ("optimal", pytest.approx(11.0), pytest.approx(11.0))


@pytest.mark.parametrize("solve", SOLVERS)
def test_row_duals_are_shadow_prices_in_the_programs_own_sense(solve: Any) -> None:
    np.testing.assert_allclose(solve(diet()).row_duals, [2.0, 0.0], atol=1e-9)
    minimum = diet(cost=np.array([-3.0, -2.0]), maximize=False)
    np.testing.assert_allclose(solve(minimum).row_duals, [-2.0, 0.0], atol=1e-9)
    # A two-sided row and an equality: min x + y, 1 <= x + y / 2 <= 9, y = 1. Each price is what one more costs.
    both = LinearProgram(
        cost=np.ones(2), A=np.array([[1.0, 0.5], [0.0, 1.0]]), row_lower=np.ones(2), row_upper=np.array([9.0, 1.0])
    )
    np.testing.assert_allclose(solve(both).row_duals, [1.0, 0.5], atol=1e-9)


@pytest.mark.parametrize("solve", SOLVERS)
def test_infeasible_comes_with_a_proof_and_unbounded_is_a_status(solve: Any) -> None:
    contradiction = diet(row_lower=np.array([-np.inf, 30.0]), row_upper=np.array([4.0, 40.0]))
    found = solve(contradiction)
    assert (found.status, found.has_point) == ("infeasible", False)
    assert contradiction.farkas_gap(found.ray) > 0.0
    assert contradiction.farkas_gap(-found.ray) <= 0.0
    with pytest.raises(SolverError, match="no point satisfies"):
        found.checked("a test")
    free = LinearProgram(np.ones(2), maximize=True)
    assert (solve(free).status, solve(free).has_point) == ("unbounded", False)


@pytest.mark.parametrize("solve", SOLVERS)
def test_integer_programs(solve: Any) -> None:
    """x + y <= 3.5 in whole numbers; then 2 x + 2 y = 1, which has none; rows of a sparse matrix; no rows at all."""
    whole = diet(row_upper=np.array([3.5, 6.5]), integer=np.array(True))
    np.testing.assert_array_equal(np.round(solve(whole).x), [3.0, 0.0])
    assert np.isnan(solve(whole).row_duals).all()
    odd = diet(A=np.array([[2.0, 2.0]]), row_lower=np.ones(1), row_upper=np.ones(1), integer=np.array(True))
    assert solve(odd).status == "infeasible"
    assert solve(LinearProgram(np.ones(2), upper=np.array(1.5), integer=np.array(True), maximize=True)).objective == 2.0


def test_cvxpy_takes_no_integers_and_no_integer_constraints() -> None:
    with pytest.raises(ValueError, match="no integer columns"):
        cvxpy_backend.solve(diet(integer=np.array(True)))
    hidden = Space.box(0, 1, 2).with_constraints(lambda x: [x[0] == cp.Variable(boolean=True)])
    with pytest.raises(ValueError, match="hold integer variables"):
        answer(small_question(hidden), solver="cvxpy")
    hollow = Space.box(0, 1, 2).with_constraints(lambda x: [cp.norm(x) >= 1])
    with pytest.raises(ValueError, match="not convex by cvxpy's rules"):
        answer(small_question(hollow), solver="cvxpy")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"A": np.ones((1, 3))}, "A has 3 columns and cost has 2"),
        ({"lower": np.zeros(3)}, r"lower has shape \(3,\); \(2,\) is needed"),
        ({"row_upper": np.ones(3)}, r"row_upper has shape"),
        ({"upper": np.array([np.nan, 1.0])}, "upper holds NaN"),
        ({"cost": np.array([np.inf, 1.0])}, "must be finite"),
        ({"integer": np.zeros(3, dtype=bool)}, "integer has shape"),
    ],
)
def test_programs_that_make_no_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        diet(**changes)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), parts=st.sets(st.sampled_from(["one_hot", "slab"])), mass=st.floats(0.0, 7.0))
def test_rows_of_a_space_hold_for_its_points_and_for_multiples_of_them(seed: int, parts: set[str], mass: float) -> None:
    rng = np.random.default_rng(seed)
    space = random_space(rng, parts, 4)
    points = sample(space, rng, 300)
    A, lower, upper = space_rows(space, 2)
    assert A.shape == (lower.size, 6)
    image = np.hstack([points, rng.normal(size=(len(points), 2))]) @ A.T
    assert (image >= lower - 1e-9).all() and (image <= upper + 1e-9).all()
    A, lower, upper = homogeneous_rows(space)
    image = np.hstack([mass * points, np.full((len(points), 1), mass)]) @ A.T
    assert (image >= lower - 1e-8).all() and (image <= upper + 1e-8).all()


def test_homogeneous_rows_are_no_wider_than_the_space() -> None:
    space = Space.box([0, 2], [1, 2]).with_slab([1, 1], upper=2.5)
    A, lower, upper = homogeneous_rows(space)
    for point, inside in (([0.5, 2.0], True), ([0.6, 2.0], False), ([0.5, 1.9], False), ([-0.1, 2.0], False)):
        image = A @ np.append(3.0 * np.array(point), 3.0)
        assert bool((image >= lower - 1e-9).all() and (image <= upper + 1e-9).all()) == inside


@pytest.mark.parametrize("seed", range(5))
def test_more_rows_from_the_last_basis_are_the_whole_program(seed):
    """A cube that is cut by one random plane after the other, until nothing is left of it."""
    rng = np.random.default_rng(seed)
    cost, A = rng.normal(size=6), rng.normal(size=(40, 6))
    high = A @ np.full(6, 0.5) + rng.uniform(0.0, 0.5, 40)
    high[-1] = A[-1].clip(max=0.0).sum() - 1.0  # beyond every corner of the cube
    growing = highs.Growing()
    for n in (5, 10, 25, 39, 40):
        program = LinearProgram(cost, upper=np.ones(6), A=A[:n], row_upper=high[:n])
        warm, cold = growing.solve(program, 10.0), highs.solve(program)
        assert warm.status == cold.status == ("infeasible" if n == 40 else "optimal")
        if n < 40:
            assert warm.objective == pytest.approx(cold.objective, abs=1e-9)
            np.testing.assert_allclose(warm.row_duals, cold.row_duals, atol=1e-7)
        else:
            assert program.farkas_gap(np.where(np.abs(warm.ray) > 1e-9, warm.ray, 0.0)) > 0
