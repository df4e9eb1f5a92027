"""Questions with known answers, worked by hand; every backend that can take one must give its answer.

In the comments ``f`` is the loss difference, ``u`` a score, and the models are written as their scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.losses import get_loss
from convexpoison.loss_difference.query import Question
from convexpoison.spaces.space import Space

INF = np.inf
UNIT_2 = Space.box(0, 1, 2)


@dataclass(frozen=True, eq=False)
class Known:
    """A question and its answer.

    Attributes
    ----------
    value : float
        D.
    loose : frozenset of str
        Backends whose answer is right but cannot be certified, since the library's own bound drops integers and the
        user's constraints (the polygon's does not).
    """

    name: str
    question: Question
    value: float
    loose: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return self.name


def _known(
    name: str,
    loss: str,
    model: tuple[list[float], float],
    reference: tuple[list[float], float],
    space: Space,
    value: float,
    loose: str = "",
) -> Known:
    question = Question(get_loss(loss), LinearModel(np.array(model[0]), model[1]), _model(reference), space)
    return Known(name, question, value, frozenset(loose.split()))


def _model(pair: tuple[list[float], float]) -> LinearModel:
    return LinearModel(np.array(pair[0]), pair[1])


def _below_one(x: Any) -> list[Any]:
    import cvxpy as cp

    return [cp.sum(x) <= 1, x[0] >= x[1]]


def _unit_ball(x: Any) -> list[Any]:
    import cvxpy as cp

    return [cp.sum_squares(x) <= 1]


_NOTHING = ([0.0, 0.0], 0.0)
_LN3 = float(np.log(3.0))

HINGE = [
    # Label +1: (1 - 2 x1)+ - (1 - x2)+ is 1 at (0, 1). Label -1: (1 + 2 x1) - (1 + x2) is 2 at (1, 0).
    _known("box", "hinge", ([2, 0], 0), ([0, 1], 0), UNIT_2, 2.0),
    _known("box, label +1", "hinge", ([2, 0], 0), ([0, 1], 0), UNIT_2.with_labels([1]), 1.0),
    _known("box, label -1", "hinge", ([0, 1], 0), ([2, 0], 0), UNIT_2.with_labels([-1]), 1.0),
    # (1 - x) - (1 - 2x)+ rises until the reference's margin is 1, at x = 1/2, and falls after it.
    _known("kink inside an edge", "hinge", ([1], 0), ([2], 0), Space.box(0, 1, 1).with_labels([1]), 0.5),
    # The model is right everywhere (loss 0), the reference loses 2 - x: at best -1.
    _known("negative", "hinge", ([0], 2), ([1], -1), Space.box(0, 1, 1).with_labels([1]), -1.0),
    _known("same model", "hinge", ([1, -2], 0.3), ([1, -2], 0.3), UNIT_2, 0.0),
    # A box that is one point: label -1 gives (1 + 3) - (1 + 1).
    _known("one point", "hinge", ([3, 0], 0), ([0, 1], 0), Space.box(1, 1, 2).with_labels([-1]), 2.0),
    # Label -1: w_j - w'_j for the one column j that is 1, all margins below 1: 3, 0, -2.
    _known("one-hot", "hinge", ([3, 1, 0], 0), ([0, 1, 2], 0), Space.box(0, 1, 3).with_one_hot([0, 1, 2]), 3.0),
    # Label +1, (1 - u)+ - 1 with u in {1, 2} when one column must be 1: 0 - 1. Label -1 is excluded.
    _known("one-hot, one needed", "hinge", ([1, 2], 0), _NOTHING, UNIT_2.with_one_hot([0, 1]).with_labels([1]), -1.0),
    # ... and 0 when no column needs to be.
    _known(
        "one-hot, none needed",
        "hinge",
        ([1, 2], 0),
        _NOTHING,
        UNIT_2.with_one_hot([0, 1], at_most_one=True).with_labels([1]),
        0.0,
    ),
    # The kink problem with x1 as x: the half-half mixture wins; whole points have 1 - 1 and 0 - 0.
    _known(
        "one-hot hull", "hinge", ([1, 0], 0), ([2, 0], 0), UNIT_2.with_one_hot([0, 1]).relax().with_labels([1]), 0.5
    ),
    _known(
        "one-hot, whole",
        "hinge",
        ([1, 0], 0),
        ([2, 0], 0),
        UNIT_2.with_one_hot([0, 1]).with_labels([1]),
        0.0,
        loose="highs gurobi",
    ),
    # (1 - x/4)+ - (1 - 0.4 x)+ at 0, 1, 2, 3: 0, 0.15, 0.3, 0.25 (0.375 at 2.5).
    _known(
        "integer",
        "hinge",
        ([0.25], 0),
        ([0.4], 0),
        Space.box(0, 3, 1).with_integer().with_labels([1]),
        0.3,
        loose="highs gurobi",
    ),
    # Label -1: w @ x is largest with 1, 1 and half of the third.
    _known("slab", "hinge", ([3, 1, 1], 0), ([0, 0, 0], 0), Space.box(0, 1, 3).with_slab([1, 1, 1], upper=1.5), 3.5),
    # x1 + x2 with x1 + 2 x2 <= 2, x >= 0: 2 at (2, 0). The slab bounds the box.
    _known(
        "slab bounds the space",
        "hinge",
        ([1, 1], 0),
        _NOTHING,
        Space.box(0, INF, 2).with_slab([1, 2], upper=2).with_labels([-1]),
        2.0,
    ),
    # Label -1: 2 x1 + x2 with x1 + x2 = 1/2: 1. Label +1: (1 - u)+ - 1 < 0.
    _known("slab of no width", "hinge", ([2, 1], 0), _NOTHING, UNIT_2.with_slab([1, 1], 0.5, 0.5), 1.0),
    # Largest x1 + x2 in whole numbers with 2 x1 + 2 x2 <= 5: 2 (2.5 relaxed).
    _known(
        "slab, integer",
        "hinge",
        ([1, 1], 0),
        _NOTHING,
        Space.box(0, 3, 2).with_integer().with_slab([2, 2], upper=5).with_labels([-1]),
        2.0,
        loose="highs gurobi",
    ),
    # 3 x1 + 4 x2 on the unit disc: |(3, 4)| = 5, for either label.
    _known("ball", "hinge", ([3, 4], 0), _NOTHING, Space.box(-INF, INF, 2).with_ball([0, 0], 1), 5.0),
    # ... with x1 >= 0.8: at (0.8, 0.6) 2.4 + 2.4 (label -1); label +1 has (1 - 2.4 + 2.4) - 1 = 0.
    _known("ball, box", "hinge", ([3, 4], 0), _NOTHING, Space.box([0.8, -INF], INF).with_ball([0, 0], 1), 4.8),
    # Label -1: (1 + x2) - (1 + x1) with both losses active on the disc: sqrt(2), and so for label +1.
    _known("ball, both active", "hinge", ([0, 1], 0), ([1, 0], 0), Space.box(-5, 5, 2).with_ball([0, 0], 1), 2**0.5),
    # Two unit balls with centres (-0.6, 0) and (0.6, 0) meet in a lens of half-height 0.8.
    _known(
        "two balls",
        "hinge",
        ([0, 1], 0),
        _NOTHING,
        Space.box(-5, 5, 2).with_ball([-0.6, 0], 1).with_ball([0.6, 0], 1).with_labels([-1]),
        0.8,
    ),
    # The disc with x2 <= 0.6: 3 * 0.8 + 4 * 0.6 = 4.8 (label -1); label +1 has the whole lower half: -(-5) = 5.
    _known(
        "ball, slab",
        "hinge",
        ([3, 4], 0),
        _NOTHING,
        Space.box(-5, 5, 2).with_ball([0, 0], 1).with_slab([0, 1], upper=0.6).with_labels([-1]),
        4.8,
    ),
    # The simplex's point nearest to nothing: x in the hull with |x - (1, 0)| <= sqrt(1/2): largest x2 is 1/2.
    _known(
        "ball, one-hot hull",
        "hinge",
        ([0, 1], 0),
        _NOTHING,
        UNIT_2.with_one_hot([0, 1]).relax().with_ball([1, 0], 0.5**0.5).with_labels([-1]),
        0.5,
    ),
    # x1 + 2 x2 with x1 + x2 <= 1 and x1 >= x2: 1.5 at (1/2, 1/2).
    _known(
        "constraints",
        "hinge",
        ([1, 2], 0),
        _NOTHING,
        UNIT_2.with_constraints(_below_one).with_labels([-1]),
        1.5,
        loose="cvxpy",
    ),
    _known(
        "curved constraint",
        "hinge",
        ([3, 4], 0),
        _NOTHING,
        Space.box(-1, 1, 2).with_constraints(_unit_ball),
        5.0,
        loose="cvxpy",
    ),
]

# log(1 + e^-u) - log(1 + e^-(2u + ln 3)) has slope 2 sigma(-2u - ln 3) - sigma(-u), which is 0 at u = 0, its maximum:
# log 2 - log(4/3). At u = 1 it is 0.27, at u = -1 0.07, at u = 2 and -2 less.
_INSIDE = float(np.log(1.5))
CURVED = [
    _known("logistic", "logistic", ([0], 0), ([1], 0), Space.box(-1, 1, 1), float(np.log(2) - np.log1p(np.exp(-1)))),
    _known("logistic, inside", "logistic", ([1], 0), ([2], _LN3), Space.box(-1, 1, 1).with_labels([1]), _INSIDE),
    _known(
        "logistic, slab",
        "logistic",
        ([1, 1], 0),
        ([2, 2], _LN3),
        Space.box(-1, 1, 2).with_slab([1, -1], -0.5, 0.5).with_labels([1]),
        _INSIDE,
    ),
    _known(
        "logistic, ball",
        "logistic",
        ([1, 1], 0),
        ([2, 2], _LN3),
        Space.box(-INF, INF, 2).with_ball([0, 0], 1).with_labels([1]),
        _INSIDE,
    ),
    # Score x1 - x2 runs over [-1, 1] on the hull.
    _known(
        "logistic, one-hot hull",
        "logistic",
        ([1, -1], 0),
        ([2, -2], _LN3),
        UNIT_2.with_one_hot([0, 1]).relax().with_labels([1]),
        _INSIDE,
    ),
    # Whole points have u = 1 and u = -1 only.
    _known(
        "logistic, one-hot",
        "logistic",
        ([1, -1], 0),
        ([2, -2], _LN3),
        UNIT_2.with_one_hot([0, 1]).with_labels([1]),
        float(np.log1p(np.exp(-1)) - np.log1p(np.exp(-2) / 3)),
    ),
    _known("logistic, same model", "logistic", ([1, 2], 1), ([1, 2], 1), UNIT_2, 0.0),
    # Over x1 + x2 <= 1 without x2 > x1: label -1 has log(1 + e^u) - log 2, u = x1 + 2 x2 <= 1.5.
    _known(
        "logistic, constraints",
        "logistic",
        ([1, 2], 0),
        _NOTHING,
        UNIT_2.with_constraints(_below_one).with_labels([-1]),
        float(np.log1p(np.exp(1.5)) - np.log(2)),
        loose="cvxpy",
    ),
    # Label -1: (1 + x)^2 - 1 at x = 2. Label +1: (1 - x)+^2 - 1 <= 0.
    _known("squared hinge", "squared_hinge", ([1], 0), ([0], 0), Space.box(0, 2, 1), 8.0),
    # (1 - x)^2 - (1 - 2x)^2 = 2x - 3x^2: 1/3 at 1/3; 1/4 at 1/2, falling after it.
    _known("squared hinge, inside", "squared_hinge", ([1], 0), ([2], 0), Space.box(0, 1, 1).with_labels([1]), 1 / 3),
    # The disc in direction (3, 4): (1 + 5)^2 - 1.
    _known(
        "squared hinge, ball", "squared_hinge", ([3, 4], 0), _NOTHING, Space.box(-2, 2, 2).with_ball([0, 0], 1), 35.0
    ),
    # (x - y)^2 - y^2 = x^2 - 2xy at x = 1, y = -1.
    _known("squared", "squared", ([1], 0), ([0], 0), Space.box(0, 1, 1).with_response(-1, 1), 3.0),
    # (x - y)^2 - (2x - y)^2 = 2xy - 3x^2 at y = 1, x = 1/3.
    _known("squared, inside", "squared", ([1], 0), ([2], 0), Space.box(0, 1, 1).with_response(-1, 1), 1 / 3),
    # t^2 - 2ty with t in [-5, 5] and y in [0, 1]: 25 + 10.
    _known(
        "squared, ball",
        "squared",
        ([3, 4], 0),
        _NOTHING,
        Space.box(-2, 2, 2).with_ball([0, 0], 1).with_response(0, 1),
        35.0,
    ),
    # t = x1 + x2 <= 1.5: 2.25 + 3 at y = -1.
    _known(
        "squared, slab",
        "squared",
        ([1, 1], 0),
        _NOTHING,
        UNIT_2.with_slab([1, 1], upper=1.5).with_response(-1, 0),
        5.25,
    ),
]

CATALOGUE = HINGE + CURVED
