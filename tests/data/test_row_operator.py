"""Products with rows, in every storage, against the dense matrix."""

from __future__ import annotations

import pickle
from copy import deepcopy

import joblib
import numpy as np
import pytest
import scipy.sparse as sp

import convexpoison as cp
from convexpoison.data.row_operator import RowOperator
from convexpoison.data.training_data import TrainingData


def grown(density: float, intercept: bool) -> tuple[RowOperator, np.ndarray]:
    """An operator with 20 added rows, and its dense matrix."""
    rng = np.random.default_rng(7)
    X = sp.random(1500, 20, density=density, random_state=7).toarray() * rng.choice([-1.0, 1.0], size=(1500, 20))
    rows = RowOperator(X).growing(intercept)
    added = rng.normal(size=(20, 20))
    for x in added:
        rows.append(x)
    full = np.vstack([X, added])
    return rows, np.column_stack([full, np.ones(len(full))]) if intercept else full


def agrees(rows: RowOperator, full: np.ndarray) -> None:
    rng = np.random.default_rng(8)
    w, v = rng.normal(size=full.shape[1]), rng.uniform(size=len(full)) * rng.integers(0, 2, size=len(full))
    assert (rows.n_rows, rows.n_parameters) == full.shape
    np.testing.assert_allclose(rows.dot(w), full @ w, atol=1e-12)
    np.testing.assert_allclose(rows.transposed_dot(v), v @ full, atol=1e-12)
    np.testing.assert_allclose(rows.gram(v), (full * v[:, None]).T @ full, atol=1e-11)
    np.testing.assert_allclose(rows.gram_diagonal(v), np.diag(rows.gram(v)), atol=1e-11)
    scale = rng.uniform(0.5, 2.0, size=full.shape[1])
    for factor in (1.0, 3.0):  # the second time from what was kept
        np.testing.assert_allclose(rows.row_gram(factor * scale), (full * factor * scale) @ full.T, atol=1e-11)
    np.testing.assert_allclose(rows.row_gram(scale**2), (full * scale**2) @ full.T, atol=1e-11)
    features = full[:, : rows.n_features]
    np.testing.assert_allclose(rows.squared_norms(), (features**2).sum(axis=1), atol=1e-12)
    index = rng.permutation(len(full))[: len(full) // 2]
    np.testing.assert_array_equal(rows.take(index), features[index])
    picked = rows.pick(index)
    assert sp.issparse(picked) == rows.is_sparse
    np.testing.assert_array_equal(picked.toarray() if rows.is_sparse else picked, features[index])
    np.testing.assert_array_equal(rows.lift(features), full)
    np.testing.assert_array_equal(rows.lift(features[3]), full[3])


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("density", [1.0, 0.15, 0.02])
def test_products(intercept: bool, density: float) -> None:
    rows, full = grown(density, intercept)
    agrees(rows, full)
    agrees(rows.absolute(), np.abs(full))
    some = np.random.default_rng(9).permutation(1500)[:100]
    rows.row_gram(np.ones(full.shape[1]))  # kept products are those of all rows
    agrees(rows.restricted(some), np.vstack([full[some], full[1500:]]))
    agrees(rows.growing(not intercept), full[:, :-1] if intercept else np.column_stack([full, np.ones(len(full))]))
    agrees(rows, full)


@pytest.mark.parametrize("density", [1.0, 0.02])
def test_intervals_hold_the_products(density: float) -> None:
    rows, full = grown(density, False)
    v = np.random.default_rng(9).normal(size=20)
    for operator, clean in ((rows, full[:1500]), (rows.absolute(), np.abs(full[:1500]))):
        found = operator.clean_intervals.dot(v)
        assert (found.lower <= clean @ v).all() and (clean @ v <= found.upper).all()
        np.testing.assert_allclose(found.lower, found.upper, atol=1e-12)


def test_copies_grow_by_themselves() -> None:
    rows, full = grown(1.0, True)
    twin = deepcopy(rows)
    twin.replace(1500, np.zeros(20))
    for _ in range(40):
        twin.append(np.ones(20))
    agrees(rows, full)
    assert twin.n_rows == 1560 and not twin.take(np.array([1500])).any()


@pytest.mark.parametrize("loss", ["hinge", "logistic"])
def test_training_leaves_the_rows_of_the_data_as_they_are(loss: str) -> None:
    rng = np.random.default_rng(0)
    data = TrainingData.from_user((rng.normal(size=(30, 4)), np.arange(30) % 2))
    before, digest = data.rows.dot(np.ones(4)), joblib.hash(TrainingData.from_user((data.X, data.y)).X)
    trainer = cp.Victim(loss, C_R=0.1).trainer(data)
    trainer.add(np.ones(4), 1.0)
    assert data.rows.n_rows == 30 and digest == joblib.hash(data.X)
    np.testing.assert_array_equal(data.rows.dot(np.ones(4)), before)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_pickle_does_not_depend_on_what_is_cached(sparse: bool) -> None:
    X = np.random.default_rng(0).normal(size=(30, 4))
    data = TrainingData.from_user((sp.csr_matrix(X) if sparse else X, np.arange(30) % 2))
    before = joblib.hash(data)
    assert data.rows is data.rows
    assert joblib.hash(data) == before
    again = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(again.rows.dot(np.ones(4)), data.rows.dot(np.ones(4)))


def test_further_rows_and_subsets() -> None:
    rng = np.random.default_rng(0)
    X, more = rng.normal(size=(6, 3)), rng.normal(size=(2, 3))
    for block, added in ((X, more), (sp.csr_matrix(X), more), (X, sp.csr_matrix(more))):
        data = TrainingData(block, np.array([1.0, -1.0] * 3), np.arange(6.0), ("a", "b"), ("p", "q", "r"))
        grown = data.with_rows(added, np.array([1.0, 1.0]), np.array([2.0, 5.0]))
        assert sp.issparse(grown.X) == (sp.issparse(block) or sp.issparse(added))
        np.testing.assert_array_equal(grown.rows.take(np.arange(8)), np.vstack([X, more]))
        assert grown.y.tolist() == [1, -1] * 3 + [1, 1] and grown.sample_weight.tolist() == [0, 1, 2, 3, 4, 5, 2, 5]
        assert (grown.classes, grown.columns) == (data.classes, data.columns)
        some = grown.subset(np.array([7, 1]))
        np.testing.assert_array_equal(some.rows.take(np.arange(2)), [more[1], X[1]])
        assert some.y.tolist() == [1, -1] and some.sample_weight.tolist() == [5, 1]
