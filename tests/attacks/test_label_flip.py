"""Flipped copies: which rows, how often, where they may lie, and what they do to digits."""

from __future__ import annotations

import numpy as np
import pytest

import convexpoison as cp
from convexpoison.attacks.label_flip import label_flip
from convexpoison.data.training_data import TrainingData
from convexpoison.targets.rows import appended, error_rate
from tests.attacks.cases import case

VICTIM = cp.Victim("hinge", C_R=0.05)


@pytest.fixture(scope="module")
def data(digits):
    return TrainingData.from_user(digits.train)


@pytest.fixture(scope="module")
def task(digits, data):
    rows = TrainingData.from_user(digits.test, classes=data.classes)
    return lambda n=40, **changes: case(
        **{"victim": VICTIM, "data": data, "space": cp.Space.box(0, 1, 64), "max_points": n, "rows": rows} | changes
    )


def row_numbers(poison, source):
    """Which rows of the source the points are copies of."""
    X = source.X.toarray() if hasattr(source.X, "toarray") else source.X
    pairs = zip(poison.points, poison.labels, strict=True)
    found = [np.flatnonzero((x == X).all(axis=1) & (source.y == -y)) for x, y in pairs]
    assert all(len(rows) for rows in found)
    return np.array([rows[0] for rows in found])


@pytest.mark.parametrize("choose", ["random", "nearest", "farthest", "lowest_margin"])
def test_rows_are_those_that_the_clean_model_orders_first(task, data, choose):
    poison = label_flip(*task(), choose=choose)
    rows = row_numbers(poison, data)
    assert poison.counts.sum() == 40 and len(set(rows)) == 40
    scores = VICTIM.trainer(data).model.decision_function(data.X)
    key = {"nearest": np.abs(scores), "farthest": -np.abs(scores), "lowest_margin": data.y * scores}
    if choose == "random":
        assert not np.array_equal(rows, row_numbers(label_flip(*task(random_state=1)), data))
        np.testing.assert_array_equal(rows, row_numbers(label_flip(*task()), data))
    else:
        np.testing.assert_array_equal(rows, np.argsort(key[choose], kind="stable")[:40])


def test_copies_go_in_rounds(task, data):
    poison = label_flip(*task(2 * 25 + 3), choose="nearest", fraction=25 / data.n_samples)
    np.testing.assert_array_equal(poison.counts, [3] * 3 + [2] * 22)


def test_subpopulation_rows_are_drawn_from_the_subpopulation(task, data, digits):
    sevens = TrainingData.from_user(
        (digits.X_train[digits.y_train == 7], digits.y_train[digits.y_train == 7]),
        classes=data.classes,
        both_classes=False,
    )
    poison = label_flip(*task(60, rows=sevens), choose="subpopulation")
    assert (poison.labels == -1).all() and poison.counts.sum() == 60
    row_numbers(poison, sevens)


def test_a_subpopulation_falls_with_enough_flipped_copies(task, data, digits, rng):
    """As many flipped copies as there are rows like it, and more: the model must give way (Jagielski et al.)."""
    X, y = digits.X_train, digits.y_train
    seven = X[np.flatnonzero(y == 7)[0]]
    near = np.argsort(np.linalg.norm(X - seven, axis=1) + 1e3 * (y != 7))[:20]
    rows = TrainingData.from_user((X[near], y[near]), classes=data.classes, both_classes=False)

    def error(n_points):
        trainer = VICTIM.trainer(data)
        if n_points:
            poison = label_flip(*task(n_points, rows=rows), choose="subpopulation")
            for x, label, count in zip(poison.points, poison.labels, poison.counts, strict=True):
                trainer.add(x, float(label), int(count))
        return np.mean((trainer.model.decision_function(rows.X) > 0) != (rows.y > 0))

    assert error(0) == 0.0
    assert error(200) >= 0.9


