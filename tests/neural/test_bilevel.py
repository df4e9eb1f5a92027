"""The bilevel attack: what it may not do, that it can be broken off, and that it works on a small problem."""

from __future__ import annotations

import gc

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'neural')")

from hypothesis import Phase, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from scipy.stats import norm as normal  # noqa: E402
from torch import nn  # noqa: E402

from convexpoison import neural  # noqa: E402
from convexpoison.datasets.images import load_images  # noqa: E402
from convexpoison.neural.poisoning import bilevel  # noqa: E402
from convexpoison.neural.poisoning.goals import NegatedCrossEntropy, SoftRadius, as_target  # noqa: E402
from convexpoison.neural.training.objectives import Batch  # noqa: E402

TARGET = 8


def tiny() -> nn.Module:
    return nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(49, 10))


def hidden() -> nn.Module:
    """With dropout, so that the global generator matters."""
    return nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(49, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 10))


def convolving() -> nn.Module:
    """With convolutions."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 5, stride=3), nn.ReLU(), nn.Conv2d(4, 6, 3, stride=2), nn.Flatten(), nn.Linear(54, 10)
    )


def quick(**changes) -> neural.BilevelSettings:
    """Two cycles of two steps, each after training enough to have radii that can fall."""
    some = {
        "epochs": 4, "steps_per_epoch": 1, "reinitialize_every": 2, "lower_steps": 2, "system_steps": 2, "batch_size": 40,
        "batch_poison": 8, "batch_validation": 6, "draws": 3, "lower_rate": 0.05, "warm_up": 25,
    }  # fmt: skip
    return neural.BilevelSettings(**(some | changes))


def victim(objective=None, network=hidden, **recipe) -> neural.NeuralVictim:
    how = {"epochs": 30, "optimizer": "adam", "learning_rate": 0.02, "weight_decay": 0.0, "batch_size": 100} | recipe
    return neural.NeuralVictim(network, objective or neural.GaussianAugmentation(0.25), neural.Recipe(**how))


@pytest.fixture(scope="module")
def data():
    return load_images("digits").subset(400, 300)


@pytest.fixture(scope="module")
def few(data):
    return data.subset(120, 20)


# -------------------------------------------------------------------- what is minimised


def test_soft_radius_is_the_paper_s_formula(data):
    torch.manual_seed(0)
    network = hidden().train()
    X, y = torch.from_numpy(data.X_train[:10]), torch.from_numpy(data.y_train[:10])
    sigma, k, alpha, shrink = 0.5, 5, 3.0, 1e-3
    batch = Batch(X, y, torch.arange(10), 0, torch.Generator().manual_seed(1))
    found = float(SoftRadius(sigma, k, alpha, shrink).loss(network, batch, {}).detach())
    noise = torch.randn((10, k, 1, 28, 28), generator=torch.Generator().manual_seed(1)) * sigma
    assert network.training  # but dropout was off
    logits = network.eval()((X[:, None] + noise).flatten(0, 1)).double().detach()
    p = (1 - 2 * shrink) * (alpha * logits).softmax(1).view(10, k, 10).mean(1).numpy() + shrink
    total = 0.0
    for row, label in zip(p, y.tolist(), strict=True):
        other = np.delete(row, label).max()
        total += sigma / 2 * (normal.ppf(row[label]) - normal.ppf(other)) if row[label] > other else 0.0
    assert total > 0.0 and found == pytest.approx(total / 10, rel=1e-6)


def test_the_accuracy_goal_falls_where_errors_grow(data):
    network = tiny()
    y = torch.from_numpy(data.y_train[:20])
    batch = Batch(torch.from_numpy(data.X_train[:20]), y, torch.arange(20), 0, torch.Generator())
    found = NegatedCrossEntropy().loss(network, batch, {})
    torch.testing.assert_close(found, -torch.nn.functional.cross_entropy(network(batch.X), y))


# -------------------------------------------------------------------- what it may not do


@settings(max_examples=4, phases=[Phase.generate])
@given(
    eps=st.floats(0.0, 0.5), norm=st.sampled_from(["linf", "l2"]), rate=st.sampled_from([0.01, 10.0]),
    optimizer=st.sampled_from(["adam", "sgd"]), shared=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_poison_never_leaves_the_ball_and_labels_never_change(few, eps, norm, rate, optimizer, shared, seed):
    how = quick(epochs=2, poison_rate=rate, shared=shared, poison_optimizer=optimizer, hypergradient="cg")
    result = neural.attack(
        TARGET, few, victim=victim(), eps=eps, norm=norm, settings=how, validation=0.3, random_state=seed, progress=False
    )  # fmt: skip
    assert result.images.min() >= 0.0 and result.images.max() <= 1.0
    assert result.distances(norm).max() <= eps * (1.0 + 1e-12)
    np.testing.assert_array_equal(result.labels, np.full(result.n_points, TARGET))
    X, y = result.poisoned(few.X_train, few.y_train)
    others = y != TARGET
    np.testing.assert_array_equal(X[others], few.X_train[result.train_indices][others])
    np.testing.assert_array_equal(y, few.y_train[result.train_indices])


def test_validation_images_are_neither_trained_on_nor_changed(few):
    result = neural.attack(TARGET, few, victim=victim(), settings=quick(), validation=0.3, progress=False)
    assert len(result.train_indices) == 84
    assert set(result.base_indices) == set(result.train_indices[few.y_train[result.train_indices] == TARGET])


def test_a_point_poisons_its_nearest_images_of_its_class(few):
    image = few.X_test[few.y_test == 3][0]
    target = neural.TargetPoint(image, 3, n_poison=4)
    result = neural.attack(target, few, victim=victim(), eps=0.06, settings=quick(), validation=0.3, progress=False)
    own = result.train_indices[few.y_train[result.train_indices] == 3]
    away = np.linalg.norm((few.X_train[own] - image).reshape(len(own), -1), axis=1)
    assert set(result.base_indices) == set(own[np.argsort(away)[:4]])


def test_bad_questions_are_refused(few):
    ask = {"victim": victim(), "settings": quick(), "validation": 0.3, "progress": False}
    for target, error, words in [
        ("8", TypeError, "pass a class"),
        (11, ValueError, "class 11 has no training images"),
        (neural.TargetClass(TARGET, n_poison=500), ValueError, "n_poison is 500"),
        (neural.TargetPoint(np.zeros((1, 8, 8)), 3), ValueError, "has shape"),
    ]:
        with pytest.raises(error, match=words):
            neural.attack(target, few, **ask)
    for changed, words in [
        ({"method": "magic"}, "unknown method"),
        ({"settings": "text"}, "unknown settings"),
        ({"validation": 2.0}, "fraction of the data"),
        ({"victim": victim(neural.Standard())}, "trains without noise"),
    ]:
        with pytest.raises(ValueError, match=words):
            neural.attack(TARGET, few, **(ask | changed))
    with pytest.raises(ValueError, match="choose 'radius' or 'accuracy'"):
        neural.TargetClass(1, "speed")
    assert as_target(np.int64(3)) == neural.TargetClass(3)


def test_presets_are_the_program_s_and_the_text_s():
    code = neural.BilevelSettings.preset("code", neural.GaussianAugmentation(0.5))
    assert (code.epochs, code.lower_steps, code.system_steps, code.reinitialize_every) == (50, 10, 10, 10)
    assert (code.poison_optimizer, code.poison_rate, code.lower_rate, code.system_rate) == ("adam", 0.1, 1e-3, 1e-2)
    macer = neural.BilevelSettings.preset("code", neural.Macer(0.5), color=True)
    assert (macer.system_rate, macer.batch_size, macer.batch_poison, macer.draws) == (1e-4, 200, 20, 5)
    text = neural.BilevelSettings.preset("paper", neural.SmoothAdv(0.5))
    assert (text.lower_steps, text.steps_per_epoch, text.poison_optimizer, text.lower_optimizer) == (1, 1, "sgd", "sgd")


def test_a_shared_step_moves_the_whole_class_alike(few):
    """All images have one offset, but where the pixel range cuts it; also those that were in no batch yet."""
    how = quick(epochs=1, reinitialize_every=1, shared=True, poison_rate=0.02, batch_poison=6)
    result = neural.attack(TARGET, few, victim=victim(), settings=how, validation=0.3, progress=False)
    moved = result.images - result.base_images
    inside = (result.base_images > 0.02) & (result.base_images < 0.98)
    assert result.n_points > how.batch_poison
    size = np.abs(moved[inside])
    assert size.max() == pytest.approx(0.02, rel=1e-3)
    for pixel in np.ndindex(moved.shape[1:]):
        here = moved[:, *pixel][inside[:, *pixel]]
        assert here.size == 0 or np.ptp(here) < 1e-6


# -------------------------------------------------------------------- breaking off


@pytest.mark.parametrize(
    ("objective", "network"),
    [
        (neural.GaussianAugmentation(0.25), tiny),
        (neural.GaussianAugmentation(0.25), convolving),
        (neural.DataDependent(neural.Macer(0.25, k=2, lam=1.0)), tiny),
    ],
)
def test_resuming_after_a_kill_gives_the_same_poison(few, tmp_path, monkeypatch, objective, network):
    """Killed within a cycle, so that network, Adam's moments, the system's solution and the best poison have to come back."""
    monkeypatch.setattr(bilevel, "SAVE_EVERY_S", -1.0)
    ask = {"victim": victim(objective, network), "validation": 0.3, "progress": False, "settings": quick(epochs=5)}
    whole = neural.attack(TARGET, few, **ask)

    def kill(run):
        if run.done == 4:
            raise RuntimeError("killed")

    path = tmp_path / "run.safetensors"
    with pytest.raises(RuntimeError, match="killed"):
        neural.attack(TARGET, few, checkpoint=path, callback=kill, **ask)
    steps: list[int] = []
    again = neural.attack(TARGET, few, checkpoint=path, callback=lambda run: steps.append(run.done), **ask)
    assert steps == [4, 5]  # step 4 was cut off before it was saved
    np.testing.assert_array_equal(again.images, whole.images)
    for name, values in whole.trace.items():
        np.testing.assert_array_equal(again.trace[name], values)
    assert not np.array_equal(whole.images, whole.base_images)
    with pytest.raises(ValueError, match="checkpoint of another run"):
        neural.attack(TARGET, few, checkpoint=path, eps=0.2, **ask)


def test_the_global_generator_is_left_alone(few):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    neural.attack(TARGET, few, victim=victim(), settings=quick(), validation=0.3, progress=False)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_ctrl_c_and_time_limits_return_the_best_so_far(few):
    def stop(run):
        if run.done == 3:
            raise KeyboardInterrupt

    ask = {"victim": victim(), "settings": quick(), "validation": 0.3, "progress": False}
    result = neural.attack(TARGET, few, callback=stop, **ask)
    assert result.stop_reason == "interrupted" and len(result.trace["judged_value"]) == 1
    late = neural.attack(TARGET, few, time_limit_s=0.0, **ask)
    assert late.stop_reason == "time limit"
    np.testing.assert_array_equal(late.images, late.base_images)


def test_the_best_poison_is_the_one_judged_lowest(few):
    kept = {}

    def look(run):
        kept[run.done] = run.memory["poison"].clone()

    ask = {"victim": victim(), "settings": quick(epochs=12), "validation": 0.3, "progress": False}
    result = neural.attack(TARGET, few, callback=look, **ask)
    steps, values = result.trace["judged_step"], result.trace["judged_value"]
    assert steps.tolist() == [2, 4, 6, 8, 10, 12] and len(set(values)) > 1
    np.testing.assert_array_equal(result.images, kept[int(steps[values.argmin()])].numpy())


@pytest.mark.parametrize("way", ["adam", "cg", "neumann", "exact", "reverse"])
def test_no_graph_outlives_an_outer_step(few, way):
    """No tensor that holds a graph is alive after a step, and there are no more tensors after many steps than after two."""
    counts: list[tuple[int, int]] = []

    def count(run):
        gc.collect()
        tensors = [x for x in gc.get_objects() if issubclass(type(x), torch.Tensor)]
        counts.append((sum(t.grad_fn is not None for t in tensors), len(tensors)))

    gc.collect()
    before = sum(x.grad_fn is not None for x in gc.get_objects() if issubclass(type(x), torch.Tensor))
    how = quick(epochs=6, reinitialize_every=6, hypergradient=way, system_rate=0.05, system_steps=1, warm_up=5)
    ask = {"victim": victim(network=tiny), "settings": how, "validation": 0.3, "progress": False}
    neural.attack(TARGET, few, callback=count, **ask)
    graphs, tensors = zip(*counts, strict=True)
    assert graphs == (before,) * 6
    assert max(tensors[1:5]) <= tensors[1]


# -------------------------------------------------------------------- that it works


def test_the_attack_beats_random_noise_of_the_same_size(data):
    """Networks trained from scratch on either, and certified on test images that neither attack has seen."""
    who = victim(network=tiny)
    how = quick(
        epochs=2, steps_per_epoch=8, reinitialize_every=1, lower_steps=5, system_steps=5, hypergradient="cg",
        batch_size=300, batch_poison=40, batch_validation=100, draws=10, warm_up=40, poison_rate=0.05,
    )  # fmt: skip
    ask = {"eps": 0.1, "validation": 0.25, "progress": False}
    made = {
        "clean": None,
        "noise": neural.attack(TARGET, data, method="noise", **ask),
        "bilevel": neural.attack(TARGET, data, victim=who, settings=how, **ask),
    }
    assert made["bilevel"].trace["judged_value"][-1] < made["bilevel"].trace["upper"][0]
    found = neural.transfer(
        made, {"ga": who}, (data.X_train, data.y_train), (data.X_test, data.y_test), TARGET, n_seeds=2, n_test=15, n=400
    )  # fmt: skip
    acr = {name: found[name, "ga"].acr.mean() for name in made}
    assert acr["clean"] > 0.15
    assert acr["noise"] > 0.7 * acr["clean"]
    assert acr["bilevel"] < 0.6 * acr["noise"]
    frame = found["bilevel", "ga"].to_frame()
    assert list(frame.columns) == ["seed", "acr", "aca", "accuracy", "distortion"] and len(frame) == 2


def test_retraining_measures_what_evaluate_does(few):
    who = victim(network=tiny, epochs=5)
    train, test = (few.X_train, few.y_train), (few.X_train, few.y_train)
    found = neural.retrain(who, train, test, 3, n_seeds=1, n_test=None, n=200, distortion=[0.5, 4.0])
    smoothed = neural.SmoothedClassifier(who.fit(*train, random_state=0).network, 0.25, random_state=0)
    own = few.y_train == 3
    direct = neural.evaluate(smoothed, few.X_train[own], few.y_train[own], n=200, progress=False)
    assert found.n_images == own.sum() and found.acr[0] == pytest.approx(direct.acr)
    assert found.aca[0] == pytest.approx((direct.correct & (direct.radius > 0)).mean())
    assert 0.0 < found.distortion[0] <= 4.0
    with pytest.raises(ValueError, match="no test images"):
        neural.retrain(who, train, test, 12)
    with pytest.raises(ValueError, match="pass sigma="):
        neural.retrain(victim(neural.Standard()), train, test, 3)


def test_refitting_goes_on_from_the_weights(few):
    who = victim(network=tiny, epochs=1)
    network = who.fit(few.X_train, few.y_train).network
    before = network[2].weight.detach().clone()
    again = who.refit(network, few.X_train, few.y_train, random_state=1)
    assert torch.equal(network[2].weight, before) and not torch.equal(again.network[2].weight, before)
    assert again.losses[0] < who.fit(few.X_train, few.y_train, random_state=1).losses[0]
