"""Which formulas a loss has: its own, never those of another loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convexpoison as cp
from convexpoison.certificates.clean_gradient import dual_objective, has_proofs
from convexpoison.data.training_data import TrainingData
from convexpoison.learners.dual_vector import DualVector
from convexpoison.learners.losses import LOSSES, Hinge, Logistic, Loss, RoundedHinge, SmoothHinge, Squared, SquaredHinge
from convexpoison.learners.losses.formulas import FORMULAS, Formulas
from convexpoison.loss_difference.backends import backend
from convexpoison.numerics.intervals import Interval

seeds = st.integers(0, 2**32 - 1)


def test_which_loss_defines_what() -> None:
    """A formula that gets lost would only be noticed as a weaker bound."""
    optional = {"perspective_range", "active_range", "difference_height", "difference_lines", "rounded", "steepening"}
    goals = {"value_enclosure", "support_line"}
    assert {loss: set(LOSSES[loss].missing(*FORMULAS)) - optional for loss in LOSSES} == {
        "hinge": {"perspective"}, "squared_hinge": set(), "logistic": set(), "squared": goals,
    }  # fmt: skip
    assert set(RoundedHinge().missing(*FORMULAS)) == set(FORMULAS) - {"bends_most_at"}


def test_a_missing_formula_says_so() -> None:
    with pytest.raises(ValueError, match="'rounded_hinge' does not define slack"):
        RoundedHinge().slack(Interval.of(0.0), 0.1)
    with pytest.raises(
        ValueError, match=r"tea is not compatible with the loss 'squared': it must define support_line$"
    ):
        Squared().need("tea", "slack", "support_line")


class Steeper(Hinge):
    """Another function than the hinge, by inheritance."""

    def value(self, argument: Any) -> Any:
        return 3.0 * super().value(argument)

    def derivative(self, argument: Any) -> Any:
        return 3.0 * super().derivative(argument)


class Doubled:
    def curvature(self, argument: Any) -> Any:
        return 2.0 * super().curvature(argument)  # type: ignore[misc]


class Mixed(Doubled, SquaredHinge):
    """A part of the contract comes from elsewhere."""


class Renamed(Logistic):
    name = "renamed"


class Own(Logistic):
    """Another function, twice the logistic loss, with two formulas of its own."""

    name, bends_most_at = "own", 0.0

    def value(self, argument: Any) -> Any:
        return 2.0 * super().value(argument)

    def derivative(self, argument: Any) -> Any:
        return 2.0 * super().derivative(argument)

    def curvature(self, argument: Any) -> Any:
        return 2.0 * super().curvature(argument)

    def slack(self, u: Interval, eps: float) -> np.ndarray:
        return super().slack(u, 0.5 * eps)


class Plain(Logistic):
    """The logistic loss without two of its formulas."""

    name, perspective, slack = "plain", Formulas.perspective, Formulas.slack


class Heir(Own):
    pass


def test_a_subclass_that_redefines_the_function_loses_the_formulas() -> None:
    for loss in (Steeper(), Mixed()):
        assert set(loss.missing(*FORMULAS)) == set(FORMULAS)
        assert loss.active_range == Formulas.active_range and loss.name == type(loss).__name__
    for loss in (Own(), Heir()):
        assert set(FORMULAS) - set(loss.missing(*FORMULAS)) == {"slack", "bends_most_at"} and loss.name == "own"
    assert Renamed().missing(*FORMULAS) == Logistic().missing(*FORMULAS)
    assert Hinge().missing("edge_maxima") == []


def test_such_a_subclass_is_never_certified_with_the_formulas_of_its_base() -> None:
    victim, space = cp.Victim(Steeper(), C=1.0, intercept="none"), cp.Space.box(-1.0, 1.0, 2)
    data = (np.array([[0.5, 0.1], [-0.5, 0.3], [0.2, -0.9]]), np.array([1, -1, 1]))
    models = [cp.LinearModel([1.0, 0.3]), cp.LinearModel([-0.4, 0.2])]
    assert not has_proofs(victim.loss)
    with pytest.raises(ValueError, match="not compatible with the loss 'Steeper'"):
        cp.lower_bound(models[0], data, victim=victim, space=space, delta=0.1)
    with pytest.raises(ValueError, match="'Steeper' has kinks"):
        cp.lower_bound(models[0], data, victim=victim, space=space)
    with pytest.raises(ValueError, match="takes Steeper loss"):
        cp.max_loss_difference(*models, space, loss=victim.loss)
    for name in ("polygon", "highs"):
        assert not backend(name).capabilities.takes(victim.loss)


@settings(max_examples=20)
@given(seed=seeds)
def test_a_smooth_subclass_is_answered_by_what_needs_no_formulas(seed: int) -> None:
    rng = np.random.default_rng(seed)
    models = [cp.LinearModel(rng.normal(size=2), float(rng.normal())) for _ in range(2)]
    space = cp.Space.box(-1.0, 1.0, 2)
    found = cp.max_loss_difference(*models, space, loss=Own())
    assert found.solver == "highs"
    halved = cp.max_loss_difference(*models, space, loss="logistic")
    assert found.value == pytest.approx(2.0 * halved.value, rel=1e-6, abs=1e-6)


def test_the_tight_bound_does_without_tangents_and_close_models_need_the_slack() -> None:
    data = (np.array([[0.5, 0.1], [-0.5, 0.3], [0.2, -0.9]]), np.array([1, -1, 1]))
    space, target = cp.Space.box(-1.0, 1.0, 2), cp.LinearModel([-1.0, 0.2])
    bounds = [
        cp.lower_bound(target, data, victim=cp.Victim(loss, C=1.0), space=space) for loss in (Plain(), Logistic())
    ]
    assert bounds[0].certificate is not None and float(bounds[0]) == pytest.approx(float(bounds[1]), rel=1e-5)
    with pytest.raises(ValueError, match=r"a bound for eps-close models is not compatible .* must define slack$"):
        cp.lower_bound(target, data, victim=cp.Victim(Plain(), C=1.0), space=space, eps=0.1)
    with pytest.raises(ValueError, match=r"a program of tangents is not compatible .* must define perspective$"):
        cp.attack(target, data, victim=cp.Victim(Plain(), C=1.0), space=space, method="optimal")


class Sharp(Loss):
    """A smooth hinge that does not state where it bends most."""

    name = "sharp"

    def value(self, argument: Any) -> Any:
        return SmoothHinge(0.1).value(argument)

    def derivative(self, argument: Any) -> Any:
        return SmoothHinge(0.1).derivative(argument)

    def curvature(self, argument: Any) -> Any:
        return SmoothHinge(0.1).curvature(argument)


class Stated(Sharp):
    bends_most_at = 1.0


@pytest.mark.parametrize("solver", ["auto", "highs"])
def test_no_bound_rests_on_a_curvature_that_a_loss_does_not_state(solver: str) -> None:
    """Of these models the upper bound is 10 with the largest curvature taken to be at 0, and the maximum 16.22."""
    models = [cp.LinearModel([122.0, -75.0], 3.0), cp.LinearModel([144.0, -104.0])]
    space = cp.Space.box(-1.0, 1.0, 2)
    with pytest.raises(ValueError, match="must define bends_most_at"):
        cp.max_loss_difference(*models, space, loss=Sharp(), solver=solver)
    with pytest.raises(ValueError, match="'sharp' does not define bends_most_at"):
        _ = Sharp().largest_curvature
    found = cp.max_loss_difference(*models, space, loss=Stated(), solver=solver)
    grid = np.linspace(-1.0, 1.0, 201)
    X = np.array(np.meshgrid(grid, grid)).reshape(2, -1).T
    scores = [model.decision_function(X) for model in models]
    highest = max(float((Sharp().value(y * scores[0]) - Sharp().value(y * scores[1])).max()) for y in (-1.0, 1.0))
    assert found.certified and 16.0 < highest <= found.upper <= found.value + 1e-6


@given(seed=seeds)
def test_the_range_of_curvatures(seed: int) -> None:
    rng = np.random.default_rng(seed)
    low, high = np.sort(rng.normal(0.0, 2.0, size=(2, 20)), axis=0)
    inside = low + (high - low) * np.linspace(0.0, 1.0, 201)[:, None]
    for loss in (*LOSSES.values(), SmoothHinge(0.3), RoundedHinge(0.5), RoundedHinge(0.5, below=True)):
        (least, most), found = loss.curvature_range(low, high), loss.curvature(inside)
        assert (least <= found * (1.0 + 1e-14)).all() and (found <= most * (1.0 + 1e-14)).all()
        assert (most <= loss.largest_curvature).all()


class TwiceTheHinge(Loss):
    """A kink at which the derivative jumps by 2."""

    name, smooth, active_range = "twice_the_hinge", False, (-np.inf, 1.0)

    def value(self, argument: Any) -> Any:
        return 2.0 * Hinge().value(argument)

    def derivative(self, argument: Any) -> Any:
        return 2.0 * Hinge().derivative(argument)

    def curvature(self, argument: Any) -> Any:
        return np.zeros_like(argument, dtype=np.float64)

    def derivative_enclosure(self, u: Interval) -> Interval:
        return 2.0 * Hinge().derivative_enclosure(u)

    def steepness(self, u: Interval) -> Interval:
        return 2.0 * Hinge().steepness(u)

    def decay_rate(self, u: Interval) -> Interval:
        return Hinge().decay_rate(u)

    def stationary_point(self, A: float, B: float) -> float:
        return 1.0


@given(seed=seeds)
def test_rows_on_a_kink_count_with_all_of_its_subdifferential(seed: int) -> None:
    """Of any loss, not only with the jump of the hinge."""
    rng = np.random.default_rng(seed)
    X, y = rng.integers(-2, 3, size=(6, 2)).astype(float), rng.permutation([-1, -1, -1, 1, 1, 1])
    data, target = TrainingData.from_user((X, y)), cp.LinearModel([1.0, 0.0])
    v = DualVector(rng.normal(size=2), 0.0)
    for loss in (Hinge(), TwiceTheHinge()):
        found = dual_objective(cp.Victim(loss, C=1.0, intercept="none"), data, target, v)
        u = y * X[:, 0]
        ends = np.array([loss.derivative(u - 1e-6), loss.derivative(u + 1e-6)])
        exact = float(-(ends * y * (X @ v.w)).max(axis=0).sum() - target.coef @ v.w)
        assert found.lower <= exact <= found.upper + 1e-12
        assert found.upper - found.lower <= 1e-12


def test_a_file_mentions_no_loss_by_the_name_of_another() -> None:
    class Impostor(Logistic):
        name = "hinge"

    data = (np.array([[0.5, 0.1], [-0.5, 0.3], [0.2, -0.9]]), np.array([1, -1, 1]))
    bound = cp.lower_bound(
        cp.LinearModel([-1.0, 0.2]), data, victim=cp.Victim(Impostor(), C=1.0), space=cp.Space.box(-1.0, 1.0, 2)
    )
    assert bound.certificate is not None
    with pytest.raises(ValueError, match="has the name of another loss"):
        bound.certificate.to_arrays()
