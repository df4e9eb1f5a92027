"""Grids: spaces whose integer columns hold scaled integers, put to solvers in the integers themselves.

With ``x = offset + step * k`` a linear function ``c @ x + b`` is ``(c * step) @ k + (b + c @ offset)``, so that the question
keeps its form and its answer.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from convexpoison.learners.linear_model import LinearModel
from convexpoison.loss_difference.query import Question
from convexpoison.spaces.parts import Grid, Slab
from convexpoison.spaces.space import Space


def in_counts(question: Question) -> Question:
    """The same question about the counts."""
    space = question.space
    assert space.grid is not None
    model, reference = (_counted(model, space.grid) for model in (question.model, question.reference))
    return Question(question.loss, model, reference, _space(space, space.grid))


def rounding_of_counts(question: Question) -> float:
    """By how much rounding the models and bounds of :func:`in_counts` may have moved the greatest difference."""
    from convexpoison.loss_difference.polygon import rounding

    return rounding(question) + rounding(in_counts(question))


def _counted(model: LinearModel, grid: Grid) -> LinearModel:
    return LinearModel(model.coef * grid.step, model.intercept + float(model.coef @ grid.offset), model.classes)


def _space(space: Space, grid: Grid) -> Space:
    if space.balls or space.constraints is not None:
        raise ValueError(
            "balls and constraints of your own do not go with scaled integer columns; relax the integers with space.relax()"
        )
    low, high = space.counts(space.lower), space.counts(space.upper)
    slabs = tuple(
        Slab(
            slab.direction * grid.step, *(end - float(slab.direction @ grid.offset) for end in (slab.lower, slab.upper))
        )
        for slab in space.slabs
    )
    return replace(
        space,
        lower=np.where(space.integer, np.round(low), low),
        upper=np.where(space.integer, np.round(high), high),
        grid=None,
        slabs=slabs,
    )
