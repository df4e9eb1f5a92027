"""Certificates against evaluations of another kind, against known attacks, and against those who tamper with them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from convexpoison.bounds.tight import tight_bound
from convexpoison.certificates.clean_gradient import dual_objective
from convexpoison.certificates.target import TargetCertificate, certify
from convexpoison.data.training_data import TrainingData
from convexpoison.geometry.support_function import dearest
from convexpoison.learners.dual_vector import DualVector
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.subdifferential import Subdifferential
from convexpoison.learners.victim import Victim
from convexpoison.problem import Problem
from convexpoison.spaces.space import Space
from convexpoison.threats import AddRows
from convexpoison.threats.support_bound import Multipliers, Side, price, sides

LOSSES = ("hinge", "squared_hinge", "logistic", "squared")
INTERCEPTS = ("regularized", "free", "none")


def victim_of(loss: str, intercept: Any, mean: bool) -> Victim:
    return Victim(loss, intercept=intercept, **({"C_R": 0.1} if mean else {"C": 2.0}))


def random_rows(rng: np.random.Generator, victim: Victim, n: int, d: int) -> TrainingData:
    X = rng.uniform(size=(n, d))
    w = rng.normal(size=d)
    if not victim.loss.classification:
        return TrainingData(X, X @ w + 0.3 * rng.normal(size=n), np.ones(n))
    y = np.where((X - 0.5) @ w + 0.3 * rng.normal(size=n) > 0.0, 1.0, -1.0)
    y[:2] = [-1.0, 1.0]
    return TrainingData(X, y, np.ones(n), (-1, 1))


def space_of(victim: Victim, data: TrainingData) -> Space:
    box = Space.box(0.0, 1.0, data.n_features)
    return box if victim.loss.classification else box.with_response(float(data.y.min()), float(data.y.max()))


def random_direction(rng: np.random.Generator, victim: Victim, d: int) -> DualVector:
    return DualVector(rng.normal(size=d), 0.0 if victim.intercept == "none" else float(rng.normal()))


# -------------------------------------------------------------------- another evaluation


class Exactly:
    """h(v) and the resistance with mpmath at 300 bits, over a box, by walking along all edges of the box: its image under
    two scores is a polygon whose edges are images of some of them, and the maximum lies on that polygon's boundary."""

    def __init__(self, victim: Victim, data: TrainingData, target: LinearModel, space: Space, v: DualVector) -> None:
        self.mp = pytest.importorskip("mpmath", reason="mpmath is not installed (extra 'test')").mp.clone()
        self.mp.prec = 300
        self.victim, self.data, self.space = victim, data, space
        self.w, self.b = self.vector(target.coef), self.mp.mpf(target.intercept)
        self.v, self.v_b = self.vector(v.w), self.mp.mpf(v.b)
        scale = self.mp.mpf(victim.intercept_scaling) ** 2
        penalty_b = self.b * self.v_b / scale if victim.intercept == "regularized" else 0
        self.penalty = self.inner(self.w, self.v) + penalty_b

    def vector(self, values: np.ndarray) -> list[Any]:
        return [self.mp.mpf(value) for value in np.asarray(values).tolist()]

    def inner(self, a: list[Any], b: list[Any]) -> Any:
        return sum((x * y for x, y in zip(a, b, strict=True)), self.mp.mpf(0))

    def weight(self, argument: Any) -> Any:
        """``phi'``."""
        name = self.victim.loss.name
        if name == "logistic":
            return -1 / (1 + self.mp.exp(argument))
        if name == "squared":
            return 2 * argument
        # Crossings of margin 1 are computed too, and a rounding of theirs may not push a point out.
        inside = argument <= 1 + self.mp.mpf(2) ** -250
        return (-1 if name == "hinge" else -2 * (1 - argument)) if inside else self.mp.mpf(0)

    def pair(self, x: list[Any], y: Any) -> tuple[Any, Any]:
        """The argument, and the product of its gradient with v."""
        score, along = self.inner(self.w, x) + self.b, self.inner(self.v, x) + self.v_b
        return (y * score, y * along) if self.victim.loss.classification else (score - y, along)

    def dual_objective(self) -> Any:
        total, shared = self.mp.mpf(0), self.mp.mpf(0)
        weights = self.vector(self.data.sample_weight)
        for row, y, c in zip(self.data.X, self.vector(self.data.y), weights, strict=True):
            argument, along = self.pair(self.vector(row), y)
            if self.victim.loss.name == "hinge" and argument == 1:
                shared += max(self.mp.mpf(0), -c * along)
            else:
                total += c * self.weight(argument) * along
        rho = 0 if self.victim.C is None else 1 / self.mp.mpf(self.victim.C)
        rho += self.mp.mpf(self.victim.kappa) * sum(weights)
        return -(total + rho * self.penalty) - shared

    def price(self) -> Any:
        ends = self.space.labels if self.victim.loss.classification else self.space.response
        assert ends is not None
        return max(self._over_edges(self.mp.mpf(y)) for y in ends) + self.mp.mpf(self.victim.kappa) * self.penalty

    def _over_edges(self, y: Any) -> Any:
        low, high = self.vector(self.space.lower), self.vector(self.space.upper)
        d, best = len(low), self.mp.mpf("-inf")
        for j in range(d):
            for corner in product((0, 1), repeat=d - 1):
                rest = [
                    high[k] if bit else low[k] for k, bit in zip([k for k in range(d) if k != j], corner, strict=True)
                ]
                first = self.pair([*rest[:j], low[j], *rest[j:]], y)
                second = self.pair([*rest[:j], high[j], *rest[j:]], y)
                best = max(best, self._over_edge(first, second))
        return best

    def _over_edge(self, first: tuple[Any, Any], second: tuple[Any, Any]) -> Any:
        (V, P), (V1, P1) = first, second
        run, rise = V1 - V, P1 - P

        def value(t: Any) -> Any:
            return self.weight(V + t * run) * (P + t * rise)

        places = [self.mp.mpf(0), self.mp.mpf(1)]
        name = self.victim.loss.name
        if name in ("hinge", "squared_hinge") and run != 0:
            places.append((1 - V) / run)
        if name != "hinge" and run != 0 and rise != 0:
            places.append(self._flat(name, V, P, run, rise))
        inside = [t for t in places if t is not None and 0 <= t <= 1]
        best = max(value(t) for t in inside)
        no_loss = name == "hinge" and max(V, V1) >= 1
        return max(best, self.mp.mpf(0)) if no_loss else best

    def _flat(self, name: str, V: Any, P: Any, run: Any, rise: Any) -> Any:
        """Where the derivative along the edge vanishes, if it does."""
        if name != "logistic":
            return -(V - (1 if name == "squared_hinge" else 0)) / (2 * run) - P / (2 * rise)

        def slope(t: Any) -> Any:
            return run * (P + t * rise) / (1 + self.mp.exp(-(V + t * run))) - rise

        a, b = self.mp.mpf(0), self.mp.mpf(1)
        if slope(a) * slope(b) >= 0:
            return None
        for _ in range(120):
            middle = (a + b) / 2
            a, b = (middle, b) if slope(a) * slope(middle) > 0 else (a, middle)
        return a


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("intercept", INTERCEPTS)
@pytest.mark.parametrize("mean", [True, False])
def test_against_many_digits(loss: str, intercept: str, mean: bool) -> None:
    victim = victim_of(loss, intercept, mean)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        d = seed + 1
        data = random_rows(rng, victim, 10, d)
        data = replace(data, sample_weight=rng.uniform(0.5, 2.0, 10))
        space = space_of(victim, data)
        target = LinearModel(2.0 * rng.normal(size=d), 0.0 if intercept == "none" else 0.3)
        v = random_direction(rng, victim, d)
        if Subdifferential.of(victim, data, target).dual_objective(v) < 0.0:
            v = DualVector(-v.w, -v.b)
        exact = Exactly(victim, data, target, space, v)
        pull, h = exact.dual_objective(), exact.price()
        found = dual_objective(victim, data, target, v)
        assert found.lower <= pull <= found.upper
        assert found.upper - found.lower <= 1e-12
        upper = price(victim, target, space, v)
        assert h <= upper
        if h - victim.kappa * exact.penalty >= 0.0 or loss == "hinge":  # elsewhere the bound may be loose
            assert upper <= h + 1e-11
        claim = certify(victim, target, space, v, data)
        if h > 0.0:
            assert claim.value <= pull / h
            assert upper > h + 1e-11 or claim.value >= pull / h * (1.0 - 1e-8)
        assert claim.verify(data)


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.sampled_from(LOSSES), st.sampled_from(INTERCEPTS), st.booleans())
def test_never_above_the_float_ratio(seed: int, loss: str, intercept: str, mean: bool) -> None:
    """Next to the sort of :mod:`convexpoison.geometry.support_function`, with one-hot groups as well."""
    rng, victim = np.random.default_rng(seed), victim_of(loss, intercept, mean)
    d = int(rng.integers(3, 9))
    data = random_rows(rng, victim, 15, d)
    space = space_of(victim, data).with_one_hot([0, 1, 2], at_most_one=bool(seed % 2))
    target = LinearModel(2.0 * rng.normal(size=d), 0.0 if intercept == "none" else float(rng.normal()))
    v = random_direction(rng, victim, d)
    sharp = dearest(victim, target, space, v).value
    upper = price(victim, target, space, v)
    assert upper >= sharp - 1e-12
    pull = Subdifferential.of(victim, data, target).dual_objective(v)
    claim = certify(victim, target, space, v, data).value
    if pull <= 0.0:
        assert claim <= 1e-9
    elif sharp > 1e-9:
        assert claim <= pull / sharp * (1.0 + 1e-12)
        assert upper > sharp + 1e-9 or claim >= pull / sharp * (1.0 - 1e-6) - 1e-9


