"""Randomized smoothing: noise, votes and their bounds, certificates, and noise that adapts to the image."""