def test_random_flips_are_what_scikit_learn_learns_from_flipped_copies(task, data):
    """The whole attack by an independent route: copies appended by hand, LinearSVC trained on them."""
    from sklearn.svm import LinearSVC

    poison = label_flip(*task(), choose="farthest")
    scores = VICTIM.trainer(data).model.decision_function(data.X)
    far = np.argsort(-np.abs(scores), kind="stable")[:40]
    X = data.X.toarray() if hasattr(data.X, "toarray") else data.X
    X, y = np.vstack([X, X[far]]), np.append(data.y, -data.y[far])
    theirs = LinearSVC(loss="hinge", C=1 / (0.05 * len(y)), tol=1e-10, max_iter=1_000_000, random_state=0).fit(X, y)
    trainer = VICTIM.trainer(data)
    for x, label, count in zip(poison.points, poison.labels, poison.counts, strict=True):
        trainer.add(x, float(label), int(count))
    np.testing.assert_allclose(trainer.model.coef, theirs.coef_[0], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("n_points, quantile, accuracy", [(6510, 0.1, 0.940), (10825, 0.2, 0.888), (8648, 0.5, 0.833)])
def test_published_figures(data_folder, n_points, quantile, accuracy):
    """MTP, Table 5: points of the label flips that made its targets, whose accuracies Table 2 gives."""
    mnist = cp.datasets.load("mnist_17", data_home=data_folder)
    victim, data = cp.Victim("hinge", C_R=0.09), TrainingData.from_user(mnist.train)
    test = TrainingData.from_user(mnist.test, classes=data.classes)
    task = case(victim, data, cp.Space.box(0, 1, 784), n_points, rows=test)
    poison = label_flip(*task, choose="lowest_margin", pool="rows", fraction=quantile)
    assert len(set(poison.counts)) == 1 and poison.counts.sum() == n_points
    model = victim.trainer(appended(data, poison.points, poison.labels, poison.counts)).model
    assert 1 - error_rate(model, test) == pytest.approx(accuracy, abs=1e-3)


class TestSpace:
    def test_rows_outside_are_moved_to_the_nearest_point(self, task):
        poison = label_flip(*task(space=cp.Space.box(0.1, 0.5, 64)), pool="rows")
        assert poison.info["n_moved"] == len(poison.points)
        assert poison.points.min() == 0.1 and poison.points.max() == 0.5

    def test_whole_numbers_and_one_hot_groups_are_rounded(self, task, digits):
        space = cp.Space.box(0, 1, 64).with_integer(range(10, 64)).with_one_hot(range(10))
        poison = label_flip(*task(space=space))
        assert space.contains(poison.points, tol=0.0).all()
        assert set(np.unique(poison.points)) == {0.0, 1.0}

    def test_balls_hold(self, task, data):
        space = cp.Space.box(0, 1, 64).with_ball(np.asarray(data.X.mean(axis=0)).ravel(), 2.0)
        poison = label_flip(*task(space=space))
        assert poison.info["n_moved"] > 0
        assert space.contains(poison.points).all()

    def test_a_label_that_is_not_allowed_is_left_out(self, task):
        poison = label_flip(*task(space=cp.Space.box(0, 1, 64).with_labels([1])))
        assert (poison.labels == 1).all() and poison.counts.sum() == 40

    def test_nothing_allowed(self, task, data, digits):
        ones = (digits.X_train[digits.y_train == 1], digits.y_train[digits.y_train == 1])
        rows = TrainingData.from_user(ones, classes=data.classes, both_classes=False)
        space = cp.Space.box(0, 1, 64).with_labels([-1])
        with pytest.raises(ValueError, match="allows none of"):
            label_flip(*task(space=space, rows=rows), choose="subpopulation")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"choose": "best"}, "choose must be one of"),
        ({"pool": "test"}, "pool must be"),
        ({"fraction": 0.0}, "fraction is a share"),
        ({"choose": "subpopulation", "pool": "clean"}, "leave pool out"),
    ],
)
def test_bad_options(task, options, message):
    with pytest.raises(ValueError, match=message):
        label_flip(*task(), **options)


def test_needs_rows_and_a_classifier(task):
    with pytest.raises(ValueError, match="need rows to flip"):
        label_flip(*task(rows=None), choose="subpopulation")
    with pytest.raises(ValueError, match="regression"):
        label_flip(*task(victim=cp.Victim("squared", C=1.0)))
