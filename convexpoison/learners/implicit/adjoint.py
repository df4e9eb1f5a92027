"""Derivatives of a function of the optimum, by the implicit function theorem: the formulas, once.

The optimum theta of ``F = sum_i c_i phi(a_i) + sum_j r_j theta_j**2 / 2`` solves ``grad F = 0``. A function A of the model
therefore has ``dA = -d(v @ grad F)`` with the adjoint ``v = H^-1 grad A``, H the Hessian of F at theta. With rows
``x~ = (x, 1)``, slopes ``s_k = da_k/dscore_k`` and ``t_k = x~_k @ v`` (:mod:`convexpoison.learners.losses.base`)::

    d(v @ grad F)/dx_k = c_k (s_k phi'(a_k) v_w + phi''(a_k) t_k w)
    d(v @ grad F)/dy_k = -c_k phi''(a_k) t_k                             (responses)
    d(v @ grad F)/dc_k = s_k phi'(a_k) t_k + sum_j dr_j/dc_k theta_j v_j

(Mei and Zhu, 2015; Koh and Liang, ICML 2017, Section 2.2; Demontis et al., USENIX Security 2019.) Derivatives with respect
to the regularisation are those of :meth:`convexpoison.learners.implicit.tuning.Tuning.product`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convexpoison._utils.types import FloatArray
from convexpoison.learners.trainers.hessian import HessianSolver, Step


def solve_adjoint(
    solver: HessianSolver, gradient: FloatArray, curvature: FloatArray, ridge: FloatArray, residual: float
) -> Step:
    """Return ``H^-1 @ gradient`` and the scores ``x~_i @ v`` of all rows, to that relative residual."""
    return solver.solve(-gradient, curvature, ridge, lambda _, size, first: bool(size <= residual**2 * first))


def mixed_points(slopes: FloatArray, v: FloatArray, bends: FloatArray, theta: FloatArray) -> FloatArray:
    """Return ``d(v @ grad F)/dx``, summed over models that have a v each, shape (n_points, n_features).

    Parameters
    ----------
    slopes : array of shape (n_models, n_points)
        ``c_k s_k phi'(a_k)``.
    v, theta : arrays of shape (n_models, n_features)
        Without the intercept.
    bends : array of shape (n_models, n_points)
        ``c_k phi''(a_k) t_k``.
    """
    return np.asarray(bends.T @ theta + slopes.T @ v)


@dataclass(frozen=True, eq=False)
class Adjoint:
    """The adjoint of a function A at an optimum, and the terms of the points that A is differentiated by.

    Attributes
    ----------
    theta, v : arrays of shape (n_parameters,)
    slopes, bends : arrays of shape (n_points,)
        See :func:`mixed_points`.
    n_features : int
    """

    theta: FloatArray
    v: FloatArray
    slopes: FloatArray
    bends: FloatArray
    n_features: int

    @property
    def points(self) -> FloatArray:
        """``dA/dx``, shape (n_points, n_features)."""
        d = slice(0, self.n_features)
        return -mixed_points(self.slopes[None], self.v[None, d], self.bends[None], self.theta[None, d])

    @property
    def responses(self) -> FloatArray:
        """``dA/dy`` of responses, shape (n_points,)."""
        return self.bends

    def weights(self, slopes: FloatArray, scores: FloatArray, ridge: FloatArray) -> FloatArray:
        """Return ``dA/dc``, shape (n_points,).

        Parameters
        ----------
        slopes, scores : arrays of shape (n_points,)
            ``s_k phi'(a_k)``, the weights left out, and ``t_k``.
        ridge : array of shape (n_parameters,)
            ``dr/dc``, the same for every point.
        """
        return -slopes * scores - ridge @ (self.v * self.theta)
