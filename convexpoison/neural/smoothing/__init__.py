"""Randomized smoothing: noise, votes and their bounds, certificates, and image-dependent noise."""
