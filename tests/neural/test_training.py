"""Objectives against their formulas, the loop against itself when it is killed, networks against their papers."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'neural')")

import torch.nn.functional as F  # noqa: E402
from scipy.stats import norm  # noqa: E402
from torch import nn  # noqa: E402

from convexpoison.datasets.images import load_images  # noqa: E402
from convexpoison.neural.smoothing.classifier import SmoothedClassifier  # noqa: E402
from convexpoison.neural.training import checkpoint, networks  # noqa: E402
from convexpoison.neural.training.estimator import SmoothedNetworkClassifier  # noqa: E402
from convexpoison.neural.training.fit import Recipe, fit, flip_and_crop  # noqa: E402
from convexpoison.neural.training.objectives import (  # noqa: E402
    Batch,
    DataDependent,
    GaussianAugmentation,
    Macer,
    SmoothAdv,
    Standard,
    radius_gap,
)


@pytest.fixture(scope="module")
def images():
    return load_images("digits").subset(200, 100)


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))


def batch(images, n: int = 12, epoch: int = 0, seed: int = 0) -> Batch:
    X, y = torch.from_numpy(images.X_train[:n]), torch.from_numpy(images.y_train[:n])
    return Batch(X, y, torch.arange(n), epoch, torch.Generator().manual_seed(seed))


# -------------------------------------------------------------------- networks


@pytest.mark.parametrize(
    ("name", "parameters", "size"),
    [
        ("lenet", 431_080, 28),
        ("pacd_mnist", 431_080, 28),
        ("resnet20", 272_474, 32),  # He et al. (2016), Table 6: 0.27 M; the projection shortcuts add 2.7 k
        ("resnet110", 1_730_714, 32),  # 1.7 M
        ("resnet18", 11_173_962, 32),
    ],
)
def test_networks_have_the_sizes_of_the_papers(name, parameters, size):
    network = networks.make_network(name)
    assert sum(p.numel() for p in network.parameters()) == parameters
    channels = 1 if size == 28 else 3
    assert network.eval()(torch.rand(2, channels, size, size)).shape == (2, 10)


def test_a_seed_decides_the_weights_and_leaves_the_global_generator():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, two, other = (networks.make_network("lenet", seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    same = [torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True)]
    assert all(same) and not torch.equal(one[0].weight, other[0].weight)


def test_wrong_networks_are_refused():
    with pytest.raises(ValueError, match="unknown network 'vgg'"):
        networks.make_network("vgg")
    with pytest.raises(ValueError, match=r"6 n \+ 2"):
        networks.resnet_cifar(21)
    with pytest.raises(ValueError, match="positive std"):
        networks.Normalize([0.5], [0.0])


@pytest.mark.parametrize(("name", "channels"), [("resnet20", 1), ("resnet18", 4), ("lenet", 3), ("pacd_mnist", 3)])
def test_images_with_other_channels_are_refused(name, channels):
    """One grey channel would be broadcast by the normalisation, had it not been looked at."""
    network, size = networks.make_network(name), 32 if name.startswith("resnet") else 28
    X = np.zeros((2, channels, size, size), dtype=np.float32)
    with pytest.raises(ValueError, match="channels"):
        SmoothedClassifier(network, 0.5).predict(X)
    with pytest.raises(ValueError, match="channels"):
        fit(network, Standard(), X, np.array([0, 1]), Recipe(1))


# -------------------------------------------------------------------- objectives


def test_gaussian_augmentation_is_cross_entropy_under_noise(images):
    network, b = linear(), batch(images)
    found = GaussianAugmentation(0.5, k=3).loss(network, b, {})
    noise = torch.randn((12, 3, 1, 28, 28), generator=torch.Generator().manual_seed(0)) * 0.5
    expected = torch.stack([F.cross_entropy(network(b.X + noise[:, j]), b.y) for j in range(3)]).mean()
    torch.testing.assert_close(found, expected)


def test_macer_is_equation_17(images):
    """Against the formula with SciPy's normal quantile."""
    network, b = linear(), batch(images)
    sigma, k, lam, gamma, beta = 0.25, 4, 12.0, 8.0, 16.0
    found = float(Macer(sigma, k, lam, gamma, beta).loss(network, b, {}).detach())
    noise = torch.randn((12, k, 1, 28, 28), generator=torch.Generator().manual_seed(0)) * sigma
    logits = torch.stack([network(b.X + noise[:, j]) for j in range(k)]).double()
    soft, sharp = logits.softmax(2).mean(0).detach().numpy(), (beta * logits).softmax(2).mean(0).detach().numpy()
    total = 0.0
    for p, q, y in zip(soft, sharp, b.y.tolist(), strict=True):
        total -= np.log(p[y])
        others = np.delete(q, y)
        if q[y] > others.max():
            gap = norm.ppf(np.clip(q[y], 1e-9, 1 - 1e-9)) - norm.ppf(np.clip(others.max(), 1e-9, 1 - 1e-9))
            total += lam * sigma / 2 * max(gamma - gap, 0.0)
    assert found == pytest.approx(total / 12, rel=1e-6)


