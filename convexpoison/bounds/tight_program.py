"""The program of the tight bound: the least mass of points that reproduces a target exactly.

Minimise ``sum m_k`` subject to ``0 in G + sum m_k a(z_k)`` (:mod:`convexpoison.learners.subdifferential`). For a fixed
label and a fixed
score under the target the atoms ``a(z)`` form a convex set (a *slice*), so one point a slice is enough: its mass m and
``U = m x`` are the columns, and ``x in X`` becomes a condition on (U, m) without products. For the hinge all points with
margin at most 1 form one slice a label, and points without loss add regularisation alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from convexpoison._utils.types import FloatArray
from convexpoison.certificates.clean_gradient import need_proofs
from convexpoison.data.training_data import TrainingData
from convexpoison.geometry.support_function import Price, has_point_without_loss
from convexpoison.learners.dual_vector import DualVector
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.subdifferential import Subdifferential
from convexpoison.learners.victim import Victim
from convexpoison.problem import Problem
from convexpoison.solvers.linear_program import LinearProgram, homogeneous_rows
from convexpoison.spaces.space import Space

_NO_MASS = 1e-9
RELATIVE_GAP = 1e-6
"""Bound and mass that agree to this are the same."""


@dataclass(frozen=True, eq=False)
class Slice:
    """Points of one label (response) and, for smooth losses, one score under the target.

    ``score`` is ``target.coef @ x``; None for the hinge: all points whose margin is at most 1.
    """

    label: float
    score: float | None = None


@dataclass(frozen=True, eq=False)
class Mass:
    """A fractional attack: ``weight`` copies of ``point``; ``point`` is None for points without loss."""

    label: float
    point: FloatArray | None
    weight: float


@dataclass(frozen=True, eq=False)
class TightProgram:
    """The linear program of a problem with a target.

    Over a space with integer columns, one-hot groups or constraints of the user's own, the program is that of the larger,
    convex space without them (``relaxed``): its bound holds for the smaller one, its attack may not be possible there.
    """

    problem: Problem

    def __post_init__(self) -> None:
        need_proofs(self.victim.loss, "the least mass of an attack")

    @property
    def victim(self) -> Victim:
        """That of the problem."""
        return self.problem.victim

    @property
    def data(self) -> TrainingData:
        """The clean rows of the problem."""
        return self.problem.data

    @property
    def target(self) -> LinearModel:
        """That of the problem."""
        return self.problem.target

    @property
    def space(self) -> Space:
        """That of the problem."""
        return self.problem.space

    @property
    def subdifferential(self) -> Subdifferential:
        """The subdifferential of the clean objective at the target."""
        return self.problem.subdifferential

    @property
    def relaxed(self) -> bool:
        """Whether points of the fractional attack need not lie in the space."""
        return bool({"integer", "constraints"} & self.space.parts)

    def ratio(self, v: DualVector) -> tuple[float, Price]:
        """The bound that a direction proves (inf: no mass reproduces the target), and its dearest point."""
        found = self.prices(v)
        price = max(found, key=lambda price: price.value)
        upper = max(price.upper for price in found)
        return self.quotient(v, upper), replace(price, upper=upper)

    def prices(self, v: DualVector) -> list[Price]:
        """The dearest point of each label (:meth:`convexpoison.threats.Threat.support`)."""
        return self.problem.threat.support(self.problem, self._within(v))

    def quotient(self, v: DualVector, upper: float) -> float:
        """The bound that a direction proves with an upper bound on its price; inf if no mass reproduces the target."""
        resistance = self.subdifferential.dual_objective_bound(self._within(v))
        if not resistance > 0.0:
            return 0.0
        return resistance / upper if upper > 0.0 else np.inf

    def _within(self, v: DualVector) -> DualVector:
        """The part of a direction that counts: without an intercept the victim has no other."""
        return v if self.victim.intercept != "none" else DualVector(v.w, 0.0)

    # ---------------------------------------------------------------- the linear program

    @property
    def n_balance(self) -> int:
        """The leading rows of the program: one a feature, and one for an intercept."""
        return self.space.n_features + (self.victim.intercept != "none")

    @cached_property
    def unit(self) -> float:
        """A mass by whose size programs are scaled, so that a solver's tolerances fit."""
        extent = max(float(np.abs(self.subdifferential.g.w).max()), abs(self.subdifferential.g.b))
        return extent if extent > 0.0 else 1.0

    def program(self, slices: list[Slice]) -> LinearProgram:
        """Columns: U and mass of every slice, then (hinge) the mass without loss, then the boundary rows' shares."""
        d, k, n_boundary = self.space.n_features, len(slices), self.subdifferential.pull_b.size
        lossless = self._lossless()
        n_columns = k * (d + 1) + lossless + n_boundary
        A, row_lower, row_upper = homogeneous_rows(self.space)
        insides = [self._inside(s) for s in slices]
        blocks = sp.block_diag([sp.vstack([A, inside]) for inside, _, _ in insides], format="csr")
        blocks.resize(blocks.shape[0], n_columns)
        balance, side = self._balance(slices, lossless)
        cost = np.zeros(n_columns)
        cost[d : k * (d + 1) : d + 1] = 1.0
        cost[k * (d + 1) : k * (d + 1) + lossless] = 1.0
        low_x = np.append(np.where(self.space.lower >= 0, 0.0, -np.inf), 0.0)
        return LinearProgram(
            cost,
            lower=np.concatenate([np.tile(low_x, k), np.zeros(lossless + n_boundary)]),
            upper=np.concatenate([np.full(k * (d + 1) + lossless, np.inf), np.ones(n_boundary)]),
            A=sp.vstack([balance, blocks]),
            row_lower=np.concatenate([side, *(np.append(row_lower, low) for _, low, _ in insides)]),
            row_upper=np.concatenate([side, *(np.append(row_upper, high) for _, _, high in insides)]),
        )

    def _balance(self, slices: list[Slice], lossless: int) -> tuple[sp.csr_matrix, FloatArray]:
        """``sum a(z) + pull of the boundary rows = -g``."""
        d, clean = self.space.n_features, self.subdifferential
        penalty_w, penalty_b = self.victim.penalty_gradient(self.target)
        growth = self.victim.kappa * np.append(penalty_w, penalty_b)[: self.n_balance]
        parts = []
        for pull in map(self._pull, slices):
            ones = sp.csr_matrix(np.append(np.zeros(d), pull)[: self.n_balance, None])
            U = sp.vstack([pull * sp.identity(d), sp.csr_matrix((self.n_balance - d, d))])
            parts.append(sp.hstack([U, ones + sp.csr_matrix(growth[:, None])]))
        parts += [sp.csr_matrix(growth[:, None])] * lossless
        pulls = np.column_stack([clean.pull_w, clean.pull_b])[:, : self.n_balance]
        side = np.append(-clean.g.w, -clean.g.b)[: self.n_balance]
        return sp.hstack([*parts, sp.csr_matrix(pulls.T)], format="csr"), side

    def _pull(self, s: Slice) -> float:
        """``phi'(argument) * slope``: a(z) is this times (x, 1), plus kappa grad R."""
        loss = self.victim.loss
        if s.score is None:
            return -s.label
        argument = loss.argument(s.score + self.target.intercept, s.label)
        return float(loss.derivative(argument) * loss.slope(s.label))

    def _inside(self, s: Slice) -> tuple[sp.csr_matrix, float, float]:
        """The row that keeps ``(U, m)`` in the slice."""
        w, b = self.target.coef, self.target.intercept
        if s.score is None:
            return sp.csr_matrix(np.append(s.label * w, s.label * b - 1.0)), -np.inf, 0.0
        return sp.csr_matrix(np.append(w, -s.score)), 0.0, 0.0

    def _lossless(self) -> int:
        """1 if points without loss are worth a column of their own: they add regularisation, in the mean convention."""
        if self.victim.loss.smooth or self.victim.kappa == 0.0:
            return 0
        return int(has_point_without_loss(self.target, self.space))

    # ---------------------------------------------------------------- what a solution says

    def masses(self, slices: list[Slice], x: FloatArray) -> FloatArray:
        """The mass of every slice in a solution, shape (n_slices,)."""
        d = self.space.n_features
        return x[d : len(slices) * (d + 1) : d + 1]

    def read(self, slices: list[Slice], x: FloatArray) -> tuple[Mass, ...]:
        """The fractional attack in a solution."""
        d, out = self.space.n_features, []
        for i, s in enumerate(slices):
            block = x[i * (d + 1) : (i + 1) * (d + 1)]
            if block[d] > _NO_MASS:
                point = np.clip(block[:d] / block[d], self.space.lower, self.space.upper)
                out.append(Mass(s.label, point, float(block[d])))
        if self._lossless() and x[len(slices) * (d + 1)] > _NO_MASS:
            out.append(Mass(0.0, None, float(x[len(slices) * (d + 1)])))
        return tuple(out)

    def direction(self, duals: FloatArray) -> DualVector:
        """The direction that the balance rows' shadow prices point in."""
        d = self.space.n_features
        return DualVector(duals[:d].copy(), float(duals[d]) if self.victim.intercept != "none" else 0.0)


@dataclass(frozen=True, eq=False)
class TightBound:
    """What linear programming found.

    Attributes
    ----------
    value : float
        Certified lower bound on the mass, evaluated from ``direction`` by the library; ``inf`` if no mass reproduces the
        target.
    mass : float
        Mass of the fractional attack found (``inf`` if none): the bound cannot be better than this.
    direction : DualVector or None
        What proves the bound; None for the trivial bound 0.
    attack : tuple of Mass
    rounds : int
        Linear programs solved.
    seconds : float
    """

    value: float
    mass: float
    direction: DualVector | None
    attack: tuple[Mass, ...] = ()
    rounds: int = 0
    seconds: float = 0.0

    @property
    def closed(self) -> bool:
        """Whether nothing is left to improve: bound and mass agree, or no mass reproduces the target."""
        if np.isinf(self.value):
            return True
        return bool(self.mass - self.value <= RELATIVE_GAP * max(1.0, self.value))
