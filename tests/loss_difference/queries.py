"""Small questions and programs that several test modules use, and random ones for property tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.losses import get_loss
from convexpoison.loss_difference.query import Question
from convexpoison.solvers.linear_program import LinearProgram
from convexpoison.spaces.space import Space


def small_question(space: Space | None = None, loss: str = "hinge") -> Question:
    """The score x1 against the score x2."""
    models = LinearModel(np.array([1.0, 0.0])), LinearModel(np.array([0.0, 1.0]))
    return Question(get_loss(loss), *models, space or Space.box(0, 1, 2))


def diet(**changes: Any) -> LinearProgram:
    """max 3 x + 2 y with x + y <= 4, x + 3 y <= 6, 0 <= x <= 3: 11 at (3, 1); one more of x + y <= 4 is worth 2."""
    defaults = dict(
        cost=np.array([3.0, 2.0]),
        upper=np.array([3.0, np.inf]),
        A=np.array([[1.0, 1.0], [1.0, 3.0]]),
        row_upper=np.array([4.0, 6.5]),
        maximize=True,
    )
    return LinearProgram(**(defaults | changes))


def random_space(rng: np.random.Generator, parts: set[str], d: int) -> Space:
    """A space with these parts (besides its box) that is not empty: one point of the box is in all of them."""
    space = Space.box(-rng.integers(0, 3, d), rng.integers(0, 3, d) + 1.0).with_response(-1.0, 0.5)
    inside = rng.uniform(space.lower, space.upper)
    if "one_hot" in parts:
        space = space.with_one_hot([0, 1], at_most_one=bool(rng.integers(2)))
        inside[:2] = np.eye(2)[rng.integers(2)]
    if "integer" in parts:
        space = space.with_integer([d - 1])
        inside[d - 1] = np.round(inside[d - 1])
    else:
        space = space.relax()
    if "slab" in parts:
        for _ in range(rng.integers(1, 3)):
            g = rng.normal(size=d)
            space = space.with_slab(g, g @ inside - rng.random(), g @ inside + rng.choice([0.3, np.inf]))
    if "ball" in parts:
        for _ in range(rng.integers(1, 3)):
            center = inside + 0.3 * rng.normal(size=d)
            space = space.with_ball(center, float(np.linalg.norm(center - inside)) + rng.uniform(0.2, 1.0))
    return space


def random_question(rng: np.random.Generator, loss: str, parts: set[str]) -> Question:
    """Two random models over a random space of 2 to 5 columns."""
    d = int(rng.integers(2, 6))
    space = random_space(rng, parts, d)
    first, second = (LinearModel(2.0 * rng.normal(size=d), rng.normal()) for _ in range(2))
    return Question(get_loss(loss), first, second, space)


def sample(space: Space, rng: np.random.Generator, n_rows: int = 4000) -> np.ndarray:
    """Points of the space: of the box and of its corners, whole where needed, and those that pass the other parts."""
    rows = rng.uniform(space.lower, space.upper, (n_rows, space.n_features))
    corner = rng.random(rows.shape) < 0.5
    rows = np.where(corner, np.where(rng.random(rows.shape) < 0.5, space.lower, space.upper), rows)
    rows[:, space.integer] = np.round(rows[:, space.integer])
    for group in space.one_hot:
        columns = list(group.columns)
        shares = rng.dirichlet(np.ones(len(columns)), n_rows)
        shares *= rng.random((n_rows, 1)) if group.at_most_one else 1.0
        whole = np.eye(len(columns))[rng.integers(len(columns), size=n_rows)]
        rows[:, columns] = np.where(group.relaxed & (rng.random((n_rows, 1)) < 0.5), shares, whole)
    for ball in space.balls:
        # Half of the rows are pulled onto the sphere: optima lie there.
        away = rows - ball.center
        far = np.linalg.norm(away, axis=1, keepdims=True)
        pulled = ball.center + away * np.minimum(1.0, ball.radius / np.maximum(far, 1e-12))
        rows = np.where(rng.random((n_rows, 1)) < 0.5, pulled, rows)
    return rows[space.contains(rows, tol=1e-9)]


def best_of(question: Question, rows: np.ndarray) -> float:
    """The largest difference among rows."""
    loss = question.loss
    scores = [model.decision_function(rows) for model in (question.model, question.reference)]
    found = [
        loss.value(loss.argument(scores[0], y)) - loss.value(loss.argument(scores[1], y)) for y in question.responses
    ]
    return float(np.max(found, initial=-np.inf))
