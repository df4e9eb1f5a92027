"""Certificates: closed forms, coverage through the real sampling, seeds, memory limits and bad input."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom, norm

torch = pytest.importorskip("torch", reason="smoothing needs torch, which is not installed")

from convexpoison.neural import SmoothedClassifier  # noqa: E402
from convexpoison.neural.smoothing.bounds import clopper_pearson_lower  # noqa: E402
from convexpoison.neural.smoothing.noise import NOISES  # noqa: E402

nn = torch.nn


def _convnet(channels: int = 1, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Dropout(0.5), nn.Linear(36, 5)
    )


def _images(n: int = 3, channels: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, channels, 8, 8), dtype=np.float32)


class _Odd(nn.Module):
    """Answers what a function of the batch says."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, x: Any) -> Any:
        return self.answer(x)


# -------------------------------------------------------------------- closed forms


@pytest.mark.parametrize("sigma", [0.2, 0.5, 2.0])
@pytest.mark.parametrize("distance", [0.01, 0.3, 1.0])
def test_exact_probabilities_of_a_linear_classifier_give_its_distance(sigma: float, distance: float) -> None:
    gaussian = NOISES["gaussian"]
    radius = gaussian.radius(norm.cdf(distance / sigma), norm.sf(distance / sigma), sigma)
    assert radius == pytest.approx(distance, rel=1e-6)
    assert gaussian.needed(distance, sigma) == pytest.approx(norm.cdf(distance / sigma), rel=1e-9)


def test_exact_probabilities_of_a_coordinate_give_its_l1_distance() -> None:
    """Under uniform noise on [-lambda, lambda], P(x + e > 0) = 1/2 + x / (2 lambda) for |x| < lambda = sqrt(3) sigma."""
    sigma, distance = 0.4, 0.3
    p = 0.5 + distance / (2 * np.sqrt(3) * sigma)
    assert NOISES["uniform"].radius(p, 1 - p, sigma) == pytest.approx(distance, rel=1e-9)
    assert NOISES["uniform"].needed(distance, sigma) == pytest.approx(p, rel=1e-9)


@pytest.mark.parametrize("noise", ["gaussian", "uniform"])
@pytest.mark.parametrize("two_sided", [False, True])
def test_certified_radius_comes_near_the_distance_from_below(halfspace: Any, noise: str, two_sided: bool) -> None:
    w, b = [2.0, 0.0, 0.0], -1.0  # along a coordinate, where the l1 and the l2 distance agree
    X = np.array([[0.8, 0.1, 0.5], [0.35, 0.9, 0.2]], dtype=np.float32)
    distance = np.abs(X[:, 0] - 0.5)
    classifier = SmoothedClassifier(halfspace(w, b), 0.5, noise, random_state=0)
    found = classifier.certify(X, n=20_000, two_sided=two_sided)
    assert found.prediction.tolist() == [1, 0]
    assert (found.radius <= distance).all()
    assert (found.radius > distance - 0.05).all()
    assert found.norm == (2 if noise == "gaussian" else 1)
    assert (found.n == 20_000).all()


def test_coverage_through_the_sampler(halfspace: Any) -> None:
    """4,000 images at one distance from the boundary: the radius exceeds it no more often than alpha."""
    X, alpha, runs = np.full((4000, 2), 0.7, dtype=np.float32), 0.05, 4000
    X[:, 1] = np.linspace(0, 1, runs)
    classifier = SmoothedClassifier(halfspace([1.0, 0.0], -0.5), 0.5, random_state=1)
    most = binom.isf(1e-4, runs, alpha) / runs
    plain = classifier.certify(X, n0=100, n=200, alpha=alpha)
    wrong = (plain.prediction == 1) & (plain.radius > 0.2)
    assert 0.5 * alpha < wrong.mean() <= most
    some = slice(0, 1000)
    randomised = classifier.certify(X[some], n0=100, n=200, alpha=alpha, bound="randomized")
    assert (randomised.radius >= plain.radius[some] * (1 - 1e-9)).all()
    assert (randomised.radius > plain.radius[some]).any()


