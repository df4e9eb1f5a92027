"""Poison for networks: what it aims at, how it is made, and what retraining makes of it."""
