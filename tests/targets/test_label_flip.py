"""Label-flip targets: the grid searched as the paper says, in its original and its improved way."""

from __future__ import annotations

import numpy as np
import pytest

import convexpoison as cp

VICTIM = cp.Victim("hinge", C_R=0.05)
QUANTILES, COPIES = (0.1, 0.3, 0.5), (2, 1, 5)


def by_hand(digits, quantiles, copies, improved):
    """All combinations, copies written out as rows: (error, clean loss, quantile, copies), in the order of the loops."""
    X, y = digits.train
    clean = VICTIM.fit(X, y)
    model, found = clean, []
    for q in quantiles:
        for k in copies:
            signed = np.where(digits.y_test == 7, 1.0, -1.0)
            margins = signed * (model if improved else clean).decision_function(digits.X_test)
            low = margins < np.quantile(margins, q)
            added = np.repeat(digits.X_test[low], k, axis=0)
            labels = np.repeat(np.where(digits.y_test[low] == 7, 1, 7), k)
            model = VICTIM.fit(np.vstack([X, added]), np.append(y, labels))
            error = 1.0 - model.accuracy(*digits.test)
            signed_train = np.where(y == 7, 1.0, -1.0)
            loss = np.maximum(0.0, 1.0 - signed_train * model.decision_function(X)).sum()
            loss += 0.05 * len(y) * 0.5 * (model.coef @ model.coef + model.intercept**2)
            found.append((error, loss, q, k))
    return found


@pytest.mark.parametrize("improved", [False, True])
def test_the_winner_of_the_grid_is_the_one_found_by_hand(digits, improved):
    grid = by_hand(digits, QUANTILES, COPIES, improved)
    wanted = 0.1
    best = min((row for row in grid if row[0] >= wanted), key=lambda row: row[1])
    found = cp.targets.label_flip(
        VICTIM, digits.train, error=wanted, flip=digits.test, quantiles=QUANTILES, copies=COPIES, improved=improved
    )
    assert (found.quantile, found.copies) == best[2:]
    assert found.error == pytest.approx(best[0]) and found.clean_loss == pytest.approx(best[1], rel=1e-6)


def test_rows_to_flip_and_rows_to_judge_by_are_separate(digits):
    found = cp.targets.label_flip(VICTIM, digits.train, error=0.05, evaluate=digits.test)
    assert found.error == pytest.approx(1.0 - found.model.accuracy(*digits.test))
    assert found.n_flipped <= len(digits.y_train) // 6


@pytest.mark.parametrize(
    "options, message",
    [
        ({"error": 0.0}, "fraction"),
        ({"error": 0.1, "quantiles": (0.0,)}, "quantiles"),
        ({"error": 0.1, "copies": (0,)}, "copies"),
        ({"error": 0.1, "copies": ()}, "copies"),
        ({"error": 0.99, "quantiles": (0.05,), "copies": (1,)}, "no label flip reaches"),
    ],
)
def test_what_cannot_be_used_is_refused(digits, options, message):
    with pytest.raises(ValueError, match=message):
        cp.targets.label_flip(VICTIM, digits.train, **options)


def test_regression_has_no_labels_to_flip(digits):
    with pytest.raises(ValueError, match="regression"):
        cp.targets.label_flip(cp.Victim("squared", C=1.0), digits.train, error=0.1)
