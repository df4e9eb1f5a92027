"""Certificates: a lower bound together with what proves it, checked without a solver.

A certificate is a direction v. For any direction (:mod:`convexpoison.learners.subdifferential`)

    n >= [min over g in G of -<g, v>] / h(v),

and both parts are evaluated in interval arithmetic: the first from the data
(:mod:`convexpoison.certificates.clean_gradient`), the second
from the space (:mod:`convexpoison.threats.support_bound`). If the first is positive and ``h(v)`` is not, no number of points
reproduces the target. One kind of certificate is enough: by
convexity MTP's Theorem 2 at any model theta proves no more than ``v = theta - theta_p``. Its numerator is at most
``-<g, v>`` for every g in G, since ``F(theta) >= F(theta_p) + <g, v>``, and its denominator at least ``h(v)``.

What a certificate says is about **its** victim, target and space; they are stored in it, for the reader to compare with
what was asked. The data are not: they are brought to the check.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from convexpoison._utils.files import Arrays
from convexpoison.certificates.base import LEFT_OUT, Certificate, claimed, model_arrays, model_of
from convexpoison.certificates.clean_gradient import dual_objective, normalized
from convexpoison.data.training_data import Classes, TrainingData
from convexpoison.learners.dual_vector import DualVector
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Victim
from convexpoison.problem import Problem
from convexpoison.spaces.space import Space


@dataclass(frozen=True, eq=False)
class TargetCertificate(Certificate):
    """No attack in ``space`` makes ``victim`` return ``target`` with fewer than ``value`` added points.

    Attributes
    ----------
    victim : Victim
    target : LinearModel
    space : Space
    direction : DualVector
        What proves it.
    value : float
        What is claimed; ``inf`` if no number of points reproduces the target.
    note : str

    Raises
    ------
    ValueError
        If sizes do not match or numbers are not finite.
    """

    victim: Victim
    target: LinearModel
    space: Space
    direction: DualVector
    value: float
    note: str = ""
    kind: ClassVar[str] = "certificate"

    def __post_init__(self) -> None:
        sizes = {self.target.n_features, self.space.n_features, self.direction.w.size}
        if len(sizes) > 1 or self.direction.w.ndim != 1:
            raise ValueError(
                f"target, space and direction have {self.target.n_features}, {self.space.n_features} and "
                f"{self.direction.w.size} features; all three must agree"
            )
        if not (np.isfinite(self.direction.w).all() and math.isfinite(self.direction.b)):
            raise ValueError("the direction holds NaN or infinity")
        self._check_value()
        if self.victim.intercept == "none" and (self.direction.b != 0.0 or self.target.intercept != 0.0):
            raise ValueError("the victim has no intercept, but the direction or the target has one")
        if not self.victim.loss.classification and self.space.response is None:
            raise ValueError("a regression loss needs the range of the response: space.with_response(lower, upper)")

    @property
    def _classes(self) -> Classes | None:
        return self.target.classes

    @property
    def _purpose(self) -> str:
        return "to reproduce the target"

    @property
    def _subject(self) -> str:
        length = float(np.linalg.norm(self.target.coef))
        return (
            f"target: {self.target.n_features} coefficients of length {length:.6g}, "
            f"intercept {self.target.intercept:.6g}"
        )

    def _proven(self, rows: TrainingData) -> float:
        return _proof(self, rows)[0]

    def _arrays(self) -> Arrays:
        return model_arrays(self.target, self.direction)

    @classmethod
    def _fields(cls, arrays: Arrays, words: dict[str, Any]) -> dict[str, Any]:
        target, direction = model_of(arrays, words)
        return {"target": target, "direction": direction}


def certify(
    victim: Victim,
    target: LinearModel,
    space: Space,
    direction: DualVector,
    data: Any,
    sample_weight: ArrayLike | None = None,
) -> TargetCertificate:
    """The certificate that a direction makes; its value is what the check proves (:func:`claimed`), 0 if it proves nothing.

    Parameters
    ----------
    victim : Victim
    target : LinearModel
    space : Space
        Where poison may lie.
    direction : DualVector
        Any will do; the dual of the linear program of the tight bound is the best. Its intercept is dropped where the
        victim has none.
    data : pair (X, y) or TrainingData
    sample_weight : array of shape (n_samples,), optional

    Raises
    ------
    ValueError, TypeError
        If these do not fit together.
    """
    if victim.intercept == "none":
        direction = DualVector(direction.w, 0.0)
    draft = TargetCertificate(victim, target, space, direction, 0.0, "" if space.constraints is None else LEFT_OUT)
    return replace(draft, value=claimed(*_proof(draft, draft._rows(data, sample_weight))))


def _proof(certificate: TargetCertificate, rows: TrainingData) -> tuple[float, float]:
    """The bound that is proven, and by how much rounding of the data's sums may have lowered it."""
    problem = Problem(certificate.victim, rows, certificate.threat, certificate.target)
    v = normalized(certificate.direction)
    with np.errstate(all="ignore"):  # overflows widen an interval, and that is all
        deficit = dual_objective(problem.victim, rows, problem.target, v)
        if not deficit.lower > 0.0:
            return 0.0, 0.0
        n_edits = problem.threat.fewest(problem, v, deficit)
    value = float(n_edits.lower)
    if not value > 0.0:
        return 0.0, 0.0
    return value, float(n_edits.upper - n_edits.lower) if math.isfinite(value) else 0.0
