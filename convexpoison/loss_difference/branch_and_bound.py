"""Best-first branch and bound for integer columns and one-hot groups, on the bound of the relaxation's polygon.

The best place on a chain leaves at most one column or group strictly between its vertices. Where that one must be
whole, the region is divided there. Without such columns the first look at every chain is already the answer.
"""

from __future__ import annotations

import heapq
from itertools import count
from math import floor
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from convexpoison._utils.types import FloatArray
from convexpoison.geometry.edge_maxima import summit
from convexpoison.geometry.lower_hull import BoxChain, Chain, Cut, Group, Region, Scores, between
from convexpoison.geometry.support_function import Side
from convexpoison.learners.losses.edges import EdgeMaximum, Edges
from convexpoison.loss_difference.query import Question
from convexpoison.spaces.space import Space

RELATIVE_GAP = 1e-9
NODE_LIMIT = 20_000


def sides(question: Question) -> list[Side]:
    """All sides; the answer is the best of them."""
    model, reference = question.model.intercept, question.reference.intercept
    if question.loss.classification:
        return [Side(int(y), y, y * model, y * reference) for y in question.responses]
    return [Side(sign, y, sign * (model - y), sign * (reference - y)) for y in question.responses for sign in (1, -1)]


class Part(NamedTuple):
    """What of the space a node covers: column bounds that differ from the root's, and what is left of the groups."""

    cuts: tuple[Cut, ...]
    groups: tuple[Group, ...]


class Search:
    """The best point so far, and the bound on all that is not yet searched.

    Attributes
    ----------
    value : float
        Loss difference at the best point, as the chain has it.
    upper : float
        Upper bound on the loss difference, but for rounding.
    nodes : int
        Chains looked at.
    status : str
    """

    def __init__(self, question: Question) -> None:
        self.loss, self.root = question.loss, Region.of(question.space)
        self.scores = Scores(question.model.coef, question.reference.coef)
        self.value, self.upper, self.nodes, self.status = -np.inf, -np.inf, 0, "optimal"
        self._best: tuple[Side, Chain, EdgeMaximum] | None = None
        self._whole = _whole_columns(question.space)
        self._searches = bool(self._whole.any())
        self._sides = sides(question)
        self._open: list[tuple[float, int, Side, tuple[Part, Part]]] = []
        self._order = count()

    def run(self, time_limit_s: float | None, node_limit: int) -> None:
        """Search until the gap is closed or a limit is reached."""
        deadline = np.inf if time_limit_s is None else perf_counter() + time_limit_s
        box = self.scores.box_chain(self.root)
        for side in self._sides:
            self._look(side, Part((), self.root.groups), box)
        while self._open and -self._open[0][0] > self._enough():
            if self.nodes >= node_limit or perf_counter() >= deadline:
                self.status = "gap left at the " + ("node limit" if self.nodes >= node_limit else "time limit")
                break
            *_, side, children = heapq.heappop(self._open)
            for part in children:
                self._look(side, part, self.scores.box_chain(self.root.cut(part.cuts)))
        self.upper = max(self.upper, self.value, -self._open[0][0] if self._open else -np.inf)

    def point(self) -> tuple[FloatArray, float]:
        """The best point, shape (n_features,), and its response; there is one as soon as the search has run."""
        assert self._best is not None
        side, chain, peak = self._best
        x = chain.point(peak.edge, peak.fraction)
        if self._searches:
            whole = self._whole[:-2]
            x[whole] = np.round(x[whole])
        return x, side.response

    def _enough(self) -> float:
        """Parts whose bound is no higher are not searched."""
        return self.value + RELATIVE_GAP * max(1.0, abs(self.value))

    def _look(self, side: Side, part: Part, box: BoxChain) -> None:
        """Bound one side of one part; keep its best point, and divide it if it may hold a better one."""
        self.nodes += 1
        chain = self.scores.chain(box, part.groups, side.sign)
        edges = chain.edges
        line = Edges(chain.u + side.shift_u, chain.v + side.shift_v, edges.rise, edges.run)
        divisible = ~(self._whole[edges.enter] | self._whole[edges.leave]) if self._searches else None
        found = summit(self.loss, line, divisible, self.value)
        self._keep(side, chain, found.whole)
        edge = found.best.edge
        broken = divisible is not None and found.best.fraction > 0.0 and not divisible[edge]
        if broken and found.upper > self._enough():
            for fraction in chain.integers_around(edge, found.best.fraction):
                value = line.difference(self.loss, np.array([edge]), np.array([fraction]))
                self._keep(side, chain, EdgeMaximum(float(value[0]), edge, fraction))
        if broken and found.upper > self._enough():
            children = _divide(chain, found.best, part, self._whole)
            heapq.heappush(self._open, (-found.upper, next(self._order), side, children))
        else:
            self.upper = max(self.upper, found.upper)

    def _keep(self, side: Side, chain: Chain, peak: EdgeMaximum) -> None:
        if peak.value > self.value:
            self.value, self._best = peak.value, (side, chain, peak)


def _whole_columns(space: Space) -> NDArray[np.bool_]:
    """Columns that hold integers; two imagined columns at the end (see :mod:`~convexpoison.geometry.lower_hull`) need not."""
    whole = np.append(space.integer, [False, False])
    for group in space.one_hot:
        if not group.relaxed:
            whole[list(group.columns)] = True
    return whole


def _divide(chain: Chain, peak: EdgeMaximum, part: Part, whole: NDArray[np.bool_]) -> tuple[Part, Part]:
    """Two parts that hold every whole point of this one, and not the peak."""
    enter, leave = int(chain.edges.enter[peak.edge]), int(chain.edges.leave[peak.edge])
    member = enter if whole[enter] else leave
    k = next((k for k, group in enumerate(part.groups) if member in group), None)
    if k is None:
        low, high = sorted((float(chain.start[enter]), float(chain.far[enter])))
        middle = min(float(floor(between(chain.start[enter], chain.far[enter], peak.fraction))), high - 1.0)
        bounds = ((enter, low, middle), (enter, middle + 1.0, high))
        return Part((*part.cuts, bounds[0]), part.groups), Part((*part.cuts, bounds[1]), part.groups)
    others = tuple(column for column in part.groups[k] if column != member)
    before, after = part.groups[:k], part.groups[k + 1 :]
    return Part(part.cuts, (*before, (member,), *after)), Part(part.cuts, (*before, others, *after))
