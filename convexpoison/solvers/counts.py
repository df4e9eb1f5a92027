"""Programs over a space whose integer columns hold scaled integers, put to solvers in the integers themselves.

With ``x = offset + step * k`` a linear function ``c @ x + b`` is ``(c * step) @ k + (b + c @ offset)``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from convexpoison.solvers.linear_program import LinearProgram
from convexpoison.spaces.space import Space


def program_in_counts(program: LinearProgram, space: Space) -> LinearProgram:
    """A program over the columns of a space (and others after them) in counts."""
    if space.grid is None:
        return program
    extra = program.n_columns - space.n_features
    offset, step = np.append(space.grid.offset, np.zeros(extra)), np.append(space.grid.step, np.ones(extra))
    moved = np.asarray(program.A @ offset).ravel()
    lower, upper = (program.lower - offset) / step, (program.upper - offset) / step
    whole = program.integer
    return replace(
        program,
        cost=program.cost * step,
        lower=np.where(whole, np.round(lower), lower),
        upper=np.where(whole, np.round(upper), upper),
        A=sp.csr_matrix(program.A @ sp.diags(step)),
        row_lower=program.row_lower - moved,
        row_upper=program.row_upper - moved,
    )
