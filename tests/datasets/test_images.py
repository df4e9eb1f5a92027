"""Images for networks: shapes, scale, subsets."""

from __future__ import annotations

import numpy as np
import pytest

from convexpoison.datasets.images import load_images


def test_digits_are_enlarged_pixels():
    """Every pixel of the 8 x 8 original is a block of 4 x 4, and the outer ones lose half of it."""
    from sklearn.datasets import load_digits

    images = load_images("digits")
    assert images.X_train.shape[1:] == (1, 28, 28) and images.X_train.dtype == np.float32
    assert images.X_train.min() == 0.0 and images.X_train.max() == 1.0 and images.n_classes == 10
    originals = {row.tobytes() for row in (load_digits().data / 16.0).astype(np.float32)}
    small = images.X_test[:, 0, 0::4, 0::4]  # 0 is the middle of the first block after the cut
    assert all(
        row.tobytes() in originals for row in np.ascontiguousarray(_blocks(images.X_test)).reshape(len(small), 64)
    )
    assert len(images.y_train) + len(images.y_test) == len(originals) or len(originals) < 1797


def _blocks(X: np.ndarray) -> np.ndarray:
    """One pixel of each block of the 8 x 8 original: block k covers 4 k - 2 to 4 k + 2 after the cut."""
    at = [0, *range(3, 27, 4), 27]
    return X[:, 0][:, at][:, :, at]


def test_subsets_are_drawn_by_the_seed():
    images = load_images("digits")
    some, same, other = (images.subset(30, 20, seed) for seed in (1, 1, 2))
    assert some.X_train.shape[0] == 30 and some.y_test.shape == (20,)
    np.testing.assert_array_equal(some.X_train, same.X_train)
    assert not np.array_equal(some.X_train, other.X_train)
    assert images.subset().X_train.shape == images.X_train.shape


def test_some_classes_get_new_names():
    pair = load_images("digits").of_classes((7, 1))
    whole = load_images("digits")
    assert set(pair.y_train) == {0, 1} and pair.n_classes == 2
    assert (pair.y_train == 0).sum() == (whole.y_train == 7).sum()
    np.testing.assert_array_equal(pair.X_train[pair.y_train == 1], whole.X_train[whole.y_train == 1])


@pytest.mark.parametrize(
    ("name", "shape", "n"),
    [("mnist", (1, 28, 28), 60_000), ("fashion_mnist", (1, 28, 28), 60_000), ("cifar10", (3, 32, 32), 10_000)],
)
def test_files_of_the_data_folder(data_folder, name, shape, n):
    images = load_images(name, data_home=data_folder)
    assert images.X_train.shape == (n, *shape) and images.X_train.max() == 1.0
    assert np.bincount(images.y_test).size == 10
    if name == "cifar10":  # channels last in the file: the first image's red plane
        raw = np.load(data_folder / "cifar10_subset.npz")["x_train"][0, :, :, 0]
        np.testing.assert_allclose(images.X_train[0, 0], raw / 255.0, rtol=1e-6)


def test_unknown_or_missing_images_are_told(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="unknown images 'svhn'"):
        load_images("svhn")
    monkeypatch.delenv("CONVEXPOISON_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match=r"cifar10\.npz not found"):
        load_images("cifar10", data_home=tmp_path)
