"""Poison for networks: targets, attacks, and the evaluation of retrained networks."""