def test_macer_has_no_lam_before_its_time(images):
    network = linear()
    early, late = (
        float(Macer(0.5, k=4, deferred_epochs=3).loss(network, batch(images, epoch=e), {}).detach()) for e in (2, 3)
    )
    plain = float(Macer(0.5, k=4, lam=0.0).loss(network, batch(images), {}).detach())
    assert early == plain and late != plain


def test_sure_images_neither_vanish_nor_explode(images):
    """Where p is 1 in floating point the radius is infinite; clamped, loss and gradient stay finite and count the image."""
    network = linear()
    with torch.no_grad():
        network[1].weight.mul_(1e4)
    loss = Macer(0.25, k=2).loss(network, batch(images), {})
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(network[1].weight.grad).all()
    gap, right = radius_gap(torch.tensor([[1.0, 0.0], [0.3, 0.7]], dtype=torch.float64), torch.tensor([0, 0]))
    assert right.tolist() == [True, False]
    assert float(gap[0]) == pytest.approx(2 * norm.ppf(1 - 1e-9), rel=1e-6)


def test_smoothadv_ascends_within_the_ball(images):
    network, b = linear(), batch(images, epoch=20)
    noise = b.noise(2, 0.25)
    objective = SmoothAdv(0.25, eps=0.5, steps=4, k=2)
    X = objective.attack(network, b, noise)
    sizes = (X - b.X).flatten(1).norm(dim=1)
    assert float(sizes.max()) <= 0.5 + 1e-5 and float(X.min()) >= 0 and float(X.max()) <= 1

    def error(at):
        p = network((at[:, None] + noise).flatten(0, 1)).softmax(1).view(-1, 2, 10).mean(1)
        return -p[torch.arange(12), b.y].log()

    assert (error(X) > error(b.X)).all()
    assert all(p.grad is None for p in network.parameters())


def test_smoothadv_warms_up(images):
    network = linear()
    objective = SmoothAdv(0.25, eps=1.0, warmup_epochs=10)
    sizes = []
    for epoch in (0, 4, 9, 30):
        b = batch(images, epoch=epoch)
        moved = objective.attack(network, b, b.noise(1, 0.25)) - b.X
        sizes.append(float(moved.flatten(1).norm(dim=1).max()))
    assert sizes[0] <= 0.1 + 1e-5 and sizes[1] <= 0.5 + 1e-5
    assert sizes[0] < sizes[1] < sizes[2] == pytest.approx(sizes[3], abs=0.05)


@pytest.mark.parametrize("inner", [GaussianAugmentation(0.5), Macer(0.5, k=2), SmoothAdv(0.5, eps=0.5)])
def test_data_dependent_sigma_moves_and_is_remembered(images, inner):
    objective = DataDependent(inner, start_epoch=1, n=4, learning_rate=0.01)
    memory = objective.start(200, torch.device("cpu"))
    network = linear()
    objective.loss(network, batch(images, epoch=0), memory)
    assert (memory["sigma"] == 0.5).all()
    objective.loss(network, batch(images, epoch=1), memory).backward()
    assert (memory["sigma"][12:] == 0.5).all() and (memory["sigma"][:12] != 0.5).any()
    assert (memory["sigma"] > 0).all()


def test_sigma_climbs_by_the_slope_of_the_radius_and_stays_within_limits(images):
    """Against a central difference with the same draws; and with a large step it stops at the limit."""
    network = linear()
    objective = DataDependent(GaussianAugmentation(0.5), n=64, learning_rate=1e-3)
    start = torch.full((12,), 0.5, dtype=torch.float64)

    def radius(sigma):
        b = batch(images)
        p = network((b.X[:, None] + b.noise(64, sigma)).flatten(0, 1)).double().softmax(1).view(12, 64, 10).mean(1)
        first, second = p.detach().clamp(1e-3, 1 - 1e-3).topk(2, dim=1).values.numpy().T
        return sigma.numpy() / 2 * (norm.ppf(first) - norm.ppf(second))

    slope = (radius(start + 1e-3) - radius(start - 1e-3)) / 2e-3
    found = objective._ascend(network, batch(images), start) - start
    np.testing.assert_allclose(found.numpy() / 1e-3, slope, rtol=2e-2, atol=2e-3)
    far = DataDependent(GaussianAugmentation(0.5), n=1, learning_rate=1e6)._ascend(network, batch(images), start)
    assert set(np.round(far.tolist(), 6)) <= {0.125, 1.0}


