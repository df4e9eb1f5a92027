"""Numbers so extreme that a formula ends with NaN prove nothing."""

from __future__ import annotations

import numpy as np

from convexpoison import Space, Victim
from convexpoison.certificates.goal import GoalCertificate, Section


def test_nan_excludes_no_alternative() -> None:
    """Every comparison with NaN is false: a minimum over alternatives must not pass over one."""
    victim = Victim("squared_hinge", C_R=1e-230, intercept="free")
    X, y, weight = np.zeros((2, 1)), np.array([1.0, -1.0]), np.array([1.0, 1e-300])
    space = Space.box([-1e200], [1e200])
    # Without added points the row keeps its label; two rows of label -1 flip it. With this reference the chord of the loss
    # over the space is inf / inf for either label.
    slopes = np.array([1.0, 0.0])
    section = Section(np.array([1e110, 2.0]), slopes, np.ones(1), 0.0, 1e6)
    certificate = GoalCertificate(victim, space, np.zeros((1, 1)), np.ones(1), (-1.0, 1.0), (section,), 1e6)
    found = certificate.verify((X, y), weight)
    assert not found.holds and found.value == 0.0
    poisoned = victim.fit(np.zeros((4, 1)), np.array([1.0, -1.0, -1.0, -1.0]), sample_weight=[1.0, 1e-300, 1.0, 1.0])
    assert poisoned.intercept < 0.0
