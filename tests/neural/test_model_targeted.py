"""Model-targeted poisoning of a small perceptron on digits 1 and 7: the choice rule, repeatability, and what it achieves."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'neural')")

import torch.nn.functional as F  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402

from convexpoison.datasets.images import load_images  # noqa: E402
from convexpoison.neural.poisoning.model_targeted import (  # noqa: E402
    MLP,
    flipped,
    model_targeted,
    random_flips,
    retrained_accuracies,
)
from convexpoison.neural.poisoning.model_targeted_result import ModelTargetedPoison  # noqa: E402
from convexpoison.neural.training.fit import Recipe  # noqa: E402
from convexpoison.neural.training.full_batch import class_accuracy, describe, train_full_batch  # noqa: E402
from convexpoison.neural.training.networks import make_network, mlp  # noqa: E402
from convexpoison.neural.training.objectives import Standard  # noqa: E402
from convexpoison.neural.training.victim import NeuralVictim  # noqa: E402

VICTIM = NeuralVictim(
    partial(mlp, 2, widths=(32, 16)),
    Standard(),
    Recipe(30, optimizer="adam", learning_rate=1e-3, weight_decay=1e-2),
)
QUICK = replace(VICTIM, recipe=Recipe(5, optimizer="adam", learning_rate=1e-2, weight_decay=1e-2))


def joined(data, poison):
    return tuple(np.concatenate(parts) for parts in zip(data, poison, strict=True))


@pytest.fixture(scope="module")
def task():
    """The clean half, the candidates (digits 1 called 7) and the test images."""
    images = load_images("digits").of_classes((1, 7))
    half, held, y_half, y_held = train_test_split(
        images.X_train, images.y_train, test_size=0.5, stratify=images.y_train, random_state=0
    )
    return (half, y_half), flipped(held, y_held, 0, 1), (images.X_test, images.y_test)


@pytest.fixture(scope="module")
def target(task):
    return train_full_batch(VICTIM, *joined(task[0], random_flips(task[1], 96)))


@pytest.fixture(scope="module")
def quick_target(task):
    return train_full_batch(QUICK, *joined(task[0], task[1]))


@pytest.fixture(scope="module")
def found(task, target):
    data, candidates, test = task
    return model_targeted(
        target, data, candidates, victim=VICTIM, max_points=48, copies=4, test=test, target_class=0
    )  # fmt: skip


def quick(task, quick_target, **options):
    settings = dict(victim=QUICK, max_points=6, copies=2, test=task[2], target_class=0)
    return model_targeted(quick_target, task[0], task[1], **(settings | options))


def test_it_harms_the_target_class_more_than_random_flips(task, found):
    """Known initial weights, as many points: MTP, Figure 19c."""
    data, candidates, test = task
    attacked = class_accuracy(found.network, *test, 0)
    flips = [
        class_accuracy(train_full_batch(VICTIM, *joined(data, random_flips(candidates, 48, s))), *test, 0) for s in range(3)
    ]  # fmt: skip
    assert found.n_points == 48 and attacked == found.trace["target_accuracy"][-1]
    assert attacked <= min(flips) < found.trace["target_accuracy"][0]


def test_the_loss_difference_and_the_distance_fall(found):
    """MTP, Figures 19a and b: over the run, step by step only on the whole."""
    difference, distance = found.trace["max_loss_difference"], found.trace["distance"]
    assert difference[-1] < 0.3 * difference[0] and distance[-1] < 0.75 * distance[0]
    assert np.polyfit(np.arange(difference.size), difference, 1)[0] < 0
    assert found.trace["n_points"].tolist() == list(range(0, 49, 4))


def test_victims_with_other_weights_suffer_too(task, found):
    """MTP, Figure 20; each seed is what training from that initialisation gives."""
    data, _, test = task
    seeds = [10, 11]
    accuracies = retrained_accuracies(VICTIM, data, found.poison, test, 0, seeds)
    clean = [class_accuracy(train_full_batch(VICTIM, *data, random_state=s), *test, 0) for s in seeds]
    assert (accuracies < np.array(clean) - 0.1).all()
    again = train_full_batch(VICTIM, *joined(data, found.poison), random_state=10)
    assert accuracies[0] == class_accuracy(again, *test, 0)


def test_each_choice_has_the_maximum_loss_difference(task, quick_target):
    """Retraced without the package's loop: train on the first k points, compare all candidates' losses."""
    data, (X, y), _ = task
    found = quick(task, quick_target)
    for k, chosen in enumerate(found.chosen):
        rows = np.repeat(found.chosen[:k], found.counts[:k])
        network = train_full_batch(QUICK, *joined(data, (X[rows], y[rows])))
        with torch.no_grad():
            losses = [
                F.cross_entropy(net(torch.from_numpy(X)).double(), torch.from_numpy(y), reduction="none")
                for net in (network, quick_target)
            ]
        difference = losses[0] - losses[1]
        assert chosen == int(difference.argmax())
        assert found.trace["max_loss_difference"][k] == pytest.approx(float(difference.max()), abs=1e-12)
    np.testing.assert_array_equal(found.points, X[found.chosen])
    assert (found.labels == 1).all()


def test_the_same_weights_give_the_same_poison_bit_by_bit(task, quick_target):
    one, two = (quick(task, quick_target) for _ in range(2))
    for name in set(one.trace) - {"seconds"}:
        np.testing.assert_array_equal(one.trace[name], two.trace[name])
    for a, b in zip(one.network.parameters(), two.network.parameters(), strict=True):
        assert torch.equal(a, b)
    other = quick(task, quick_target, random_state=5)
    assert not np.array_equal(one.trace["distance"], other.trace["distance"])


def test_all_rows_are_in_every_step_and_training_starts_at_the_weights_of_the_seed(task):
    """One step of plain gradient descent from the initial weights, by hand, for a recipe that asks for batches."""
    X, y = task[0]
    victim = replace(VICTIM, recipe=Recipe(1, batch_size=8, learning_rate=0.1, momentum=0.0, weight_decay=0.0))
    network = make_network(victim.network, 3)
    F.cross_entropy(network(torch.from_numpy(X)), torch.from_numpy(y)).backward()
    trained = train_full_batch(victim, X, y, random_state=3)
    for p, q in zip(network.parameters(), trained.parameters(), strict=True):
        torch.testing.assert_close(p.detach() - 0.1 * p.grad, q.detach(), atol=1e-6, rtol=1e-5)


def test_a_killed_attack_goes_on_where_it_was(task, quick_target, tmp_path, monkeypatch):
    undisturbed, path = quick(task, quick_target), tmp_path / "attack.npz"
    calls = []

    def killed(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return refit(self, *args, **kwargs)

    refit = NeuralVictim.refit
    monkeypatch.setattr(NeuralVictim, "refit", killed)
    with pytest.raises(KeyboardInterrupt):
        quick(task, quick_target, checkpoint=path)
    monkeypatch.undo()
    assert path.exists()
    resumed = quick(task, quick_target, checkpoint=path)
    np.testing.assert_array_equal(resumed.chosen, undisturbed.chosen)
    for name in set(resumed.trace) - {"seconds"}:
        np.testing.assert_array_equal(resumed.trace[name], undisturbed.trace[name])
    assert (np.diff(resumed.trace["seconds"]) > 0).all()
    with pytest.raises(ValueError, match="another attack"):
        quick(task, quick_target, checkpoint=path, random_state=1)
    with pytest.raises(ValueError, match="another attack"):
        quick(task, quick_target, checkpoint=path, copies=1)
    with pytest.raises(ValueError, match="more than max_points=2"):
        quick(task, quick_target, checkpoint=path, max_points=2)


def test_the_budget_and_the_closeness_end_it(task, quick_target):
    found = quick(task, quick_target, max_points=5, copies=3)
    assert found.counts.tolist() == [3, 2] and found.stop_reason == "budget"
    assert len(found.poison[1]) == 5
    there = quick(task, train_full_batch(QUICK, *task[0]))
    assert there.stop_reason == "close" and there.n_points == 0 and there.trace["distance"].tolist() == [0.0]
    start = found.trace["max_loss_difference"][0]
    assert quick(task, quick_target, eps=start).n_points == 0


def test_results_are_saved_tabled_and_drawn(task, quick_target, tmp_path):
    pytest.importorskip("pandas", reason="pandas is not installed (extra 'frame')")
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'plot')")
    found = quick(task, quick_target)
    found.save(tmp_path / "poison.npz")
    read = ModelTargetedPoison.load(tmp_path / "poison.npz")
    for name in ("points", "labels", "chosen", "counts"):
        np.testing.assert_array_equal(getattr(read, name), getattr(found, name))
    assert (read.stop_reason, read.settings) == (found.stop_reason, found.settings) and read.network is None
    assert found.to_frame()["n_points"].tolist() == [0, 2, 4, 6]
    axes = read.plot()
    np.testing.assert_array_equal(axes[2].lines[0].get_ydata(), found.trace["target_accuracy"])
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(ValueError, match="not a saved"):
        ModelTargetedPoison.load(tmp_path / "other.npz")


def test_random_flips_are_without_replacement_and_nested(task):
    X, y = task[1]
    few, more = (random_flips((X, y), n, 3)[0] for n in (10, 20))
    np.testing.assert_array_equal(few, more[:10])
    names = (np.arange(len(y)), y)
    assert np.unique(random_flips(names, len(y))[0]).size == len(y)
    assert np.bincount(random_flips(names, 2 * len(y) + 5)[0]).tolist().count(3) == 5


def test_candidates_are_of_the_target_class_with_the_other_label():
    X, y = np.arange(6.0)[:, None, None, None], np.array([0, 1, 0, 1, 1, 2])
    chosen, labels = flipped(X, y, 1, 0)
    assert chosen.ravel().tolist() == [1.0, 3.0, 4.0] and labels.tolist() == [0, 0, 0]
    for target_class, label in ((1, 1), (5, 0)):
        with pytest.raises(ValueError, match="candidates are images of class"):
            flipped(X, y, target_class, label)


@pytest.mark.parametrize(
    ("options", "words"), [(dict(max_points=0), "max_points is 0"), (dict(copies=0), "copies is 0")]
)
def test_bad_counts_are_refused(task, quick_target, options, words):
    with pytest.raises(ValueError, match=words):
        quick(task, quick_target, **options)


def test_no_candidates_are_refused(task, quick_target):
    X, y = task[1]
    for candidates in ((X[:0], y[:0]), (X, y[:3])):
        with pytest.raises(ValueError, match="one label per image"):
            model_targeted(quick_target, task[0], candidates, max_points=1, test=task[2], target_class=0)


def test_the_description_of_a_victim_is_the_same_in_every_process_and_tells_victims_apart():
    assert describe(VICTIM, 0) == describe(replace(VICTIM, network=lambda: mlp(2, widths=(32, 16))), 0)
    told = {describe(VICTIM, 0), describe(VICTIM, 1), describe(QUICK, 0), describe(MLP, 0)}
    assert len(told) == 4 and not any(" at 0x" in words for words in told)