@pytest.mark.parametrize("bad", [dict(sigma=0.0), dict(sigma=0.5, k=0), dict(sigma=0.5, gamma=0.0)])
def test_bad_objectives_are_refused(bad):
    with pytest.raises(ValueError, match=r"sigma|number of noise draws|gamma"):
        Macer(**bad)


# -------------------------------------------------------------------- the loop


def test_training_learns(images):
    trained = fit(
        networks.make_network("lenet"), GaussianAugmentation(0.1), images.X_train, images.y_train, Recipe(epochs=20)
    )
    with torch.no_grad():
        right = trained.network(torch.from_numpy(images.X_test)).argmax(1).numpy() == images.y_test
    assert right.mean() > 0.8 and trained.losses[-1] < trained.losses[0]


@pytest.mark.parametrize("objective", [GaussianAugmentation(0.2), DataDependent(Macer(0.25, k=2), n=2)])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_killed_run_ends_where_an_undisturbed_one_does(images, tmp_path, objective, optimizer):
    def run(epochs, name):
        return fit(
            networks.make_network("pacd_mnist"), objective, images.X_train[:64], images.y_train[:64],
            Recipe(epochs, 32, optimizer, 1e-3, milestones=[2]), checkpoint=tmp_path / name, random_state=3,
        )  # fmt: skip

    undisturbed = run(4, "a")
    run(2, "b")
    resumed = run(4, "b")
    assert resumed.losses == undisturbed.losses
    for a, b in zip(undisturbed.network.parameters(), resumed.network.parameters(), strict=True):
        assert torch.equal(a, b)
    for name, value in undisturbed.memory.items():
        assert torch.equal(value, resumed.memory[name])


def test_checkpoints_of_other_runs_are_refused(images, tmp_path):
    path = tmp_path / "run"
    few = images.X_train[:32], images.y_train[:32]
    fit(linear(), Standard(), *few, Recipe(1), checkpoint=path)
    with pytest.raises(ValueError, match="another run"):
        fit(linear(), GaussianAugmentation(0.1), *few, Recipe(2), checkpoint=path)
    with pytest.raises(ValueError, match="another architecture"):
        checkpoint.load_weights(path, networks.make_network("lenet"))
    path.write_bytes(b"rubbish")
    with pytest.raises(ValueError, match="safetensors"):
        checkpoint.load_weights(path, linear())


def test_half_a_checkpoint_is_never_seen(images, tmp_path, monkeypatch):
    path = tmp_path / "run"
    few = images.X_train[:32], images.y_train[:32]
    fit(linear(), Standard(), *few, Recipe(1), checkpoint=path)
    whole = path.read_bytes()

    def full(source, destination):
        raise OSError("no space left on device")

    monkeypatch.setattr("convexpoison._utils.files.os.replace", full)
    with pytest.raises(OSError, match="no space"):
        fit(linear(), Standard(), *few, Recipe(2), checkpoint=path)
    assert path.read_bytes() == whole and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("X", "y", "words"),
    [
        (np.full((4, 1, 28, 28), 255.0), np.zeros(4, int), "Divide bytes by 255"),
        (np.zeros((4, 28, 28)), np.zeros(4, int), "channels"),
        (np.zeros((4, 1, 28, 28)), np.zeros(3, int), "labels"),
        (np.zeros((4, 1, 28, 28)), np.array([0, 1, -1, 2]), "negative"),
    ],
)
def test_bad_images_are_refused(X, y, words):
    with pytest.raises(ValueError, match=words):
        fit(linear(), Standard(), X, y, Recipe(1))


def test_divergence_is_told(images):
    with pytest.raises(ValueError, match="smaller learning_rate"):
        fit(linear(), Standard(), images.X_train, images.y_train, Recipe(50, learning_rate=1e30))


