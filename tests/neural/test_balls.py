"""The memory's balls: the three cases of DDRS Fig. 2, and that balls of different labels never overlap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convexpoison.neural.smoothing.balls import ABSTAIN, Balls


def _one(norm: int = 2) -> Balls:
    balls = Balls(norm)
    assert balls.settle(np.array([0.0, 0.0]), 1, 1.0) == (1, 1.0)
    return balls


def test_left_the_same_label_keeps_its_whole_ball() -> None:
    balls = _one()
    assert balls.settle(np.array([1.5, 0.0]), 1, 2.0) == (1, 2.0)
    assert balls.settle(np.array([0.5, 0.0]), 1, 3.0) == (1, 3.0)


def test_middle_inside_a_ball_of_another_label_it_takes_that_label() -> None:
    balls = _one()
    label, radius = balls.settle(np.array([0.6, 0.0]), 2, 1.0)
    assert label == 1
    assert radius == pytest.approx(0.4, rel=1e-12)
    assert radius <= 0.4
    assert balls.settle(np.array([0.0, 0.3]), 2, 0.25) == (1, 0.25)


def test_right_outside_it_keeps_its_label_and_loses_the_overlap() -> None:
    balls = _one()
    label, radius = balls.settle(np.array([1.5, 0.0]), 2, 1.0)
    assert label == 2
    assert radius == pytest.approx(0.5, rel=1e-12)
    assert radius <= 0.5
    assert balls.settle(np.array([0.0, 5.0]), 2, 1.0) == (2, 1.0)


def test_in_l1_distances_are_l1() -> None:
    balls = _one(norm=1)
    assert balls.settle(np.array([0.6, 0.6]), 2, 1.0)[0] == 2  # l1 distance 1.2: outside
    assert balls.settle(np.array([0.4, 0.4]), 3, 1.0)[0] == 1
    assert _one(norm=2).settle(np.array([0.6, 0.6]), 2, 1.0)[0] == 1  # l2 distance .85: inside


def test_an_abstention_is_no_class() -> None:
    balls = _one()
    assert balls.settle(np.array([3.0, 0.0]), ABSTAIN, 0.0) == (ABSTAIN, 0.0)
    assert len(balls) == 1
    assert balls.settle(np.array([2.5, 0.0]), 2, 1.0)[1] == pytest.approx(1.0)  # nothing at 3 blocks it
    label, radius = balls.settle(np.array([0.25, 0.0]), ABSTAIN, 0.0)
    assert (label, radius) == (1, pytest.approx(0.75))


def test_an_answer_without_a_radius_still_binds() -> None:
    balls = Balls(2)
    balls.settle(np.array([0.0]), 1, 0.0)
    assert balls.settle(np.array([1.0]), 2, 5.0)[1] <= 1.0


def test_touching_balls_do_not_overlap() -> None:
    balls = _one()
    label, radius = balls.settle(np.array([1.0, 0.0]), 2, 1.0)
    assert (label, radius) in ((1, 0.0), (2, 0.0))


def test_what_was_settled_can_be_put_back_and_nothing_that_overlaps() -> None:
    balls, rng = Balls(2), np.random.default_rng(0)
    for _ in range(50):
        balls.settle(rng.random(3), int(rng.integers(3)), float(rng.random()))
    copy = Balls(2)
    for point, label, radius in zip(balls.points, balls.labels, balls.radii, strict=True):
        copy.put(point, int(label), float(radius))
    np.testing.assert_array_equal(copy.radii, balls.radii)
    with pytest.raises(ValueError, match="overlaps"):
        copy.put(balls.points[0] + 1e-3, 7, 0.5)
    with pytest.raises(ValueError, match="not stored yet"):
        copy.put(balls.points[0], int(balls.labels[0]), 0.0)


_QUERIES = st.lists(
    st.tuples(
        st.tuples(*[st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 0.7, 1.0]) for _ in range(2)]),
        st.integers(-1, 2),
        st.one_of(st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]), st.floats(0.0, 2.0)),
    ),
    max_size=25,
)


@given(_QUERIES, st.sampled_from([1, 2]))
def test_no_two_balls_of_different_labels_ever_overlap(queries: list, norm: int) -> None:
    balls, answers = Balls(norm), {}
    for point, label, radius in queries:
        x = np.array(point)
        place = balls.place(x)
        if place is not None:
            assert (balls.labels[place], balls.radii[place]) == answers[point]  # earlier answers stay
            continue
        found = balls.settle(x, label, 0.0 if label == ABSTAIN else radius)
        if found[0] != ABSTAIN:
            answers[point] = found
        # The answer is that of every ball that holds the point (beyond doubt), and its ball stays clear of all others.
        apart = np.linalg.norm(balls.points - x, ord=norm, axis=1) if len(balls) else np.empty(0)
        assert set(balls.labels[apart < balls.radii * (1 - 1e-9)]) <= {found[0]}
    for i in range(len(balls)):
        apart = np.linalg.norm(balls.points - balls.points[i], ord=norm, axis=1)
        other = balls.labels != balls.labels[i]
        assert (balls.radii[other] + balls.radii[i] <= apart[other] * (1 + 1e-15)).all()


def test_minus_zero_is_zero() -> None:
    balls = _one()
    assert balls.place(np.array([-0.0, 0.0])) == 0
    with pytest.raises(ValueError, match="not stored yet"):
        balls.put(np.array([0.0, -0.0]), 1, 0.0)
