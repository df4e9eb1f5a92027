"""Methods at the front door: every one has the same result, and what does not go together is refused in words."""

from __future__ import annotations

import numpy as np
import pytest

import convexpoison as cp
from convexpoison.attacks import base
from convexpoison.attacks.base import METHODS
from convexpoison.bounds import tight
from convexpoison.learners import trainers
from convexpoison.poison import Poison

VICTIM = cp.Victim("hinge", C_R=0.05)
GOALS = [name for name, method in METHODS.items() if method.aims_at == "goal"]


def ask(digits, method, goal=None, **options):
    budget = {"max_points": 12} if METHODS[method].needs_budget else {}
    goal = goal or cp.goals.ErrorRate(1.0, *digits.test)
    return cp.attack(goal, digits.train, victim=VICTIM, space=digits.space, method=method, **(budget | options))


@pytest.fixture(scope="module")
def target(digits):
    wrong = np.where(np.arange(len(digits.y_train)) % 6 == 0, 8 - digits.y_train, digits.y_train)
    return VICTIM.fit(digits.X_train, wrong)


@pytest.mark.parametrize("method", [name for name in GOALS if METHODS[name].needs_budget])
def test_methods_for_goals_keep_to_their_contract(digits, method, tmp_path):
    """Points in the space, labels in the user's terms, the model what the victim learns from them, saved and loaded."""
    small = {"minimax": {"tune": None}, "influence": {"max_iter": 3}, "gradient": {"max_iter": 3}}.get(method, {})
    result = ask(digits, method, test_data=digits.test, **small)
    assert 1 <= result.n_points <= 12 and result.stop_reason == "budget"
    assert digits.space.contains(result.points).all() and set(result.labels) <= {1, 7}
    fresh = VICTIM.fit(*result.poisoned(*digits.train))
    assert fresh.distance(result.model) < 1e-6
    assert result.target.distance(result.model) == 0.0
    assert float(result.induced_bound) <= result.n_points + 1e-6
    result.save(tmp_path / "run.npz")
    again = cp.AttackResult.load(tmp_path / "run.npz")
    assert again.info == result.info and again.to_dict() == result.to_dict()


def test_kkt_aims_at_a_model(digits, target):
    result = cp.attack(target, digits.train, victim=VICTIM, method="kkt", max_points=30, n_splits=3)
    assert result.n_points <= 30 and result.n_distinct <= 2
    assert result.target.distance(target) == 0.0 and result.model.distance(target) > 0
    with pytest.raises(ValueError, match="needs a model as target"):
        ask(digits, "kkt")


def test_a_goal_without_a_method_gets_the_cheapest_target(digits):
    """And its points stop at the goal: with fewer of them, in their order, it is not reached."""
    goal = cp.goals.ErrorRate(0.1, *digits.test)
    result = cp.attack(goal, digits.train, victim=VICTIM, space=digits.space, n_starts=1, max_iter=15, flip=digits.test)
    assert goal(result.model) and result.stop_reason == "goal"
    assert result.n_points <= 1.05 * result.induced_bound.n_points + 2
    by_flips = cp.targets.label_flip(VICTIM, digits.train, error=0.1, flip=digits.test)
    assert result.n_points < by_flips.n_flipped * by_flips.copies


def test_the_goal_ends_the_points(digits):
    goal = cp.goals.ErrorRate(0.02, *digits.test)
    result = ask(digits, "label_flip", goal, max_points=600, pool="rows", fraction=0.2, choose="lowest_margin")
    assert result.stop_reason == "goal" and goal(result.model) and result.n_points < 600
    before = np.repeat(np.arange(len(result.counts)), result.counts)[: result.n_points - result.counts[-1]]
    X = np.vstack([digits.X_train, result.points[before]])
    y = np.concatenate([digits.y_train, result.labels[before]])
    assert not goal(VICTIM.fit(X, y))


def test_flip_asks_for_its_own_row(digits):
    row = digits.X_test[3]
    result = ask(digits, "gradient", cp.goals.Flip(row), max_points=3, max_iter=3)
    clean, poisoned = (float(m.decision_function(row[None])[0]) for m in (result.clean, result.model))
    assert abs(poisoned) < abs(clean) or np.sign(poisoned) != np.sign(clean)


