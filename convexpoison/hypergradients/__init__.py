"""Derivatives of what an attacker wants through a victim's training: by the rows of poison, and by the regularisation."""

from convexpoison.hypergradients.implicit import ImplicitGradient, solve_inner
from convexpoison.hypergradients.problem import Hypergradient, InnerProblem, OuterLoss, State
from convexpoison.hypergradients.reverse_mode import largest_rate, reverse_mode
from convexpoison.hypergradients.smooth_hinge import SmoothHinge
from convexpoison.hypergradients.tuning import Tune, make_tuning, tuned_victim

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