# -------------------------------------------------------------------- known attacks


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from(LOSSES), st.sampled_from(INTERCEPTS), st.booleans(), st.integers(1, 12))
def test_never_above_a_known_attack(seed: int, loss: str, intercept: str, mean: bool, k: int) -> None:
    """The model of the clean rows and k random points needs at most k points."""
    rng, victim = np.random.default_rng(seed), victim_of(loss, intercept, mean)
    d = int(rng.integers(1, 5))
    data = random_rows(rng, victim, 20, d)
    space = space_of(victim, data)
    points = rng.uniform(size=(k, d))
    if victim.loss.classification:
        answers = np.where(rng.random(k) < 0.5, 1.0, -1.0)
    else:
        answers = rng.uniform(data.y.min(), data.y.max(), k)
    X, y = np.vstack([data.X, points]), np.concatenate([data.y, answers])
    target = victim.trainer(TrainingData(X, y, np.ones(len(y)), data.classes)).model
    clean = victim.trainer(data).model
    away = DualVector(clean.coef - target.coef, clean.intercept - target.intercept)
    for v in (away, random_direction(rng, victim, d)):
        assert certify(victim, target, space, v, data).value <= k * (1.0 + 1e-5)


@lru_cache
def hinge_problem() -> tuple[Problem, DualVector]:
    rng, victim = np.random.default_rng(5), Victim("hinge", C_R=0.05)
    data = random_rows(rng, victim, 60, 4)
    space = space_of(victim, data)
    flipped = replace(data, y=np.where(np.arange(60) % 4 == 0, -data.y, data.y))
    problem = Problem(victim, data, AddRows(space), victim.trainer(flipped).model)
    best = tight_bound(problem)
    assert best.direction is not None and best.value > 1.0
    return problem, best.direction