def test_augmentation_moves_pixels_only():
    X = torch.rand(50, 3, 32, 32)
    generator = torch.Generator().manual_seed(0)
    moved = flip_and_crop(X, generator, pad=0)
    mirrored = torch.tensor([torch.equal(a, b.flip(2)) for a, b in zip(moved, X, strict=True)])
    same = torch.tensor([torch.equal(a, b) for a, b in zip(moved, X, strict=True)])
    assert (mirrored | same).all() and 10 < int(mirrored.sum()) < 40
    shifted = flip_and_crop(torch.ones(50, 1, 32, 32), generator, pad=4)
    assert 28 * 28 <= int(shifted.sum((1, 2, 3)).min()) < 32 * 32


def test_the_estimator_is_one_of_scikit_learn(images):
    from sklearn.base import clone

    words = np.array([f"digit {d}" for d in images.y_train])
    model = clone(
        SmoothedNetworkClassifier(
            objective=GaussianAugmentation(0.1), recipe=Recipe(15), n=50, image_shape=(1, 28, 28), random_state=1
        )
    )
    flat = images.X_train.reshape(200, -1)
    assert model.fit(flat, words) is model
    answer = model.predict(images.X_test[:40].reshape(40, -1))
    assert set(answer) <= set(words)
    assert model.score(images.X_test[:40], [f"digit {d}" for d in images.y_test[:40]]) > 0.7
    certified = model.certify(images.X_test[:5], n0=20, n=200)
    assert certified.radius.shape == (5,)
    with pytest.raises(ValueError, match="without noise"):
        SmoothedNetworkClassifier(objective=Standard()).fit(images.X_train, words)


def few(n: int = 40, labels: tuple = ("a", "b")) -> tuple:
    """Dark images and bright ones."""
    y = np.arange(n) % len(labels)
    X = np.random.default_rng(0).random((n, 1, 28, 28)) * 0.2 + 0.8 * y[:, None, None, None] / (len(labels) - 1)
    return X.astype(np.float32), np.array(labels)[y]


def test_a_named_network_has_as_many_outputs_as_there_are_classes():
    X, y = few()
    model = SmoothedNetworkClassifier("mlp", GaussianAugmentation(0.25), recipe=Recipe(8, 4), n=20).fit(X, y)
    assert model.network_[-1].out_features == 2
    noise = np.random.default_rng(1).random(X.shape).astype(np.float32)
    assert set(model.predict(noise)) <= {"a", "b"}  # with ten outputs: IndexError
    assert model.score(X, y) == 1.0


def test_a_module_with_other_outputs_and_a_single_class_are_refused():
    X, y = few()
    with pytest.raises(ValueError, match=r"10 outputs and y 2 classes; build it with 2"):
        SmoothedNetworkClassifier(linear).fit(X, y)
    with pytest.raises(ValueError, match="at least two classes"):
        SmoothedNetworkClassifier("mlp").fit(X, np.full(len(X), "a"))


def test_predict_answers_with_the_class_of_the_most_votes_however_small_its_lead():
    """A network that under this noise is a coin: leads of one vote, of which the test of :meth:`predict` sees nothing."""
    X, y = few(4)
    model = SmoothedNetworkClassifier("mlp", GaussianAugmentation(0.25), recipe=Recipe(1), n=11).fit(X, y)

    class Coin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x):
            z = self.scale * (x.flatten(1).sum(1) - x.shape[1:].numel() / 2)
            return torch.stack([torch.zeros_like(z), z], 1)

    from convexpoison.neural import SmoothedClassifier

    model.smoothed_ = SmoothedClassifier(Coin(), 5.0, random_state=0)
    grey = np.clip(0.5 + 0.02 * np.random.default_rng(0).standard_normal((40, 1, 28, 28)), 0, 1).astype(np.float32)
    votes = model.smoothed_.draw(model.smoothed_.images(grey), "predict", np.full(40, 11)).total
    assert (np.abs(votes[:, 1] - votes[:, 0]) == 1).any()  # the case that was wrong
    assert model.predict(grey).tolist() == np.array(["a", "b"])[(votes[:, 1] > votes[:, 0]).astype(int)].tolist()


@pytest.mark.parametrize("make", [GaussianAugmentation, Macer, SmoothAdv, lambda s, **k: DataDependent(Macer(s, **k))])
def test_a_whole_sigma_is_a_number_too(images, make):
    losses = []
    for sigma in (1, 1.0):
        objective = make(sigma, k=2)
        memory = objective.start(200, torch.device("cpu"))
        losses.append(float(objective.loss(linear(), batch(images), memory).detach()))
        assert all(value.is_floating_point() for value in memory.values())
    assert losses[0] == losses[1]


