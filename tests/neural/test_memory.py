"""The memory classifier and the choice of sigma."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="smoothing needs torch, which is not installed")

from convexpoison.neural import MemoryClassifier, SmoothedClassifier, optimize_sigma  # noqa: E402

SMALL: dict[str, Any] = {"n0": 50, "n": 500}


def _by_image(classifier: Any, X: Any) -> np.ndarray:
    """A sigma that differs from image to image."""
    return 0.05 + 0.4 * np.asarray(X)[:, 0]


def _line(halfspace: Any, **settings: Any) -> SmoothedClassifier:
    """Class 1 right of .5."""
    return SmoothedClassifier(halfspace([8.0, 0.0], -4.0), 0.25, random_state=0, **settings)


# -------------------------------------------------------------------- sigma


@pytest.mark.parametrize("noise", ["gaussian", "uniform"])
@pytest.mark.parametrize("sigma0", [0.05, 0.3])
def test_sigma_stays_within_its_limits_and_frees_the_radius(halfspace: Any, noise: str, sigma0: float) -> None:
    classifier = _line(halfspace, noise=noise)
    X = np.array([[0.9, 0.5], [0.45, 0.2], [0.52, 0.2]])
    sigma = optimize_sigma(classifier, X, sigma0=sigma0, sigma_min=0.04, sigma_max=0.35, steps=20)
    assert ((sigma >= 0.04) & (sigma <= 0.35)).all()
    before = classifier.certify(X, n=2000, sigma=np.full(3, sigma0)).radius
    after = classifier.certify(X, n=2000, sigma=sigma).radius
    assert after.mean() >= before.mean() - 0.01
    if sigma0 == 0.05:
        assert after[0] > 2 * before[0]  # far from the boundary, more noise certifies more


def test_the_derivative_is_that_of_the_radius(halfspace: Any) -> None:
    """One step, against central differences with the same noise."""
    classifier, X, n, h = _line(halfspace), np.array([[0.6, 0.5]]), 64, 1e-4
    images = classifier.images(X)
    from convexpoison.neural.smoothing.sampling import stream_seed

    unit = torch.empty(n, 2)
    classifier.noise.fill(unit, 1.0, torch.Generator().manual_seed(stream_seed(classifier.seed, "sigma", images[0])))
    net = classifier.model.double()

    def radius(sigma: float) -> float:
        p = torch.softmax(net(images[0].double() + sigma * unit.double()), 1).mean(0).clamp(1e-3, 1 - 1e-3)
        return float(sigma / 2 * (torch.special.ndtri(p[1]) - torch.special.ndtri(p[0])).detach())

    slope = (radius(0.25 + h) - radius(0.25 - h)) / (2 * h)
    net.float()
    moved = optimize_sigma(classifier, X, n=n, steps=1, learning_rate=0.01, check=0, sigma_min=0.01, sigma_max=9.0)
    assert (moved[0] - 0.25) / 0.01 == pytest.approx(slope, rel=1e-3)


def test_the_run_away_of_single_draws_and_its_cure() -> None:
    """A network that is sure of some class wherever it looks: Algorithm 1 as printed, with n = 1, never stops growing."""

    class Stripes(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return 40.0 * torch.stack([torch.cos(20 * x[:, 0]), torch.sin(20 * x[:, 0])], dim=1)

    classifier = SmoothedClassifier(Stripes(), 0.1, random_state=0)
    X = np.linspace(0, 1, 20)[:, None].astype(np.float32)
    free: dict[str, Any] = {"steps": 60, "learning_rate": 0.04, "sigma_min": 1e-3, "sigma_max": 100.0}
    gone = optimize_sigma(classifier, X, n=1, follow="step", check=0, **free)
    assert np.median(gone) > 1.0
    capped = optimize_sigma(classifier, X, n=1, follow="step", check=0, steps=60, learning_rate=0.04)
    assert (capped <= 0.2).all()
    checked = optimize_sigma(classifier, X, n=1, follow="step", **free)
    before, after = (classifier.certify(X, n=2000, sigma=s).radius for s in (np.full(20, 0.1), checked))
    assert after.mean() >= before.mean() - 0.005
    fixed_class = optimize_sigma(classifier, X, n=16, **free)
    assert np.median(fixed_class) < 0.5


def test_frozen_parameters_and_their_gradients_are_untouched(halfspace: Any) -> None:
    classifier = _line(halfspace)
    net = classifier.model
    net.weight.grad = torch.full_like(net.weight, 7.0)
    net.bias.requires_grad_(False)
    before = net.weight.detach().clone()
    optimize_sigma(classifier, np.array([[0.6, 0.5]]), steps=3)
    assert torch.equal(net.weight, before)
    assert torch.equal(net.weight.grad, torch.full_like(net.weight, 7.0))
    assert net.bias.grad is None
    assert net.weight.requires_grad
    assert not net.bias.requires_grad


def test_sigma_does_not_depend_on_the_company(halfspace: Any) -> None:
    classifier, X = _line(halfspace), np.random.default_rng(0).random((30, 2))
    together = optimize_sigma(classifier, X, steps=5, n=16)
    alone = optimize_sigma(classifier, X[[17]], steps=5, n=16)
    assert together[17] == pytest.approx(alone[0], rel=1e-5)
    other = optimize_sigma(classifier, X, steps=5, n=16, random_state=5, check=0)
    assert not np.allclose(other, together)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma0": -1.0}, "sigma0 must be finite"),
        ({"sigma0": [0.1, 0.2]}, r"sigma0 has shape \(2,\)"),
        ({"sigma_min": 0.5}, "not between sigma_min=0.5"),
        ({"sigma_max": 0.1}, "and sigma_max=0.1"),
        ({"n": 0}, "n is 0"),
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"follow": "both"}, "choose one of 'first', 'step'"),
    ],
)
def test_bad_options(halfspace: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        optimize_sigma(_line(halfspace), np.array([[0.6, 0.5]]), **options)


# -------------------------------------------------------------------- memory


@pytest.mark.parametrize("noise", ["gaussian", "uniform"])
def test_after_many_queries_no_balls_of_different_labels_overlap(halfspace: Any, noise: str) -> None:
    X = np.random.default_rng(0).random((60, 2)).astype(np.float32)
    memory = MemoryClassifier(_line(halfspace, noise=noise), _by_image)
    found = memory.certify(X, **SMALL)
    answered = found.prediction >= 0
    assert answered.any()
    assert len(memory) == answered.sum()
    order = {1: 1, 2: 2}[memory.norm]
    apart = np.linalg.norm((X[:, None] - X[None]).astype(float), ord=order, axis=2)
    different = answered[:, None] & answered[None] & (found.prediction[:, None] != found.prediction[None])
    assert (apart >= found.radius[:, None] + found.radius[None])[different].all()


def test_labels_and_radii_are_corrected_in_the_three_cases(halfspace: Any) -> None:
    """A ball of class 0, planted as if another sigma had been used there, beside one of class 1."""
    memory = MemoryClassifier(_line(halfspace), lambda c, X: np.full(len(X), 0.4))
    first = memory.certify(np.array([[0.9, 0.5]]), n=3000)
    assert not first.corrected[0]
    reach = 0.9 - float(first.radius[0])
    memory.balls.put(np.array([0.3, 0.5]), 0, reach - 0.300001)
    same = memory.certify(np.array([[0.95, 0.5]]), n=3000)  # left of Fig. 2
    assert same.prediction[0] == 1
    assert same.radius[0] <= 0.95 - reach + 2e-6  # it must not reach into the other ball
    inside = memory.certify(np.array([[reach - 0.05, 0.5]]), n=3000)  # middle
    assert inside.prediction[0] == 0
    assert inside.radius[0] <= 0.05 * (1 + 1e-6)


def test_an_abstention_inside_a_ball_is_answered_and_elsewhere_is_not_stored(halfspace: Any) -> None:
    classifier = _line(halfspace)
    memory = MemoryClassifier(classifier, None)
    edge = np.array([[0.5, 0.5]], dtype=np.float32)
    assert classifier.certify(edge, **SMALL).prediction.tolist() == [-1]
    assert memory.certify(edge, **SMALL).prediction.tolist() == [-1]
    assert len(memory) == 0
    memory.balls.put(np.array([0.6, 0.5]), 1, 0.3)
    memory._base_answers.append((1, 0.3, 0.25, 500))
    found = memory.certify(edge, **SMALL)
    assert found.prediction.tolist() == [1]
    assert found.radius[0] == pytest.approx(0.2, rel=1e-6)
    assert found.corrected.tolist() == [True]
    assert found.base_prediction.tolist() == [-1]


def test_earlier_answers_never_change(halfspace: Any) -> None:
    rng = np.random.default_rng(1)
    X = rng.random((25, 2)).astype(np.float32)
    memory = MemoryClassifier(_line(halfspace), _by_image)
    first = memory.certify(X, **SMALL)
    memory.certify(rng.random((25, 2)).astype(np.float32), **SMALL)
    again = memory.certify(X[::-1], n0=100, n=2000)  # other draws would give other radii
    told = first.prediction[::-1] >= 0
    np.testing.assert_array_equal(again.prediction[told], first.prediction[::-1][told])
    np.testing.assert_array_equal(again.radius[told], first.radius[::-1][told])
    np.testing.assert_array_equal(again.n[told], 500)


def test_predictions_go_through_the_memory_too(halfspace: Any) -> None:
    memory = MemoryClassifier(_line(halfspace), None)
    memory.balls.put(np.array([0.9, 0.5]), 0, 0.2)  # a wrong ball, to see that it rules
    assert memory.predict(np.array([[0.95, 0.5]])).tolist() == [0]
    assert memory.predict(np.array([[0.1, 0.5]])).tolist() == [0]
    assert len(memory) == 3


def test_the_order_of_the_queries_matters_as_documented(halfspace: Any) -> None:
    """Two images whose balls meet: the first keeps its radius."""
    X = np.array([[0.2, 0.5], [0.8, 0.5]])
    settings = dict(n0=50, n=2000)
    wide = lambda c, X: np.full(len(X), 0.4)  # noqa: E731
    ab = MemoryClassifier(_line(halfspace), wide).certify(X, **settings)
    ba = MemoryClassifier(_line(halfspace), wide).certify(X[::-1], **settings)
    assert ab.radius[0] == ab.base_radius[0]
    assert ba.radius[0] == ba.base_radius[0]
    assert set(ab.prediction) == set(ba.prediction) == {0, 1}


def test_saved_and_loaded(halfspace: Any, tmp_path: Path) -> None:
    X = np.random.default_rng(2).random((20, 2)).astype(np.float32)
    classifier = _line(halfspace)
    memory = MemoryClassifier(classifier, _by_image)
    first = memory.certify(X, **SMALL)
    memory.save(tmp_path / "memory.npz")
    loaded = MemoryClassifier.load(tmp_path / "memory.npz", classifier, _by_image)
    again = loaded.certify(X, **SMALL)
    for name in ("prediction", "radius", "base_prediction", "base_radius", "sigma", "n", "corrected"):
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
    with pytest.raises(ValueError, match=r"l2 radii and sigma 0\.25; this one has l1"):
        MemoryClassifier.load(tmp_path / "memory.npz", _line(halfspace, noise="uniform"))
    np.savez(tmp_path / "other.npz", points=X)
    with pytest.raises(ValueError, match="not a saved memory"):
        MemoryClassifier.load(tmp_path / "other.npz", classifier)


def test_a_bad_batch_leaves_the_memory_as_it_was(halfspace: Any) -> None:
    memory = MemoryClassifier(_line(halfspace), None)
    with pytest.raises(ValueError, match="outside input_range"):
        memory.certify(np.array([[0.9, 0.5], [2.0, 0.5]]), **SMALL)
    assert len(memory) == 0
    with pytest.raises(TypeError, match="must be a SmoothedClassifier"):
        MemoryClassifier(memory)  # type: ignore[arg-type]


def test_with_the_optimised_sigma(halfspace: Any) -> None:
    memory = MemoryClassifier(_line(halfspace), partial(optimize_sigma, steps=10, n=16))
    found = memory.certify(np.array([[0.9, 0.5], [0.9, 0.5], [0.2, 0.1]]), **SMALL)
    assert found.prediction.tolist() == [1, 1, 0]
    assert found.sigma[0] == found.sigma[1]
    assert ((found.sigma >= 0.25 / 4) & (found.sigma <= 0.5)).all()
    assert len(memory) == 2
    assert len(found.to_frame()) == 3


def test_no_images_no_answers(halfspace: Any) -> None:
    memory = MemoryClassifier(_line(halfspace), _by_image)
    X = np.array([[0.9, 0.5]], dtype=np.float32)
    some, none = memory.certify(X, **SMALL), memory.certify(X[:0], **SMALL)
    assert len(memory) == 1
    for name in ("prediction", "radius", "base_prediction", "base_radius", "sigma", "n", "corrected"):
        assert getattr(none, name).shape == (0,)
        assert getattr(none, name).dtype == getattr(some, name).dtype
    assert memory.predict(X[:0]).shape == (0,)


def test_an_image_with_minus_zero_is_the_one_with_zero(halfspace: Any) -> None:
    memory = MemoryClassifier(_line(halfspace), None)
    first = memory.certify(np.array([[0.9, 0.0]], dtype=np.float32), **SMALL)
    again = memory.certify(np.array([[0.9, -0.0]], dtype=np.float32), **SMALL)
    assert len(memory) == 1
    assert again.radius[0] == first.radius[0]
    assert memory.remembers(np.array([[0.9, -0.0]], dtype=np.float32))