def test_decisions_about_a_radius_are_rarely_wrong_and_stop_early(halfspace: Any) -> None:
    runs, alpha = 1500, 0.05
    X = np.full((runs, 2), 0.7, dtype=np.float32)
    X[:, 1] = np.linspace(0, 1, runs)
    classifier = SmoothedClassifier(halfspace([1.0, 0.0], -0.5), 0.5, random_state=1)
    at_the_limit = classifier.certify_radius(X, 0.2000001, n0=20, n_max=1000, alpha=alpha)
    assert at_the_limit.certified.mean() <= binom.isf(1e-4, runs, alpha) / runs
    easy = classifier.certify_radius(X[:200], 0.02, n0=200, n_max=10_000, alpha=alpha)
    assert easy.certified.all()
    assert easy.n.mean() < 1000
    hopeless = classifier.certify_radius(X[:200], 0.6, n0=200, n_max=10_000, alpha=alpha)
    assert not hopeless.certified.any()
    assert (hopeless.prediction == -1).all()
    assert hopeless.n.mean() < 1000


def test_decision_and_certificate_agree(halfspace: Any) -> None:
    X = np.array([[0.9, 0.5], [0.6, 0.5], [0.1, 0.1]], dtype=np.float32)
    for votes in ("hard", "soft"):
        classifier = SmoothedClassifier(halfspace([8.0, 0.0], -4.0), 0.25, votes=votes, beta=4.0, random_state=0)
        full = classifier.certify(X, n=20_000)
        asked = classifier.certify_radius(X, 0.8 * full.radius, n_max=20_000)
        assert asked.certified.all()
        assert (asked.prediction == full.prediction).all()


def test_radii_asked_for_together_are_rarely_wrong_and_cost_few_draws(halfspace: Any) -> None:
    """The true radius is 0.2; several asked ones lie right behind it, as many chances to err."""
    runs, alpha, radii = 1500, 0.05, (0.3, 0.2000003, 0.1, 0.0, 0.2000001, 0.2000002, 0.201)
    X = np.full((runs, 2), 0.7, dtype=np.float32)
    X[:, 1] = np.linspace(0, 1, runs)
    classifier = SmoothedClassifier(halfspace([1.0, 0.0], -0.5), 0.5, random_state=2)
    found = classifier.certify(X, n0=20, n=1000, alpha=alpha, radii=radii)
    assert (found.radius > 0.2).mean() <= binom.isf(1e-4, runs, alpha) / runs
    assert set(np.round(found.radius, 9)) <= {0.0, 5e-7, *radii}
    certified = found.prediction >= 0
    np.testing.assert_array_equal(certified, found.radius > 0)
    np.testing.assert_allclose(found.radius[certified], 0.5 * norm.ppf(found.p_lower[certified]), atol=1e-6)
    easy = classifier.certify(X[:200], n0=200, n=20_000, alpha=alpha, radii=(0.0, 0.1, 0.3))
    np.testing.assert_array_equal(easy.radius, 0.1)
    assert easy.n.mean() < 2000


def test_radii_come_with_a_sigma_for_each_image_and_with_soft_votes(halfspace: Any) -> None:
    X, sigma = np.array([[0.9, 0.5], [0.9, 0.5]], dtype=np.float32), np.array([0.1, 0.5])
    for votes in ("hard", "soft"):
        classifier = SmoothedClassifier(halfspace([80.0, 0.0], -40.0), 0.25, votes=votes, random_state=0)
        found = classifier.certify(X, n=5000, radii=[0.2, 0.3, 0.35, 0.5], sigma=sigma)
        assert found.radius.tolist() == [0.2, 0.35]  # at most 3 sigma from 5,000 draws; 0.4 in truth
        assert found.sigma.tolist() == sigma.tolist()


def test_a_radius_beyond_uniform_noise_is_refused_without_draws(halfspace: Any) -> None:
    classifier = SmoothedClassifier(halfspace([8.0, 0.0], -4.0), 0.1, "uniform", random_state=0)
    decision = classifier.certify_radius(np.array([[0.9, 0.5]]), 0.5)
    assert not decision.certified.any()
    assert decision.n.tolist() == [0]


# -------------------------------------------------------------------- the procedures