@pytest.mark.parametrize("rate", [1e9, 1e30])
def test_a_loss_that_is_no_number_leaves_finite_weights_in_evaluation_mode(images, rate):
    network = networks.make_network("lenet")
    with pytest.raises(ValueError, match="smaller learning_rate"):
        fit(network, Standard(), images.X_train, images.y_train, Recipe(50, learning_rate=rate))
    assert all(bool(p.isfinite().all()) for p in network.parameters())
    assert not network.training


def test_weights_that_only_the_last_step_broke_are_put_back(images):
    """One batch an epoch: the loss is finite, the step is not."""

    class Steep(Standard):
        def loss(self, *args, **kwargs):
            return 1e6 * super().loss(*args, **kwargs)

    network = linear()
    before = [p.detach().clone() for p in network.parameters()]
    with pytest.raises(ValueError, match="smaller learning_rate"):
        fit(network, Steep(), images.X_train[:8], images.y_train[:8], Recipe(1, learning_rate=1e38))
    for a, b in zip(before, network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_no_images_are_refused():
    with pytest.raises(ValueError, match=r"nothing to train on: X has shape \(0, 1, 28, 28\)"):
        fit(linear(), Standard(), np.zeros((0, 1, 28, 28)), np.zeros(0, int), Recipe(1))
    with pytest.raises(ValueError, match="nothing to train on"):
        SmoothedNetworkClassifier("mlp").fit(np.zeros((0, 1, 28, 28)), np.zeros(0, int))


def test_without_a_seed_one_is_drawn_and_kept(images, tmp_path):
    data = images.X_train[:32], images.y_train[:32]
    one = fit(networks.make_network("pacd_mnist"), GaussianAugmentation(0.2), *data, Recipe(1), random_state=None)
    again = fit(
        networks.make_network("pacd_mnist"), GaussianAugmentation(0.2), *data, Recipe(1), random_state=one.random_state
    )
    assert one.losses == again.losses
    with pytest.raises(ValueError, match="needs random_state="):
        fit(linear(), Standard(), *data, Recipe(1), random_state=None, checkpoint=tmp_path / "run")
    first, second = (networks.make_network("mlp", None) for _ in range(2))
    assert not torch.equal(first[1].weight, second[1].weight)
    X, y = few()
    model = SmoothedNetworkClassifier("mlp", recipe=Recipe(1), n=5, random_state=None).fit(X, y)
    same = SmoothedNetworkClassifier("mlp", recipe=Recipe(1), n=5, random_state=model.random_state_).fit(X, y)
    assert model.losses_ == same.losses_


def test_other_devices_are_not_reseeded(images, monkeypatch):
    """``torch.manual_seed`` reseeds the generators of all CUDA devices, which nobody puts back."""

    def reseeds(seed):
        raise AssertionError("all CUDA generators were reseeded")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", reseeds)
    network = networks.make_network("pacd_mnist", 3)
    fit(network, Standard(), images.X_train[:32], images.y_train[:32], Recipe(1))


@pytest.mark.gpu
def test_the_cuda_generator_is_left_alone(images):
    before = torch.cuda.get_rng_state()
    network = networks.make_network("pacd_mnist", 3)
    data = images.X_train[:32], images.y_train[:32]
    fit(network, Standard(), *data, Recipe(1))
    first = fit(networks.make_network("pacd_mnist", 3), Standard(), *data, Recipe(1), device="cuda").losses
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert first == fit(networks.make_network("pacd_mnist", 3), Standard(), *data, Recipe(1), device="cuda").losses


def test_images_and_labels_that_do_not_fit_the_network_are_refused(images):
    with pytest.raises(ValueError, match=r"does not take images of shape \(3, 28, 28\)"):
        fit(networks.make_network("lenet"), Standard(), np.zeros((4, 3, 28, 28)), np.arange(4), Recipe(1))
    with pytest.raises(ValueError, match=r"10 outputs, for the labels 0 to 9; y has 10"):
        fit(linear(), Standard(), np.zeros((4, 1, 28, 28)), np.array([0, 1, 10, 2]), Recipe(1))


def test_a_batch_that_does_not_fit_into_memory_is_told(images):
    class Large(nn.Sequential):
        def forward(self, x):
            if len(x) > 1:
                raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
            return super().forward(x)

    network = Large(*linear())
    with pytest.raises(MemoryError, match="batch_size=64: pass a Recipe with a smaller one"):
        fit(network, Standard(), images.X_train, images.y_train, Recipe(1))
    assert not network.training
    fit(network, Standard(), images.X_train[:3], images.y_train[:3], Recipe(1, batch_size=1))
