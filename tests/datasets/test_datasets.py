"""Data sets: counts, hashes, the order in which files are looked for, and the rebuilt Adult rows."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from convexpoison import datasets
from convexpoison.datasets import adult, files


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No data folder and no network."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError("no network in tests")

    monkeypatch.delenv("CONVEXPOISON_DATA", raising=False)
    monkeypatch.setattr("sklearn.datasets.fetch_openml", refuse)
    monkeypatch.setattr("sklearn.datasets.fetch_file", refuse, raising=False)  # new in scikit-learn 1.6


def test_digits_are_bundled_and_split_the_same_way_every_time(nowhere: None) -> None:
    first, second = datasets.load("digits_17"), datasets.load("digits_17")
    assert (first.X_train.shape, first.X_test.shape) == ((252, 64), (109, 64))
    assert set(first.y_train) == set(first.y_test) == {1, 7}
    assert np.array_equal(first.X_train, second.X_train) and np.array_equal(first.y_test, second.y_test)
    assert first.X_train.max() == 1.0 and first.X_train.min() == 0.0
    first.space.check_domain(first.X_train)
    assert abs((first.y_train == 1).mean() - (first.y_test == 1).mean()) < 0.01


def test_other_pairs_of_digits(nowhere: None) -> None:
    assert set(datasets.load("digits_3_8").y_train) == {3, 8}
    assert np.array_equal(datasets.load("digits_1_7").X_train, datasets.load("digits_17").X_train)


@pytest.mark.parametrize(
    ("name", "train", "test", "n_features", "labels"),
    [
        ("mnist_17", 13_007, 2_163, 784, {1, 7}),
        ("fashion_mnist_0_2", 12_000, 2_000, 784, {0, 2}),
        ("adult", 15_682, 7_692, 57, {0, 1}),
        ("adult_balanced", 15_682, 7_692, 57, {0, 1}),
        ("enron1", 4_137, 1_035, 6_573, {0, 1}),
    ],
)
def test_counts(data_folder: Path, name: str, train: int, test: int, n_features: int, labels: set[int]) -> None:
    data = datasets.load(name, data_home=data_folder)
    assert data.X_train.shape == (train, n_features)
    assert data.X_test.shape == (test, n_features)
    assert data.y_train.shape == (train,) and data.y_test.shape == (test,)
    assert set(data.y_train) == set(data.y_test) == labels
    assert data.space.n_features == n_features
    data.space.check_domain(data.X_train[:200])
    assert name in repr(data) and data.description


def test_adult_rows_are_those_of_the_published_experiments(data_folder: Path) -> None:
    published, balanced = (datasets.load(name, data_home=data_folder) for name in ("adult", "adult_balanced"))
    assert published.y_train.mean() == pytest.approx(0.620, abs=5e-4)
    assert balanced.y_train.mean() == balanced.y_test.mean() == 0.5
    assert published.feature_names is not None and published.feature_names[:2] == ("age", "capital-gain")
    assert np.flatnonzero(published.space.integer).tolist() == list(range(4, 57))


def test_enron_is_sparse_counts_in_an_integer_space(data_folder: Path) -> None:
    data = datasets.load("enron1", data_home=data_folder)
    assert sp.issparse(data.X_train) and data.X_train.format == "csr" and data.X_train.dtype == np.float64
    assert data.space.integer.all() and data.space.upper.max() > 1
    assert (int(data.y_train.sum()), int(data.y_test.sum())) == (1_203, 297)


def test_adult_is_rebuilt_exactly_from_its_text(data_folder: Path) -> None:
    paths = [data_folder / f"adult_{part}.csv.gz" for part in ("train", "test")]
    train, test, names = adult.build(*(adult.read_rows(path) for path in paths))
    with np.load(data_folder / "adult_57.npz") as z:
        assert names == tuple(z["feature_names"])
        for part, rows in (("train", train), ("test", test)):
            assert rows.X.dtype == z[f"x_{part}"].dtype
            for ours, theirs in (
                (rows.X, z[f"x_{part}"]),
                (rows.y, z[f"y_{part}"]),
                (rows.as_coded, z[f"idx_{part}_ascoded"]),
                (rows.balanced, z[f"idx_{part}_balanced"]),
            ):
                assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["adult", "adult_balanced"])
def test_adult_from_text_equals_adult_from_arrays(data_folder: Path, tmp_path: Path, nowhere: None, name: str) -> None:
    for part in ("train", "test"):
        shutil.copy(data_folder / f"adult_{part}.csv.gz", tmp_path)
    assert dict(datasets.available(data_home=tmp_path))[name]
    rebuilt, prepared = (datasets.load(name, data_home=folder) for folder in (tmp_path, data_folder))
    for field in ("X_train", "y_train", "X_test", "y_test"):
        assert np.array_equal(getattr(rebuilt, field), getattr(prepared, field))
    assert rebuilt.feature_names == prepared.feature_names


def test_original_text_of_adult_has_the_known_hashes(data_folder: Path, tmp_path: Path) -> None:
    """The hashes that a download is compared with belong to the text that the CSV files were cleaned from."""
    for part, comment, stop in (("train", "", ""), ("test", "|1x3 Cross validator\n", ".")):
        rows = adult.read_rows(data_folder / f"adult_{part}.csv.gz")
        text = comment + "".join(", ".join(row) + stop + "\n" for row in rows) + "\n"
        name = "adult.data" if part == "train" else "adult.test"
        assert hashlib.sha256(text.encode()).hexdigest() == files._UCI_SHA256[name]
        (tmp_path / name).write_text(text)
        assert adult.read_rows(tmp_path / name) == rows


def test_a_changed_file_is_refused(data_folder: Path, tmp_path: Path) -> None:
    content = bytearray((data_folder / "adult_57.npz").read_bytes())
    content[-30] ^= 1
    (tmp_path / "adult_57.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"adult_57\.npz is damaged or another file of that name: its SHA-256 is"):
        datasets.load("adult", data_home=tmp_path)


def test_a_file_that_was_mended_is_read_again(data_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "enron1.npz").write_bytes(b"not an npz file")
    with pytest.raises(ValueError, match="SHA-256"):
        datasets.load("enron1", data_home=tmp_path)
    (tmp_path / "enron1.npz").unlink()
    shutil.copyfile(data_folder / "enron1.npz", tmp_path / "enron1.npz")
    assert datasets.load("enron1", data_home=tmp_path).X_train.shape[0] == 4_137


def test_the_environment_variable_is_looked_at_after_data_home(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVEXPOISON_DATA", str(data_folder))
    assert files.locate("enron1.npz", tmp_path) == data_folder / "enron1.npz"
    (tmp_path / "enron1.npz").touch()
    assert files.locate("enron1.npz", tmp_path) == tmp_path / "enron1.npz"


@pytest.mark.parametrize("name", ["mnist_17", "fashion_mnist_1_2", "adult", "enron1", "dogfish"])
def test_missing_files_are_named(nowhere: None, tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"\.npz.* not found .*CONVEXPOISON_DATA"):
        datasets.load(name, data_home=tmp_path)


@pytest.mark.parametrize("name", ["mnist", "mnist_1_1", "mnist_1_77", "iris", ""])
def test_unknown_names(nowhere: None, name: str) -> None:
    with pytest.raises(ValueError, match="choose one of digits_17, mnist_17"):
        datasets.load(name)


def test_available_without_files(nowhere: None) -> None:
    found = dict(datasets.available())
    assert found["digits_17"] and not found["mnist_17"] and not found["dogfish"]


def test_openml_images_are_compared_with_the_known_ones(
    data_folder: Path, tmp_path: Path, nowhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with np.load(data_folder / "mnist.npz") as z:
        images = np.concatenate([z["x_train"], z["x_test"]]).reshape(70_000, 784)
        labels = np.concatenate([z["y_train"], z["y_test"]])
    answer = SimpleNamespace(data=images, target=labels.astype(str).astype(object))
    monkeypatch.setattr("sklearn.datasets.fetch_openml", lambda **kwargs: answer)
    data, known = datasets.load("mnist_17", data_home=tmp_path), datasets.load("mnist_17", data_home=data_folder)
    assert np.array_equal(data.X_train, known.X_train) and np.array_equal(data.y_test, known.y_test)
    images[0, 300] ^= 1
    with pytest.raises(ValueError, match=r"OpenML's data set 554 is not the known mnist\.npz"):
        datasets.load("mnist_17", data_home=tmp_path)


def _write_dogfish(folder: Path, n_train: int, n_features: int = 5) -> None:
    rng = np.random.default_rng(0)
    for part, n_rows in (("train", n_train), ("test", 600)):
        features = rng.random((n_rows, n_features), dtype=np.float32)
        path = folder / f"dogfish_900_300_inception_features_{part}.npz"
        np.savez(path, inception_features_val=features, labels=np.arange(n_rows) % 2)


def test_dogfish_from_files_of_ones_own(nowhere: None, tmp_path: Path) -> None:
    _write_dogfish(tmp_path, 1_800)
    data = datasets.load("dogfish", data_home=tmp_path)
    both = np.vstack([data.X_train, data.X_test])
    assert np.array_equal(data.space.lower, both.min(axis=0)) and np.array_equal(data.space.upper, both.max(axis=0))
    assert set(data.y_train) == {0, 1}


def test_dogfish_with_other_counts_or_keys_is_refused(nowhere: None, tmp_path: Path) -> None:
    _write_dogfish(tmp_path, 1_799)
    with pytest.raises(ValueError, match=r"should have \(1800, 600\) train and test rows"):
        datasets.load("dogfish", data_home=tmp_path)
    np.savez(tmp_path / "dogfish_900_300_inception_features_train.npz", X=np.zeros((1_800, 5)))
    with pytest.raises(ValueError, match="inception_features_val"):
        datasets.load("dogfish", data_home=tmp_path)