@pytest.fixture
def problem() -> tuple[Problem, DualVector]:
    return hinge_problem()


def certificate_of(problem: tuple[Problem, DualVector]) -> TargetCertificate:
    p, v = problem
    return certify(p.victim, p.target, p.space, v, p.data)


@pytest.mark.parametrize("loss", ["hinge", "logistic", "squared_hinge"])
def test_keeps_what_the_tight_bound_found(loss: str) -> None:
    p, _ = hinge_problem()
    victim = Victim(loss, C_R=0.05)
    flipped = replace(p.data, y=np.where(np.arange(60) % 4 == 0, -p.data.y, p.data.y))
    found = Problem(victim, p.data, AddRows(p.space), victim.trainer(flipped).model)
    best = tight_bound(found)
    assert best.direction is not None
    claim = certify(victim, found.target, found.space, best.direction, found.data)
    assert best.value * (1.0 - 1e-6) <= claim.value <= best.mass
    assert claim.n_points == math.ceil(claim.value)


def test_a_row_on_the_kink() -> None:
    """One feature, target score x, one row exactly at margin 1: its share may be anything."""
    victim = Victim("hinge", C=1.0, intercept="none")
    data = TrainingData(np.array([[1.0], [0.25], [0.5]]), np.array([1.0, -1.0, -1.0]), np.ones(3), (-1, 1))
    target = LinearModel(np.array([1.0]))
    space = Space.box(0.0, 1.0, 1)
    # G = 1 + 0.25 + 0.5 - t with t in [0, 1]; at v = -1 the least resistance is 0.75 and the dearest point, x = 1 with
    # label +1, costs 1. Without that label no point pulls that way.
    v = DualVector(np.array([-1.0]), 0.0)
    claim = certify(victim, target, space, v, data)
    assert claim.value == pytest.approx(0.75, rel=1e-8) and claim.value <= 0.75
    assert certify(victim, target, space.with_labels([-1]), v, data).value == math.inf


