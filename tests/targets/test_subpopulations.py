"""Subpopulations: clusters of one label, or rows that the caller chooses."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans

import convexpoison as cp
from convexpoison.targets import best_classified, subpopulation, subpopulation_target, subpopulations

VICTIM = cp.Victim("hinge", C_R=0.05)


def test_they_are_the_clusters_of_kmeans_with_one_label(digits):
    X, y = digits.train
    clusters = KMeans(5, random_state=0, n_init=10).fit_predict(X)
    for group in subpopulations(X, y, n_clusters=5):
        assert group.label == 1  # the class -1
        np.testing.assert_array_equal(group.index, np.flatnonzero((clusters == group.cluster) & (y == 1)))
    together = np.concatenate([group.index for group in subpopulations(X, y, label=7, n_clusters=5)])
    np.testing.assert_array_equal(np.sort(together), np.flatnonzero(y == 7))


def test_small_ones_are_left_out(digits):
    sizes = [group.index.size for group in subpopulations(*digits.train, n_clusters=8)]
    kept = [group.index.size for group in subpopulations(*digits.train, n_clusters=8, min_rows=30)]
    assert kept == [size for size in sizes if size >= 30] and 0 < len(kept) < len(sizes)


def test_the_best_classified_come_first(digits):
    poor = cp.LinearModel(np.full(64, 0.01), -0.2, (1, 7))
    groups = subpopulations(*digits.train, n_clusters=8)
    accuracy = [group.accuracy(poor) for group in best_classified(groups, poor, 4)]
    assert accuracy == sorted((group.accuracy(poor) for group in groups), reverse=True)[:4]


def test_the_target_has_all_of_them_wrong(digits):
    X, y = digits.train
    group = best_classified(subpopulations(X, y, n_clusters=5, min_rows=5), VICTIM.fit(X, y))[0]
    found = subpopulation_target(VICTIM, digits.train, group)
    assert group.accuracy(found.model) == 0.0 and found.error == 1.0 and group.goal(found.model)


def test_a_mask_chooses_rows(digits):
    X, y = digits.train
    mask = (y == 7) & (X[:, 20] > 0.5)
    group = subpopulation(X, y, mask)
    assert group.label == 7 and group.index.size == mask.sum()
    np.testing.assert_array_equal(group.X, X[mask])


def test_what_cannot_be_used_is_refused(digits):
    X, y = digits.train
    for mask in (np.ones(len(y), dtype=bool), np.zeros(len(y), dtype=bool), np.ones(3, dtype=bool), y):
        with pytest.raises(ValueError, match="mask"):
            subpopulation(X, y, mask)
    with pytest.raises(ValueError, match="no row has the label"):
        subpopulations(X, y, label=3)
    with pytest.raises(ValueError, match="n_clusters"):
        subpopulations(X, y, n_clusters=len(y) + 1)