def test_hard_certificate_is_clopper_pearson_at_the_drawn_n() -> None:
    found = SmoothedClassifier(_convnet(), 0.5, random_state=0).certify(_images(), n=1234)
    votes = np.array(
        [np.argmin(np.abs(clopper_pearson_lower(np.arange(1235), 1234, 0.001) - p)) for p in found.p_lower]
    )
    np.testing.assert_allclose(found.p_lower, clopper_pearson_lower(votes, 1234, 0.001), rtol=1e-12)
    certified = found.prediction >= 0
    np.testing.assert_allclose(found.radius[certified], 0.5 * norm.ppf(found.p_lower[certified]), rtol=1e-6)
    assert (found.radius[~certified] == 0).all()


def test_soft_votes_are_means_of_probabilities(halfspace: Any) -> None:
    """E sigmoid(t) under normal noise, by quadrature."""
    X, sigma, beta, n = np.array([[0.8]], dtype=np.float32), 0.5, 2.0, 50_000
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    exact = float((weights / (1 + np.exp(-beta * 3.0 * (0.3 + sigma * nodes)))).sum() / np.sqrt(2 * np.pi))
    for bound, slack in (("hoeffding", np.sqrt(np.log(1000) / (2 * n))), ("bernstein", 0.02)):
        classifier = SmoothedClassifier(halfspace([3.0], -1.5), sigma, votes="soft", beta=beta, random_state=0)
        found = classifier.certify(X, n=n, bound=bound)
        assert exact - 2 * slack < found.p_lower[0] < exact
    logits = halfspace([3.0], -1.5)
    probabilities = nn.Sequential(logits, nn.Softmax(dim=1))
    same = SmoothedClassifier(
        probabilities, sigma, outputs="probabilities", votes="soft", beta=beta, random_state=0
    ).certify(X, n=n)
    np.testing.assert_allclose(same.p_lower, found.p_lower, rtol=1e-5)


def test_soft_votes_at_a_low_temperature_are_hard_votes() -> None:
    X = _images(4)
    hard = SmoothedClassifier(_convnet(), 0.5, random_state=0)
    soft = SmoothedClassifier(_convnet(), 0.5, votes="soft", beta=1e6, random_state=0)
    images = hard.images(X)
    soft.images(X)
    sizes = np.full(4, 500)
    np.testing.assert_allclose(soft.draw(images, "x", sizes).total, hard.draw(images, "x", sizes).total, atol=0.5)


def test_two_sided_bounds_win_where_many_classes_share_the_rest() -> None:
    """A classifier that answers class 0 with probability .45 and each of ten others with .055: one-sided, it abstains."""

    def answer(x: Any) -> Any:
        u = torch.special.ndtr(x[:, 0] / 0.5)
        rival = 1 + ((u - 0.45) / 0.055).floor().clamp(0, 9).long()
        return nn.functional.one_hot(torch.where(u < 0.45, 0, rival), 11).float()

    classifier = SmoothedClassifier(_Odd(answer), 0.5, random_state=0)
    X = np.zeros((1, 1), dtype=np.float32)
    assert classifier.certify(X, n=5000).prediction.tolist() == [-1]
    found = classifier.certify(X, n=5000, two_sided=True)
    assert found.prediction.tolist() == [0]
    exact = 0.25 * (norm.ppf(0.45) - norm.ppf(0.055))
    assert 0.8 * exact < found.radius[0] < exact


def test_predict_abstains_when_two_classes_tie_and_not_otherwise(halfspace: Any) -> None:
    for votes in ("hard", "soft"):
        classifier = SmoothedClassifier(halfspace([4.0, 0.0], -2.0), 0.25, votes=votes, random_state=0)
        X = np.array([[0.5, 0.5], [0.9, 0.5], [0.0, 0.5]])
        assert classifier.predict(X, n=2000).tolist() == [-1, 1, 0]