# -------------------------------------------------------------------- unattainable targets


@pytest.mark.parametrize("loss", LOSSES)
def test_unattainable(loss: str) -> None:
    """A coefficient on a column that is 0 in every row and in the space, without regularisation to pay for."""
    rng, victim = np.random.default_rng(1), victim_of(loss, "free", False)
    data = random_rows(rng, victim, 12, 3)
    data = replace(data, X=np.column_stack([data.X, np.zeros(12)]))
    space = space_of(victim, data)
    space = replace(space, upper=np.array([1.0, 1.0, 1.0, 0.0]))
    target = LinearModel(np.array([0.5, -0.5, 0.2, 1.0]))
    claim = certify(victim, target, space, DualVector(np.array([0.0, 0.0, 0.0, -1.0]), 0.0), data)
    assert claim.value == math.inf and claim.n_points == math.inf
    verdict = claim.verify(data)
    assert verdict and "no number of" in verdict.reason
    assert json.dumps(verdict.to_dict(), allow_nan=False)
    mean = certify(victim_of(loss, "free", True), target, space, claim.direction, data)
    assert mean.value == math.inf  # every point adds regularisation, which pulls the same way


# -------------------------------------------------------------------- slabs, balls, multipliers


def test_slabs_and_balls_cut_the_price(rng: np.random.Generator) -> None:
    """Next to the greatest of many points of the space, which is near the maximum in two dimensions."""
    for loss in LOSSES:
        victim = victim_of(loss, "regularized", True)
        box = Space.box(0.0, 1.0, 2) if loss != "squared" else Space.box(0.0, 1.0, 2).with_response(-1.0, 1.0)
        space = box.with_slab([1.0, 1.0], 0.4, 1.1).with_ball([0.5, 0.2], 0.45)
        target, v = LinearModel(np.array([1.0, -0.7]), 0.1), DualVector(np.array([0.8, 0.9]), -0.4)
        upper = price(victim, target, space, v)
        grid = np.linspace(0.0, 1.0, 401)
        points = np.array(list(product(grid, grid)))
        points = points[space.contains(points, 1e-12)]
        best = max(float(gradients(victim, target, v, points, y).max()) for y in (-1.0, 1.0))
        assert best <= upper <= best + 0.01
        assert upper < price(victim, target, box, v) - 0.01


