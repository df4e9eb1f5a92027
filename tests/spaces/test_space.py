"""Spaces: what is inferred, what lies inside, what they consist of."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import convexpoison as cp


def test_inferred_from_arrays():
    X = np.array([[0.0, -1.0], [2.5, 3.0]])
    space = cp.Space.infer(X)
    np.testing.assert_array_equal(space.lower, [0, -1])
    np.testing.assert_array_equal(space.upper, [2.5, 3])
    assert space.parts == {"box"}
    sparse = cp.Space.infer(sp.csr_matrix(X))
    np.testing.assert_array_equal(sparse.lower, space.lower)
    np.testing.assert_array_equal(sparse.upper, space.upper)
    assert cp.Space.infer(X.astype(int)).integer.all()


def test_inferred_from_dtypes_of_a_frame(pandas):
    frame = pandas.DataFrame(
        {"age": [20, 30], "wage": [1.5, 2.0], "member": [True, False], "small": pandas.array([1, 2], dtype="Int8")}
    )
    space = cp.Space.infer(frame)
    assert space.integer.tolist() == [True, False, True, True]
    assert (space.lower[2], space.upper[2]) == (0, 1)


def test_inferred_groups_and_response():
    X = np.array([[1.0, 0, 0, 0.3], [0, 1, 0, 0.1], [0, 0, 0, 0.2]])
    space = cp.Space.infer(X, [1.0, -2.0, 0.5], one_hot=[[0, 1, 2]])
    assert space.one_hot[0].at_most_one
    assert space.response == (-2, 1)
    assert space.contains([[0, 0, 1, 0.2], [1, 1, 0, 0.2], [0.5, 0.5, 0, 0.2], [0, 0, 0, 0.9]]).tolist() == [
        True,
        False,
        False,
        False,
    ]
    assert space.relax().contains([[0.5, 0.5, 0, 0.2]]).all()


def test_every_part_is_seen():
    space = (
        cp.Space.box(0, 2, 4)
        .with_integer([0])
        .with_one_hot([1, 2])
        .with_ball(np.ones(4), 1.5)
        .with_slab(np.ones(4), upper=3.0)
        .with_constraints(lambda x: [x[3] <= 1.0])
        .with_constraints(lambda x: [x[3] >= 0.5])
    )
    assert space.parts == {"box", "integer", "one_hot", "ball", "slab", "constraints"}
    rows = np.array(
        [
            [1, 1, 0, 0.7],  # inside
            [0.5, 1, 0, 0.7],  # not an integer
            [1, 1, 1, 0.7],  # two of a group
            [2, 0, 1, 0.7],  # outside the slab
            [1, 1, 0, 1.2],  # outside the first constraint
            [1, 1, 0, 0.4],  # outside the second constraint
            [1, 1, 0, 2.1],  # outside the box
        ]
    )
    assert space.contains(rows).tolist() == [True] + [False] * 6
    assert space.violation(rows)[5] == pytest.approx(0.1, abs=1e-9)
    # Balls, slabs and constraints are filters that clean rows need not pass; the rest is their domain.
    space.check_domain(rows[[0, 3, 4, 5]])
    with pytest.raises(ValueError, match="one-hot columns"):
        space.check_domain(rows[[0, 2]])


def test_sparse_rows_are_checked_without_being_made_dense_at_once():
    rows = sp.random(3000, 2000, density=0.001, random_state=0, format="csr")
    space = cp.Space.box(0, 1, 2000)
    space.check_domain(rows)
    rows = rows.tolil()
    rows[7, 9] = 3.0
    with pytest.raises(ValueError, match="row 7"):
        space.check_domain(rows.tocsr())


def test_slab_over_an_unbounded_box():
    space = cp.Space.box([-np.inf, 0], [np.inf, 1]).with_slab([0.0, 2.0], lower=1.0).with_slab([1.0, 0.0], -3, 3)
    assert space.contains([[2, 0.5], [4, 0.5], [2, 0.4]]).tolist() == [True, False, False]
