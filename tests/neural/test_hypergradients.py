"""Hypergradients against closed forms, finite differences and each other."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'neural')")

import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

from convexpoison.neural.poisoning.goals import SoftRadius  # noqa: E402
from convexpoison.neural.poisoning.hypergradients import LowerDerivatives, approx_grad, loss_of, reverse_mode  # noqa: E402
from convexpoison.neural.training.objectives import Batch, GaussianAugmentation, Macer, SmoothAdv, Standard  # noqa: E402

N, D, RIDGE = 9, 4, 0.3


@pytest.fixture
def problem():
    """Logistic regression with a ridge on poison u; the upper loss is on other rows and depends on u a little itself."""
    generator = torch.Generator().manual_seed(0)
    u, X = (torch.randn(N, D, generator=generator, dtype=torch.float64) for _ in range(2))
    y = torch.tensor([1.0, -1.0] * 5, dtype=torch.float64)[:N]

    def lower(v, u):
        weight, bias = v
        return F.softplus(-y * (u @ weight + bias)).mean() + RIDGE / 2 * ((weight**2).sum() + bias**2)

    def upper(v, u):
        weight, bias = v
        return F.softplus(y * (X @ weight + bias)).mean() + 0.1 * (u**2).mean()

    def solve(u):
        """Newton to the end, with derivatives in closed form."""
        v, design = torch.zeros(D + 1, dtype=torch.float64), torch.cat([u, torch.ones(N, 1, dtype=torch.float64)], 1)
        for _ in range(30):
            s = torch.sigmoid(-y * (design @ v))
            slope = -(design.T @ (y * s)) / N + RIDGE * v
            curvature = (design.T * (s * (1 - s))) @ design / N + RIDGE * torch.eye(D + 1, dtype=torch.float64)
            v = v - torch.linalg.solve(curvature, slope)
        return v[:D], v[D]

    return upper, lower, solve, u


def error(found, expected) -> float:
    return float((found - expected).norm() / expected.norm())


def finite_differences(function, u, h=1e-5):
    slope = torch.zeros_like(u)
    for k in range(u.numel()):
        step = torch.zeros_like(u)
        step.view(-1)[k] = h
        slope.view(-1)[k] = (function(u + step) - function(u - step)) / (2 * h)
    return slope


def test_the_written_out_hessian_gives_finite_differences_of_the_retrained_outcome(problem):
    upper, lower, solve, u = problem
    found = approx_grad(upper, lower, solve(u), u, solver="exact")
    expected = finite_differences(lambda moved: float(upper(solve(moved), moved)), u)
    assert error(found.gradient, expected) < 1e-7
    assert found.value == pytest.approx(float(upper(solve(u), u)), rel=1e-12)


@pytest.mark.parametrize(("solver", "steps", "rate"), [("cg", 12, 1.0), ("neumann", 300, 1.0), ("adam", 1200, 0.02)])
def test_iterations_reach_the_exact_implicit_gradient(problem, solver, steps, rate):
    upper, lower, solve, u = problem
    exact = approx_grad(upper, lower, solve(u), u, solver="exact")
    found = approx_grad(upper, lower, solve(u), u, solver=solver, steps=steps, learning_rate=rate)
    assert error(found.gradient, exact.gradient) < 1e-4
    assert found.residual < 1e-4


def test_reverse_mode_reaches_it_too_and_ends_at_the_minimum(problem):
    upper, lower, solve, u = problem
    start = (torch.zeros(D, dtype=torch.float64), torch.zeros((), dtype=torch.float64))
    found, after = reverse_mode(upper, [lower] * 200, start, u, 0.8)
    exact = approx_grad(upper, lower, solve(u), u, solver="exact")
    assert error(found.gradient, exact.gradient) < 1e-4
    torch.testing.assert_close(after, solve(u), rtol=1e-8, atol=1e-8)


def test_reverse_mode_of_few_steps_is_the_derivative_of_those_steps(problem):
    """Far from the minimum, where the implicit gradient would be something else."""
    upper, lower, solve, u = problem
    start = (torch.ones(D, dtype=torch.float64), torch.zeros((), dtype=torch.float64))

    def outcome(moved):
        v = tuple(p.clone().requires_grad_() for p in start)
        for _ in range(3):
            slopes = torch.autograd.grad(lower(v, moved), v)
            v = tuple((p - 0.5 * s).detach().requires_grad_() for p, s in zip(v, slopes, strict=True))
        return float(upper(v, moved).detach())

    found, _ = reverse_mode(upper, [lower] * 3, start, u, 0.5)
    assert error(found.gradient, finite_differences(outcome, u)) < 1e-7
    exact = approx_grad(upper, lower, solve(u), u, solver="exact")
    assert error(found.gradient, exact.gradient) > 1e-2


@pytest.mark.parametrize("solver", ["cg", "neumann", "adam"])
def test_a_solver_goes_on_from_its_last_solution(problem, solver):
    upper, lower, solve, u = problem
    first = approx_grad(upper, lower, solve(u), u, solver=solver, steps=2, learning_rate=0.05)
    again = approx_grad(upper, lower, solve(u), u, solver=solver, steps=2, learning_rate=0.05, state=first.state)
    assert again.residual < first.residual
    if solver != "cg":  # conjugate directions begin anew; the others are one unbroken iteration
        whole = approx_grad(upper, lower, solve(u), u, solver=solver, steps=4, learning_rate=0.05)
        torch.testing.assert_close(again.gradient, whole.gradient)


def test_conjugate_gradients_stop_at_negative_curvature():
    """A saddle: the direction is taken only as far as the residual shrinks."""
    u = torch.ones(2, dtype=torch.float64)
    v = (torch.zeros(2, dtype=torch.float64),)
    found = approx_grad(
        lambda v, u: v[0].sum(), lambda v, u: (v[0] ** 2) @ torch.tensor([1.0, -3.0], dtype=torch.float64) + v[0] @ u,
        v, u, solver="cg", steps=5,
    )  # fmt: skip
    assert torch.isfinite(found.gradient).all() and found.residual < 1.0


def test_a_series_that_diverges_says_so(problem):
    upper, lower, solve, u = problem
    with pytest.raises(ValueError, match="smaller learning_rate"):
        approx_grad(upper, lower, solve(u), u, solver="neumann", steps=300, learning_rate=100.0)


def test_wrong_questions_are_refused(problem):
    upper, lower, solve, u = problem
    with pytest.raises(ValueError, match="unknown solver 'lbfgs'"):
        approx_grad(upper, lower, solve(u), u, solver="lbfgs")
    with pytest.raises(ValueError, match="damping >= 0"):
        approx_grad(upper, lower, solve(u), u, damping=-1.0)
    large = (torch.zeros(6000),)
    with pytest.raises(ValueError, match="too large"):
        approx_grad(lambda v, u: v[0].sum(), lambda v, u: (v[0] ** 2).sum() * u.sum(), large, u.float(), solver="exact")


# -------------------------------------------------------------------- networks and objectives


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(9, 6), nn.Softplus(), nn.Linear(6, 3)).double()


def make_batch(images):
    y = torch.tensor([0, 1, 2, 0])
    return Batch(images, y, torch.arange(4), 20, torch.Generator().manual_seed(1))


OBJECTIVES = [Standard(), GaussianAugmentation(0.3, k=2), Macer(0.3, k=3, beta=2.0), SmoothAdv(0.3, eps=0.2)]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)
def test_second_derivatives_of_every_objective(objective):
    """Products with the Hessian and the mixed Jacobian against differences of the gradient.

    SmoothAdv's offset is a constant in both, as PACD has it (Section 3.2): the attack found is held fixed.
    """
    net, images = network(), torch.rand((4, 1, 3, 3), generator=torch.Generator().manual_seed(2)).double()
    if isinstance(objective, SmoothAdv):
        seen, noise = make_batch(images), make_batch(images).noise(1, 0.3)
        offset, objective = objective.attack(net, seen, noise) - images, GaussianAugmentation(0.3)
        loss = loss_of(net, SmoothAdv(0.3, eps=0.2), make_batch)
        plain = loss_of(net, objective, lambda u: make_batch(u + offset))
    else:
        loss = plain = loss_of(net, objective, make_batch)
    v = tuple(p.detach().clone() for p in net.parameters())
    second = LowerDerivatives(loss, v, images)
    generator = torch.Generator().manual_seed(3)
    q, w = (
        torch.randn(len(second.gradient), generator=generator).double(),
        torch.randn(images.shape, generator=generator),
    )
    w, h = w.double(), 1e-5

    def slope(scale_v, scale_u):
        parts = torch.split(scale_v * q, [p.numel() for p in v])
        moved = tuple((p + d.view_as(p)).requires_grad_() for p, d in zip(v, parts, strict=True))
        slopes = torch.autograd.grad(plain(moved, images + scale_u * w), moved)
        return torch.cat([s.reshape(-1) for s in slopes])

    torch.testing.assert_close(second.gradient, slope(0.0, 0.0), rtol=1e-9, atol=1e-12)
    hessian = (slope(h, 0.0) - slope(-h, 0.0)) / (2 * h)
    assert error(second.hessian_product(q), hessian) < 1e-5
    mixed = q @ (slope(0.0, h) - slope(0.0, -h)) / (2 * h)
    assert float((second.both_products(q)[1] * w).sum()) == pytest.approx(float(mixed), rel=1e-5)
    assert float(mixed) != 0.0


def test_the_network_that_was_lent_is_as_it_was():
    net, images = network().train(), torch.rand((4, 1, 3, 3)).double()
    before = [p.detach().clone() for p in net.parameters()]
    upper = loss_of(net, SoftRadius(0.3, k=4, alpha=2.0), make_batch)
    v = tuple(p.detach() + 0.1 for p in net.parameters())
    found = approx_grad(upper, loss_of(net, Standard(), make_batch), v, images, solver="cg", damping=1.0)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert net.training and all(p.grad is None for p in net.parameters())
    assert found.gradient.shape == images.shape
