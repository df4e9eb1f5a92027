"""The front door: what goes in is checked in words, what comes out can be saved and read."""

from __future__ import annotations

import json

import numpy as np
import pytest

import convexpoison as cp

VICTIM = cp.Victim("hinge", C_R=0.05)


@pytest.fixture(scope="module")
def target(digits):
    wrong = np.where(np.arange(len(digits.y_train)) % 6 == 0, 8 - digits.y_train, digits.y_train)
    return VICTIM.fit(digits.X_train, wrong)


def test_any_two_labels_and_dataframes(digits, target, pandas):
    plain = cp.attack(target, (digits.X_train, digits.y_train), victim=VICTIM, max_points=8)
    frame = pandas.DataFrame(digits.X_train, columns=[f"pixel {j}" for j in range(64)])
    names = pandas.Series(np.where(digits.y_train == 7, "seven", "one"))
    named = cp.attack((target.coef, target.intercept), (frame, names), victim=VICTIM, max_points=8)
    np.testing.assert_array_equal(plain.points, named.points)
    np.testing.assert_array_equal(np.where(plain.labels == 7, "seven", "one"), named.labels)
    assert set(named.model.predict(digits.X_test)) <= {"one", "seven"}


def test_saved_and_loaded(tmp_path, digits, target):
    result = cp.attack(
        target, (digits.X_train, digits.y_train), victim=VICTIM, max_points=8, test_data=(digits.X_test, digits.y_test)
    )
    result.save(tmp_path / "run.npz")
    again = cp.AttackResult.load(tmp_path / "run.npz")
    for name in ("points", "labels", "counts"):
        np.testing.assert_array_equal(getattr(again, name), getattr(result, name))
    for name, values in result.history.items():
        np.testing.assert_array_equal(again.history[name], values)
    assert again.summary() == result.summary()
    assert again.to_dict() == result.to_dict()
    assert again.victim == result.victim and again.guarantee == result.guarantee
    assert again.model.distance(result.model) == 0 and again.model.classes == result.model.classes
    assert list(tmp_path.iterdir()) == [tmp_path / "run.npz"]


@pytest.mark.parametrize(("loss", "strength"), [("hinge", {"C_R": 0.05}), ("logistic", {"C": 1.0})])
def test_what_makes_an_optimal_attack_believable(loss, strength, tmp_path, digits):
    victim, (X, y) = cp.Victim(loss, **strength), digits.train
    aim = cp.targets.label_flip(victim, digits.train, error=0.1, quantiles=(0.1,)).model
    result = cp.attack(aim, digits.train, victim=victim, method="optimal")
    found = result.reproduction
    assert found.residual < 1e-7 and found.difference < 1e-6 and found.gap < 1e-7
    assert found.proven_least == (result.n_points == result.bound.n_points)
    again = victim.fit(*result.poisoned(X, y))
    assert cp.max_loss_difference(again, aim, cp.Space.infer(X), loss=loss).value <= found.difference + 1e-8
    assert f"{found.difference:.2g}" in result.summary() and f"{found.residual:.2g}" in result.summary()
    assert result.to_dict()["reproduction"]["proven_least"] is found.proven_least
    result.save(tmp_path / "run.npz")
    assert cp.AttackResult.load(tmp_path / "run.npz").reproduction == found


def test_the_residual_is_the_gradient_of_the_poisoned_objective(digits):
    """Written down again for the logistic loss, at a target that a wrong number of copies misses."""
    victim, (X, y) = cp.Victim("logistic", C=1.0), digits.train
    aim = cp.targets.label_flip(victim, digits.train, error=0.1, quantiles=(0.1,)).model
    result = cp.attack(aim, digits.train, victim=victim, method="optimal")
    rows, labels = result.poisoned(X, y)
    signs = np.where(labels == max(set(digits.y_train)), 1.0, -1.0)
    pull = -signs / (1.0 + np.exp(signs * (rows @ aim.coef + aim.intercept)))
    gradient = np.append(pull @ rows + aim.coef, pull.sum() + aim.intercept)
    assert np.linalg.norm(gradient) == pytest.approx(result.reproduction.residual, abs=1e-10)