def test_tolerance_saves_draws_and_little_radius_is_lost(halfspace: Any) -> None:
    X = np.column_stack([np.linspace(0.5, 1.0, 12), np.full(12, 0.5)])
    classifier = SmoothedClassifier(halfspace([1.0, 0.0], -0.5), 0.5, random_state=0)
    full = classifier.certify(X, n0=1000, n=20_000)
    saving = classifier.certify(X, n0=1000, n=20_000, tolerance=0.1)
    assert saving.n.sum() < 0.5 * full.n.sum()
    assert (saving.radius >= full.radius - 0.5 * (0.1 + 0.05)).all()
    assert len(np.unique(saving.n)) > 1


# -------------------------------------------------------------------- seeds, batches, the lent network


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_gets_the_same_noise_in_any_batch(channels: int) -> None:
    X, net = _images(5, channels), _convnet(channels)
    reference = SmoothedClassifier(net, 0.5, random_state=3).certify(X, n=730)
    for batch_size in (1, 7, 64, 100, 1000):
        found = SmoothedClassifier(net, 0.5, batch_size=batch_size, random_state=3).certify(X, n=730)
        np.testing.assert_allclose(found.p_lower, reference.p_lower, atol=0.003)  # a near-tie may fall to either side
        assert (found.p_lower == reference.p_lower).mean() >= 0.6
    alone = SmoothedClassifier(net, 0.5, random_state=3).certify(X[[4]], n=730)
    np.testing.assert_allclose(alone.p_lower, reference.p_lower[4], atol=0.003)
    other = SmoothedClassifier(net, 0.5, random_state=4).certify(X, n=730)
    assert (other.p_lower != reference.p_lower).any()


def test_noise_is_identical_to_the_bit_for_every_batch_size() -> None:
    seen: list[Any] = []
    net = _Odd(lambda x: (seen.append(x.clone()), torch.zeros(len(x), 2))[1])
    X = _images(3, 2)

    def all_rows(batch_size: int) -> Any:
        seen.clear()
        classifier = SmoothedClassifier(net, 0.5, batch_size=batch_size, random_state=0)
        images = classifier.images(X)
        seen.clear()
        classifier.draw(images, "certify", np.array([130, 250, 100]))
        return torch.cat([rows.reshape(len(rows), -1) for rows in seen])

    reference = all_rows(200)
    assert len(reference) == 480
    assert len(torch.unique(reference, dim=0)) == 480
    for batch_size in (1, 33, 100, 101, 512):
        assert torch.equal(all_rows(batch_size), reference)


@pytest.mark.parametrize("noise", ["gaussian", "uniform"])
def test_noise_has_the_scale_that_it_should(noise: str) -> None:
    seen: list[Any] = []
    net = _Odd(lambda x: (seen.append(x.double().flatten(1).clone()), torch.zeros(len(x), 2))[1])
    classifier = SmoothedClassifier(net, 0.3, noise, random_state=0)
    X = _images(1)
    images = classifier.images(X)
    seen.clear()
    classifier.draw(images, "certify", np.array([5000]))
    e = torch.cat(seen).numpy() - X.reshape(1, -1)
    assert e.mean() == pytest.approx(0.0, abs=0.005)
    assert e.std() == pytest.approx(0.3, rel=0.01)
    assert np.abs(np.corrcoef(e[:, :6].T) - np.eye(6)).max() < 0.08
    if noise == "uniform":
        assert np.abs(e).max() <= np.sqrt(3) * 0.3 * (1 + 1e-6)


def test_choosing_and_certifying_draws_differ() -> None:
    classifier = SmoothedClassifier(_convnet(), 0.5, random_state=0)
    image = classifier.images(_images(1))[0]
    a, b = (torch.empty(10, 64) for _ in range(2))
    classifier.stream(image, "choose", 0.5).fill(a)
    classifier.stream(image, "certify", 0.5).fill(b)
    assert not torch.isclose(a, b).any()


def test_the_network_is_left_as_it_was() -> None:
    net = _convnet()
    net.train()
    net[0].eval()
    net[0].weight.grad = torch.ones_like(net[0].weight)
    weight, before = net[0].weight.data, {k: v.clone() for k, v in net.state_dict().items()}
    SmoothedClassifier(net, 0.5, random_state=0).certify(_images(), n=300)
    assert [m.training for m in net.modules()] == [True, False, True, True, True, True, True]
    assert net[0].weight.data.data_ptr() == weight.data_ptr()
    assert net[0].weight.stride() == weight.stride()
    assert torch.equal(net[0].weight.grad, torch.ones_like(weight))
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert all(p.requires_grad for p in net.parameters())


