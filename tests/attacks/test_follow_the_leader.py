"""Algorithm 1 on real digits: what it promises, how it stops, what it returns."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.svm import LinearSVC

import convexpoison as cp
from convexpoison.data.training_data import TrainingData


@pytest.fixture(scope="module")
def victim():
    return cp.Victim("hinge", C_R=0.05)


@pytest.fixture(scope="module")
def target(digits, victim):
    return cp.targets.label_flip(victim, (digits.X_train, digits.y_train), error=0.1).model


@pytest.fixture(scope="module")
def close(digits, victim, target):
    return cp.attack(
        target,
        (digits.X_train, digits.y_train),
        victim=victim,
        space=cp.Space.box(0, 1, 64),
        test_data=(digits.X_test, digits.y_test),
        eps=0.1,
    )


def test_comes_as_close_as_asked(close, target):
    assert close.stop_reason == "close"
    other = cp.max_loss_difference(close.model, target, cp.Space.box(0, 1, 64), solver="highs")
    assert other.certified and other.value <= 0.1
    assert close.history["max_loss_difference"][0] > 0.5  # the clean model was far away


def test_model_is_what_the_victim_learns_from_the_poisoned_rows(close, digits, victim):
    X, y = close.poisoned(digits.X_train, digits.y_train)
    assert len(y) == len(digits.y_train) + close.n_points
    assert victim.fit(X, y).distance(close.model) < 1e-5
    theirs = LinearSVC(loss="hinge", C=1 / (0.05 * len(y)), tol=1e-10, max_iter=1_000_000).fit(X, y)
    np.testing.assert_allclose(close.model.coef, theirs.coef_[0], atol=1e-4)
    np.testing.assert_array_equal(close.model.predict(digits.X_test), theirs.predict(digits.X_test))


def test_bounds_bracket_the_points(close):
    assert close.induced_bound.certified
    assert 1 <= close.induced_bound.n_points <= close.n_points
    assert close.bound.certified
    assert float(close.bound) >= close.history["lower_bound"][-1] * (1 - 1e-9)


def test_history_has_one_entry_a_model(close):
    history = close.history
    assert {len(values) for values in history.values()} == {len(close.counts) + 1}
    np.testing.assert_array_equal(history["n_points"], np.concatenate([[0], np.cumsum(close.counts)]))
    assert (np.diff(history["lower_bound"]) >= 0).all()
    assert history["accuracy"][0] > 0.98 > history["accuracy"][-1]
    assert history["distance"][-1] == pytest.approx(close.model.distance(close.target))


def test_theorem_1_holds_along_the_run(close):
    best = np.minimum.accumulate(close.history["max_loss_difference"])
    promised = [close.guarantee.epsilon(n) for n in range(1, close.n_points + 1)]
    # The theorem speaks of the models before each of the T points.
    assert (best[: len(promised)] <= promised).all()
    assert promised[-1] < promised[0] / 10


def test_first_points_are_the_attack_with_a_smaller_budget(close, digits, victim, target):
    data = (digits.X_train, digits.y_train)
    few = cp.attack(target, data, victim=victim, space=cp.Space.box(0, 1, 64), max_points=17)
    assert (few.stop_reason, few.n_points) == ("budget", 17)
    np.testing.assert_array_equal(few.points, close.points[:17])
    np.testing.assert_array_equal(few.labels, close.labels[:17])


def test_copies_and_budget(digits, victim, target):
    data = (digits.X_train, digits.y_train)
    result = cp.attack(target, data, victim=victim, copies=4, max_points=10)
    assert result.counts.tolist() == [4, 4, 2]
    assert victim.fit(*result.poisoned(*data)).distance(result.model) < 1e-5


def test_goal_ends_the_run(digits, victim, target):
    data = (digits.X_train, digits.y_train)
    goal = cp.goals.ErrorRate(0.03, digits.X_test, digits.y_test)
    result = cp.attack(target, data, victim=victim, goal=goal, test_data=(digits.X_test, digits.y_test))
    assert result.stop_reason == "goal"
    assert result.history["accuracy"][-1] <= 0.97 < result.history["accuracy"][-2]


def test_ctrl_c_returns_the_best_so_far(digits, victim, target):
    seen = []

    def impatient(model):
        seen.append(model)
        if len(seen) == 30:
            raise KeyboardInterrupt
        return False

    data = (digits.X_train, digits.y_train)
    result = cp.attack(target, data, victim=victim, goal=impatient)
    assert result.stop_reason == "interrupted"
    assert result.n_points == int(np.argmin(result.history["max_loss_difference"])) > 0
    assert victim.fit(*result.poisoned(*data)).distance(result.model) < 1e-5
    assert 0 < float(result.induced_bound) <= result.n_points


def test_an_attack_without_tight_bounds_makes_the_same_points(digits, victim, target, monkeypatch):
    """They take longer than the attack where columns are many, and a sweep may not want them."""
    data = (digits.X_train, digits.y_train)
    whole = cp.attack(target, data, victim=victim, max_points=12)
    monkeypatch.setattr(
        "convexpoison.bounds.target.tight_bound", lambda *_, **__: pytest.fail("a linear program was solved")
    )
    alone = cp.attack(target, data, victim=victim, max_points=12, bound_time_limit_s=0)
    np.testing.assert_array_equal(alone.points, whole.points)
    assert alone.bound.method == alone.induced_bound.method == "theorem_2"
    assert 0 < float(alone.bound) <= float(whole.bound) and 0 < float(alone.induced_bound) <= float(whole.induced_bound)


def test_time_limit_returns_the_best_so_far(digits, victim, target):
    result = cp.attack(target, (digits.X_train, digits.y_train), victim=victim, eps=1e-9, time_limit_s=0.3)
    assert result.stop_reason == "time limit"
    assert 0 < result.n_points <= len(digits.y_train)


@pytest.mark.parametrize(
    "victim",
    [
        cp.Victim("logistic", C_R=0.02),
        cp.Victim("logistic", C=0.1, intercept="free"),
        cp.Victim("squared_hinge", C_R=0.05),
        cp.Victim("hinge", C=0.02, intercept="free"),
        cp.Victim("hinge", C_R=0.05, intercept="none"),
    ],
    ids=lambda v: f"{v.loss.name}-{v.convention}-{v.intercept}",
)
def test_every_victim_is_drawn_to_its_target(victim, digits):
    data = (digits.X_train, digits.y_train)
    target = cp.targets.label_flip(victim, data, error=0.05).model
    result = cp.attack(target, data, victim=victim, max_points=60)
    difference = result.history["max_loss_difference"]
    assert difference[-1] < 0.6 * difference[0]
    assert result.bound.certified and float(result.bound) > 1
    assert 1 <= result.induced_bound.n_points <= 60
    assert victim.fit(*result.poisoned(*data)).distance(result.model) < 1e-5


def test_regression_is_drawn_to_its_target(digits):
    X, y = digits.X_train, digits.X_train[:, 20] + 0.3 * digits.X_train[:, 43] - 0.1
    X = np.delete(X, [20, 43], axis=1)
    victim = cp.Victim("squared", C_R=0.01, intercept="free")
    clean = victim.fit(X, y)
    target = cp.LinearModel(0.9 * clean.coef, clean.intercept + 0.1)
    result = cp.attack(target, (X, y), victim=victim, max_points=60)
    assert result.history["max_loss_difference"][-1] < 0.3 * result.history["max_loss_difference"][0]
    assert set(np.round(result.labels, 9)) <= {round(y.min(), 9), round(y.max(), 9)}
    assert result.induced_bound.n_points <= 60


def test_target_already_learned_needs_no_point(digits, victim):
    clean = victim.fit(digits.X_train, digits.y_train)
    result = cp.attack(clean, (digits.X_train, digits.y_train), victim=victim)
    assert (result.n_points, result.stop_reason, float(result.bound)) == (0, "close", 0.0)


def test_target_that_cannot_be_attained_is_refused(digits, victim):
    data = (digits.X_train, digits.y_train)
    clean = victim.fit(*data)
    with pytest.raises(cp.UnattainableTargetError, match="no number of added points"):
        cp.attack(cp.LinearModel(30 * clean.coef, 30 * clean.intercept), data, victim=victim)
    assert not cp.lower_bound(cp.LinearModel(30 * clean.coef, 30 * clean.intercept), data, victim=victim).attainable


def test_sparse_data_give_the_same_attack(close, digits, victim, target):
    from scipy.sparse import csr_matrix

    data = (csr_matrix(digits.X_train), digits.y_train)
    result = cp.attack(target, data, victim=victim, space=cp.Space.box(0, 1, 64), max_points=10)
    np.testing.assert_allclose(result.points, close.points[:10], atol=1e-9)


def test_summary_speaks_of_the_kept_model(close):
    text = close.summary()
    assert f"{close.n_points}" in text
    assert "certified: the induced model needs at least" in text
    assert TrainingData.from_user((close.points, close.labels)).n_samples == len(close.points)


def test_a_tight_bound_that_is_not_ready_leaves_that_of_the_models_on_the_way(digits, victim, target, monkeypatch):
    from convexpoison.bounds.bound import Bound, TheTarget

    nothing = lambda problem, limit: Bound(0.0, TheTarget(problem.target), None, "tight", solver="highs")  # noqa: E731
    monkeypatch.setattr("convexpoison.bounds.target.tight_target_bound", nothing)
    result = cp.attack(target, digits.train, victim=victim, space=digits.space, max_points=10)
    assert 0 < result.induced_bound.value <= 10
    assert result.induced_bound.method == "theorem_2"