def gradients(victim: Victim, target: LinearModel, v: DualVector, X: np.ndarray, y: float) -> np.ndarray:
    """``<a(z), v>`` of many points."""
    argument = victim.loss.argument(target.decision_function(X), y)
    along = victim.loss.derivative(argument) * victim.loss.slope(y) * (X @ v.w + v.b)
    penalty_w, penalty_b = victim.penalty_gradient(target)
    return np.asarray(along + victim.kappa * (penalty_w @ v.w + penalty_b * v.b))


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.sampled_from(LOSSES))
def test_any_multipliers_are_valid(seed: int, loss: str) -> None:
    rng, victim = np.random.default_rng(seed), victim_of(loss, "regularized", True)
    space = Space.box(-1.0, 1.0, 3).with_slab(rng.normal(size=3), -2.0, 2.0).with_ball(0.1 * rng.normal(size=3), 0.9)
    space = space if loss != "squared" else space.with_response(-1.0, 1.0)
    target, v = LinearModel(rng.normal(size=3), 0.2), DualVector(rng.normal(size=3), 0.5)
    chosen: dict[Side, Multipliers] = {
        side: Multipliers(float(rng.normal()), rng.normal(size=1), rng.normal(size=(1, 3)))
        for side in sides(victim, space)
    }
    poor, good = price(victim, target, space, v, chosen), price(victim, target, space, v)
    X = rng.uniform(-1.0, 1.0, (2000, 3))
    X = X[space.contains(X, 0.0)]
    for y in (-1.0, 0.3, 1.0) if loss == "squared" else (-1.0, 1.0):
        assert gradients(victim, target, v, X, y).max() <= min(poor, good) + 1e-12
    assert good <= poor * (1.0 + 1e-6) + 1e-6


def test_balls_and_slabs_bound_an_unbounded_box() -> None:
    victim, data = Victim("hinge", C=1.0), TrainingData(np.eye(2), np.array([-1.0, 1.0]), np.ones(2), (-1, 1))
    target, v = LinearModel(np.array([0.3, -0.3])), DualVector(np.array([-1.0, 1.0]), 0.0)
    open_box = Space.box(-np.inf, np.inf, 2)
    assert certify(victim, target, open_box, v, data).value == 0.0
    cut = open_box.with_slab([1.0, 0.0], -1.0, 1.0).with_slab([0.0, 1.0], -1.0, 1.0)
    closed = certify(victim, target, Space.box(-1.0, 1.0, 2), v, data)
    assert certify(victim, target, cut, v, data).value == pytest.approx(closed.value, rel=1e-9)
    inside = certify(victim, target, open_box.with_ball([0.5, 0.5], 2.0), v, data)
    # The dearest point has v @ x = 2 sqrt(2) where the margin allows it, which it does: 0.3 * 2 sqrt(2) < 1.
    pull = Subdifferential.of(victim, data, target).dual_objective(v)
    assert inside.value == pytest.approx(pull / (2.0 * math.sqrt(2.0)), rel=1e-6)


# -------------------------------------------------------------------- tampering


def _turned(c: TargetCertificate) -> TargetCertificate:
    return replace(c, direction=DualVector(-c.direction.w, -c.direction.b))


def _noisy(c: TargetCertificate) -> TargetCertificate:
    return replace(c, direction=DualVector(c.direction.w + 0.3 * np.abs(c.direction.w).max(), c.direction.b))


def _greedy(c: TargetCertificate) -> TargetCertificate:
    return replace(c, value=c.value * (1.0 + 1e-8))


