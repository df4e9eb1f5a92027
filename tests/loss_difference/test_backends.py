"""The backends against each other, and what they say when they cannot answer."""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace
from typing import Any

import cvxpy as cp
import highspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convexpoison.data.training_data import TrainingData
from convexpoison.errors import MissingDependencyError, SolverError, SolverTimeoutError
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.losses import LOSSES, Loss, RoundedHinge, SmoothHinge, get_loss
from convexpoison.learners.victim import Victim
from convexpoison.loss_difference.backends import backend, choose, names
from convexpoison.loss_difference.linear_backend import LinearBackend
from convexpoison.loss_difference.query import Proposal, Question
from convexpoison.loss_difference.sandwich import _pieces
from convexpoison.loss_difference.solve import answer
from convexpoison.solvers import cvxpy as cvxpy_backend
from convexpoison.solvers import gurobi, highs
from convexpoison.solvers.linear_maximum import settle
from convexpoison.solvers.linear_program import LinearProgram, Solution
from convexpoison.spaces.space import Space
from tests.loss_difference.queries import best_of, diet, random_question, sample, small_question

seeds = st.integers(0, 2**32 - 1)
OWN = [SmoothHinge(0.3), RoundedHinge(0.5)]


def capable(question: Question) -> list[str]:
    able = [name for name in names() if not backend(name).capabilities.missing(question)]
    return [name for name in able if backend(name).available()]


# -------------------------------------------------------------------- the question


@settings(max_examples=40)
@given(
    seed=seeds,
    loss=st.sampled_from(sorted(LOSSES)),
    parts=st.sets(st.sampled_from(["one_hot", "integer", "slab", "ball"])),
)
def test_backends_agree_and_no_sample_beats_them(seed: int, loss: str, parts: set[str]) -> None:
    rng = np.random.default_rng(seed)
    question = random_question(rng, loss, parts)
    found = [answer(question, solver=name) for name in capable(question)]
    best = best_of(question, sample(question.space, rng))
    for difference in found:
        near = pytest.approx(found[0].value, rel=2e-6, abs=2e-6)
        assert difference.value == near, difference.solver
        assert best <= difference.upper
        assert max(other.value for other in found) <= difference.upper + 1e-9 * max(1.0, abs(difference.upper))
        assert question.space.violation(difference.point[None, :])[0] <= 1e-6
        if "integer" not in question.space.parts or difference.solver == "polygon":
            assert difference.certified, difference


@pytest.mark.parametrize("loss", ["logistic", "squared_hinge", "squared"])
@pytest.mark.parametrize("distance", [0.0, 1e-7, 1e-3])
def test_nearly_parallel_models(loss: str, distance: float, rng: np.random.Generator) -> None:
    """As near the end of an attack: the image in the plane of the two scores is a sliver."""
    w = rng.normal(size=40)
    models = LinearModel(w, 0.1), LinearModel(1.5 * w + distance * rng.normal(size=40), 0.1)
    for second in (models[1], LinearModel(models[1].coef / 1.5, 0.1)):
        question = Question(get_loss(loss), models[0], second, Space.box(0, 1, 40).with_response(-1, 1))
        found, right = (answer(question, solver=name) for name in ("highs", "polygon"))
        assert found.certified
        assert found.value == pytest.approx(right.value, abs=1e-6 * max(1.0, right.value))
        assert right.value <= found.upper


@pytest.mark.parametrize("loss", ["logistic", "squared_hinge", "squared", *OWN], ids=str)
def test_no_place_on_an_edge_exceeds_the_bound_of_its_piece(loss: str | Loss, rng: np.random.Generator) -> None:
    phi, tau = get_loss(loss), np.linspace(0.0, 1.0, 501)[:, None]
    starts, steps = rng.normal(size=(2, 400)) * 4.0, rng.normal(size=(2, 400)) * rng.choice([0.1, 1.0, 20.0], (2, 400))
    steps[1, :50] = steps[0, :50]
    u, v = (start + tau * step for start, step in zip(starts, steps, strict=True))
    upper, values = _pieces(phi, (u[[0, 250, 500]], steps[0]), (v[[0, 250, 500]], steps[1]))
    inside = phi.value(u) - phi.value(v)
    assert (inside <= upper).all()
    np.testing.assert_array_equal(values, inside[[0, 250, 500]])


