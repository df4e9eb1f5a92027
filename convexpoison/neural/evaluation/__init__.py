"""Evaluation of smoothed classifiers: certified accuracies, radii and distortions, recorded per image."""
