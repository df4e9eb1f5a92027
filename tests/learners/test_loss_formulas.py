"""Every formula that a loss defines, against brute force; enclosures hold the exact values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convexpoison.learners.losses import LOSSES, Hinge, Loss, RoundedHinge
from convexpoison.learners.losses.edges import Edges
from convexpoison.numerics.intervals import Interval


def with_formula(*formulas: str) -> pytest.MarkDecorator:
    """All losses of the library that define these."""
    able = [loss for loss in LOSSES.values() if not loss.missing(*formulas)]
    assert able
    return pytest.mark.parametrize("loss", able, ids=lambda loss: loss.name)


seeds = st.integers(0, 2**32 - 1)
TAU = np.linspace(0.0, 1.0, 2001)
FAR = np.linspace(-60.0, 60.0, 24001)


def path(seed: int, regression: bool = False) -> Edges:
    """A lower hull: v ascends, u is convex in it."""
    rng = np.random.default_rng(seed)
    n, scale = int(rng.integers(1, 8)), 4.0 ** rng.integers(-1, 2)
    run = rng.exponential(scale, size=n) + 1e-3
    slopes = np.sort(rng.normal(scale=1.5, size=n))
    v = np.append(0.0, np.cumsum(run)) + rng.normal(scale=2.0 * scale) - 0.5 * run.sum()
    u = np.append(0.0, np.cumsum(slopes * run)) + rng.normal(scale=scale)
    return Edges(u, v, np.diff(u), np.diff(v))


def along(p: Edges) -> tuple[np.ndarray, np.ndarray]:
    """Arguments at many places of every edge, shape (n_edges, n_places)."""
    return tuple(start[:-1, None] + TAU * growth[:, None] for start, growth in ((p.u, p.rise), (p.v, p.run)))  # type: ignore[return-value]


def inside_of(loss: Loss, u: np.ndarray) -> np.ndarray:
    low, high = loss.active_range
    return u[(u > low + 1e-3) & (u < high - 1e-3)]


# -------------------------------------------------------------------- polygon and tight bound


@with_formula("edge_maxima")
@given(seed=seeds)
def test_edge_maxima(loss: Loss, seed: int) -> None:
    p = path(seed)
    u, v = along(p)
    vertex = loss.value(p.u) - loss.value(p.v)
    sampled = float((loss.value(u) - loss.value(v)).max())
    found = loss.edge_maxima(p, vertex, float(vertex.max()))
    upper = max(float(vertex.max()), float(found.upper.max(initial=-np.inf)))
    best = max(float(vertex.max()), float(found.value.max(initial=-np.inf)))
    scale = 1.0 + abs(sampled) + float(loss.value(u).max() + loss.value(v).max())
    assert sampled <= upper + 1e-13 * scale
    assert best <= upper <= best + 1e-12 * scale
    assert best <= sampled + 1e-4 * scale
    assert ((found.fraction >= 0.0) & (found.fraction <= 1.0)).all()
    np.testing.assert_array_equal(found.value, p.difference(loss, found.edge, found.fraction))


@with_formula("support_peak")
@given(seed=seeds)
def test_support_peak(loss: Loss, seed: int) -> None:
    p = path(seed)
    u, v = along(p)
    products = np.asarray(loss.derivative(v)) * u
    if not loss.smooth:
        products[v > 1.0] = -np.inf  # places without a gradient are not meant
    sampled, found = float(products.max()), loss.support_peak(p.u, p.v)
    if sampled == -np.inf:
        assert found.value == -np.inf
        return
    steep, scale = np.abs(loss.derivative(v)).max(), 1.0 + np.abs(u).max()
    assert sampled - 1e-12 * steep * scale <= found.value <= sampled + 1e-2 * (1.0 + steep) * scale
    place = p.u[found.edge], p.v[found.edge]
    if found.fraction:
        place = tuple(z + found.fraction * g[found.edge] for z, g in zip(place, (p.rise, p.run), strict=True))
    if loss.smooth:  # a kink is reached up to rounding only
        assert found.value == pytest.approx(float(loss.derivative(place[1])) * place[0], abs=1e-9 * steep * scale)
    else:
        assert found.value == pytest.approx(-place[0], abs=1e-12 * scale) and place[1] <= 1.0 + 1e-9 * scale


@with_formula("perspective")
@given(share=st.floats(0.001, 0.999))
def test_perspective(loss: Loss, share: float) -> None:
    p, h = share * min(loss.perspective_range[1], 5.0), 1e-6
    value, slope = loss.perspective(p)
    argument = value / p
    size = float(loss.derivative(argument))
    assert -size == pytest.approx(p, rel=1e-9)
    step = h * p * (1.0 - share)
    after, before = loss.perspective(p + step), loss.perspective(p - step)
    assert (after[0] - before[0]) / (2.0 * step) == pytest.approx(slope, rel=1e-4, abs=1e-4)
    assert after[1] < slope < before[1]  # concave


@with_formula("lipschitz")
def test_lipschitz(loss: Loss) -> None:
    for reach in (1.0, 1.5, 20.0):
        u = np.linspace(1.0 - reach, reach - 1.0, 501)
        assert np.abs(loss.derivative(u)).max() <= loss.lipschitz(reach) <= np.inf
    assert np.abs(loss.derivative(FAR)).max() <= loss.lipschitz(np.inf)


# -------------------------------------------------------------------- certificates


def intervals(seed: int, loss: Loss, active: bool = False) -> tuple[Interval, np.ndarray]:
    """Intervals of all widths, and numbers inside them, shape (n_numbers, n)."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(scale=3.0, size=50)
    centre[:10] = 1.0 + rng.choice([0.0, 1e-16, -1e-16, 1e-9], size=10)
    width = 10.0 ** rng.uniform(-16, 1, size=50) * rng.integers(0, 2, size=50)
    ends = np.array([centre - width, centre + width])
    if active:
        ends = np.clip(ends, *(end + s * 1e-6 for end, s in zip(loss.active_range, (1, -1), strict=True)))
    return Interval(*ends), ends[0] + np.linspace(0.0, 1.0, 21)[:, None] * (ends[1] - ends[0])


