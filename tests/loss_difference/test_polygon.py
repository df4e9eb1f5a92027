"""The polygon backend against enumeration, sampling, duality and other optimisers."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import differential_evolution, minimize_scalar

from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.losses import LOSSES, get_loss
from convexpoison.loss_difference import branch_and_bound, polygon
from convexpoison.loss_difference.backends import backend, choose
from convexpoison.loss_difference.query import Proposal, Question
from convexpoison.spaces.space import Space

pytestmark = pytest.mark.filterwarnings("error")

ALL_LOSSES = sorted(LOSSES)
FRACTIONS = np.linspace(0.0, 1.0, 41)

# Coefficients that are zero, equal to each other, tiny beside the others, or anything.
coefficients = st.one_of(
    st.sampled_from([0.0, 0.0, 1.0, -1.0, 0.5, 1e-12, -1e-300, 5e-324]), st.floats(-3.0, 3.0, allow_subnormal=False)
)
intercepts = st.sampled_from([0.0, 1.0, -1.0, 0.37, -2.5])


def models(d: int) -> st.SearchStrategy[LinearModel]:
    return st.builds(LinearModel, st.lists(coefficients, min_size=d, max_size=d).map(np.array), intercepts)


@st.composite
def boxes(draw: st.DrawFn, d: int) -> Space:
    lower = np.array(draw(st.lists(st.sampled_from([0.0, -1.0, -0.3]), min_size=d, max_size=d)))
    width = np.array(draw(st.lists(st.sampled_from([0.0, 1.0, 1.0, 2.5]), min_size=d, max_size=d)))
    return Space.box(lower, lower + width).with_response(-1.0, 0.7)


@st.composite
def box_questions(draw: st.DrawFn) -> Question:
    d = draw(st.integers(1, 5))
    first, second = draw(models(d)), draw(models(d))
    second = draw(st.sampled_from([second, second, first, LinearModel(np.zeros(d), 0.5)]))
    return Question(get_loss(draw(st.sampled_from(ALL_LOSSES))), first, second, draw(boxes(d)))


def propose(question: Question) -> Proposal:
    return polygon.BACKEND.propose(question, None)


def values(question: Question, rows: np.ndarray, responses: np.ndarray | None = None) -> np.ndarray:
    """Loss differences of all rows under all labels (all given responses), flattened."""
    loss, y = question.loss, np.array(question.responses if responses is None else responses)[:, None]
    first, second = (m.decision_function(rows) for m in (question.model, question.reference))
    return (loss.value(loss.argument(first, y)) - loss.value(loss.argument(second, y))).ravel()


def edges_of(corners: list[np.ndarray]) -> np.ndarray:
    """Points on all segments between two corners."""
    pairs = itertools.product(corners, corners)
    return np.concatenate([a + FRACTIONS[:, None] * (b - a) for a, b in pairs])


def corners_of(space: Space) -> list[np.ndarray]:
    return [np.array(x) for x in itertools.product(*zip(space.lower, space.upper, strict=True))]


def whole_points(space: Space) -> np.ndarray:
    """All points of a space that has integer columns and one-hot groups only."""
    ranges = [np.arange(low, high + 1.0) for low, high in zip(space.lower, space.upper, strict=True)]
    rows = np.array(list(itertools.product(*ranges)))
    return rows[space.contains(rows)]


def check(question: Question, samples: np.ndarray, tol: float = 1e-9) -> Proposal:
    """The point lies in the space, attains the bound, and no sample exceeds it."""
    found = propose(question)
    value = question.value_at(found.point, found.label)
    slack = tol * max(1.0, abs(value))
    assert found.status == "optimal"
    assert question.space.violation(found.point[None])[0] <= 1e-15
    assert found.label in question.responses
    assert found.upper is not None and value <= found.upper <= value + slack
    assert values(question, samples).max() <= found.upper
    return found


# ---------------------------------------------------------------- boxes


@given(box_questions())
@settings(max_examples=300, deadline=None)
def test_no_point_of_a_box_beats_it(question: Question) -> None:
    space = question.space
    rng = np.random.default_rng(0)
    inside = space.lower + rng.random((500, space.n_features)) * (space.upper - space.lower)
    samples = inside if space.n_features > 3 else np.concatenate([inside, edges_of(corners_of(space))])
    check(question, np.concatenate([samples, np.array(corners_of(space))]))


@pytest.mark.parametrize("loss", ALL_LOSSES)
@pytest.mark.parametrize("seed", range(6))
def test_every_edge_of_the_image_sampled(loss: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    d = 8
    scale = [0.3, 1.0, 4.0][seed % 3]
    first, second = (LinearModel(scale * rng.normal(size=d), rng.normal()) for _ in range(2))
    space = Space.box(-rng.random(d), rng.random(d)).with_response(-2, 2)
    question = Question(get_loss(loss), first, second, space)
    corners = np.array(corners_of(space))
    one_free = np.concatenate([np.repeat(corners[None], 41, axis=0)] * d).reshape(d, 41, *corners.shape)
    for j in range(d):
        one_free[j, :, :, j] = space.lower[j] + FRACTIONS[:, None] * (space.upper[j] - space.lower[j])
    found = check(question, one_free.reshape(-1, d))
    # Such a grid comes close to the maximum, so the bound is no looser than it must be.
    assert values(question, one_free.reshape(-1, d)).max() >= found.upper - 0.02 * scale * max(1.0, found.upper)


def test_a_response_inside_its_range_cannot_win() -> None:
    rng = np.random.default_rng(5)
    question = Question(
        get_loss("squared"),
        LinearModel(rng.normal(size=3), 0.2),
        LinearModel(rng.normal(size=3), -0.1),
        Space.box(0, 1, 3).with_response(-1, 2),
    )
    assert values(question, rng.random((2000, 3)), np.linspace(-1, 2, 31)).max() <= propose(question).upper


@pytest.mark.parametrize("loss", ["logistic", "squared_hinge"])
@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_differential_evolution(loss: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference = LinearModel(3 * rng.normal(size=3), rng.normal())
    model = LinearModel(0.4 * reference.coef + 0.3 * rng.normal(size=3), rng.normal())
    question = Question(get_loss(loss), model, reference, Space.box(-2, 2, 3))
    best = max(
        -differential_evolution(lambda x, y=y: -question.value_at(x, y), [(-2, 2)] * 3, seed=seed, tol=1e-10).fun
        for y in question.responses
    )
    assert propose(question).upper == pytest.approx(best, abs=1e-7)


@pytest.mark.parametrize("intercept", [-3.0, 0.0, 3.0, 40.0, 900.0])
@pytest.mark.parametrize("factor", [1e-3, 0.2, 0.9, 1.0, 1.1, 30.0])
def test_the_one_maximum_inside_a_logistic_edge(factor: float, intercept: float) -> None:
    reference, model = LinearModel(np.array([2.0]), 0.0), LinearModel(np.array([2.0 * factor]), intercept)
    question = Question(get_loss("logistic"), model, reference, Space.box(-20, 20, 1))
    check(question, np.linspace(-20, 20, 400_001)[:, None])


def test_hinge_meets_its_dual_at_784_columns() -> None:
    rng = np.random.default_rng(784)
    w, v = 0.1 * rng.normal(size=784), 0.1 * rng.normal(size=784)
    question = Question(get_loss("hinge"), LinearModel(w, 0.4), LinearModel(v, -0.7), Space.box(0, 1, 784))
    found = propose(question)
    assert found.upper == pytest.approx(question.value_at(found.point, found.label), abs=1e-9)

    def dual(share: float, y: float) -> float:
        """max over the box of (1 - u) - share (1 - u')."""
        return 1.0 - share - y * (0.4 + share * 0.7) + np.maximum(0.0, -y * (w - share * v)).sum()

    duals = [minimize_scalar(dual, (0, 1), (0, 1), (y,), "bounded", options={"xatol": 1e-12}).fun for y in (-1, 1)]
    assert found.upper == pytest.approx(max(duals), abs=1e-8)


@pytest.mark.parametrize("loss", ALL_LOSSES)
@pytest.mark.parametrize("scale", [0.03, 1.0])
def test_tight_at_784_columns(loss: str, scale: float) -> None:
    rng = np.random.default_rng(1)
    first, second = (LinearModel(scale * rng.normal(size=784), rng.normal()) for _ in range(2))
    space = Space.box(0, 1, 784).with_response(-1, 1)
    check(Question(get_loss(loss), first, second, space), rng.integers(0, 2, (300, 784)).astype(float))


@pytest.mark.parametrize("loss", ALL_LOSSES)
def test_one_label_only(loss: str) -> None:
    rng = np.random.default_rng(3)
    space = Space.box(-1, 1, 4).with_response(0.5, 0.5)
    question = Question(get_loss(loss), LinearModel(rng.normal(size=4), 0.3), LinearModel(rng.normal(size=4)), space)
    both = propose(question).upper
    single = [
        check(replace(question, space=space.with_labels([y])), rng.uniform(-1, 1, (500, 4))).upper for y in (-1, 1)
    ]
    assert max(single) == both
    if question.loss.classification:
        assert min(single) < both


@pytest.mark.parametrize("loss", ALL_LOSSES)
def test_ties_break_alike(loss: str) -> None:
    model = LinearModel(np.array([1.0, 1.0, -1.0, -1.0, 0.0]), 0.0)
    for reference in (model, LinearModel(np.zeros(5), 0.0), LinearModel(-model.coef, 0.0)):
        question = Question(get_loss(loss), model, reference, Space.box(-1, 1, 5).with_response(-1, 1))
        first, second = propose(question), propose(question)
        assert np.array_equal(first.point, second.point) and first.label == second.label
        assert first.upper == second.upper
    same = propose(replace(question, reference=model))
    assert 0.0 <= same.upper < 1e-12


@pytest.mark.parametrize("loss", ALL_LOSSES)
def test_steep_and_overflowing_slopes(loss: str) -> None:
    model = LinearModel(np.array([1.0, -1.0, 2.0, -2.0, 1.0]), 0.1)
    reference = LinearModel(np.array([5e-324, 1e-310, -1e-300, 1e-17, 1.0]), -0.2)
    space = Space.box(-1, [1, 2, 1, 1, 1e-310]).with_response(-1, 1)
    check(Question(get_loss(loss), model, reference, space), np.array(corners_of(space)))


# ---------------------------------------------------------------- one-hot groups and integers


@st.composite
def grouped_questions(draw: st.DrawFn) -> Question:
    """Two groups and two columns; every column whole."""
    sizes = draw(st.tuples(st.integers(1, 4), st.integers(1, 3)))
    d = sum(sizes) + 2
    upper = [1.0] * sum(sizes) + draw(st.lists(st.sampled_from([0.0, 1.0, 4.0]), min_size=2, max_size=2))
    space = Space.box(np.zeros(d), upper).with_response(-1, 1).with_integer()
    first = range(sizes[0])
    space = space.with_one_hot(first, at_most_one=draw(st.booleans()))
    space = space.with_one_hot(range(sizes[0], sum(sizes)), at_most_one=draw(st.booleans()))
    return Question(get_loss(draw(st.sampled_from(ALL_LOSSES))), draw(models(d)), draw(models(d)), space)


@given(grouped_questions())
@settings(max_examples=250, deadline=None)
def test_whole_groups_and_integers_against_enumeration(question: Question) -> None:
    rows = whole_points(question.space)
    found = check(question, rows)
    assert np.array_equal(found.point, np.round(found.point))
    assert found.upper == pytest.approx(values(question, rows).max(), abs=1e-9, rel=1e-9)


@given(grouped_questions())
@settings(max_examples=100, deadline=None)
def test_relaxed_groups_against_sampling(question: Question) -> None:
    relaxed = replace(question, space=question.space.relax())
    corners = list(whole_points(question.space))
    rng = np.random.default_rng(0)
    mixtures = rng.dirichlet(np.full(len(corners), 0.1), 1000) @ np.array(corners)
    pairs = [corners[i] for i in rng.permutation(len(corners))[:12]]
    mixtures = np.clip(np.concatenate([mixtures, edges_of(pairs)]), relaxed.space.lower, relaxed.space.upper)
    check(relaxed, mixtures)


@pytest.mark.parametrize("loss", ALL_LOSSES)
@pytest.mark.parametrize("seed", range(5))
def test_whole_and_continuous_columns_together(loss: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    d = 9
    space = Space.box(np.zeros(d), [1, 1, 1, 1, 1, 3, 1, 0.7, 1.3]).with_integer([3, 4, 5]).with_response(-1, 1)
    space = space.with_one_hot([0, 1, 2], at_most_one=bool(seed % 2))
    question = Question(
        get_loss(loss), LinearModel(rng.normal(size=d), rng.normal()), LinearModel(rng.normal(size=d), 0.5), space
    )
    heads = whole_points(replace(space, upper=np.where(np.arange(d) < 6, space.upper, 0.0)))
    uppers = []
    for head in heads:
        fixed = Space.box([*head[:6], 0, 0, 0], [*head[:6], *space.upper[6:]]).with_response(-1, 1)
        uppers.append(propose(replace(question, space=fixed)).upper)
    assert check(question, heads).upper == pytest.approx(max(uppers), abs=1e-8)


def test_a_relaxed_group_of_which_one_column_is_whole() -> None:
    rng = np.random.default_rng(2)
    for _ in range(30):
        space = Space.box(0, 1, 3).with_one_hot([0, 1, 2]).relax().with_integer([1])
        question = Question(
            get_loss("hinge"), LinearModel(rng.normal(size=3), 0.0), LinearModel(rng.normal(size=3), 1.0), space
        )
        share = np.linspace(0, 1, 1001)
        samples = np.vstack([[0.0, 1.0, 0.0], np.column_stack([share, 0 * share, 1 - share])])
        found = check(question, samples)
        assert values(question, samples).max() >= found.upper - 0.01


def test_two_groups_that_may_both_stay_empty() -> None:
    rng = np.random.default_rng(8)
    space = Space.box(0, 1, 8).with_one_hot(range(4), at_most_one=True).with_one_hot(range(4, 8), at_most_one=True)
    rows = whole_points(space)
    assert len(rows) == 25
    for _ in range(60):
        coefs = 2 * rng.normal(size=(2, 8))
        question = Question(get_loss("hinge"), LinearModel(coefs[0], -0.5), LinearModel(coefs[1], 0.5), space)
        assert check(question, rows).upper == pytest.approx(values(question, rows).max(), abs=1e-9)


def hard_question(d: int = 60) -> Question:
    rng = np.random.default_rng(4)
    w = rng.normal(size=d)
    reference = LinearModel(w + 0.5 * rng.normal(size=d), -0.3)
    return Question(get_loss("hinge"), LinearModel(w, 0.3), reference, Space.box(0, 1, d).with_integer())


def test_a_search_cut_short_keeps_a_valid_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    question = hard_question()
    full = propose(question)
    best = question.value_at(full.point, full.label)
    timed = polygon.BACKEND.propose(question, 0.0)
    monkeypatch.setattr(polygon, "NODE_LIMIT", 4)
    limited = propose(question)
    assert full.status == "optimal"
    assert timed.status == "gap left at the time limit"
    assert limited.status == "gap left at the node limit"
    for short in (timed, limited):
        assert question.space.violation(short.point[None])[0] == 0.0
        assert question.value_at(short.point, short.label) <= best + 1e-12
        assert short.upper >= full.upper - 1e-9
    assert timed.upper >= limited.upper > best + 1e-6


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("loss", ["hinge", "logistic"])
def test_twelve_binary_columns_against_enumeration(loss: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    w = rng.normal(size=12)
    reference = LinearModel(w + 0.5 * rng.normal(size=12), rng.normal())
    space = Space.box(0, 1, 12).with_integer()
    question = Question(get_loss(loss), LinearModel(w, rng.normal()), reference, space)
    rows = whole_points(space)
    assert check(question, rows).upper == pytest.approx(values(question, rows).max(), abs=1e-8)


@pytest.mark.parametrize("loss", ALL_LOSSES)
def test_wide_integer_columns_against_enumeration(loss: str) -> None:
    rng = np.random.default_rng(11)
    space = Space.box([0, -2, -3, 1], [5, 3, 1, 6]).with_integer().with_response(-1, 1)
    rows = whole_points(space)
    for _ in range(25):
        w = rng.normal(size=4)
        reference = LinearModel(w + 0.5 * rng.normal(size=4), rng.normal())
        question = Question(get_loss(loss), LinearModel(w, rng.normal()), reference, space)
        assert check(question, rows).upper == pytest.approx(values(question, rows).max(), abs=1e-8, rel=1e-9)


def test_the_bound_covers_what_was_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(branch_and_bound, "RELATIVE_GAP", 0.2)
    rng = np.random.default_rng(12)
    space = Space.box(0, 1, 8).with_integer()
    rows, missed = whole_points(space), 0
    for _ in range(60):
        w = rng.normal(size=8)
        reference = LinearModel(w + 0.5 * rng.normal(size=8), rng.normal())
        question = Question(get_loss("hinge"), LinearModel(w, rng.normal()), reference, space)
        found, best = propose(question), values(question, rows).max()
        assert found.upper >= best
        missed += question.value_at(found.point, found.label) < best - 1e-9
    assert missed > 0  # so that the bound, not the point, was put to the test


# ---------------------------------------------------------------- the registry


def test_is_the_automatic_choice_for_what_it_can_do() -> None:
    question = hard_question()
    assert choose(question) is backend("polygon") is polygon.BACKEND
    assert polygon.BACKEND.available()
    assert polygon.BACKEND.capabilities.missing(replace(question, space=question.space.with_ball(np.zeros(60), 1.0)))