def _infinite(c: TargetCertificate) -> TargetCertificate:
    return replace(c, value=math.inf)


def _retargeted(c: TargetCertificate) -> TargetCertificate:
    p, _ = hinge_problem()
    return replace(c, target=c.target.between(p.victim.trainer(p.data).model, 0.5))


def _wider(c: TargetCertificate) -> TargetCertificate:
    return replace(c, space=Space.box(-1.0, 2.0, c.space.n_features))


@pytest.mark.parametrize("change", [_turned, _noisy, _greedy, _infinite, _retargeted, _wider])
def test_tampered(
    change: Callable[[TargetCertificate], TargetCertificate], problem: tuple[Problem, DualVector]
) -> None:
    honest, data = certificate_of(problem), problem[0].data
    assert honest.verify(data)
    tampered = change(honest)
    verdict = tampered.verify(data)
    assert not verdict.holds and verdict.value < tampered.value
    assert "claims" in verdict.reason


def test_other_data(problem: tuple[Problem, DualVector]) -> None:
    honest, data = certificate_of(problem), problem[0].data
    poisoned = data.y.copy()
    poisoned[data.y * problem[0].target.decision_function(data.X) < 0.5] *= -1.0
    assert not honest.verify((data.X, poisoned))
    assert not honest.verify((data.X[:40], data.y[:40]))
    assert not honest.verify((0.5 * data.X, data.y))
    with pytest.raises(ValueError, match="features"):
        honest.verify((data.X[:, :2], data.y))
    with pytest.raises(ValueError, match="labels"):
        honest.verify((data.X, np.where(data.y > 0, "yes", "no")))


@settings(max_examples=100)
@given(st.integers(0, 10**6))
def test_no_direction_proves_more_than_the_attack(seed: int) -> None:
    """Whatever a forger writes into a certificate: the proof stays below the mass that does it."""
    problem, honest = hinge_problem()
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.integers(-300, 300)
    noise = rng.normal(size=4) * 10.0 ** rng.integers(-12, 2) * np.abs(honest.w).max()
    v = DualVector(scale * (honest.w + noise), scale * honest.b)
    claim = certify(problem.victim, problem.target, problem.space, v, problem.data)
    assert claim.value <= hinge_mass() * (1.0 + 1e-9)


@lru_cache
def hinge_mass() -> float:
    return tight_bound(hinge_problem()[0]).mass


@pytest.mark.parametrize("bad", [math.nan, -1.0])
def test_no_number_is_refused(bad: float, problem: tuple[Problem, DualVector]) -> None:
    honest = certificate_of(problem)
    with pytest.raises(ValueError, match="number of points"):
        replace(honest, value=bad)
    with pytest.raises(ValueError, match="NaN"):
        replace(honest, direction=DualVector(np.full(4, bad), math.inf))
    with pytest.raises(ValueError, match="agree"):
        replace(honest, direction=DualVector(np.ones(3), 0.0))
    with pytest.raises(ValueError, match="no intercept"):
        replace(honest, victim=Victim("hinge", C=1.0, intercept="none"))
    with pytest.raises(ValueError, match="response"):
        replace(honest, victim=Victim("squared", C=1.0))


# -------------------------------------------------------------------- data and files


def test_weights_sparse_rows_and_labels_in_words(problem: tuple[Problem, DualVector]) -> None:
    p, v = problem
    words = replace(p.target, classes=("ham", "spam"))
    labels = np.where(p.data.y > 0, "spam", "ham")
    plain = certify(p.victim, words, p.space, v, (p.data.X, labels))
    assert plain.value == certificate_of(problem).value
    assert plain.verify((sp.csc_matrix(p.data.X), labels))
    twice = certify(p.victim, words, p.space, v, (np.vstack([p.data.X, p.data.X]), np.tile(labels, 2)))
    weighted = certify(p.victim, words, p.space, v, (p.data.X, labels), np.full(60, 2.0))
    assert weighted.value == pytest.approx(twice.value, rel=1e-9) and weighted.value > plain.value
    assert not weighted.verify((p.data.X, labels))
    assert weighted.verify((p.data.X, labels), np.full(60, 2.0))


