"""Targets of least mass: the poison found does what it says when everything is trained again from nothing."""

from __future__ import annotations

import numpy as np
import pytest

import convexpoison as cp
from convexpoison.targets import best_classified, least_mass, subpopulations

HINGE, LOGISTIC = cp.Victim("hinge", C_R=0.05), cp.Victim("logistic", C_R=0.02)


def retrained(victim, data, found):
    X, y = data
    copies = np.repeat(found.points, found.counts, axis=0)
    return victim.fit(np.vstack([X, copies]), np.append(y, np.repeat(found.labels, found.counts)))


def check(victim, digits, goal, found):
    model = retrained(victim, digits.train, found)
    assert model.distance(found.model) < 1e-6
    assert goal(found.model) and goal(model)
    assert digits.space.contains(found.points).all()
    assert found.bound <= found.mass * (1 + 1e-9)
    assert found.bound <= found.n_points + 1e-6  # these points reproduce the model, so no bound can lie above them


@pytest.mark.parametrize(
    "victim", [HINGE, LOGISTIC, pytest.param(cp.Victim("squared_hinge", C=0.1), marks=pytest.mark.slow)], ids=repr
)
def test_an_error_rate_costs_less_than_by_label_flips(digits, victim):
    goal = cp.goals.ErrorRate(0.10, *digits.test)
    found = least_mass(goal, digits.train, victim=victim, space=digits.space, max_iter=30)
    check(victim, digits, goal, found)
    assert found.error == pytest.approx(1.0 - found.model.accuracy(*digits.test)) and found.error >= 0.10
    flip = cp.targets.label_flip(victim, digits.train, error=0.10, evaluate=digits.test, improved=True)
    assert found.n_points < 0.7 * cp.lower_bound(flip.model, digits.train, victim=victim, space=digits.space).n_points


def test_history_tells_every_try(digits):
    goal = cp.goals.ErrorRate(0.08, *digits.test)
    found = least_mass(goal, digits.train, victim=HINGE, space=digits.space, flip=digits.test, max_iter=20)
    tried, reached = found.history["n_points"], found.history["reached"] > 0
    assert found.n_points == tried[reached].min() and (found.history["error"][reached] >= 0.08).all()
    assert np.isnan(found.history["error"][~reached]).all() and (np.diff(found.history["seconds"]) >= 0).all()


def test_a_start_is_shrunk(digits):
    goal = cp.goals.ErrorRate(0.10, *digits.test)
    flip = cp.targets.label_flip(HINGE, digits.train, error=0.12, evaluate=digits.test)
    found = least_mass(goal, digits.train, victim=HINGE, space=digits.space, start=flip.model, max_iter=20)
    check(HINGE, digits, goal, found)
    assert found.n_points < cp.lower_bound(flip.model, digits.train, victim=HINGE, space=digits.space).n_points


def test_a_subpopulation_and_one_row(digits):
    X, y = digits.train
    group = best_classified(subpopulations(X, y, n_clusters=6, min_rows=8), HINGE.fit(X, y))[0]
    found = least_mass(group.goal, digits.train, victim=HINGE, space=digits.space, n_starts=1, max_iter=30)
    check(HINGE, digits, group.goal, found)
    assert group.accuracy(found.model) == 0.0 and found.error == 1.0

    goal = cp.goals.Flip(digits.X_test[0])
    flipped = least_mass(goal, digits.train, victim=HINGE, space=digits.space, n_starts=1, max_iter=30)
    clean = HINGE.fit(X, y)
    check(HINGE, digits, goal.bind(clean), flipped)
    assert cp.lower_bound(goal, digits.train, victim=HINGE, space=digits.space).value <= flipped.n_points


def test_one_label_only_and_the_same_again(digits):
    goal, space = cp.goals.ErrorRate(0.04, *digits.test), digits.space.with_labels([-1])
    first, second = (
        least_mass(goal, digits.train, victim=HINGE, space=space, n_starts=1, max_iter=10) for _ in range(2)
    )
    check(HINGE, digits, goal, first)
    assert set(first.labels) == {1}  # the label that stands for -1
    np.testing.assert_array_equal(first.points, second.points)
    np.testing.assert_array_equal(first.counts, second.counts)


def test_what_cannot_be_used_is_refused(digits):
    goal, data = cp.goals.ErrorRate(0.10, *digits.test), digits.train
    for options, message in (
        ({"space": digits.space.with_integer([0])}, "relax"),
        ({"space": digits.space.with_ball(np.full(64, 0.5), 3.0)}, "box"),
        ({"max_points": 3}, "allow more points"),
        ({"n_starts": 0}, "n_starts"),
        ({"time_limit_s": 1e-6}, "allow more points or time"),
    ):
        with pytest.raises(ValueError, match=message):
            least_mass(goal, data, victim=HINGE, **{"space": digits.space, **options})
    with pytest.raises(ValueError, match="without any poison"):
        least_mass(cp.goals.ErrorRate(0.0, *digits.test), data, victim=HINGE, space=digits.space)
    with pytest.raises(ValueError, match="bounded box"):
        least_mass(goal, data, victim=HINGE, space=cp.Space.box(0.0, np.inf, 64))
    with pytest.raises(ValueError, match="rows of its own"):
        least_mass(cp.goals.Flip(digits.X_test[0]), data, victim=HINGE, space=digits.space, flip=digits.test)
    with pytest.raises(TypeError, match="ErrorRate"):
        least_mass(lambda model: True, data, victim=HINGE)
    with pytest.raises(ValueError, match="regression"):
        least_mass(goal, data, victim=cp.Victim("squared", C=1.0))
