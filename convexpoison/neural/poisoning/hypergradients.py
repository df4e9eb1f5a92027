"""How the outcome of training moves with the images trained on: hypergradients of bilevel problems.

``min_u upper(v(u), u)`` where ``v(u)`` minimises ``lower(v, u)``. Both are functions of (parameters, poison images) that
answer a scalar; :func:`loss_of` makes one of any objective and network. The gradient of the outcome is
``d_u upper - d_uv lower (d_vv lower)^-1 d_v upper`` (PACD, Appendix B): one linear system with the Hessian, which is met only
through products with vectors.
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
"""What a solver hands on to the next call: ``q``, and what Adam remembers."""

_EXACT_LIMIT = 5_000
"""Parameters up to which the Hessian is written out: 200 MB in double precision."""
_TINY = 1e-30


@dataclass(frozen=True, eq=False)
class Hypergradient:
    """A derivative of the outcome of training.

    Attributes
    ----------
    value : float
        The upper objective.
    gradient : Tensor
        Shape of the poison images.
    state : dict of tensors
        To be passed on where the next problem is near this one; ``q`` of shape (n_parameters,) solves the linear system.
    residual : float
        ``||A q - g|| / ||g||`` of that system; 0 for reverse mode, which has none.
    """

    value: float
    gradient: Tensor
    state: State
    residual: float


class LowerDerivatives:
    """Products with the second derivatives of ``lower`` at a point.

    The graph of its gradient is built once, so that all products see the same noise, and lives as long as this object.

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
        """``d_vv lower q``, of shape (n_parameters,)."""
        return _flat(_grad(self._slope, self.parameters, q))

    def both_products(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """``d_vv lower q`` and ``d_uv lower q``, the latter of the shape of the poison, in one pass through the graph."""
        mixed, *own = _grad(self._slope, (self.poison, *self.parameters), q)
        return _flat(own), mixed


def approx_grad(
    upper: Loss, lower: Loss, parameters: Parameters, poison: Tensor, *,
    solver: str = "adam", steps: int = 10, learning_rate: float = 0.01, damping: float = 0.0, tolerance: float = 1e-10,
    state: State | None = None,
) -> Hypergradient:  # fmt: skip
    """The hypergradient by the implicit function theorem, at parameters that (nearly) minimise ``lower``.

    Parameters
    ----------
    upper, lower : callable (parameters, poison) to scalar
    parameters : tuple of Tensor
    poison : Tensor
    solver : {"adam", "cg", "neumann", "exact"}
        Of ``(H + damping) q = g``. Adam on ``||(H + damping) q - g||^2`` (PACD); conjugate gradients, which stop where the
        curvature is not positive; the Neumann series; or the Hessian written out, for small models.
    steps : int
        Iterations (T2 of PACD); a product with the Hessian each, two for Adam.
    learning_rate : float
        Of Adam; for the series its factor, which must be below 2 over the largest eigenvalue.
    damping : float
        Added to the Hessian's diagonal.
    tolerance : float
        Conjugate gradients end at this relative residual.
    state : dict, optional
        Of an earlier :class:`Hypergradient`, to go on from.

    Raises
    ------
    ValueError
        An unknown solver, too large a model for "exact", or a series that diverges.

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
    if not g.any():  # as where every image is misclassified: nothing to be solved
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
            f"the linear system was not solved by {solver!r}: the iterations diverged. Use a smaller learning_rate than "
            f"{learning_rate:g}, or more damping than {damping:g}"
        )
    return Hypergradient(value, own - mixed, found, residual)


def reverse_mode(
    upper: Loss, lowers: Sequence[Loss], parameters: Parameters, poison: Tensor, learning_rate: float
) -> tuple[Hypergradient, Parameters]:
    """The derivative of ``upper`` after some steps of gradient descent, by differentiating through all of them.

    Parameters
    ----------
    upper : callable
    lowers : sequence of callables
        The objective of each step; T of them keep T graphs in memory.
    parameters : tuple of Tensor
        Where the descent begins.
    poison : Tensor
    learning_rate : float

    Returns
    -------
    Hypergradient, tuple of Tensor
        And the parameters after the last step.

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
    """An objective as a function of (parameters, poison images).

    Parameters
    ----------
    network : Module
        Its own parameters are left as they are; buffers (batch statistics) move as in training.
    objective : Objective
    make_batch : callable
        From the poison images to the batch; called at every evaluation.
    memory : dict, optional
    """
    names = [f"network.{name}" for name, _ in network.named_parameters()]
    asked = _Asked(network)

    def loss(parameters: Parameters, poison: Tensor) -> Tensor:
        arguments = (objective, make_batch(poison), {} if memory is None else memory)
        value: Tensor = functional_call(asked, dict(zip(names, parameters, strict=True)), arguments)
        return value

    return loss


class _Asked(nn.Module):
    """A network inside a module whose output is the objective, since other parameters can be lent to a module only."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, objective: Objective, batch: Batch, memory: Memory) -> Tensor:
        return objective.loss(self.network, batch, memory)


# -------------------------------------------------------------------- the linear system


def _adam(product: Product, g: Tensor, state: State, steps: int, rate: float, _: float) -> State:
    """Least squares by Adam; its moments go on from the last call."""
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
    """From the last solution. A direction without positive curvature is taken as far as the residual shrinks, and ends it.

    Training ends at no minimum, and curvature near 0 makes steps that are far too long: of all iterates the one with the
    least residual is returned.
    """
    q = state["q"] if "q" in state else torch.zeros_like(g)
    r = g - product(q) if "q" in state else g
    if r @ r > g @ g:
        q, r = torch.zeros_like(g), g  # a solution of another problem, worse than none
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
    """``rate sum_j (I - rate A)^j g``, or the same iteration from the last solution."""
    q = state["q"] if "q" in state else rate * g
    for _step in range(steps):
        q = q + rate * (g - product(q))
    return {"q": q}


def _exact(product: Product, g: Tensor) -> Tensor:
    if len(g) > _EXACT_LIMIT:
        raise ValueError(
            f"the Hessian of {len(g):,} parameters is too large to be written out (limit {_EXACT_LIMIT:,}); choose 'cg', "
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
    """Value, derivative in the poison, derivative in the parameters."""
    v, u = _leaves(parameters), poison.detach().clone().requires_grad_()
    with torch.enable_grad():
        value = upper(v, u)
        own, *slopes = _grad(value, (u, *v))
    return float(value.detach()), own.detach(), _flat(slopes).detach()


def _grad(
    value: Tensor, inputs: Sequence[Tensor], weights: Tensor | None = None, create_graph: bool = False
) -> tuple[Tensor, ...]:
    """Derivatives, 0 where there is no dependence; the graph stays for another product."""
    if not value.requires_grad:
        return tuple(torch.zeros_like(x) for x in inputs)
    return torch.autograd.grad(
        value, inputs, weights, retain_graph=True, create_graph=create_graph, allow_unused=True, materialize_grads=True
    )


def _leaves(parameters: Parameters) -> Parameters:
    return tuple(p.detach().clone().requires_grad_() for p in parameters)


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([t.reshape(-1) for t in tensors])
