"""Hypergradients of bilevel problems: derivatives of a training outcome with respect to the training images.

The problem is ``min_u upper(v(u), u)``, where ``v(u)`` minimises ``lower(v, u)``. Both are scalar functions of (parameters,
poison images); :func:`loss_of` builds one from an objective and a network. The hypergradient is
``d_u upper - d_uv lower (d_vv lower)^-1 d_v upper`` (PACD, Appendix B). It requires one linear system with the Hessian, which
is accessed through Hessian-vector products only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from convexpoison.neural.training.objectives import Batch, Memory, Objective

Parameters = tuple[Tensor, ...]
Loss = Callable[[Parameters, Tensor], Tensor]
Product = Callable[[Tensor], Tensor]
State = dict[str, Tensor]
"""Warm start of a solver: ``q``, and the state of Adam."""

_EXACT_LIMIT = 5_000
"""Maximal number of parameters for a dense Hessian: 200 MB in double precision."""
_TINY = 1e-30


@dataclass(frozen=True, eq=False)
class Hypergradient:
    """A hypergradient, with the solution of its linear system.

    Attributes
    ----------
    value : float
        The upper objective.
    gradient : Tensor
        Shape of the poison images.
    state : dict of tensors
        Warm start for a similar problem; ``q`` of shape (n_parameters,) solves the linear system.
    residual : float
        ``||A q - g|| / ||g||`` of that system; 0 for reverse mode, which solves none.
    """

    value: float
    gradient: Tensor
    state: State
    residual: float


class LowerDerivatives:
    """Products with the second derivatives of ``lower`` at a point.

    The graph of the gradient is built once, so that all products use the same noise, and is kept as long as the object.

    Parameters
    ----------
    lower : callable (parameters, poison) to scalar
    parameters : tuple of Tensor
    poison : Tensor
    """

    def __init__(self, lower: Loss, parameters: Parameters, poison: Tensor) -> None:
        self.parameters, self.poison = _leaves(parameters), poison.detach().clone().requires_grad_()
        with torch.enable_grad():
            value = lower(self.parameters, self.poison)
            self._slope = _flat(_grad(value, self.parameters, create_graph=True))
        self.gradient = self._slope.detach()

    def hessian_product(self, q: Tensor) -> Tensor:
        """Return ``d_vv lower q``, of shape (n_parameters,)."""
        return _flat(_grad(self._slope, self.parameters, q))

    def both_products(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Compute ``d_vv lower q`` and ``d_uv lower q`` (of the shape of the poison) in one pass through the graph."""
        mixed, *own = _grad(self._slope, (self.poison, *self.parameters), q)
        return _flat(own), mixed


