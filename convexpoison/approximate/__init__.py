"""What it costs to come near a target: bounds that hold for every model close to it, and the nearest model for a budget."""

from convexpoison.approximate.bounds import ApproximateBound, ball_bound, eps_close_bound
from convexpoison.approximate.nearest import NearestModel, close_attack, nearest_model

__all__ = ["ApproximateBound", "NearestModel", "ball_bound", "close_attack", "eps_close_bound", "nearest_model"]