def test_files_without_a_reproduction_are_read(tmp_path, digits, target):
    result = cp.attack(target, (digits.X_train, digits.y_train), victim=VICTIM, max_points=2)
    assert result.reproduction is None and result.to_dict()["reproduction"] is None
    result.save(tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz") as file:
        arrays = {name: file[name] for name in file.files}
    meta = json.loads(str(arrays["meta"]))
    del meta["reproduction"]
    np.savez(tmp_path / "old.npz", **arrays | {"meta": np.array(json.dumps(meta))})
    assert cp.AttackResult.load(tmp_path / "old.npz").reproduction is None


def test_failed_save_leaves_nothing_behind(tmp_path, digits, target, monkeypatch):
    result = cp.attack(target, (digits.X_train, digits.y_train), victim=VICTIM, max_points=1)

    def full_disk(file, **arrays):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez_compressed", full_disk)
    with pytest.raises(OSError, match="no space"):
        result.save(tmp_path / "run.npz")
    assert not list(tmp_path.iterdir())


def test_other_files_are_not_results(tmp_path):
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(ValueError, match="not a saved attack"):
        cp.AttackResult.load(tmp_path / "other.npz")


def test_to_frame(digits, target, pandas):
    frame = cp.attack(target, (digits.X_train, digits.y_train), victim=VICTIM, max_points=3).to_frame()
    assert frame.shape[0] == 4
    assert frame["n_points"].tolist() == [0, 1, 2, 3]


X, Y = np.array([[0.0, 0.2], [1.0, 0.8], [0.1, 0.9], [0.9, 0.1]]), np.array([-1, 1, -1, 1])
MODEL = ([0.5, 0.1], 0.0)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"data": (np.array([[np.nan, 0], [1, 1]]), [0, 1])}, "NaN or infinity"),
        ({"data": (np.array([[np.inf, 0], [1, 1]]), [0, 1])}, "NaN or infinity"),
        ({"data": (X, Y[:3])}, "4 rows"),
        ({"data": (X[0], Y)}, "two-dimensional"),
        ({"data": X}, "pair"),
        ({"data": (X, [1, 1, 1, 1])}, "one class only"),
        ({"data": (X, [0, 1, 2, 1])}, "3 classes"),
        ({"data": (np.array([["a", "b"]] * 4), Y)}, "not numbers"),
        ({"target": ([0.5, 0.1, 0.2], 0.0)}, "3 features and the data have 2"),
        ({"victim": None}, "pass victim="),
        ({"space": cp.Space.box(0, 1, 3)}, "3 columns"),
        ({"space": cp.Space.box(0, 0.5, 2)}, "outside the space"),
        ({"space": cp.Space.box(0, 1, 2).with_integer()}, "an integer"),
        ({"solver": "simplex"}, "unknown solver"),
        ({"method": "magic"}, "unknown method"),
        ({"eps": -1.0}, "eps"),
        ({"eps": np.nan}, "eps"),
        ({"max_points": 0}, "max_points"),
        ({"max_points": 1.5}, "max_points"),
        ({"copies": 0}, "copies"),
        ({"goal": 0.1}, "goal"),
        ({"time_limit_s": 0}, "time_limit_s"),
        ({"bound_time_limit_s": -1.0}, "bound_time_limit_s"),
        ({"sample_weight": [1, 1]}, "sample_weight"),
        ({"sample_weight": [-1, 1, 1, 1]}, "not negative"),
        ({"victim": cp.Victim("hinge", C=1.0, intercept="none"), "target": ([0.5, 0.1], 2.0)}, "no intercept"),
    ],
)
def test_bad_input_is_refused_in_words(change, sentence):
    arguments = {"target": MODEL, "data": (X, Y), "victim": cp.Victim("hinge", C=1.0)} | change
    with pytest.raises((ValueError, TypeError), match=sentence):
        cp.attack(arguments.pop("target"), arguments.pop("data"), **arguments)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: cp.Space.box(1, 0, 2), "the box is empty"),
        (lambda: cp.Space.box([0, np.nan], 1), "NaN"),
        (lambda: cp.Space.box([0, 0], [1, 1, 1]), "shapes"),
        (lambda: cp.Space.box(0.2, 0.8, 2).with_integer(), "no integer"),
        (lambda: cp.Space.box(0, 1, 2).with_ball([5, 5], 1), "empty"),
        (lambda: cp.Space.box(0, 1, 2).with_ball([0, 0], -1), "positive"),
        (lambda: cp.Space.box(0, 1, 2).with_slab([1, 1], 3, 4), "empty"),
        (lambda: cp.Space.box(0, 1, 2).with_slab([1, 1], 1, 0), "lower <= upper"),
        (lambda: cp.Space.box(0, 1, 2).with_one_hot([0, 5]), "not among"),
        (lambda: cp.Space.box(0, 1, 2).with_one_hot([0, 0]), "repeated"),
        (lambda: cp.Space.box(0, 1, 2).with_labels([2]), "-1 and"),
        (lambda: cp.Space.box(0, 1, 2).with_response(1, 0), "lower <= upper"),
        (lambda: cp.Space.box(0, 1, 2).with_constraints(3), "cvxpy"),
        (lambda: cp.Victim("hinge", C=0), "C must be positive"),
        (lambda: cp.Victim("hinge", C_R=-1), "C_R must be positive"),
        (lambda: cp.Victim("hinge", C=1, intercept_scaling=np.inf), "intercept_scaling must be finite"),
        (lambda: VICTIM.fit(X, Y, sample_weight=[0, 1, 0, 1]), "one class only"),
        (lambda: cp.Victim("hinge"), "exactly one"),
        (lambda: cp.Victim("huber", C=1), "unknown loss"),
        (lambda: cp.max_loss_difference(MODEL, ([1.0], 0.0), cp.Space.box(0, 1, 2)), "must agree"),
        (lambda: cp.max_loss_difference(MODEL, MODEL, cp.Space.box(0, np.inf, 2)), "unbounded"),
        (lambda: cp.max_loss_difference(MODEL, MODEL, cp.Space.box(0, 1, 2), loss="squared"), "response"),
        (lambda: cp.goals.ErrorRate(15, X, Y), "fraction"),
        (lambda: cp.targets.label_flip(VICTIM, (X, Y), error=15), "fraction"),
    ],
)
def test_bad_parts_are_refused_in_words(make, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        make()


def test_rows_to_flip_and_to_test_may_be_of_one_class(digits):
    ones = digits.y_train == 1
    candidate = cp.targets.label_flip(
        VICTIM, digits.train, error=1.0, flip=(digits.X_train[ones][:20], digits.y_train[ones][:20]), quantiles=(1.0,)
    )
    assert (candidate.model.predict(digits.X_train[ones][:20]) == 7).all()
    sevens = digits.y_test == 7
    test = (digits.X_test[sevens], digits.y_test[sevens])
    result = cp.attack(candidate.model, digits.train, victim=VICTIM, max_points=2, test_data=test)
    assert np.isfinite(result.history["accuracy"]).all()