def test_channels_last_computes_the_same_function() -> None:
    net, image = _convnet(3), torch.from_numpy(_images(1, 3)[0])
    from convexpoison.neural.smoothing.forward import Forward

    for channels_last in (False, True):
        forward = Forward(net, "logits", None, "float32", channels_last)
        with forward.open():
            batch = forward.layout(forward.flat(image)[None].clone(), (3, 8, 8))
            assert torch.equal(batch, image[None])
            torch.testing.assert_close(net(batch), net(image[None]))


def test_a_network_that_flattens_by_view_gets_the_layout_that_it_can_take() -> None:
    class Views(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.last = nn.Conv2d(2, 4, 3), nn.Linear(144, 3)

        def forward(self, x: Any) -> Any:
            return self.last(self.conv(x).view(len(x), -1))

    net = Views()
    found = SmoothedClassifier(net, 0.1, random_state=0).certify(_images(2, 2), n=200)
    expected = SmoothedClassifier(net, 0.1, channels_last=False, random_state=0).certify(_images(2, 2), n=200)
    np.testing.assert_array_equal(found.p_lower, expected.p_lower)


def test_double_precision_networks_get_double_noise() -> None:
    found = SmoothedClassifier(_convnet().double(), 0.5, random_state=0).certify(_images(), n=200)
    assert len(found) == 3


def test_out_of_memory_halves_the_batch_and_says_so_once() -> None:
    inner, sizes = _convnet(), []

    def answer(x: Any) -> Any:
        sizes.append(len(x))
        if len(x) > 60:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return inner(x)

    net = _Odd(answer)
    inner.eval()
    classifier = SmoothedClassifier(net, 0.5, batch_size=400, random_state=0)
    with pytest.warns(RuntimeWarning, match="continuing with 200") as told:
        found = classifier.certify(_images(), n=900)
    assert len(told) == 1
    assert max(sizes[-10:]) <= 50
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = classifier.certify(_images(), n=900)
    expected = SmoothedClassifier(inner, 0.5, random_state=0).certify(_images(), n=900)
    np.testing.assert_allclose(found.p_lower, expected.p_lower, atol=0.003)
    np.testing.assert_array_equal(again.p_lower, found.p_lower)


def test_no_images_no_certificates() -> None:
    assert len(SmoothedClassifier(_convnet(), 0.5).certify(np.zeros((0, 1, 8, 8)))) == 0


# -------------------------------------------------------------------- bad input


def test_nan_from_the_network_is_an_error() -> None:
    # Only for some noise, so that the first look does not see it.
    net = _Odd(lambda x: torch.where(x[:, :2] > 1.2, float("nan"), x[:, :2]))
    for votes in ("hard", "soft"):
        with pytest.raises(ValueError, match="NaN for a noisy image"):
            SmoothedClassifier(net, 0.5, votes=votes, random_state=0).certify(np.full((1, 2), 0.5), n=1000)
    with pytest.raises(ValueError, match="NaN for an image"):
        SmoothedClassifier(_Odd(lambda x: x * float("nan")), 0.5).predict(np.full((1, 2), 0.5))


def test_probabilities_that_are_none_are_refused(halfspace: Any) -> None:
    classifier = SmoothedClassifier(halfspace([3.0], -1.5), 0.5, outputs="probabilities", votes="soft")
    with pytest.raises(ValueError, match="declare outputs='logits'"):
        classifier.certify(np.array([[0.8]]), n=200)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sigma": 0.0}, "sigma is 0.0"),
        ({"sigma": -1}, "sigma is -1"),
        ({"sigma": float("nan")}, "sigma is nan"),
        ({"noise": "laplace"}, "choose one of 'gaussian', 'uniform'"),
        ({"outputs": "scores"}, "choose one of 'logits', 'probabilities'"),
        ({"votes": "medium"}, "choose one of 'hard', 'soft'"),
        ({"beta": 0}, "beta is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"precision": "float16"}, "needs a model on CUDA"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SmoothedClassifier(_convnet(), **({"sigma": 0.5} | settings))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 0.0}, "alpha is 0.0"),
        ({"alpha": 1.0}, "alpha is 1.0"),
        ({"n": 50}, "n is 50 and n0 is 100"),
        ({"n": 100.5}, "n is 100.5"),
        ({"n0": 0}, "n0 is 0"),
        ({"bound": "bernstein"}, "choose one of 'clopper_pearson', 'randomized'"),
        ({"tolerance": -0.1}, "tolerance is -0.1"),
        ({"X": _images() * 255}, "X / 255"),
        ({"X": np.full((1, 1, 8, 8), np.nan)}, "NaN or infinity"),
        ({"X": _images(2, 3)}, r"does not take images of shape \(3, 8, 8\)"),
        ({"X": _images()[0, 0, 0]}, "needs a first axis"),
        ({"radii": [0.1, -0.1]}, "must be finite and nonnegative"),
        ({"radii": [0.1], "tolerance": 0.1}, "radii excludes bound, two_sided and tolerance"),
        ({"sigma": [0.1, 0.2]}, r"sigma has shape \(2,\)"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SmoothedClassifier(_convnet(), 0.5).certify(**({"X": _images()} | arguments))


def test_bad_kinds() -> None:
    with pytest.raises(TypeError, match=r"torch\.nn\.Module"):
        SmoothedClassifier(lambda x: x, 0.5)
    with pytest.raises(TypeError, match="array or tensor of numbers"):
        SmoothedClassifier(_convnet(), 0.5).predict(np.array([["a"]]))
    with pytest.raises(ValueError, match="has 5 classes; n_classes=10"):
        SmoothedClassifier(_convnet(), 0.5, n_classes=10).predict(_images())
    with pytest.raises(ValueError, match=r"images have shape \(1, 8, 8\)"):
        SmoothedClassifier(_convnet(), 0.5, input_shape=(1, 28, 28)).predict(_images())
    with pytest.raises(ValueError, match="tolerance needs hard votes"):
        SmoothedClassifier(_convnet(), 0.5, votes="soft").certify(_images(), tolerance=0.1)
    with pytest.raises(ValueError, match=r"shape \(1, n_classes\)"):
        SmoothedClassifier(_Odd(lambda x: x), 0.5).predict(_images())


@pytest.mark.gpu
def test_half_precision_on_cuda() -> None:
    net, X = _convnet().cuda(), _images()
    full = SmoothedClassifier(net, 0.5, random_state=0).certify(X, n=5000)
    half = SmoothedClassifier(net, 0.5, precision="float16", random_state=0).certify(X, n=5000)
    np.testing.assert_allclose(half.p_lower, full.p_lower, atol=0.02)


def test_a_network_that_is_moved_afterwards_is_found_where_it_is() -> None:
    """Precision and device are looked up when they are needed, not remembered from the construction."""
    net, X = _convnet(), _images().astype(np.float64)
    classifier = SmoothedClassifier(net, 0.25, random_state=0)
    net.double()
    found = classifier.certify(X, n0=20, n=100)
    expected = SmoothedClassifier(_convnet().double(), 0.25, random_state=0).certify(X, n0=20, n=100)
    np.testing.assert_array_equal(found.radius, expected.radius)
    net.to("meta")
    assert classifier.forward.device.type == "meta"
    assert SmoothedClassifier(_convnet(), 0.25, batch_size=7).forward.batch_size == 7


@pytest.mark.gpu
def test_a_network_that_goes_to_cuda_and_back() -> None:
    net, X = _convnet(), _images()
    classifier = SmoothedClassifier(net, 0.25, precision="float32", random_state=0)
    before = classifier.certify(X, n0=20, n=100)
    net.cuda()
    assert classifier.certify(X, n0=20, n=1000).radius.shape == (3,)
    assert classifier.forward.batch_size == 4096
    half = SmoothedClassifier(net, 0.25, precision="bfloat16", random_state=0)
    net.cpu()
    np.testing.assert_array_equal(classifier.certify(X, n0=20, n=100).radius, before.radius)
    with pytest.raises(ValueError, match="needs a model on CUDA"):
        half.certify(X, n0=20, n=100)