@pytest.mark.parametrize("loss", OWN, ids=str)
@pytest.mark.parametrize("parts", [set(), {"one_hot"}, {"slab", "ball"}], ids=str)
def test_a_loss_of_ones_own_is_answered_over_convex_spaces(loss: Loss, parts: set[str]) -> None:
    """No backend knows it by name: those that take any smooth loss do it, with a bound of their own."""
    rng = np.random.default_rng(11)
    question = replace(random_question(rng, "hinge", parts), loss=loss)
    question = replace(question, space=question.space.relax())
    assert "polygon" not in capable(question)
    found = [answer(question, solver=name) for name in capable(question)]
    best = best_of(question, sample(question.space, rng))
    assert len(found) >= 1 and all(difference.certified and best <= difference.upper for difference in found)
    assert [difference.value for difference in found] == pytest.approx(
        [found[0].value] * len(found), rel=2e-6, abs=2e-6
    )


def test_a_ball_that_touches_the_box_in_one_point() -> None:
    """No interior: the dual has no best multiplier, and the answer is still right."""
    space = Space.box(0, 1, 2).with_ball([2.0, 0.5], 1.0)
    found = answer(small_question(space), solver="cvxpy")
    assert found.value == pytest.approx(0.5, abs=1e-3)
    assert found.upper >= 0.5


@pytest.mark.parametrize("name", ["highs", "cvxpy", pytest.param("gurobi", marks=pytest.mark.gurobi)])
def test_same_question_same_answer(name: str) -> None:
    question = random_question(np.random.default_rng(5), "logistic", {"slab"})
    first, second = (answer(question, solver=name) for _ in range(2))
    assert (first.value, first.upper, first.point.tobytes()) == (second.value, second.upper, second.point.tobytes())


def test_an_empty_space_is_an_error_in_words() -> None:
    space = Space.box(0, 1, 2).with_slab([1, 0], upper=0.1).with_slab([1, 0], lower=0.9)
    for name in ("highs", "cvxpy"):
        for loss in ("hinge", "logistic"):
            with pytest.raises(SolverError, match="no point satisfies all conditions"):
                answer(small_question(space, loss), solver=name)


def test_an_unbounded_difference_is_an_error_in_words() -> None:
    half = Space.box(-np.inf, np.inf, 2).with_slab([1.0, -1.0], lower=0.0)
    for name in ("highs", "cvxpy"):
        with pytest.raises(SolverError, match="grows without end"):
            answer(small_question(half), solver=name)


def test_a_point_outside_the_space_is_refused_and_rounding_is_taken_out() -> None:
    space = Space.box(0, 1, 2).with_integer([0]).with_slab([1, 1], upper=1.5)
    np.testing.assert_array_equal(settle(space, np.array([1.0 - 1e-9, -1e-9, 7.0]), "test"), [1.0, 0.0])
    with pytest.raises(SolverError, match=r"outside the space by 0\.1 .*rescale"):
        settle(space, np.array([1.0, 0.6]), "test")


def test_what_a_backend_cannot_take_is_said() -> None:
    whole = Space.box(0, 1, 2).with_integer()
    with pytest.raises(ValueError, match=r"'highs' cannot take logistic loss over integer spaces.*polygon"):
        choose(small_question(whole, "logistic"), "highs")
    with pytest.raises(ValueError, match=r"'highs' cannot take ball spaces.*'cvxpy'"):
        choose(small_question(Space.box(0, 1, 2).with_ball([0, 0], 1)), "highs")
    assert choose(small_question(Space.box(0, 1, 2).with_ball([0, 0], 1))).name == "cvxpy"
    assert choose(small_question(whole.with_slab([1, 1], upper=1))).name == "highs"


# -------------------------------------------------------------------- the guard


def test_a_wrong_optimum_is_not_certified(monkeypatch: pytest.MonkeyPatch) -> None:
    """The solver says 1 at (0, 1); a fake one claims the same value for a point that has 0.4."""
    wrong = Proposal(np.array([0.6, 1.0]), 1.0, None, "optimal")
    monkeypatch.setattr(LinearBackend, "propose", lambda self, question, limit: wrong)
    found = answer(small_question(), solver="cvxpy")
    assert found.value == pytest.approx(0.4)
    assert found.upper == pytest.approx(1.0)
    assert not found.certified


def test_a_wrong_program_result_is_not_certified(monkeypatch: pytest.MonkeyPatch) -> None:
    """One step further down: the solver of programs returns a feasible point, a wild objective and "optimal"."""

    def lies(program: LinearProgram, limit: float | None, space: Space) -> Solution:
        return Solution(np.zeros(program.n_columns), 99.0, "optimal", "cvxpy")

    for loss in ("hinge", "logistic"):
        monkeypatch.setattr(cvxpy_backend, "SOLVER", replace(cvxpy_backend.SOLVER, solve=lies))
        found = answer(small_question(loss=loss), solver="cvxpy")
        right = answer(small_question(loss=loss), solver="polygon")
        assert found.value < right.value <= found.upper
        assert not found.certified