def approx_grad(
    upper: Loss, lower: Loss, parameters: Parameters, poison: Tensor, *,
    solver: str = "adam", steps: int = 10, learning_rate: float = 0.01, damping: float = 0.0, tolerance: float = 1e-10,
    state: State | None = None,
) -> Hypergradient:  # fmt: skip
    """Compute the hypergradient by the implicit function theorem, at parameters that (nearly) minimise ``lower``.

    Parameters
    ----------
    upper, lower : callable (parameters, poison) to scalar
    parameters : tuple of Tensor
    poison : Tensor
    solver : {"adam", "cg", "neumann", "exact"}
        Solver of ``(H + damping) q = g``: Adam on ``||(H + damping) q - g||^2`` (PACD); conjugate gradients, which stop at a
        direction of non-positive curvature; the Neumann series; or a dense Hessian, for small models.
    steps : int
        Iterations (T2 in PACD), of one Hessian-vector product each (Adam: two).
    learning_rate : float
        Learning rate of Adam; for the Neumann series its factor, which must be below 2 over the largest eigenvalue.
    damping : float
        Added to the Hessian's diagonal.
    tolerance : float
        Relative residual at which conjugate gradients stop.
    state : dict, optional
        State of an earlier :class:`Hypergradient`, as warm start.

    Raises
    ------
    ValueError
        If the solver is unknown, the model is too large for "exact", or the iterations diverge.

    References
    ----------
    PACD, Algorithm 2 (ApproxGrad); Pedregosa (2016); Lorraine et al. (2020) for the series.
    """
    if solver not in (*_SOLVERS, "exact"):
        raise ValueError(f"unknown solver {solver!r}; choose one of {[*_SOLVERS, 'exact']}")
    if steps < 1 or not learning_rate > 0 or damping < 0:
        raise ValueError(
            f"steps >= 1, learning_rate > 0 and damping >= 0 are needed; got {steps}, {learning_rate} and {damping}"
        )
    value, own, g = _upper_derivatives(upper, parameters, poison)
    if not g.any():  # for example, if all images are misclassified: the solution is 0
        return Hypergradient(value, own, state or {}, 0.0)
    second = LowerDerivatives(lower, parameters, poison)

    def product(q: Tensor) -> Tensor:
        return second.hessian_product(q) + damping * q

    if solver == "exact":
        found = {"q": _exact(product, g)}
    else:
        found = _SOLVERS[solver](product, g, state or {}, steps, learning_rate, tolerance)
    q = found["q"]
    image, mixed = second.both_products(q)
    residual = float((image + damping * q - g).norm() / g.norm().clamp_min(_TINY))
    if not torch.isfinite(q).all():
        raise ValueError(
            f"the iterations of {solver!r} for the linear system diverged. Use a smaller learning_rate than "
            f"{learning_rate:g}, or more damping than {damping:g}"
        )
    return Hypergradient(value, own - mixed, found, residual)


def reverse_mode(
    upper: Loss, lowers: Sequence[Loss], parameters: Parameters, poison: Tensor, learning_rate: float
) -> tuple[Hypergradient, Parameters]:
    """Compute the hypergradient by differentiating through all steps of gradient descent on ``lowers``.

    Parameters
    ----------
    upper : callable
    lowers : sequence of callables
        The objective of each step. The graphs of all steps are kept in memory.
    parameters : tuple of Tensor
        Initial parameters of the descent.
    poison : Tensor
    learning_rate : float

    Returns
    -------
    Hypergradient, tuple of Tensor
        The hypergradient, and the parameters after the last step.

    References
    ----------
    Domke (2012); Maclaurin et al. (2015); PACD, Appendix B.
    """
    v, u = _leaves(parameters), poison.detach().clone().requires_grad_()
    with torch.enable_grad():
        for lower in lowers:
            slopes = _grad(lower(v, u), v, create_graph=True)
            v = tuple(p - learning_rate * s for p, s in zip(v, slopes, strict=True))
        value = upper(v, u)
        gradient = _grad(value, (u,))[0]
    found = Hypergradient(float(value.detach()), gradient.detach(), {}, 0.0)
    return found, tuple(p.detach() for p in v)


def loss_of(
    network: nn.Module, objective: Objective, make_batch: Callable[[Tensor], Batch], memory: Memory | None = None
) -> Loss:
    """Build the function of (parameters, poison images) that evaluates an objective.

    Parameters
    ----------
    network : Module
        Its parameters are not changed; its buffers (batch statistics) are updated as in training.
    objective : Objective
    make_batch : callable
        Map from poison images to a batch, called at every evaluation.
    memory : dict, optional
    """
    names = [f"network.{name}" for name, _ in network.named_parameters()]
    wrapped = _ObjectiveModule(network)

    def loss(parameters: Parameters, poison: Tensor) -> Tensor:
        arguments = (objective, make_batch(poison), {} if memory is None else memory)
        value: Tensor = functional_call(wrapped, dict(zip(names, parameters, strict=True)), arguments)
        return value

    return loss


