"""The losses keep their contract: values, derivatives, curvatures, convexity, no overflow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import convexpoison as cp
from convexpoison.learners.losses import LOSSES, Hinge, Logistic, Loss, Squared, SquaredHinge, get_loss
from convexpoison.numerics.intervals import Interval

ALL = pytest.mark.parametrize("loss", list(LOSSES.values()), ids=list(LOSSES))
NUMBERS = st.floats(-50.0, 50.0)


def away_from_kink(u: np.ndarray, margin: float = 1e-2) -> np.ndarray:
    return u[np.abs(u - 1.0) > margin]


@ALL
def test_derivatives_agree_with_central_differences(loss: Loss) -> None:
    u, h = away_from_kink(np.linspace(-8.0, 8.0, 333)), 1e-5
    slope = (loss.value(u + h) - loss.value(u - h)) / (2 * h)
    bend = (loss.derivative(u + h) - loss.derivative(u - h)) / (2 * h)
    np.testing.assert_allclose(loss.derivative(u), slope, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(loss.curvature(u), bend, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("loss", "u", "value", "derivative", "curvature"),
    [
        (Hinge(), 1.0, 0.0, -1.0, 0.0),
        (Hinge(), 1.0 + 1e-12, 0.0, 0.0, 0.0),
        (Hinge(), -2.0, 3.0, -1.0, 0.0),
        (SquaredHinge(), 1.0, 0.0, 0.0, 2.0),
        (SquaredHinge(), 1.0 + 1e-12, 0.0, 0.0, 0.0),
        (SquaredHinge(), -2.0, 9.0, -6.0, 2.0),
        (Logistic(), 0.0, np.log(2.0), -0.5, 0.25),
        (Squared(), -3.0, 9.0, -6.0, 2.0),
    ],
)
def test_known_values_and_the_active_side_of_kinks(
    loss: Loss, u: float, value: float, derivative: float, curvature: float
) -> None:
    assert loss.value(u) == pytest.approx(value, abs=1e-15)
    assert loss.derivative(u) == pytest.approx(derivative, abs=1e-15)
    assert loss.curvature(u) == pytest.approx(curvature, abs=1e-15)


@ALL
@given(u=NUMBERS, v=NUMBERS, t=st.floats(0.0, 1.0))
def test_convex_and_never_negative(loss: Loss, u: float, v: float, t: float) -> None:
    chord = (1 - t) * loss.value(u) + t * loss.value(v)
    assert loss.value((1 - t) * u + t * v) <= chord + 1e-12 * (1 + chord)
    assert loss.value(u) >= 0
    assert loss.curvature(u) >= 0


@ALL
@given(u=NUMBERS, v=NUMBERS)
def test_the_derivative_is_a_subgradient(loss: Loss, u: float, v: float) -> None:
    tangent = loss.value(u) + loss.derivative(u) * (v - u)
    assert loss.value(v) >= tangent - 1e-12 * (1 + abs(tangent) + abs(u * v))


@pytest.mark.parametrize("loss", [Hinge(), SquaredHinge(), Logistic()])
@given(u=NUMBERS, gain=st.floats(0.0, 50.0))
def test_losses_of_margins_do_not_increase(loss: Loss, u: float, gain: float) -> None:
    assert loss.classification
    assert loss.value(u + gain) <= loss.value(u)
    assert loss.derivative(u) <= 0


@ALL
@pytest.mark.parametrize("u", [-1e4, 1e4])
def test_no_overflow_far_out(loss: Loss, u: float) -> None:
    for function in (loss.value, loss.derivative, loss.curvature):
        assert np.isfinite(function(u))
    if loss.classification and u > 0:
        assert loss.value(u) == 0.0


@ALL
def test_shape_and_type_are_kept(loss: Loss) -> None:
    for argument in (np.array(1), np.arange(6).reshape(2, 3), [0, 1, 2], np.empty((0, 4), dtype=np.float32)):
        for function in (loss.value, loss.derivative, loss.curvature):
            out = function(argument)
            assert np.shape(out) == np.shape(argument)
            assert np.asarray(out).dtype == np.float64


def test_arguments_and_slopes() -> None:
    scores, y = np.array([2.0, -1.0, 0.5]), np.array([1, -1, -1])
    np.testing.assert_array_equal(Logistic().argument(scores, y), [2.0, 1.0, -0.5])
    np.testing.assert_array_equal(Logistic().slope(y), [1.0, -1.0, -1.0])
    np.testing.assert_array_equal(Squared().argument(scores, y), [1.0, 0.0, 1.5])
    np.testing.assert_array_equal(Squared().slope(y), [1.0, 1.0, 1.0])


def test_a_loss_is_found_by_name() -> None:
    for name, loss in LOSSES.items():
        assert get_loss(name) == loss == get_loss(loss)
        assert hash(get_loss(name)) == hash(type(loss)())
    assert Hinge() != SquaredHinge()
    assert repr(Hinge()) == "Hinge()"


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown loss 'huber'; choose one of"):
        get_loss("huber")


# -------------------------------------------------------------------- formulas of a loss


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
def test_interval_formulas_hold_the_values(loss, rng):
    u = rng.uniform(-6.0, 6.0, 400)
    exact = Interval.of(u)
    derivative, steepness = loss.derivative_enclosure(exact), np.abs(loss.derivative(u))
    assert (derivative.lower <= loss.derivative(u)).all() and (loss.derivative(u) <= derivative.upper).all()
    low, high = loss.active_range
    inside = (u > max(low, -5.0)) & (u < min(high, 5.0))
    q = loss.steepness(Interval.of(u[inside]))
    assert (q.lower <= steepness[inside]).all() and (steepness[inside] <= q.upper).all()
    rate = loss.decay_rate(Interval.of(u[inside]))
    h = 1e-6
    slope = (np.log(np.abs(loss.derivative(u[inside] + h))) - np.log(np.abs(loss.derivative(u[inside] - h)))) / (2 * h)
    near = np.abs(u[inside] - (high if np.isfinite(high) else low if np.isfinite(low) else np.inf)) < 1e-2
    np.testing.assert_allclose(rate.lower[~near], -slope[~near], rtol=1e-4, atol=1e-6)
    if loss.classification:
        value = loss.value_enclosure(exact)
        assert (value.lower <= loss.value(u)).all() and (loss.value(u) <= value.upper).all()


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
@pytest.mark.parametrize("eps", [1e-6, 0.1, 3.0])
def test_the_slack_is_where_the_loss_has_risen_by_eps(loss, eps, rng):
    u = rng.uniform(-6.0, 6.0, 200) if loss.classification else rng.uniform(0.0, 6.0, 200)
    d = loss.slack(Interval.of(u), eps)
    if loss.classification:
        np.testing.assert_allclose(loss.value(u - d), loss.value(u) + eps, rtol=1e-6, atol=1e-7)
    else:  # a score may move by t with t**2 - 2 u t <= eps
        np.testing.assert_allclose(d * d - 2.0 * u * d, eps, rtol=1e-6, atol=1e-7)
    share = loss.steepening(eps)
    if share is not None:
        bound = (1.0 - share.upper) * np.abs(loss.derivative(u)) + share.upper
        assert (np.abs(loss.derivative(u - d)) <= bound * (1 + 1e-9)).all()


@pytest.mark.parametrize("loss", [LOSSES[name] for name in ("hinge", "squared_hinge", "logistic")], ids=str)
def test_lines_of_a_loss_against_brute_force(loss):
    u = np.linspace(-30.0, 30.0, 6001)
    shares = np.array([0.0, 0.1, 0.5, 0.9, 1.0]) * min(loss.lipschitz(np.inf), 2.0)
    lowest = (loss.value(u)[None] + shares[:, None] * u).min(axis=1)
    np.testing.assert_allclose(loss.support_line(shares), lowest, atol=1e-3)
    proven = loss.support_line(Interval.of(shares))
    assert (proven.lower <= loss.support_line(shares)).all() and (loss.support_line(shares) <= proven.upper).all()
    assert (proven.upper <= lowest + 1e-9).all()
    for p, q in loss.difference_lines(np.linspace(0.0, 1.0, 5)):
        a = loss.difference_height(p, q)
        x, y = np.meshgrid(np.linspace(-8, 8, 161), np.linspace(-8, 8, 161))
        assert (loss.value(x) - loss.value(y) <= np.maximum(0.0, a.upper - p * x + q * y) + 1e-12).all()


def test_a_subclass_that_redefines_the_loss_loses_its_formulas():
    """Nothing is ever proven with the formulas of another loss."""

    class Steeper(Hinge):
        def value(self, argument):
            return 2.0 * super().value(argument)

        def derivative(self, argument):
            return 2.0 * super().derivative(argument)

    class Renamed(Hinge):
        name = "renamed"

    assert Steeper().missing("steepness", "support_peak", "slack") == ["steepness", "support_peak", "slack"]
    assert Steeper().name == "Steeper" and not Renamed().missing("steepness", "support_peak", "slack")
    with pytest.raises(ValueError, match=r"not compatible with the loss 'Steeper': it must define edge_maxima"):
        Steeper().need("the polygon", "edge_maxima")
    bound = cp.lower_bound
    with pytest.raises(ValueError, match="has kinks"):
        bound(
            ([0.5], 0.0), ([[0.5], [-0.5]], [1, -1]), victim=cp.Victim(Steeper(), C=1.0), space=cp.Space.box(-1, 1, 1)
        )