@pytest.mark.parametrize("solver", ["HIGHS", "CLARABEL"])
def test_the_textbook_svm_in_cvxpy_is_judged_by_a_dual_bound(solver: str) -> None:
    """cvxpy 1.9.0 to 1.9.3 call ``w = 0`` optimal on HiGHS, and 1.8 does not; the judgement needs neither's word.

    The value that they claim is the true objective of their w, so evaluating it again shows nothing: what shows the
    error is a lower bound. It is the SVM's dual at multipliers of an explicit-slack model, evaluated here.
    """
    rng = np.random.default_rng(0)
    y = np.repeat([-1.0, 1.0], 15)
    X = rng.normal(size=(30, 3)) + 0.5 * y[:, None]
    w, b = cp.Variable(3), cp.Variable()
    textbook = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(w) + cp.sum(cp.pos(1 - cp.multiply(y, X @ w + b)))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # 0 * inf: the very rule that goes wrong
        claimed = textbook.solve(solver=solver)
    victim, data = Victim("hinge", C=1.0, intercept="free"), TrainingData.from_user((X, y))
    value = victim.objective(LinearModel(w.value, float(b.value)), data)
    lower = _svm_dual(X, y)
    version = tuple(int(part) for part in cp.__version__.split(".")[:3])
    known_wrong = solver == "HIGHS" and (1, 9, 0) <= version <= (1, 9, 3)
    assert textbook.status == "optimal"
    assert claimed == pytest.approx(value, rel=1e-6)
    assert (value - lower > 1e-5 * value) == known_wrong


def _svm_dual(X: np.ndarray, y: np.ndarray) -> float:
    """A lower bound on ``|w|^2 / 2 + sum of hinge losses`` with a free intercept: any alpha in [0, 1] with
    ``alpha @ y = 0`` gives one. Solved with explicit variables, and made feasible before it is evaluated."""
    w, b, slack = cp.Variable(X.shape[1]), cp.Variable(), cp.Variable(y.size, nonneg=True)
    margins = slack >= 1 - ((y[:, None] * X) @ w + y * b)
    cp.Problem(cp.Minimize(0.5 * cp.sum_squares(w) + cp.sum(slack)), [margins]).solve(solver="CLARABEL")
    alpha = np.clip(margins.dual_value, 0.0, 1.0)
    heavier = np.sign(alpha @ y)
    alpha[y == heavier] *= 1.0 - abs(alpha @ y) / alpha[y == heavier].sum()
    direction = (alpha * y) @ X
    return float(alpha.sum() - 0.5 * direction @ direction)


# -------------------------------------------------------------------- time


def test_a_time_limit_without_a_point_says_who_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(program: LinearProgram, limit: float | None, space: Space) -> Solution:
        return Solution(np.full(program.n_columns, np.nan), np.nan, "time_limit", "highs")

    monkeypatch.setattr(highs, "SOLVER", replace(highs.SOLVER, solve=late))
    for loss in ("hinge", "logistic"):
        with pytest.raises(SolverTimeoutError, match=r"highs reached the time limit of 2 s .*time_limit_s"):
            answer(small_question(loss=loss), solver="highs", time_limit_s=2.0)
    with pytest.raises(SolverTimeoutError, match=r"highs reached the time limit of 0 s"):
        answer(small_question(), solver="highs", time_limit_s=0.0)


def test_a_time_limit_with_a_point_returns_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The incumbent is evaluated like any other point, and the bound is the library's own."""

    def hurried(program: LinearProgram, limit: float | None, space: Space) -> Solution:
        return replace(highs.solve(program, limit), status="time_limit")

    monkeypatch.setattr(highs, "SOLVER", replace(highs.SOLVER, solve=hurried))
    found = answer(small_question(), solver="highs", time_limit_s=60.0)
    assert (found.status, found.value, found.certified) == ("time_limit", pytest.approx(1.0), True)


def test_a_curved_loss_out_of_time_has_a_point_and_a_proven_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    question = random_question(np.random.default_rng(0), "logistic", {"ball"})
    right, honest, calls = answer(question, solver="cvxpy"), cvxpy_backend.SOLVER.solve, []

    def slow(program: LinearProgram, limit: float | None, space: Space) -> Solution:
        calls.append(limit)
        if len(calls) > 4:
            return Solution(np.full(program.n_columns, np.nan), np.nan, "time_limit", "cvxpy")
        return honest(program, limit, space)

    monkeypatch.setattr(cvxpy_backend, "SOLVER", replace(cvxpy_backend.SOLVER, solve=slow))
    found = answer(question, solver="cvxpy", time_limit_s=60.0)
    assert found.status == "time_limit, 4 directions"
    assert found.value < right.value < found.upper < np.inf
    assert all(0.0 < limit <= 60.0 for limit in calls)