class _ObjectiveModule(nn.Module):
    """A module whose output is the objective: ``functional_call`` replaces the parameters of modules only."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, objective: Objective, batch: Batch, memory: Memory) -> Tensor:
        return objective.loss(self.network, batch, memory)


# -------------------------------------------------------------------- the linear system


def _adam(product: Product, g: Tensor, state: State, steps: int, rate: float, _: float) -> State:
    """Minimise the squared residual by Adam, with the moments of the last call."""
    q = state["q"].clone() if "q" in state else torch.zeros_like(g)
    optimizer = torch.optim.Adam([q], lr=rate)
    kept = {name: value.clone() for name, value in state.items() if name != "q"}
    if kept:
        optimizer.state[q] = kept
    for _step in range(steps):
        q.grad = 2.0 * product(product(q) - g)
        optimizer.step()
    return {"q": q.detach(), **optimizer.state[q]}


def _conjugate_gradients(product: Product, g: Tensor, state: State, steps: int, _: float, tolerance: float) -> State:
    """Run conjugate gradients from the last solution.

    A direction of non-positive curvature is followed to its minimal residual, and is the last one. Training does not end at a
    minimum, and curvature near 0 makes steps too long: the iterate with the least residual is returned.
    """
    q = state["q"] if "q" in state else torch.zeros_like(g)
    r = g - product(q) if "q" in state else g
    if r @ r > g @ g:
        q, r = torch.zeros_like(g), g  # the last solution is a worse start than 0
    direction, square = r, r @ r
    best, least = q, square
    for _step in range(steps):
        if square <= (tolerance * g.norm()) ** 2:
            break
        image = product(direction)
        curvature = direction @ image
        saddle = bool(curvature <= 0)
        step = (r @ image) / (image @ image).clamp_min(_TINY) if saddle else square / curvature
        q, r = q + step * direction, r - step * image
        before, square = square, r @ r
        if square < least:
            best, least = q, square
        if saddle:
            break
        direction = r + square / before * direction
    return {"q": best}


def _neumann(product: Product, g: Tensor, state: State, steps: int, rate: float, _: float) -> State:
    """Compute ``rate sum_j (I - rate A)^j g``, or continue the iteration from the last solution."""
    q = state["q"] if "q" in state else rate * g
    for _step in range(steps):
        q = q + rate * (g - product(q))
    return {"q": q}


def _exact(product: Product, g: Tensor) -> Tensor:
    if len(g) > _EXACT_LIMIT:
        raise ValueError(
            f"the Hessian of {len(g):,} parameters is too large for a dense matrix (limit {_EXACT_LIMIT:,}); choose 'cg', "
            "'adam' or 'neumann'"
        )
    matrix = torch.stack([product(row) for row in torch.eye(len(g), dtype=g.dtype, device=g.device)])
    solution: Tensor = torch.linalg.solve(matrix, g)
    return solution


_SOLVERS: dict[str, Callable[[Product, Tensor, State, int, float, float], State]] = {
    "adam": _adam,
    "cg": _conjugate_gradients,
    "neumann": _neumann,
}

# -------------------------------------------------------------------- derivatives


def _upper_derivatives(upper: Loss, parameters: Parameters, poison: Tensor) -> tuple[float, Tensor, Tensor]:
    """Return the value and its gradients with respect to the poison and to the parameters."""
    v, u = _leaves(parameters), poison.detach().clone().requires_grad_()
    with torch.enable_grad():
        value = upper(v, u)
        own, *slopes = _grad(value, (u, *v))
    return float(value.detach()), own.detach(), _flat(slopes).detach()


def _grad(
    value: Tensor, inputs: Sequence[Tensor], weights: Tensor | None = None, create_graph: bool = False
) -> tuple[Tensor, ...]:
    """Return gradients, 0 for independent inputs; the graph is retained for further products."""
    if not value.requires_grad:
        return tuple(torch.zeros_like(x) for x in inputs)
    return torch.autograd.grad(
        value, inputs, weights, retain_graph=True, create_graph=create_graph, allow_unused=True, materialize_grads=True
    )


def _leaves(parameters: Parameters) -> Parameters:
    return tuple(p.detach().clone().requires_grad_() for p in parameters)


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([t.reshape(-1) for t in tensors])
