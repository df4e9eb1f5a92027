"""Baselines of poisoning: their size, their clipping, and that only what should change does."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'neural')")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from hypothesis.extra.numpy import arrays  # noqa: E402

from convexpoison import neural  # noqa: E402
from convexpoison.datasets.images import load_images  # noqa: E402
from convexpoison.neural.poisoning.baselines import flip_labels, random_noise, watermark  # noqa: E402
from convexpoison.neural.poisoning.image_ball import ImageBall  # noqa: E402

pixels = arrays(np.float32, (3, 1, 4, 4), elements=st.floats(0.0, 1.0, width=32))
offsets = arrays(np.float32, (3, 1, 4, 4), elements=st.floats(-4.0, 4.0, width=32))


@pytest.fixture(scope="module")
def data():
    return load_images("digits").subset(300, 50)


@given(base=pixels, offset=offsets, eps=st.floats(0.0, 3.0), norm=st.sampled_from(["linf", "l2"]))
def test_projection_never_leaves_the_ball_or_the_pixel_range(base, offset, eps, norm):
    ball = ImageBall(torch.from_numpy(base), eps, norm)
    found = ball.project(torch.from_numpy(base + offset))
    assert found.dtype == torch.float32
    assert float(found.min()) >= 0.0 and float(found.max()) <= 1.0
    assert float(ball.distances(found).max()) <= eps * (1.0 + 1e-12)


@given(base=pixels, offset=offsets, eps=st.floats(0.01, 3.0), norm=st.sampled_from(["linf", "l2"]))
def test_projection_leaves_alone_what_lies_inside(base, offset, eps, norm):
    ball = ImageBall(torch.from_numpy(base), eps, norm)
    inside = ball.project(torch.from_numpy(base + offset))
    torch.testing.assert_close(ball.project(inside), inside, rtol=0.0, atol=2e-7)


def test_projection_onto_the_linf_ball_is_the_nearest_image():
    base = torch.tensor([0.0, 0.5, 0.98, 0.5]).view(1, 1, 2, 2)
    found = ImageBall(base, 0.1).project(torch.tensor([-0.3, 0.9, 2.0, 0.55]).view(1, 1, 2, 2))
    torch.testing.assert_close(found.flatten(), torch.tensor([0.0, 0.6, 1.0, 0.55]))


def test_wrong_balls_are_refused():
    base = torch.zeros(1, 1, 2, 2)
    with pytest.raises(ValueError, match="unknown norm"):
        ImageBall(base, 0.1, "l1")
    with pytest.raises(ValueError, match="eps must be"):
        ImageBall(base, -0.1)
    with pytest.raises(ValueError, match="pixel range"):
        ImageBall(base + 2.0, 0.1)


@given(base=pixels, eps=st.floats(0.0, 0.5), norm=st.sampled_from(["linf", "l2"]), opacity=st.floats(0.0, 1.0))
def test_baselines_stay_in_the_ball(base, eps, norm, opacity):
    ball, rng = ImageBall(torch.from_numpy(base), eps, norm), np.random.default_rng(0)
    for images in (random_noise(ball, rng), watermark(ball, 1.0 - base, rng, opacity)):
        assert images.min() >= 0.0 and images.max() <= 1.0
        assert float(ball.distances(torch.from_numpy(images)).max()) <= eps * (1.0 + 1e-12)


def test_noise_is_as_large_as_allowed():
    base = torch.full((5, 1, 6, 6), 0.5)
    for norm, eps in (("linf", 0.1), ("l2", 0.7)):
        ball = ImageBall(base, eps, norm)
        np.testing.assert_allclose(
            ball.distances(torch.from_numpy(random_noise(ball, np.random.default_rng(1)))), eps, 1e-5
        )


def test_a_watermark_is_the_paper_s_mixture_where_nothing_is_clipped():
    base, other = torch.full((4, 1, 2, 2), 0.5), np.ones((1, 1, 2, 2), dtype=np.float32)
    found = watermark(ImageBall(base, 0.2), other, np.random.default_rng(0), opacity=0.1)
    np.testing.assert_allclose(found, 0.1 * 1.0 + 0.9 * 0.5, rtol=1e-6)
    clipped = watermark(ImageBall(base, 0.2), other, np.random.default_rng(0), opacity=0.9)
    np.testing.assert_allclose(clipped, 0.7, rtol=1e-6)
    with pytest.raises(ValueError, match="opacity"):
        watermark(ImageBall(base, 0.2), other, np.random.default_rng(0), opacity=1.5)


def test_flipped_labels_are_all_others_and_none_the_same():
    labels = np.full(200, 3)
    flipped = flip_labels(labels, 5, np.random.default_rng(0))
    assert set(flipped.tolist()) == {0, 1, 2, 4}


@pytest.mark.parametrize("method", ["watermark", "noise", "label_flip"])
def test_the_front_door_changes_only_the_target_class(data, method):
    result = neural.attack(8, data, method=method, eps=0.1, validation=0.2, random_state=3)
    X, y = result.poisoned(data.X_train, data.y_train)
    X_clean, y_clean = result.clean(data.X_train, data.y_train)
    assert len(y) == 240 and result.n_points == int((y_clean == 8).sum())
    np.testing.assert_array_equal(X[y_clean != 8], X_clean[y_clean != 8])
    np.testing.assert_array_equal(y[y_clean != 8], y_clean[y_clean != 8])
    if method == "label_flip":
        np.testing.assert_array_equal(X, X_clean)
        assert not (y[y_clean == 8] == 8).any()
    else:
        np.testing.assert_array_equal(y, y_clean)
        assert 0.05 < result.distances().max() <= 0.1


def test_a_result_is_saved_and_read_and_shown(data, tmp_path):
    result = neural.attack(8, data, method="watermark", validation=0.2)
    result.save(tmp_path / "poison.npz")
    again = neural.PoisonResult.load(tmp_path / "poison.npz")
    for name in ("images", "labels", "base_images", "base_labels", "base_indices", "train_indices"):
        np.testing.assert_array_equal(getattr(again, name), getattr(result, name))
    assert (again.method, again.eps, again.norm, again.provenance) == ("watermark", 0.1, "linf", result.provenance)
    frame = again.to_frame()
    assert list(frame.columns) == ["base_index", "base_label", "label", "linf", "l2"] and len(frame) == again.n_points
    axes = again.plot(3)
    assert axes.shape == (2, 3)
    np.testing.assert_array_equal(axes[1, 0].images[0].get_array(), again.images[0, 0])
    with pytest.raises(ValueError, match="not the data that were attacked"):
        result.poisoned(1.0 - data.X_train, data.y_train)
    np.savez(tmp_path / "other.npz", a=np.zeros(2))
    with pytest.raises(ValueError, match="not a saved poison"):
        neural.PoisonResult.load(tmp_path / "other.npz")
