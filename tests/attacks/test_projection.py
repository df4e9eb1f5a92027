"""Projection onto a space against a general solver, and what rounding promises."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize

import convexpoison as cp
from convexpoison.attacks.projection import Projection, roundings


@settings(max_examples=40)
@given(x=arrays(np.float64, 6, elements=st.floats(-4, 4)))
def test_projection_is_the_nearest_point(x):
    space = cp.Space.box(-1, 2, 6).with_one_hot([0, 1, 2]).with_ball(np.full(6, 0.3), 1.4)
    space = space.with_slab([0, 0, 1, 1, 1, -1], -1.0, 0.5)
    projection = Projection(space)
    nearest = projection(x[None])[0]
    assert projection.inside(nearest[None])
    conditions = [
        {"type": "eq", "fun": lambda z: z[:3].sum() - 1},
        {"type": "ineq", "fun": lambda z: 1.4**2 - ((z - 0.3) ** 2).sum()},
        {"type": "ineq", "fun": lambda z: 0.5 - (z[2] + z[3] + z[4] - z[5])},
        {"type": "ineq", "fun": lambda z: z[2] + z[3] + z[4] - z[5] + 1},
    ]
    bounds = list(zip(space.lower, space.upper, strict=True))
    other = minimize(
        lambda z: ((z - x) ** 2).sum(),
        np.full(6, 1 / 3),
        jac=lambda z: 2 * (z - x),
        method="SLSQP",
        bounds=bounds,
        constraints=conditions,
        options={"ftol": 1e-14, "maxiter": 300},
    )
    assert np.linalg.norm(nearest - x) <= np.linalg.norm(other.x - x) + 1e-6


def test_projection_by_cvxpy_agrees_with_the_closed_form(rng):
    space = cp.Space.box(0, 1, 5).with_one_hot([1, 2], at_most_one=True).with_slab(np.ones(5), 0.5, 2.0)
    points = 2 * rng.normal(size=(6, 5))
    free = space.with_constraints(lambda x: [x[0] <= 10])
    np.testing.assert_allclose(Projection(space)(points), Projection(free)(points), atol=1e-5)


def test_roundings_keep_the_mean(rng):
    space = cp.Space.box(0, 3, 5).with_integer([0]).with_one_hot([1, 2, 3], at_most_one=True)
    x = np.array([1.3, 0.2, 0.5, 0.1, 0.77])
    first, *drawn = roundings(space, x[None], 4000, rng)
    np.testing.assert_array_equal(first[0], [1, 0, 1, 0, 0.77])
    assert space.contains(np.concatenate(drawn)).all()
    np.testing.assert_allclose(np.concatenate(drawn).mean(axis=0), x, atol=0.04)


def test_a_standstill_between_cycles_is_no_arrival():
    """Dykstra's method leaves this point unmoved for some cycles while its corrections still change."""
    space = cp.Space.box(-1, 2, 6).with_one_hot([0, 1, 2]).with_ball(np.full(6, 0.3), 1.4)
    projection = Projection(space.with_slab([0, 0, 1, 1, 1, -1], -1.0, 0.5))
    assert projection.inside(projection(np.array([[4.0, 4.0, 0.0, 4.0, 4.0, 4.0]])))
