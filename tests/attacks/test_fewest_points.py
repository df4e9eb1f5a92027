"""Targets of least mass: the poison found does what it says when everything is trained again from nothing."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import convexpoison as cp
from convexpoison.attacks import fewest_points_search as search
from convexpoison.attacks.base import Budget
from convexpoison.bounds.tight_program import TightBound
from convexpoison.data.training_data import TrainingData
from convexpoison.problem import Problem
from convexpoison.targets import best_classified, cheapest, label_flips, least_mass, subpopulations
from convexpoison.threats import AddRows

HINGE, LOGISTIC = cp.Victim("hinge", C_R=0.05), cp.Victim("logistic", C_R=0.02)


def retrained(victim, data, found):
    X, y = data
    copies = np.repeat(found.points, found.counts, axis=0)
    return victim.fit(np.vstack([X, copies]), np.append(y, np.repeat(found.labels, found.counts)))


def check(victim, digits, goal, found, space=None):
    space = space or digits.space
    model = retrained(victim, digits.train, found)
    assert model.distance(found.model) < 1e-6
    assert goal(found.model) and goal(model)
    assert space.contains(found.points).all()
    assert found.bound <= found.mass * (1 + 1e-9)
    assert found.bound == cp.lower_bound(found.model, digits.train, victim=victim, space=space).value
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


def test_a_failed_ascent_is_not_lost(digits, monkeypatch):
    """With more points the search goes on from where it ended with fewer, and not from the last success."""
    goal, ascents = cp.goals.ErrorRate(0.08, *digits.test), []
    problem = Problem(HINGE, TrainingData.from_user(digits.train), AddRows(digits.space), goal)
    looking = search.Search(problem, Budget(), digits.test, 20)
    found, climb = looking.grow(1), looking.climber.climb

    def watched(place, n, *how):
        end, accepted = climb(place, n, *how)
        ascents.append((place, end, accepted))
        return end, accepted

    monkeypatch.setattr(looking.climber, "climb", watched)
    looking._fewer(found)
    assert ascents[0][0] is found.place and not all(accepted for *_, accepted in ascents)
    for (_, end, _), (place, _, _) in pairwise(ascents):
        assert place is end


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
    check(HINGE, digits, goal, first, space)
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


def nearest_to_the_boundary(digits, victim):
    scores = np.abs(victim.fit(*digits.train).decision_function(digits.X_test))
    return cp.goals.Flip(digits.X_test[int(np.argmin(scores))])


def test_the_search_keeps_to_its_budget(digits):
    victim = cp.Victim("logistic", C=1.0)
    goal = nearest_to_the_boundary(digits, victim)
    found = least_mass(goal, digits.train, victim=victim, space=digits.space, max_points=1)
    assert found.n_points == 1 and found.history["n_points"].max() == 1
    check(victim, digits, goal.bind(victim.fit(*digits.train)), found)
    assert cp.attack(goal, digits.train, victim=victim, space=digits.space, max_points=1).n_points == 1
    again = least_mass(goal, digits.train, victim=victim, space=digits.space, max_points=1, start=found.model)
    assert again.n_points == 1


def test_a_free_intercept(digits):
    victim = cp.Victim("hinge", C=1.0, intercept="free")
    goal = nearest_to_the_boundary(digits, victim)
    found = cp.attack(goal, digits.train, victim=victim, space=digits.space, max_iter=20)
    assert goal.bind(victim.fit(*digits.train))(found.model)


def test_the_bound_gets_the_time_that_is_left(digits, monkeypatch):
    limits = []
    monkeypatch.setattr(
        search, "tight_bound", lambda _, *, time_limit_s: limits.append(time_limit_s) or TightBound(0.0, np.inf, None)
    )
    goal = cp.goals.ErrorRate(0.05, *digits.test)
    options = {"victim": HINGE, "space": digits.space, "n_starts": 1, "max_iter": 10}
    found = least_mass(goal, digits.train, time_limit_s=30.0, **options)
    assert len(limits) == 2 and 30.0 > limits[0] > limits[1] >= 0.0
    assert found.bound == 0.0 and found.mass == np.inf
    least_mass(goal, digits.train, **options)
    assert limits[2:] == [None, None]


def test_starts_are_read_as_targets_are(digits):
    goal, options = cp.goals.ErrorRate(0.10, *digits.test), {"victim": HINGE, "space": digits.space, "max_iter": 5}
    flip = cp.targets.label_flip(HINGE, digits.train, error=0.12, evaluate=digits.test).model
    model, pair = (
        least_mass(goal, digits.train, start=start, **options) for start in (flip, (flip.coef, flip.intercept))
    )
    np.testing.assert_array_equal(model.points, pair.points)
    for start, error, message in (
        ((flip.coef[:5], 0.0), ValueError, "5 features"),
        ("label_flips", TypeError, "cannot read a target from str"),
        (goal, TypeError, "must be a model"),
    ):
        with pytest.raises(error, match=message):
            least_mass(goal, digits.train, start=start, **options)
    with pytest.raises(ValueError, match="for an error rate"):
        least_mass(cp.goals.Flip(digits.X_test[0]), digits.train, start="label_flip", **options)
    with pytest.raises(ValueError, match="n_starts must be a positive integer; got 'a'"):
        least_mass(goal, digits.train, n_starts="a", **options)


def test_the_cheapest_label_flip_is_where_the_descent_starts(digits):
    candidates = label_flips(HINGE, digits.train, error=0.10, evaluate=digits.test)
    masses = [cp.lower_bound(c.model, digits.train, victim=HINGE, space=digits.space).mass for c in candidates]
    best = cheapest(candidates, digits.train, victim=HINGE, space=digits.space)
    assert len(candidates) > 2 and best is candidates[int(np.argmin(masses))]
    usual = cp.targets.label_flip(HINGE, digits.train, error=0.10, evaluate=digits.test)
    assert usual.clean_loss == min(c.clean_loss for c in candidates)
    goal = cp.goals.ErrorRate(0.10, *digits.test)
    options = {"victim": HINGE, "space": digits.space, "max_iter": 5}
    named, given = (least_mass(goal, digits.train, start=s, **options) for s in ("label_flip", best.model))
    np.testing.assert_array_equal(named.points, given.points)
    assert named.n_points <= np.ceil(min(masses))
    with pytest.raises(ValueError, match="0 candidates"):
        cheapest([], digits.train, victim=HINGE, space=digits.space)