def holds(enclosure: Interval, numbers: np.ndarray) -> None:
    """Doubles may be off by their own rounding."""
    slack = 1e-14 * (1.0 + np.abs(numbers))
    assert (enclosure.lower <= numbers + slack).all() and (numbers - slack <= enclosure.upper).all()


def tight(enclosure: Interval, u: Interval) -> None:
    points = u.lower == u.upper
    width = enclosure.upper - enclosure.lower
    assert (width[points] <= 1e-13 * (1.0 + np.abs(enclosure.upper[points]))).all()


@with_formula("derivative_enclosure")
@given(seed=seeds)
def test_derivative_enclosure(loss: Loss, seed: int) -> None:
    u, numbers = intervals(seed, loss)
    found = loss.derivative_enclosure(u)
    holds(found, loss.derivative(numbers))
    if loss.smooth:
        tight(found, u)
    else:
        at_kink = loss.derivative_enclosure(Interval.of(1.0))
        assert (at_kink.lower, at_kink.upper) == (-1.0, 0.0)
        unknown = loss.derivative_enclosure(Interval.of(np.nan))
        assert (unknown.lower, unknown.upper) == (-1.0, 0.0)


@with_formula("steepness", "decay_rate")
@given(seed=seeds)
def test_steepness_and_decay_rate(loss: Loss, seed: int) -> None:
    u, numbers = intervals(seed, loss, active=True)
    holds(loss.steepness(u), np.abs(loss.derivative(numbers)))
    tight(loss.steepness(u), u)
    inside, h = inside_of(loss, np.linspace(-5.0, 5.0, 301)), 1e-5
    q = [np.log(np.abs(loss.derivative(inside + s * h))) for s in (-1, 1)]
    rate = loss.decay_rate(Interval.of(inside))
    np.testing.assert_allclose(rate.lower, -(q[1] - q[0]) / (2 * h), rtol=1e-4, atol=1e-6)
    assert (rate.lower <= rate.upper).all()
    assert (np.diff(rate.lower) >= -1e-12).all()  # log-concave
    steep = np.diff(np.abs(loss.derivative(inside)))
    assert (steep >= 0.0).all() or (steep <= 0.0).all()


@with_formula("stationary_point")
@given(A=st.floats(-5.0, 5.0), B=st.floats(-5.0, 5.0).filter(lambda B: abs(B) > 0.01))
def test_stationary_point(loss: Loss, A: float, B: float) -> None:
    place, h = loss.stationary_point(A, B), 1e-5
    if not loss.smooth or inside_of(loss, np.array([place])).size == 0 or abs(place) > 30.0:
        return
    ends = [float(np.abs(loss.derivative(place + s * h)) * (A + B * (place + s * h))) for s in (-1, 1)]
    q = float(np.abs(loss.derivative(place)))
    assert abs(ends[1] - ends[0]) / (2 * h) <= 1e-5 * (1.0 + q * abs(B) + abs(ends[0]) / h * 1e-5)