def test_saved_and_loaded(tmp_path: Path, problem: tuple[Problem, DualVector]) -> None:
    p, v = problem
    space = p.space.with_one_hot([0, 1], at_most_one=True).with_ball(np.full(4, 0.5), 3.0)
    space = (
        space.with_slab(np.ones(4), 0.0)
        .with_integer([3])
        .with_constraints(lambda x: [x[0] >= 0.5])
        .with_labels([1, -1])
    )
    for target in (p.target, replace(p.target, classes=("ham", "spam"))):
        labels = p.data.y if target is p.target else np.where(p.data.y > 0, "spam", "ham")
        saved = certify(p.victim, target, space, v, (p.data.X, labels))
        assert "constraints are left out" in saved.note
        saved.save(tmp_path / "c.npz")
        loaded = TargetCertificate.load(tmp_path / "c.npz")
        assert loaded.victim == saved.victim and loaded.target.classes == target.classes
        assert (loaded.value, loaded.note) == (saved.value, saved.note)
        assert loaded.space.parts == space.parts - {"constraints"} and loaded.space.one_hot == space.one_hot
        assert loaded.space.slabs[0].upper == np.inf and loaded.space.balls[0].radius == 3.0
        verdict = loaded.verify((p.data.X, labels))
        assert verdict and verdict.value == saved.verify((p.data.X, labels)).value
    assert list(tmp_path.iterdir()) == [tmp_path / "c.npz"]


def test_saved_regression(tmp_path: Path, rng: np.random.Generator) -> None:
    victim = Victim("squared", C=math.inf, intercept="free")
    data = random_rows(rng, victim, 30, 2)
    space, target = space_of(victim, data), LinearModel(np.array([0.5, 0.5]), 0.1)
    clean = victim.trainer(data).model
    v = DualVector(clean.coef - target.coef, clean.intercept - target.intercept)
    saved = certify(victim, target, space, v, data)
    saved.save(tmp_path / "r.npz")
    loaded = TargetCertificate.load(tmp_path / "r.npz")
    assert saved.value > 0.0 and loaded.verify((data.X, data.y))
    assert loaded.space.response == space.response and "squared" in loaded.statement


def test_unreadable_files(tmp_path: Path, problem: tuple[Problem, DualVector]) -> None:
    path = tmp_path / "c.npz"
    certificate_of(problem).save(path)
    with np.load(path) as file:
        arrays = dict(file)
    meta = json.loads(str(arrays["meta"]))
    words = [
        meta | {"format": 99},
        meta | {"kind": "attack"},
        meta | {"labels": []},
        meta | {"one_hot": [[[0, 9], False, False]]},
        meta | {"victim": meta["victim"] | {"C": 1.0}},
        meta | {"value": "many"},
        {name: value for name, value in meta.items() if name != "labels"},
    ]
    changed = [arrays | {"meta": np.array(json.dumps(word))} for word in words]
    changed += [arrays | {"meta": np.array("{")}, {"X": np.ones(3)}]
    changed += [arrays | {name: np.full(4, np.nan)} for name in ("lower", "coef", "direction_w")]
    changed += [arrays | {"upper": arrays["lower"] - 1.0}, arrays | {"integer": np.ones(3, dtype=bool)}]
    changed += [arrays | {"slab_directions": np.ones((1, 4)), "slab_sides": np.array([[2.0, 1.0]])}]
    for content in changed:
        np.savez(path, **content)
        with pytest.raises(ValueError, match="not a certificate"):
            TargetCertificate.load(path)
    path.write_bytes(b"no zip file")
    with pytest.raises(ValueError, match="not a certificate"):
        TargetCertificate.load(path)