@pytest.mark.parametrize(
    ("keywords", "error", "words"),
    [
        ({"method": "sgd"}, ValueError, "unknown method 'sgd'"),
        ({"method": "optimal"}, ValueError, "aims at a model, and a goal was given"),
        ({"method": "gradient"}, ValueError, "pass max_points"),
        ({"method": "gradient", "max_points": 5, "eps": 0.1}, ValueError, "do not apply"),
        ({"method": "gradient", "max_points": 5, "colour": 3}, TypeError, "does not take colour; it has n_restarts"),
        ({"method": "gradient", "max_points": 0}, ValueError, "max_points must be a positive integer"),
    ],
)
def test_what_does_not_go_together_is_refused(digits, keywords, error, words):
    with pytest.raises(error, match=words):
        cp.attack(cp.goals.ErrorRate(0.5, *digits.test), digits.train, victim=VICTIM, **keywords)


def test_options_of_methods_are_refused_elsewhere(digits, target):
    with pytest.raises(TypeError, match="does not take n_splits"):
        cp.attack(target, digits.train, victim=VICTIM, n_splits=3)
    with pytest.raises(TypeError, match="does not take validation"):
        cp.attack(target, digits.train, victim=VICTIM, validation=digits.test)
    with pytest.raises(TypeError, match="does not take validation"):
        cp.attack(target, digits.train, victim=VICTIM, method="kkt", max_points=5, validation=digits.test)
    with pytest.raises(ValueError, match="pass victim="):
        cp.attack(cp.goals.ErrorRate(0.5, *digits.test), digits.train)
    with pytest.raises(TypeError, match="convex in the model"):
        cp.lower_bound(cp.goals.ErrorRate(0.5, *digits.test), digits.train, victim=VICTIM)


def test_minimax_ends_at_the_defender_who_tuned(digits):
    """The victim of the result is the re-tuned one, and the model is what that one learns."""
    goal = cp.goals.ErrorRate(1.0, *digits.test)
    victim = cp.Victim("logistic", C=1.0)
    result = cp.attack(
        goal, digits.train, victim=victim, space=digits.space, method="minimax", tune="l2", max_points=6, iterations=5
    )
    assert pytest.approx(np.exp(-result.info["lambda"][0])) == result.victim.C and result.victim.C != 1.0
    assert result.victim.fit(*result.poisoned(*digits.train)).distance(result.model) < 1e-6


def test_copies_reach_the_methods_that_repeat_their_points(digits):
    assert ask(digits, "min_max", copies=4).counts.tolist() == [4, 4, 4]
    with pytest.raises(ValueError, match="copies do not apply"):
        ask(digits, "label_flip", copies=4)


def test_a_goal_that_holds_already_takes_no_points(digits):
    result = ask(digits, "label_flip", cp.goals.ErrorRate(0.0, *digits.test))
    assert result.n_points == 0 and result.stop_reason == "goal"
    assert result.model.distance(result.clean) == 0.0


def test_a_fixed_lambda_is_the_one_of_the_victim_in_the_result(digits):
    goal, victim = cp.goals.ErrorRate(1.0, *digits.test), cp.Victim("logistic", C_R=0.1)
    common = {
        "victim": victim,
        "space": digits.space,
        "method": "minimax",
        "tune": None,
        "max_points": 5,
        "iterations": 2,
    }
    own = cp.attack(goal, digits.train, **common)
    assert own.victim == victim and own.info["victim"]["C_R"] == pytest.approx(0.1)
    other = cp.attack(goal, digits.train, **common, initial_lambda=3.0)
    assert other.victim.C_R == pytest.approx(other.info["victim"]["C_R"]) == pytest.approx(np.exp(3.0) / 257)
    several = cp.attack(goal, digits.train, **(common | {"tune": "per_feature"}))
    assert "several lambdas" in several.note and several.victim == victim


def test_columns_in_another_order_are_refused(digits, pandas):
    names = [f"pixel {j}" for j in range(64)]
    train = pandas.DataFrame(digits.X_train, columns=names), digits.y_train
    shuffled = pandas.DataFrame(digits.X_test, columns=names)[names[::-1]], digits.y_test
    model = VICTIM.fit(*digits.train)
    with pytest.raises(ValueError, match="in their order"):
        cp.attack(model, train, victim=VICTIM, max_points=1, test_data=shuffled)


def test_the_bound_of_a_goal_has_no_limits(digits):
    with pytest.raises(ValueError, match="leave out method"):
        cp.lower_bound(cp.goals.Flip(digits.X_test[3]), digits.train, victim=VICTIM, time_limit_s=1.0)


# -------------------------------------------------------------------- one contract, one evaluation


