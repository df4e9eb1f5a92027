"""A convex space as cvxpy conditions."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from convexpoison.solvers.linear_program import space_rows
from convexpoison.spaces.space import Space


def inside(cp: Any, space: Space, x: Any) -> list[Any]:
    """Return the conditions of a relaxed space on a cvxpy variable (``cp`` is the module)."""
    A, low, high = space_rows(space)
    conditions = []
    for rows, lower, upper in ((sp.identity(space.n_features, format="csr"), space.lower, space.upper), (A, low, high)):
        above, below = np.flatnonzero(np.isfinite(lower)), np.flatnonzero(np.isfinite(upper))
        conditions += [rows[above] @ x >= lower[above]] if above.size else []
        conditions += [rows[below] @ x <= upper[below]] if below.size else []
    conditions += [cp.norm(x - ball.center, 2) <= ball.radius for ball in space.balls]
    return conditions + (list(space.constraints(x)) if space.constraints is not None else [])