@with_formula("value_enclosure")
@given(seed=seeds)
def test_value_enclosure(loss: Loss, seed: int) -> None:
    u, numbers = intervals(seed, loss)
    holds(loss.value_enclosure(u), loss.value(numbers))
    tight(loss.value_enclosure(u), u)


# -------------------------------------------------------------------- goals


@with_formula("support_line")
@given(share=st.sampled_from([0.0, 1.0]) | st.floats(1e-12, 1.0))
def test_support_line_is_the_conjugate(loss: Loss, share: float) -> None:
    slope = share * min(loss.lipschitz(np.inf), 5.0)
    height = float(loss.support_line(np.array(slope)))
    least = float((loss.value(FAR) + slope * FAR).min())
    assert height <= least + 1e-12
    assert least - height <= 1e-4
    enclosure = loss.support_line(Interval.of(slope))
    assert enclosure.lower - 1e-15 <= height <= enclosure.upper + 1e-15
    assert enclosure.upper - enclosure.lower <= 1e-14


@with_formula("value_enclosure")
def test_difference_lines_hold_everywhere(loss: Loss) -> None:
    u = np.linspace(-12.0, 12.0, 241)
    lines = loss.difference_lines(np.linspace(0.0, 1.0, 5))
    for p, q in [*lines, (1.0, 1.5), (0.5, 0.5), (1.0, -0.1), (0.3, 1.0)]:
        height = loss.difference_height(p, q)
        if height is None:
            assert (p, q) not in lines
            continue
        right = np.maximum(0.0, float(height.lower) - p * u[:, None] + q * u)
        assert (loss.value(u)[:, None] - loss.value(u) <= right + 1e-9).all()


@given(width=st.floats(0.01, 1.0))
def test_the_hinge_rounded_off_below(width: float) -> None:
    loss, u = Hinge().rounded(width), np.linspace(-2.0, 3.0, 1001)
    assert loss == RoundedHinge(width, below=True) != RoundedHinge(width) and loss.smooth
    gap = Hinge().value(u) - loss.value(u)
    assert (gap >= 0.0).all() and gap.max() <= 0.5 * width + 1e-12
    assert loss.curvature(loss.bends_most_at) == loss.curvature(u).max() == 1.0 / width
    slope = (loss.value(u + 1e-6) - loss.value(u - 1e-6)) / 2e-6
    np.testing.assert_allclose(loss.derivative(u), slope, atol=1e-4 / width)
    np.testing.assert_allclose(loss.value(u - 0.5 * width), RoundedHinge(width).value(u), atol=1e-12)


# -------------------------------------------------------------------- close models


@with_formula("slack")
@given(seed=seeds, eps=st.floats(1e-6, 5.0))
def test_slack_is_how_far_an_argument_may_fall(loss: Loss, seed: int, eps: float) -> None:
    u, _ = intervals(seed, loss)
    u = Interval.of(u.upper)
    found = loss.slack(u, eps)
    risen = loss.value(u.upper - found) - loss.value(u.upper)
    scale = 1.0 + np.abs(loss.value(u.upper))
    np.testing.assert_allclose(risen, eps, rtol=1e-6, atol=1e-9 * scale.max())
    wide = loss.slack(Interval(u.upper - 1.0, u.upper), eps)
    assert (wide >= found).all()
    below = loss.value(u.upper - 0.999 * found) - loss.value(u.upper)
    assert (below <= eps * (1.0 + 1e-9)).all()


@with_formula("steepening")
@given(u=st.floats(-20.0, 20.0), eps=st.floats(0.0, 5.0))
def test_steepening(loss: Loss, u: float, eps: float) -> None:
    share = loss.steepening(eps)
    assert share is not None
    moved = u - float(loss.slack(Interval.of(u), eps)) if eps else u
    before, after = (float(np.abs(loss.derivative(x))) for x in (u, moved))
    assert after <= (1.0 - share.lower) * before + share.upper + 1e-12
    assert share.upper - share.lower <= 1e-14
    assert -np.expm1(-eps) == pytest.approx(float(share.upper), abs=1e-14)