def test_a_function_of_the_contract_is_a_method(digits, target):
    seen = []

    def mean_row(problem, budget, *, label=1.0):
        seen.append((problem, budget))
        mean = np.clip(problem.data.X.mean(axis=0).reshape(1, -1), problem.space.lower, problem.space.upper)
        return Poison(np.asarray(mean), np.array([label]), np.array([budget.n_points]))

    towards_goal = (
        ask(digits, "label_flip"),
        cp.attack(
            cp.goals.ErrorRate(1.0, *digits.test),
            digits.train,
            victim=VICTIM,
            space=digits.space,
            method=mean_row,
            max_points=7,
        ),
    )
    assert towards_goal[1].n_points == 7 and towards_goal[1].stop_reason == "budget"
    towards_model = cp.attack(target, digits.train, victim=VICTIM, method=mean_row, max_points=5, label=-1.0)
    assert towards_model.n_points == 5 and towards_model.labels.tolist() == [1]
    assert towards_model.history["max_loss_difference"].size == 2
    assert seen[0][0].goal is not None and not seen[0][0].has_target and seen[1][0].has_target
    with pytest.raises(TypeError, match=r"method='mean_row' does not take colour; it has label"):
        cp.attack(target, digits.train, victim=VICTIM, method=mean_row, max_points=5, colour=1)
    with pytest.raises(ValueError, match=r"method='mean_row' has a budget; pass max_points"):
        cp.attack(target, digits.train, victim=VICTIM, method=mean_row)


def test_a_method_that_breaks_the_contract_is_found_out(digits, target):
    def outside(problem, budget):
        return Poison(np.full((1, 64), 9.0), np.ones(1), np.ones(1, dtype=int))

    def too_many(problem, budget):
        return Poison(
            problem.data.X[:1].toarray() if hasattr(problem.data.X, "toarray") else problem.data.X[:1],
            np.ones(1),
            np.array([99]),
        )

    for method, words in ((outside, "outside the space"), (too_many, "99 points where the budget is 5")):
        with pytest.raises(AssertionError, match=words):
            cp.attack(target, digits.train, victim=VICTIM, method=method, max_points=5)


def test_entry_points_of_other_packages_are_methods(digits, target, monkeypatch):
    class Point:
        def load(self):
            return lambda problem, budget: Poison(problem.space.lower[None], np.ones(1), np.array([budget.n_points]))

    asked = []
    monkeypatch.setattr(base, "entry_points", lambda *, group, name: asked.append((group, name)) or [Point()])
    assert cp.attack(target, digits.train, victim=VICTIM, method="theirs", max_points=3).n_points == 3
    assert set(asked) == {("convexpoison.attacks", "theirs")}
    monkeypatch.undo()
    with pytest.raises(ValueError, match="unknown method 'theirs'; choose one of"):
        cp.attack(target, digits.train, victim=VICTIM, method="theirs", max_points=3)


def test_the_old_name_of_a_method_is_known_for_one_release(digits):
    goal = cp.goals.ErrorRate(0.05, *digits.test)
    short = {"n_starts": 1, "max_iter": 5, "flip": digits.test}
    with pytest.deprecated_call(match="'least_mass' is 'fewest_points' now"):
        old = (
            ask(digits, "least_mass", goal, **short)
            if "least_mass" in METHODS
            else cp.attack(goal, digits.train, victim=VICTIM, space=digits.space, method="least_mass", **short)
        )
    assert old.n_points == cp.attack(goal, digits.train, victim=VICTIM, space=digits.space, **short).n_points


@pytest.mark.parametrize(
    ("method", "options", "n_bounds"),
    [
        ("follow_the_leader", {"max_points": 8}, 2),
        ("optimal", {}, 2),
        ("kkt", {"max_points": 8, "n_splits": 2}, 2),
        ("label_flip", {"max_points": 8}, 1),
        ("gradient", {"max_points": 4, "max_iter": 2}, 1),
        ("min_max", {"max_points": 8}, 1),
        ("influence", {"max_points": 4, "max_iter": 2}, 1),
        ("fewest_points", {"n_starts": 1, "max_iter": 4}, 1),
    ],
)
def test_one_fit_of_the_clean_rows_and_one_tight_bound_a_model(digits, target, monkeypatch, method, options, n_bounds):
    fits, bounds = [], []
    train, bound = trainers.make_trainer, tight.tight_bound
    monkeypatch.setattr(
        trainers, "make_trainer", lambda victim, data: fits.append(data.n_samples) or train(victim, data)
    )
    counted = lambda problem, **more: bounds.append(problem) or bound(problem, **more)  # noqa: E731
    for module in ("bounds.target", "attacks.optimal"):
        monkeypatch.setattr(f"convexpoison.{module}.tight_bound", counted)
    aim = target if METHODS[method].aims_at == "target" else cp.goals.ErrorRate(0.04, *digits.test)
    cp.attack(aim, digits.train, victim=VICTIM, space=digits.space, method=method, **options)
    assert fits.count(len(digits.y_train)) == 1
    assert len(bounds) == n_bounds
