"""Reverse-mode differentiation through T steps of gradient descent (RMD, Algorithm 1)."""

from __future__ import annotations

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.learners.implicit.problem import Hypergradient, InnerProblem, OuterLoss, State


def reverse_mode(
    problem: InnerProblem,
    outer: OuterLoss,
    lam: FloatArray,
    *,
    steps: int,
    rate: float,
    theta: FloatArray | None = None,
) -> Hypergradient:
    """Train by gradient descent, then go back through the steps for the derivatives of the outer loss.

    Descent is on ``F / n``, the inner objective divided by the number of rows, which is what makes the paper's learning
    rates fit its regulariser (:mod:`convexpoison.learners.implicit.tuning`).

    Parameters
    ----------
    problem : InnerProblem
    outer : OuterLoss
    lam : array of shape (n_hyperparameters,)
    steps : int
        ``T``.
    rate : float
        ``eta``.
    theta : array of shape (n_parameters,), optional
        ``w(0)``; zero where not given.

    Returns
    -------
    Hypergradient
        At the last parameters, ``w(T)``.

    Raises
    ------
    ValueError
        If steps or rate are not positive, or the descent diverges: the message says which rate is small enough.
    """
    if steps < 1 or steps != int(steps):
        raise ValueError(f"steps must be a positive whole number; got {steps}")
    if not (np.isfinite(rate) and rate > 0):
        raise ValueError(f"rate must be positive and finite; got {rate}")
    eta = rate / problem.n_rows
    theta = np.zeros(problem.rows.n_parameters) if theta is None else np.array(theta, dtype=np.float64)
    states = _descend(problem, lam, theta, int(steps), eta, rate)
    last = states.pop()
    value, v = outer.derivatives(last.theta)
    vs, moved = [], []
    for state in reversed(states):
        vs.append(v)
        moved.append(problem.rows.dot(v))
        v = v - eta * problem.hessian_product(state, v, moved[-1])
    points, hyper = problem.mixed_products_along(states[::-1], vs, moved)
    return Hypergradient(value, -eta * points, -eta * hyper, last.theta)


def largest_rate(problem: InnerProblem, lam: FloatArray, iterations: int = 50) -> float:
    """About the largest learning rate at which descent on ``F / n`` cannot diverge: ``2 n`` over the largest curvature.

    The largest curvature is that of the Hessian at margins of greatest curvature, by power iteration (which comes from
    below; the value is meant for messages and for choosing a rate well under it).
    """
    theta = np.zeros(problem.rows.n_parameters)
    state = problem.at(theta, lam)
    weight = problem.tuning.weight(lam)
    bend = float(problem.loss.curvature(np.linspace(-1.0, 2.0, 301)).max())
    v = np.random.default_rng(0).standard_normal(theta.size)
    size = 1.0
    for _ in range(iterations):
        v = v / np.linalg.norm(v)
        v = problem.rows.transposed_dot(weight * bend * problem.rows.dot(v)) + state.ridge * v
        size = float(np.linalg.norm(v))
    return 2.0 * problem.n_rows / size


def _descend(
    problem: InnerProblem, lam: FloatArray, theta: FloatArray, steps: int, eta: float, rate: float
) -> list[State]:
    """The states ``w(0)`` to ``w(T)``."""
    states = []
    with np.errstate(over="ignore", invalid="ignore"):  # divergence is seen to below
        for _ in range(steps):
            states.append(problem.at(theta, lam))
            theta = theta - eta * states[-1].gradient
            if not np.isfinite(theta).all():
                break
        states.append(problem.at(theta, lam))
    first, last = states[0].value, states[-1].value
    if not last <= first * (1.0 + 1e-9):
        raise ValueError(
            f"gradient descent with rate={rate:g} diverges on the inner problem (objective {first:.3g} before, {last:.3g} "
            f"after {len(states) - 1} steps, lambda up to {float(np.max(lam)):.3g}); a rate below "
            f"{0.9 * largest_rate(problem, lam):.2g} is small enough, and the implicit hypergradient needs none"
        )
    return states