# -------------------------------------------------------------------- packages, licences, threads


@pytest.mark.gurobi
def test_a_problem_too_large_for_the_licence_says_so() -> None:
    if not gurobi.licence_status().size_limited:
        pytest.skip("this licence takes models of any size")
    large = Question(get_loss("hinge"), LinearModel(np.ones(2500)), LinearModel(np.zeros(2500)), Space.box(0, 1, 2500))
    with pytest.raises(SolverError, match=r"limited in size \(2,000 .*2,501 variables.*full licence.*highs or polygon"):
        answer(large, solver="gurobi")
    disc = Space.box(0, 1, 300).with_ball(np.zeros(300), 1.0)
    round_ = Question(get_loss("hinge"), LinearModel(np.ones(300)), LinearModel(np.zeros(300)), disc)
    with pytest.raises(SolverError, match=r"200 variables with a ball.*301 variables and 1 rows with a ball.*cvxpy"):
        answer(round_, solver="gurobi")


@pytest.mark.gurobi
def test_other_gurobi_errors_are_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    import gurobipy

    def refuse() -> None:
        raise gurobipy.GurobiError(10009, "HostID mismatch")

    monkeypatch.setattr(gurobi, "_environment", refuse)
    with pytest.raises(SolverError, match=r"no valid licence on this machine.*highs or cvxpy"):
        gurobi.solve(diet())
    assert not gurobi.licence_status().usable
    assert "no valid licence" in gurobi.licence_status().message


@pytest.mark.parametrize(("name", "package"), [("gurobi", "gurobipy"), ("highs", "highspy"), ("cvxpy", "cvxpy")])
def test_a_missing_package_says_what_to_install(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert not backend(name).available()
    with pytest.raises(MissingDependencyError, match=rf"{package}.*pip install 'convexpoison\["):
        answer(small_question(), solver=name)
    assert choose(small_question(Space.box(0, 1, 2).with_slab([1, 1], upper=1))).name != name


def test_gurobi_is_never_chosen_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cvxpy", None)
    with pytest.raises(ValueError, match="no installed solver"):
        choose(small_question(Space.box(0, 1, 2).with_ball([0, 0], 1)))


@pytest.mark.parametrize("whole", [False, True])
def test_highs_with_another_number_of_threads_in_the_same_process(whole: bool) -> None:
    """HiGHS keeps one thread pool for a process, and refuses to run with another number of threads."""
    highspy.Highs.resetGlobalScheduler(True)
    other = highspy.Highs()
    other.setOptionValue("output_flag", False)
    other.setOptionValue("threads", 2)
    other.addVar(0.0, 1.0)
    other.run()
    try:
        found = highs.solve(diet(integer=np.array(whole)))
        assert (found.status, found.objective) == ("optimal", pytest.approx(11.0))
    finally:
        highspy.Highs.resetGlobalScheduler(True)


def test_cvxpy_goes_on_to_the_next_solver_and_reports_all_if_none_works(monkeypatch: pytest.MonkeyPatch) -> None:
    run, tried = cvxpy_backend._run, []

    def breaks(problem: Any, name: str, limit: float | None) -> None:
        tried.append(name)
        if name == "HIGHS":
            raise cp.error.SolverError("HIGHS fell over")
        run(problem, name, limit)

    monkeypatch.setattr(cvxpy_backend, "_run", breaks)
    found = cvxpy_backend.solve(diet())
    assert tried == ["HIGHS", "CLARABEL"]
    assert (found.objective, found.detail) == (pytest.approx(11.0, abs=1e-7), "optimal (CLARABEL)")

    def fails(problem: Any, name: str, limit: float | None) -> None:
        raise cp.error.SolverError(f"{name} fell over")

    monkeypatch.setattr(cvxpy_backend, "_run", fails)
    with pytest.raises(SolverError, match=r"HIGHS: HIGHS fell over; CLARABEL: .*; SCS: .*another solver"):
        cvxpy_backend.solve(diet())


@pytest.mark.parametrize("name", ["HIGHS", "CLARABEL", "SCS"])
def test_each_solver_of_cvxpy_takes_its_options(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cvxpy_backend, "_LINEAR", (name,))
    found = cvxpy_backend.solve(diet(), time_limit_s=30.0)
    assert (found.status, found.objective) == ("optimal", pytest.approx(11.0, abs=1e-6))


def test_asking_for_backends_loads_no_solver() -> None:
    code = (
        "import sys; from convexpoison.loss_difference.backends import backend, names; [backend(name) for name in names()];"
        "print(sorted({'highspy', 'cvxpy', 'gurobipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
