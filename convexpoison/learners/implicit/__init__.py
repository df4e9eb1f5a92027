"""Derivatives of what an attacker wants through a victim's training: by the rows of poison, and by the regularisation."""

from convexpoison.learners.implicit.implicit_gradient import ImplicitGradient, solve_inner
from convexpoison.learners.implicit.problem import Hypergradient, InnerProblem, OuterLoss, State
from convexpoison.learners.implicit.reverse_mode import largest_rate, reverse_mode
from convexpoison.learners.implicit.tuning import Tune, make_tuning, tuned_victim
from convexpoison.learners.losses.smooth_hinge import SmoothHinge

__all__ = [
    "Hypergradient",
    "ImplicitGradient",
    "InnerProblem",
    "OuterLoss",
    "SmoothHinge",
    "State",
    "Tune",
    "largest_rate",
    "make_tuning",
    "reverse_mode",
    "solve_inner",
    "tuned_victim",
]
