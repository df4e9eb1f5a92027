"""The polygon: global maximum of the loss difference over boxes and one-hot groups, by one sort.

A point enters the loss difference only through its two scores, so the space may be replaced by its image in the plane,
whose boundary one sort yields (:mod:`~convexpoison.geometry.lower_hull`); on each edge the maximum is known in closed form or
bracketed (:mod:`~convexpoison.geometry.edge_maxima`). MTP solves the same question with a convex program per piece of the
hinge, and by local search for the logistic loss. Integer columns and whole one-hot groups take a branch and bound
(:mod:`~convexpoison.loss_difference.branch_and_bound`), whose upper bound is valid whenever it stops.
"""

from __future__ import annotations

import numpy as np

from convexpoison.loss_difference.backend import Capabilities
from convexpoison.loss_difference.branch_and_bound import NODE_LIMIT, Search
from convexpoison.loss_difference.query import Proposal, Question


class Polygon:
    """Exact and global for the four losses; needs NumPy and SciPy only."""

    name = "polygon"
    capabilities = Capabilities(
        losses=frozenset({"hinge", "squared_hinge", "logistic", "squared"}),
        parts=frozenset({"box", "one_hot", "integer"}),
        formulas=("edge_maxima", "lipschitz"),
    )

    def available(self) -> bool:
        """Always."""
        return True

    def propose(self, question: Question, time_limit_s: float | None) -> Proposal:
        """A point where the loss difference is greatest (MTP, Definition 1), and an upper bound that proves it.

        Where integer columns or whole one-hot groups make it search, it stops at a relative gap of 1e-9, at the time
        limit or at 20,000 nodes; the status says which, and the bound is valid in any case.
        """
        search = Search(question)
        search.run(time_limit_s, NODE_LIMIT)
        return Proposal(*search.point(), search.upper + rounding(question), search.status)


def rounding(question: Question) -> float:
    """By how much floating-point arithmetic may have put the greatest difference too low.

    A score is a sum of at most ``n_features + 2`` terms, taken one after the other, whose absolute values add up to at
    most 3 times ``reach = |b| + sum |w_j| max |x_j|`` (a chain may walk every column from end to end). Its error is
    below ``2 (n_features + 8) eps reach``, with room for edges that rounding has put in the wrong order. The loss
    passes errors on with at most its Lipschitz constant over that reach.
    """
    space, total = question.space, 0.0
    extent = np.maximum(np.abs(space.lower), np.abs(space.upper))
    response = 0.0 if space.response is None else max(map(abs, space.response))
    for model in (question.model, question.reference):
        reach = 1.0 + response + abs(model.intercept) + float(np.abs(model.coef) @ extent)
        total += question.loss.lipschitz(reach) * reach
    return 2.0 * (space.n_features + 8) * float(np.finfo(np.float64).eps) * total


BACKEND = Polygon()
